//! The engine cache, which keeps built engines on disk for later processes.
//!
//! An entry is a folder whose name is the hash of its [`Key`]. It contains whatever files the
//! provider writes; with TensorRT, these are one or more engines for each part of the network, and
//! a timing cache. The folder is first filled under a temporary name and read back once by the
//! provider. It is then sealed with a manifest of sizes and hashes, synced to disk and renamed.
//! Even if the process is killed, a folder with its final name is therefore either complete or
//! recognised as incomplete. Only complete entries are loaded.

mod disk;
mod entry;
mod key;
mod list;
mod manifest;
#[cfg(test)]
mod tests;
mod transfer;

use super::origin::EngineOrigin;
use super::progress::Stage;
use crate::error::{Error, Result, Status};
use entry::{
    PARTIAL_MARK, PartialEntry, Snapshot, io_error, is_hash, lock_folder, probe_disk, read_entry,
    seal, take_snapshot,
};
use manifest::{FileEntry, MANIFEST_NAME, Manifest, Source};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) use key::Key;
pub use list::{CachedEngine, list_cached_engines};

/// A folder of built engines, which several processes may share.
#[derive(Clone, Debug)]
pub(crate) struct EngineCache {
    folder: PathBuf,
}

impl EngineCache {
    /// Opens the cache in `folder`, which need not exist yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: std::path::absolute(folder).unwrap_or(folder.to_owned()) }
    }

    fn entry_path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.folder())
    }

    /// Loads the engine for this key, or builds it if the cache does not contain it. `load`
    /// receives a folder. It loads the engines of all parts in this folder, and builds those that
    /// are missing and writes them to the folder. An entry that is damaged or that `load` does not
    /// accept or complete is built again.
    ///
    /// # Errors
    /// Returns [`Status::EngineCache`] if an engine must be built but the folder cannot be written
    /// or the disk is full, or the error of `load`. In both cases, the unfinished folder is
    /// removed.
    pub(crate) fn load_or_build<T>(
        &self,
        key: &Key,
        stage: &dyn Fn(Stage),
        load: impl Fn(&Path) -> Result<T>,
    ) -> Result<(T, EngineOrigin)> {
        stage(Stage::ReadingCache);
        let entry = self.entry_path(key);
        let (mut partial, mut replaces) = (None, false);
        match read_entry(&entry, key) {
            Ok(None) => {}
            Err(reason) => {
                log::warn!("{}: {reason}; the engine is built again", entry.display());
            }
            Ok(Some(manifest)) => {
                stage(Stage::Building);
                let before = take_snapshot(&entry)?;
                match load(&entry) {
                    Ok(loaded) if take_snapshot(&entry)? == before => {
                        let origin = match manifest.source {
                            Source::Built => EngineOrigin::Loaded,
                            Source::Imported => EngineOrigin::Imported,
                        };
                        return Ok((loaded, origin));
                    }
                    Ok(_) => {
                        log::warn!("{}: the provider built another engine", entry.display());
                        partial = Some(self.withdraw_entry(key)?);
                    }
                    Err(error) => {
                        log::warn!("{}: {error}; the engine is built again", entry.display());
                        replaces = true;
                    }
                }
            }
        }
        let partial = partial.map_or_else(|| self.create_partial(key), Ok)?;
        stage(Stage::Building);
        let loaded = build_into(&partial.path, key, &load)?;
        self.publish(partial, key, replaces)?;
        Ok((loaded, EngineOrigin::Built))
    }

    /// Creates and locks a folder for a new entry.
    fn create_partial(&self, key: &Key) -> Result<PartialEntry> {
        disk::create_dir_all(&self.folder).map_err(|error| io_error(&self.folder, &error))?;
        self.remove_stale_folders();
        // Another process may remove this folder as stale before it is locked, so try several
        // times.
        for _ in 0..8 {
            let path = self.partial_path(key);
            disk::create_dir(&path).map_err(|error| io_error(&path, &error))?;
            if let Some(partial) = lock_folder(&path).map_err(|error| io_error(&path, &error))? {
                return Ok(partial);
            }
        }
        let folder = self.folder.display();
        let message =
            format!("{folder}: other processes keep removing the folders of this process");
        Err(Error::new(Status::EngineCache, message))
    }

    /// Renames the entry so that no process finds the entry, and removes its manifest.
    fn withdraw_entry(&self, key: &Key) -> Result<PartialEntry> {
        let (entry, path) = (self.entry_path(key), self.partial_path(key));
        disk::rename(&entry, &path).map_err(|error| io_error(&entry, &error))?;
        let partial = lock_folder(&path).map_err(|error| io_error(&path, &error))?;
        let partial = partial.ok_or_else(|| io_error(&path, &ErrorKind::WouldBlock.into()))?;
        match disk::remove_file(&path.join(MANIFEST_NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(&path, &error)),
            _ => Ok(partial),
        }
    }

    fn partial_path(&self, key: &Key) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (number, process) = (NUMBER.fetch_add(1, Relaxed), std::process::id());
        self.folder.join(format!("{}{PARTIAL_MARK}{process}-{number}", key.folder()))
    }

    /// Removes the unfinished folders of processes that have died.
    fn remove_stale_folders(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_partial = name.split_once(PARTIAL_MARK).is_some_and(|(key, _)| is_hash(key));
            if is_partial && let Ok(Some(stale)) = lock_folder(&entry.path()) {
                drop(stale);
            }
        }
    }

    /// Gives a sealed folder its final name. If another process has already published an entry with
    /// this key, that entry is kept unless `replaces` is set.
    fn publish(&self, mut partial: PartialEntry, key: &Key, replaces: bool) -> Result<()> {
        let entry = self.entry_path(key);
        let mut outcome = disk::rename(&partial.path, &entry);
        let is_occupied = |kind: ErrorKind| {
            use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
            matches!(kind, AlreadyExists | DirectoryNotEmpty | NotADirectory)
        };
        if let Err(error) = &outcome
            && is_occupied(error.kind())
        {
            if !replaces && matches!(read_entry(&entry, key), Ok(Some(_))) {
                return Ok(());
            }
            match std::fs::symlink_metadata(&entry) {
                Ok(found) if !found.is_dir() => {
                    disk::remove_file(&entry).map_err(|error| io_error(&entry, &error))?;
                }
                _ => drop(self.withdraw_entry(key)?),
            }
            outcome = disk::rename(&partial.path, &entry);
        }
        outcome.map_err(|error| io_error(&entry, &error))?;
        partial.is_published = true;
        disk::sync(&self.folder).map_err(|error| io_error(&self.folder, &error))
    }
}

/// Builds an engine in the folder, has the provider read it back and seals the folder.
fn build_into<T>(folder: &Path, key: &Key, load: &impl Fn(&Path) -> Result<T>) -> Result<T> {
    let cache_error =
        |problem: &str| Error::new(Status::EngineCache, format!("{}: {problem}", folder.display()));
    probe_disk(folder)?;
    drop(load(folder)?);
    // Providers do not report failed writes, so check again that the disk has free space.
    probe_disk(folder)?;
    let before = take_snapshot(folder)?;
    if before.is_empty() {
        return Err(cache_error("the provider wrote no engine; leave cache_folder unset"));
    }
    // If the engine of any part cannot be read, the provider builds it again and changes the
    // folder: it writes the engine or, if this fails, at least the timing cache.
    let loaded = load(folder)?;
    if take_snapshot(folder)? != before {
        let problem = "the provider does not accept the engine that it wrote; check whether the \
                       disk is full";
        return Err(cache_error(problem));
    }
    let files = hash_files(folder, before)?;
    seal(folder, &Manifest::new(key, Source::Built, files))?;
    Ok(loaded)
}

/// Syncs the files of a folder to disk and describes them for the manifest.
fn hash_files(folder: &Path, files: Snapshot) -> Result<Vec<FileEntry>> {
    let describe = |name: String| {
        let path = folder.join(&name);
        let (size, sha256) = entry::hash_file(&path).map_err(|error| io_error(&path, &error))?;
        disk::sync(&path).map_err(|error| io_error(&path, &error))?;
        Ok(FileEntry { name, size, sha256 })
    };
    files.into_iter().map(|(name, ..)| describe(name)).collect()
}
