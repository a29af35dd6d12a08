//! Engines that a provider built, kept on disk so that the next start loads them.
//!
//! An entry is a folder named by the hash of its [`Key`]. It is filled under another name, read back by the provider once,
//! sealed with a manifest of sizes and hashes, brought to the disk and renamed; so whenever the process dies, what stands
//! under the final name is whole or is seen not to be. Nothing else is ever trusted.

mod disk;
mod key;
mod list;
mod manifest;
#[cfg(test)]
mod tests;
mod transfer;

use crate::backend::{EngineOrigin, Stage};
use crate::{Error, Result, Status};
use manifest::{FileEntry, MOST_BYTES, Manifest, NAME, Source, is_plain};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

pub(crate) use key::Key;
pub use list::{CachedEngine, cached_engines};

/// Between the key and the process in the name of a folder that is not an entry yet, or not any more.
const PARTIAL: &str = ".partial-";

/// What must fit on the disk before a build begins and after it has ended, so that a full one is seen early.
const PROBE_BYTES: usize = 1 << 16;

/// A folder of built engines. Processes may share it.
#[derive(Clone, Debug)]
pub(crate) struct EngineCache {
    folder: PathBuf,
}

/// A folder that is being filled or removed, locked by this process; gone when dropped unless it was published.
struct Partial {
    path: PathBuf,
    published: bool,
    /// Held while it is ours. The system lets go of it however the process ends.
    _lock: File,
}

/// Name, size and time of change of every file of a folder.
type Snapshot = Vec<(String, u64, Option<SystemTime>)>;

impl EngineCache {
    /// The cache in `folder`, which need not exist yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: std::path::absolute(folder).unwrap_or(folder.to_owned()) }
    }

    fn entry(&self, key: &Key) -> PathBuf {
        self.folder.join(key.folder())
    }

    /// What `load` makes of the engine of this key. `load` gets a folder: it loads the engine that lies there, or builds
    /// one and writes it there. An entry that cannot be trusted, or that `load` does not take, is built anew.
    ///
    /// # Errors
    /// [`Status::EngineCache`] where nothing can be loaded and the folder cannot be written, or the disk is full;
    /// else those of `load`. Neither leaves anything behind.
    pub(crate) fn obtain<T>(
        &self,
        key: &Key,
        stage: &dyn Fn(Stage),
        load: impl Fn(&Path) -> Result<T>,
    ) -> Result<(T, EngineOrigin)> {
        stage(Stage::ReadingCache);
        let entry = self.entry(key);
        let (mut partial, mut replace) = (None, false);
        match read_entry(&entry, key) {
            Ok(None) => {}
            Err(why) => log::warn!("{}: {why}; the engine is built anew", entry.display()),
            Ok(Some(manifest)) => {
                stage(Stage::Building);
                let before = snapshot(&entry)?;
                match load(&entry) {
                    Ok(loaded) if snapshot(&entry)? == before => {
                        return Ok((
                            loaded,
                            match manifest.source {
                                Source::Built => EngineOrigin::Loaded,
                                Source::Imported => EngineOrigin::Imported,
                            },
                        ));
                    }
                    Ok(_) => {
                        log::warn!("{}: the provider built another engine into it", entry.display());
                        partial = Some(self.adopt(key)?);
                    }
                    Err(error) => {
                        log::warn!("{}: {error}; the engine is built anew", entry.display());
                        replace = true;
                    }
                }
            }
        }
        let partial = partial.map_or_else(|| self.create(key), Ok)?;
        stage(Stage::Building);
        let loaded = fill(&partial.path, key, &load)?;
        self.publish(partial, key, replace)?;
        Ok((loaded, EngineOrigin::Built))
    }

    /// A new folder to fill.
    fn create(&self, key: &Key) -> Result<Partial> {
        disk::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        self.clean();
        // A process that cleans may take the folder before it is locked.
        for _ in 0..8 {
            let path = self.partial_name(key);
            disk::create_dir(&path).map_err(|error| failed(&path, &error))?;
            if let Some(partial) = lock(&path).map_err(|error| failed(&path, &error))? {
                return Ok(partial);
            }
        }
        Err(Error::new(
            Status::EngineCache,
            format!("{}: other processes keep taking it", self.folder.display()),
        ))
    }

    /// Takes the entry out of sight, its manifest away.
    fn adopt(&self, key: &Key) -> Result<Partial> {
        let (entry, path) = (self.entry(key), self.partial_name(key));
        disk::rename(&entry, &path).map_err(|error| failed(&entry, &error))?;
        let partial = lock(&path).map_err(|error| failed(&path, &error))?;
        let partial = partial.ok_or_else(|| failed(&path, &ErrorKind::WouldBlock.into()))?;
        match disk::remove_file(&path.join(NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, &error)),
            _ => Ok(partial),
        }
    }

    fn partial_name(&self, key: &Key) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        self.folder.join(format!("{}{PARTIAL}{}-{number}", key.folder(), std::process::id()))
    }

    /// Removes what processes that are gone left unfinished.
    fn clean(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.split_once(PARTIAL).is_some_and(|(key, _)| is_hash(key));
            if ours && let Ok(Some(stale)) = lock(&entry.path()) {
                drop(stale);
            }
        }
    }

    /// Gives a sealed folder the name of its key. Where another process was faster its entry stays, unless `replace`.
    fn publish(&self, mut partial: Partial, key: &Key, replace: bool) -> Result<()> {
        let entry = self.entry(key);
        let mut outcome = disk::rename(&partial.path, &entry);
        if let Err(error) = &outcome
            && matches!(
                error.kind(),
                ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
            )
        {
            if !replace && matches!(read_entry(&entry, key), Ok(Some(_))) {
                return Ok(());
            }
            match std::fs::symlink_metadata(&entry) {
                Ok(found) if !found.is_dir() => {
                    disk::remove_file(&entry).map_err(|error| failed(&entry, &error))?
                }
                _ => drop(self.adopt(key)?),
            }
            outcome = disk::rename(&partial.path, &entry);
        }
        outcome.map_err(|error| failed(&entry, &error))?;
        partial.published = true;
        disk::sync(&self.folder).map_err(|error| failed(&self.folder, &error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = disk::remove_folder(&self.path)
        {
            log::warn!("{}: {error}; it can be removed by hand", self.path.display());
        }
    }
}

/// The folder if no other process holds it and it is still there.
fn lock(path: &Path) -> io::Result<Option<Partial>> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        folder => folder?,
    };
    match folder.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    Ok(path.is_dir().then(|| Partial { path: path.to_owned(), published: false, _lock: folder }))
}

/// Builds into the folder, has it read back, and seals it.
fn fill<T>(folder: &Path, key: &Key, load: &impl Fn(&Path) -> Result<T>) -> Result<T> {
    probe(folder)?;
    drop(load(folder)?);
    // Providers do not say that a write of theirs failed.
    probe(folder)?;
    let before = snapshot(folder)?;
    if before.is_empty() {
        let what =
            format!("{}: the provider wrote no engine; prepare without a cache folder", folder.display());
        return Err(Error::new(Status::EngineCache, what));
    }
    let loaded = load(folder)?;
    if snapshot(folder)? != before {
        let what = format!(
            "{}: the provider does not take the engine that it wrote; look whether the disk is full",
            folder.display()
        );
        return Err(Error::new(Status::EngineCache, what));
    }
    let names = before.into_iter().map(|(name, ..)| name);
    let files = names.map(|name| {
        let path = folder.join(&name);
        let (size, sha256) = hash(&path).map_err(|error| failed(&path, &error))?;
        disk::sync(&path).map_err(|error| failed(&path, &error))?;
        Ok(FileEntry { name, size, sha256 })
    });
    seal(folder, &Manifest::new(key, Source::Built, files.collect::<Result<_>>()?))?;
    Ok(loaded)
}

/// Writes the manifest and brings the folder to the disk.
fn seal(folder: &Path, manifest: &Manifest) -> Result<()> {
    // What cannot be read back must not be published.
    if let Err(why) = Manifest::from_bytes(manifest.to_text().as_bytes()) {
        return Err(Error::new(Status::EngineCache, format!("{}: {why}", folder.display())));
    }
    let path = folder.join(NAME);
    disk::write(&path, manifest.to_text().as_bytes()).map_err(|error| failed(&path, &error))?;
    disk::sync(folder).map_err(|error| failed(folder, &error))
}

fn probe(folder: &Path) -> Result<()> {
    let path = folder.join("room");
    disk::write(&path, &[0x5a; PROBE_BYTES])
        .and_then(|()| disk::remove_file(&path))
        .map_err(|error| failed(&path, &error))
}

/// Every file of a folder but the manifest; nothing else may lie there.
fn snapshot(folder: &Path) -> Result<Snapshot> {
    let mut files = Vec::new();
    let mut list = || -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let found = std::fs::symlink_metadata(entry.path())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == NAME {
                continue;
            }
            if !found.is_file() || !is_plain(&name) {
                return Err(io::Error::other(format!("{name:?} is no file of a provider")));
            }
            files.push((name, found.len(), found.modified().ok()));
        }
        Ok(())
    };
    list().map_err(|error| failed(folder, &error))?;
    files.sort();
    Ok(files)
}

/// The manifest of an entry that is whole and of this key; `None` if there is no entry, a sentence if it is not to be
/// trusted.
fn read_entry(entry: &Path, key: &Key) -> std::result::Result<Option<Manifest>, String> {
    match std::fs::symlink_metadata(entry) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(_) => {}
    }
    let manifest = checked(entry)?;
    let differences = key.differences(&manifest.key());
    if differences.is_empty() { Ok(Some(manifest)) } else { Err(differences) }
}

/// The manifest of an entry whose files are all that it lists, unchanged; a sentence where they are not.
fn checked(entry: &Path) -> std::result::Result<Manifest, String> {
    let files = snapshot(entry).map_err(|error| error.message().to_owned())?;
    let mut bytes = Vec::new();
    File::open(entry.join(NAME))
        .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
        .map_err(|error| format!("{NAME}: {error}"))?;
    let manifest = Manifest::from_bytes(&bytes)?;
    let listed = manifest.files.iter().map(|file| (&file.name, file.size));
    if !listed.eq(files.iter().map(|(name, size, _)| (name, *size))) {
        return Err("its files are not those of its manifest".into());
    }
    for file in &manifest.files {
        let found = hash(&entry.join(&file.name)).map_err(|error| format!("{}: {error}", file.name))?;
        if found != (file.size, file.sha256.clone()) {
            return Err(format!("{} is not what was written", file.name));
        }
    }
    Ok(manifest)
}

/// Size and SHA-256 of a file.
fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    disk::pour(&mut file.take(size), &mut io::sink(), size, path, |piece| digest.update(piece))?;
    Ok((size, key::hex(&digest.finalize())))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An operation on the cache that failed, with what to do about it.
fn failed(path: &Path, error: &io::Error) -> Error {
    let next = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on this disk",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "make it writable for the first start, import an engine file while it is, or name no cache folder"
        }
        _ => "name a cache folder that can be written",
    };
    Error::new(Status::EngineCache, format!("{}: {error}; {next}", path.display()))
}
