//! The metadata entries of a package that is already compiled.

use crate::error::{CompileError, Result};
use crate::onnx::{EncodedModelProto, StringStringEntryProto};
use prost::Message;

/// Prefix of the keys.
const PREFIX: &str = "tteview.";

/// Decodes a package.
///
/// # Errors
/// Returns [`CompileError::File`] if `package` is not a package.
pub(crate) fn decode_package(package: &[u8]) -> Result<EncodedModelProto> {
    let model = EncodedModelProto::decode(package)
        .map_err(|error| CompileError::File(format!("the file is not an ONNX file: {error}")))?;
    if read_entry(&model, "format").is_some() {
        return Ok(model);
    }
    let message = format!("the file is not a model package: the key {PREFIX}format is missing");
    Err(CompileError::File(message))
}

/// Returns the value of a key, which is given without its prefix.
pub(crate) fn read_entry<'a>(model: &'a EncodedModelProto, key: &str) -> Option<&'a str> {
    let mut entries = model.metadata_props.iter();
    let entry = entries.find(|entry| entry.key.strip_prefix(PREFIX) == Some(key));
    entry.map(|entry| entry.value.as_str())
}

/// Returns a copy of a package with these values, each given with its key without the prefix. The
/// graph and all other metadata stay the same, so `graph_sha256` stays valid. The SHA-256 of the
/// package changes.
///
/// # Errors
/// Returns [`CompileError::File`] if `package` is not a package.
pub(crate) fn set_entries(package: &[u8], values: &[(&str, String)]) -> Result<Vec<u8>> {
    let mut model = decode_package(package)?;
    for (key, value) in values {
        let key = format!("{PREFIX}{key}");
        model.metadata_props.retain(|entry| entry.key != key);
        model.metadata_props.push(StringStringEntryProto { key, value: value.clone() });
    }
    Ok(model.encode_to_vec())
}
