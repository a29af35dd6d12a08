//! Engine files. An engine file contains one entry of the cache, so that an engine can be built in
//! the factory and copied to devices.
//!
//! An engine file has four parts: a first line, which identifies the format; the length of the
//! manifest (8 bytes, little-endian); the manifest; and the contents of the entry's files in the
//! order of the manifest.

use super::disk;
use super::entry::{io_error, read_entry, seal};
use super::key::{Key, to_hex};
use super::manifest::{MAX_MANIFEST_BYTES, Manifest, Source};
use crate::engine::cache::EngineCache;
use crate::error::{Error, Result, Status};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const FIRST_LINE: &[u8] = b"tteview engine 1\n";

impl EngineCache {
    /// Writes the engine with this key to a file. The file is first written under a temporary name
    /// in the same folder and then renamed.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] if the cache does not contain a valid engine with this key,
    /// or [`Status::System`] if the file cannot be written.
    pub(crate) fn export(&self, key: &Key, path: &Path) -> Result<()> {
        let entry = self.entry_path(key);
        let manifest = match read_entry(&entry, key) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                let message =
                    format!("{} does not exist; prepare the engine first", entry.display());
                return Err(Error::new(Status::WrongState, message));
            }
            Err(reason) => {
                let message = format!("{}: {reason}; prepare the engine again", entry.display());
                return Err(Error::new(Status::WrongState, message));
            }
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let partial = path.with_file_name(name);
        let outcome = write_engine_file(&entry, &manifest, &partial).and_then(|()| {
            disk::rename(&partial, path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            disk::sync(parent.unwrap_or(Path::new(".")))
        });
        outcome.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            Error::new(Status::System, format!("{}: {error}", path.display()))
        })
    }

    /// Imports an engine from a file into the cache if the engine was built for this key. An
    /// existing entry is replaced.
    ///
    /// # Errors
    /// Returns [`Status::EngineFile`] if the file is damaged or not an engine file,
    /// [`Status::EngineMismatch`] with the differences if the engine has another key, or
    /// [`Status::EngineCache`] if the cache cannot be written.
    pub(crate) fn import(&self, key: &Key, path: &Path) -> Result<()> {
        let file_error = |problem: String| {
            Error::new(Status::EngineFile, format!("{}: {problem}", path.display()))
        };
        let read_error = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                file_error("the file is truncated; copy it again".into())
            }
            _ => file_error(error.to_string()),
        };
        let mut file = regular_file::open(path).map_err(read_error)?;
        let length = file.metadata().map_err(read_error)?.len();
        let mut head = [0; FIRST_LINE.len() + 8];
        file.read_exact(&mut head).map_err(read_error)?;
        let (line, size) = head.split_at(FIRST_LINE.len());
        let size = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if line != FIRST_LINE || size > MAX_MANIFEST_BYTES {
            return Err(file_error("it is not an engine file of this version".into()));
        }
        let mut bytes = Vec::new();
        (&mut file).take(size).read_to_end(&mut bytes).map_err(read_error)?;
        let mut manifest = Manifest::from_bytes(&bytes).map_err(file_error)?;
        let differences = key.differences(&manifest.key());
        if !differences.is_empty() {
            return Err(Error::new(
                Status::EngineMismatch,
                format!("{}: {differences}", path.display()),
            ));
        }
        // Check the length before anything is written.
        let start = head.len() as u64 + size;
        let end = manifest.files.iter().try_fold(start, |end, file| end.checked_add(file.size));
        if end != Some(length) {
            return Err(file_error("its length does not match its manifest; copy it again".into()));
        }
        let partial = self.create_partial(key)?;
        for entry in &manifest.files {
            let target = partial.path.join(&entry.name);
            let mut digest = Sha256::new();
            disk::write_from(&mut file, &target, entry.size, |block| digest.update(block))
                .map_err(|error| io_error(&target, &error))?;
            if to_hex(&digest.finalize()) != entry.sha256 {
                return Err(file_error(format!(
                    "the content of {} has changed; copy it again",
                    entry.name
                )));
            }
        }
        manifest.source = Source::Imported;
        seal(&partial.path, &manifest)?;
        self.publish(partial, key, true)
    }
}

fn write_engine_file(entry: &Path, manifest: &Manifest, path: &Path) -> io::Result<()> {
    let text = manifest.to_text();
    let mut to = File::create(path)?;
    to.write_all(FIRST_LINE)?;
    to.write_all(&(text.len() as u64).to_le_bytes())?;
    to.write_all(text.as_bytes())?;
    for file in &manifest.files {
        let mut from = File::open(entry.join(&file.name))?;
        disk::copy_bytes(&mut from, &mut to, file.size, path, |_| ())?;
    }
    to.sync_all()
}
