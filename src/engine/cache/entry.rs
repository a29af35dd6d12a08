//! Entries of the engine cache on disk. An entry is locked while it is filled, and it is checked
//! whenever it is read.

use super::disk;
use super::key::{Key, to_hex};
use super::manifest::{MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, is_plain_name};
use crate::error::{Error, Result, Status};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Separator between the key's hash and the process number in the name of an unfinished folder.
pub(super) const PARTIAL_MARK: &str = ".partial-";

/// Number of bytes that are written before and after a build to check that the disk has free space.
const PROBE_BYTES: usize = 1 << 16;

/// A folder that this process has locked in order to fill or remove it. Dropping this value removes
/// the folder unless it has been published.
pub(super) struct PartialEntry {
    pub(super) path: PathBuf,
    pub(super) is_published: bool,
    /// Lock on the folder. The system releases the lock when the process ends, even if the process
    /// is killed.
    _lock: File,
}

impl Drop for PartialEntry {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = disk::remove_folder(&self.path)
        {
            log::warn!("{}: {error}; remove the folder by hand", self.path.display());
        }
    }
}

/// Locks a folder. Returns `None` if another process holds the lock or the folder no longer exists.
pub(super) fn lock_folder(path: &Path) -> io::Result<Option<PartialEntry>> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        folder => folder?,
    };
    match folder.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    let partial = PartialEntry { path: path.to_owned(), is_published: false, _lock: folder };
    Ok(path.is_dir().then_some(partial))
}

/// Name, size and modification time of every file in a folder except the manifest.
pub(super) type Snapshot = Vec<(String, u64, Option<SystemTime>)>;

/// Lists the provider's files in a folder. Fails if the folder contains anything except the
/// manifest and regular files with plain names.
pub(super) fn take_snapshot(folder: &Path) -> Result<Snapshot> {
    let mut files = Vec::new();
    let mut list = || -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = std::fs::symlink_metadata(entry.path())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == MANIFEST_NAME {
                continue;
            }
            if !metadata.is_file() || !is_plain_name(&name) {
                return Err(io::Error::other(format!("{name:?} is not a provider's file")));
            }
            files.push((name, metadata.len(), metadata.modified().ok()));
        }
        Ok(())
    };
    list().map_err(|error| io_error(folder, &error))?;
    files.sort();
    Ok(files)
}

/// Writes the manifest and syncs the folder to disk.
pub(super) fn seal(folder: &Path, manifest: &Manifest) -> Result<()> {
    // A manifest that cannot be read back must not be published.
    if let Err(reason) = Manifest::from_bytes(manifest.to_text().as_bytes()) {
        return Err(Error::new(Status::EngineCache, format!("{}: {reason}", folder.display())));
    }
    let path = folder.join(MANIFEST_NAME);
    let text = manifest.to_text();
    disk::write(&path, text.as_bytes()).map_err(|error| io_error(&path, &error))?;
    disk::sync(folder).map_err(|error| io_error(folder, &error))
}

/// Checks that the disk has free space.
pub(super) fn probe_disk(folder: &Path) -> Result<()> {
    let path = folder.join("room");
    disk::write(&path, &[0x5a; PROBE_BYTES])
        .and_then(|()| disk::remove_file(&path))
        .map_err(|error| io_error(&path, &error))
}

/// Reads the manifest of an entry, and checks that the entry is complete and has this key. Returns
/// `None` if the entry does not exist, or the reason as an error if the entry is not valid.
pub(super) fn read_entry(entry: &Path, key: &Key) -> Result<Option<Manifest>, String> {
    match std::fs::symlink_metadata(entry) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(_) => {}
    }
    let manifest = check_entry(entry)?;
    let differences = key.differences(&manifest.key());
    if differences.is_empty() { Ok(Some(manifest)) } else { Err(differences) }
}

/// Reads the manifest of an entry and checks that the entry contains exactly the files in the
/// manifest. Returns the reason as an error if the entry is not valid.
pub(super) fn check_entry(entry: &Path) -> Result<Manifest, String> {
    let files = take_snapshot(entry).map_err(|error| error.message().to_owned())?;
    let mut bytes = Vec::new();
    File::open(entry.join(MANIFEST_NAME))
        .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes))
        .map_err(|error| format!("{MANIFEST_NAME}: {error}"))?;
    let manifest = Manifest::from_bytes(&bytes)?;
    let listed = manifest.files.iter().map(|file| (&file.name, file.size));
    if !listed.eq(files.iter().map(|(name, size, _)| (name, *size))) {
        return Err("its files do not match its manifest".into());
    }
    for file in &manifest.files {
        let hashed = hash_file(&entry.join(&file.name))
            .map_err(|error| format!("{}: {error}", file.name))?;
        if hashed != (file.size, file.sha256.clone()) {
            return Err(format!("the content of {} has changed", file.name));
        }
    }
    Ok(manifest)
}

/// Returns the size and the SHA-256 of a file.
pub(super) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let inspect = |bytes: &[u8]| digest.update(bytes);
    disk::copy_bytes(&mut file.take(size), &mut io::sink(), size, path, inspect)?;
    Ok((size, to_hex(&digest.finalize())))
}

/// Returns whether a string is a SHA-256 hash in hexadecimal.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Creates the error for a failed operation on the cache, with a hint about what to do.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on this disk",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "make it writable for the first start, import an engine file while it is writable, or \
             leave cache_folder unset"
        }
        _ => "set cache_folder to a writable folder",
    };
    Error::new(Status::EngineCache, format!("{}: {error}; {hint}", path.display()))
}
