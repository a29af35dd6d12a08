//! Output files that appear whole or not at all, and locks on folders.

use crate::failure::Failure;
use crate::terminal::escape_path;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Error, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Maximum number of bytes of the target's name that are part of the name of the partial file.
/// File systems allow names of 255 bytes.
const MAX_NAME_BYTES: usize = 200;

/// A file that is being written. Its content first goes to a partial file in the same folder, which
/// [`OutputFile::commit`] renames. Dropping this value without a commit removes the partial file.
///
/// While the value exists, the partial file is locked, so that another process that writes the same
/// file gets an error. The system releases the lock when the process ends, even if it is killed. A
/// killed process leaves its partial file, which the next process overwrites.
pub(crate) struct OutputFile {
    writer: BufWriter<File>,
    /// The partial file and the target, or `None` if the target is a device or a FIFO, which is
    /// written directly.
    rename: Option<[PathBuf; 2]>,
}

impl OutputFile {
    /// Creates the partial file.
    ///
    /// # Errors
    /// Returns a failure if the file cannot be written, or if another process writes it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        Self::open(path).map_err(|error| Failure::file(path, error))
    }

    fn open(path: &Path) -> io::Result<Self> {
        let (target, permissions) = match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                return Ok(Self { writer: BufWriter::new(file), rename: None });
            }
            Ok(metadata) => {
                // Renaming needs no permission to write the old file, so the permission is checked
                // here. If the path is a symbolic link, the file to which it points is replaced.
                OpenOptions::new().write(true).open(path)?;
                (path.canonicalize()?, Some(metadata.permissions()))
            }
            Err(_) => (path.to_owned(), None),
        };
        let partial = target.with_file_name(partial_name(&target)?);
        let file = open_locked(&partial, "the file; wait for it or choose another name")?;
        file.set_len(0)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        Ok(Self { writer: BufWriter::new(file), rename: Some([partial, target]) })
    }

    /// Completes the file and replaces an older file of the same name.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        match self.rename.take() {
            Some([partial, target]) => std::fs::rename(&partial, target).inspect_err(|_| {
                let _ = std::fs::remove_file(&partial);
            }),
            None => Ok(()),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some([partial, _]) = &self.rename {
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Writes a whole file, or reports a failure and leaves an older file of the same name unchanged.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = OutputFile::create(path)?;
    let written = file.write_all(content).and_then(|()| file.commit());
    written.map_err(|error| Failure::file(path, error))
}

fn partial_name(target: &Path) -> io::Result<OsString> {
    let name = target.file_name().ok_or_else(|| Error::other("the path must end with a name"))?;
    let name = name.as_bytes();
    let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
    Ok(OsString::from_vec([b".", name, b".partial"].concat()))
}

/// Opens a file for reading and writing, and locks it. Creates the file if it does not exist.
///
/// # Errors
/// Returns an error if another process holds the lock. The message says that another process writes
/// `what`.
pub(crate) fn open_locked(path: &Path, what: &str) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A FIFO or a device would block, and a link could lead out of the folder.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = options.custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(Error::other(format!("{} is not a regular file", escape_path(path))));
        }
        lock(&file, what)?;
        // The previous owner of the lock may have renamed or removed the file in the meantime.
        let is_same = std::fs::symlink_metadata(path).is_ok_and(|found| {
            file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
        });
        if is_same {
            return Ok(file);
        }
    }
}

fn lock(file: &File, what: &str) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::other(format!("another process writes {what}")),
        TryLockError::Error(error) => error,
    })
}

/// A lock on an output folder, which lasts until this value is dropped or the process ends.
pub(crate) struct FolderLock {
    _folder: File,
}

impl FolderLock {
    /// Creates the folder if it does not exist, and locks it. The lock belongs to the folder
    /// itself, so no lock file is needed.
    ///
    /// # Errors
    /// Returns a failure if the folder cannot be created, or if another process holds the lock.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Failure> {
        create_folder(path)?;
        let open = || {
            let folder = File::open(path)?;
            lock(&folder, "to this folder; wait for it or choose another folder")?;
            Ok(Self { _folder: folder })
        };
        open().map_err(|error: Error| Failure::file(path, error))
    }
}

/// Creates a folder if it does not exist.
pub(crate) fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| Failure::file(path, error))
}

/// Creates several files before the content of any of them is known.
///
/// # Errors
/// Returns a failure if one of the files cannot be written.
pub(crate) fn create_files<const N: usize>(
    paths: [Option<&Path>; N],
) -> Result<[Option<OutputFile>; N], Failure> {
    let mut files = [const { None }; N];
    for (file, path) in files.iter_mut().zip(paths) {
        *file = path.map(OutputFile::create).transpose()?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn create_test_folder(name: &str) -> PathBuf {
        let name = format!("tteview-output-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn list(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_not_committed_leaves_the_old_one() {
        let folder = create_test_folder("whole");
        let path = folder.join("a.json");
        std::fs::write(&path, "old").unwrap();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_file(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(list(&folder), ["a.json"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_is_followed_and_a_device_is_written_directly() {
        let folder = create_test_folder("link");
        std::fs::write(folder.join("a"), "old").unwrap();
        std::os::unix::fs::symlink("a", folder.join("b")).unwrap();
        write_file(&folder.join("b"), b"new").unwrap();
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"new");
        assert!(folder.join("b").is_symlink());
        write_file(Path::new("/dev/null"), b"new").unwrap();
        let failure = write_file(Path::new("/dev/full"), b"new").unwrap_err();
        assert_eq!(failure.exit, Exit::Files);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_second_writer_of_the_same_file_or_folder_is_refused() {
        let folder = create_test_folder("lock");
        let path = folder.join("a");
        let first = OutputFile::create(&path).unwrap();
        let message = OutputFile::create(&path).err().unwrap().message;
        assert!(message.contains("another process writes the file"), "{message}");
        drop(first);
        OutputFile::create(&path).unwrap();
        let first = FolderLock::acquire(&folder).unwrap();
        let message = FolderLock::acquire(&folder).err().unwrap().message;
        assert!(message.contains("another process writes to this folder"), "{message}");
        drop(first);
        FolderLock::acquire(&folder).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
