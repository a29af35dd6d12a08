//! An entry as one file, to build engines in the factory and bring them to the devices.
//!
//! The file: a line that says what it is, the length of the manifest (8 bytes, little endian), the manifest, the content
//! of each of its files in the manifest's order, and nothing more.

use super::key::hex;
use super::manifest::{MOST_BYTES, Manifest, Source};
use super::{EngineCache, Key, disk, read_entry, seal};
use crate::{Error, Result, Status};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const FIRST_LINE: &[u8] = b"tteview engine 1\n";

impl EngineCache {
    /// Writes the engine of this key into a file: under another name beside it, then renamed.
    ///
    /// # Errors
    /// [`Status::WrongState`] where there is no such engine, [`Status::System`] where the file cannot be written.
    pub(crate) fn export(&self, key: &Key, path: &Path) -> Result<()> {
        let entry = self.entry(key);
        let manifest = match read_entry(&entry, key) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                let what = format!("{} is not there: prepare the engine first", entry.display());
                return Err(Error::new(Status::WrongState, what));
            }
            Err(why) => {
                let what = format!("{}: {why}; prepare the engine again", entry.display());
                return Err(Error::new(Status::WrongState, what));
            }
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let partial = path.with_file_name(name);
        let written = write(&entry, &manifest, &partial).and_then(|()| {
            disk::rename(&partial, path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            disk::sync(parent.unwrap_or(Path::new(".")))
        });
        written.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            Error::new(Status::System, format!("{}: {error}", path.display()))
        })
    }

    /// Brings the engine of a file into the cache, if it was built for this key. What lies there of this key makes way.
    ///
    /// # Errors
    /// [`Status::EngineFile`] where the file is damaged or is none, [`Status::EngineMismatch`] where it is of another
    /// key, with the parts that differ, [`Status::EngineCache`] where the cache cannot be written.
    pub(crate) fn import(&self, key: &Key, path: &Path) -> Result<()> {
        let bad = |what: String| Error::new(Status::EngineFile, format!("{}: {what}", path.display()));
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => bad("it is cut off; copy it again".into()),
            _ => bad(error.to_string()),
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut head = [0; FIRST_LINE.len() + 8];
        file.read_exact(&mut head).map_err(unreadable)?;
        let (line, size) = head.split_at(FIRST_LINE.len());
        let size = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if line != FIRST_LINE || size > MOST_BYTES {
            return Err(bad("it is no engine file of this version".into()));
        }
        let mut bytes = Vec::new();
        (&mut file).take(size).read_to_end(&mut bytes).map_err(unreadable)?;
        let mut manifest = Manifest::from_bytes(&bytes).map_err(bad)?;
        let differences = key.differences(&manifest.key());
        if !differences.is_empty() {
            return Err(Error::new(Status::EngineMismatch, format!("{}: {differences}", path.display())));
        }
        // Before a byte of it goes to the disk.
        let start = head.len() as u64 + size;
        let end = manifest.files.iter().try_fold(start, |end, file| end.checked_add(file.size));
        if end != Some(length) {
            return Err(bad("its length is not that of its manifest; copy it again".into()));
        }
        let partial = self.create(key)?;
        for entry in &manifest.files {
            let target = partial.path.join(&entry.name);
            let mut digest = Sha256::new();
            disk::copy(&mut file, &target, entry.size, |piece| digest.update(piece))
                .map_err(|error| super::failed(&target, &error))?;
            if hex(&digest.finalize()) != entry.sha256 {
                return Err(bad(format!("{} is not what was written; copy it again", entry.name)));
            }
        }
        manifest.source = Source::Imported;
        seal(&partial.path, &manifest)?;
        self.publish(partial, key, true)
    }
}

fn write(entry: &Path, manifest: &Manifest, path: &Path) -> io::Result<()> {
    let text = manifest.to_text();
    let mut to = File::create(path)?;
    to.write_all(FIRST_LINE)?;
    to.write_all(&(text.len() as u64).to_le_bytes())?;
    to.write_all(text.as_bytes())?;
    for file in &manifest.files {
        let mut from = File::open(entry.join(&file.name))?;
        disk::pour(&mut from, &mut to, file.size, path, |_| ())?;
    }
    to.sync_all()
}
