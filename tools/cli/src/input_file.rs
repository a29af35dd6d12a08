//! Reading of input files, with a maximum size for each kind.

use crate::failure::Failure;
use std::io;
use std::path::Path;
use tteview::regular_file;

/// Maximum size of a model file, which is that of a protocol buffer.
pub(crate) const MAX_MODEL_BYTES: u64 = 1 << 31;
/// Maximum size of a file with labels or with properties of a model.
pub(crate) const MAX_SETTINGS_BYTES: u64 = 1 << 20;
/// Maximum size of a manifest. A manifest with a million cines has about 150 MB.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// Maximum size of a file of predictions.
pub(crate) const MAX_PREDICTIONS_BYTES: u64 = 4 << 30;

/// Reads a UTF-8 file that belongs to a model.
pub(crate) fn read_settings(path: &Path) -> Result<String, Failure> {
    let read = || {
        let bytes = regular_file::read(path, MAX_SETTINGS_BYTES)?;
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the text must be UTF-8"))
    };
    read().map_err(|error| Failure::model(path, error))
}
