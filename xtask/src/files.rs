//! Functions that read and write files and name the path in every error.

use crate::process::Result;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Adds the failed action and the path to a file system error.
fn describe<T>(result: io::Result<T>, action: &str, path: &Path) -> Result<T> {
    result.map_err(|error| format!("cannot {action} {}: {error}", path.display()))
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    describe(fs::read_to_string(path), "read", path)
}

/// Reads a file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    describe(fs::read(path), "read", path)
}

/// Writes a file, and creates its parent folders if they are missing.
pub(crate) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result {
    create_parent(path)?;
    describe(fs::write(path, content), "write", path)
}

/// Copies a file and creates the folders above the copy.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result {
    create_parent(to)?;
    let copied = fs::copy(from, to).map(drop);
    copied.map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

fn create_parent(path: &Path) -> Result {
    path.parent().map_or(Ok(()), create_folder)
}

/// Creates a folder and the folders above it, if they do not exist.
pub(crate) fn create_folder(path: &Path) -> Result {
    describe(fs::create_dir_all(path), "create", path)
}

/// Creates an empty folder. If the folder exists, its content is removed.
pub(crate) fn create_empty_folder(path: &Path) -> Result {
    remove_folder(path)?;
    create_folder(path)
}

/// Removes a folder and its content, if it exists.
pub(crate) fn remove_folder(path: &Path) -> Result {
    describe(accept_missing(fs::remove_dir_all(path)), "remove", path)
}

/// Removes a file, if it exists.
pub(crate) fn remove_file(path: &Path) -> Result {
    describe(accept_missing(fs::remove_file(path)), "remove", path)
}

fn accept_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Renames a file or folder.
pub(crate) fn rename(from: &Path, to: &Path) -> Result {
    describe(fs::rename(from, to), "create", to)
}

/// Returns the entries of a folder, sorted.
pub(crate) fn list_folder(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = describe(fs::read_dir(path), "read", path)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(describe(entry, "read", path)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Returns the paths of all files below a folder, sorted and relative to that folder.
pub(crate) fn list_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in list_folder(&next)? {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap_or(&path).to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the size of a file in bytes.
pub(crate) fn file_bytes(path: &Path) -> Result<u64> {
    describe(fs::metadata(path), "read", path).map(|metadata| metadata.len())
}

/// Returns the disk usage of a folder in bytes. A file with several hard links counts once. Files
/// that another process removes in the meantime are not counted.
pub(crate) fn disk_usage_bytes(folder: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in list_folder(&next).unwrap_or_default() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                folders.push(path);
            }
            if seen.insert((metadata.dev(), metadata.ino())) {
                bytes += metadata.blocks() * 512;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create_test_folder(test: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tteview-xtask-{}-{test}", std::process::id()));
        create_empty_folder(&folder).unwrap();
        folder
    }

    #[test]
    fn error_names_the_action_and_the_path() {
        let error = read_text(Path::new("/nowhere/file")).unwrap_err();
        assert!(error.starts_with("cannot read /nowhere/file: "), "{error}");
        let error = copy_file(Path::new("/nowhere/file"), &std::env::temp_dir()).unwrap_err();
        assert!(error.starts_with("cannot copy /nowhere/file to "), "{error}");
    }

    #[test]
    fn removing_what_does_not_exist_succeeds() {
        remove_file(Path::new("/nowhere/file")).unwrap();
        remove_folder(Path::new("/nowhere/folder")).unwrap();
    }

    #[test]
    fn files_below_a_folder_are_listed_relative_and_sorted() {
        let folder = create_test_folder("list");
        write_file(&folder.join("b"), "1").unwrap();
        write_file(&folder.join("a/c"), "22").unwrap();
        assert_eq!(list_files(&folder).unwrap(), [Path::new("a/c"), Path::new("b")]);
        assert_eq!(file_bytes(&folder.join("a/c")).unwrap(), 2);
        remove_folder(&folder).unwrap();
    }

    #[test]
    fn empty_folder_loses_its_previous_content() {
        let folder = create_test_folder("empty");
        write_file(&folder.join("old"), "1").unwrap();
        create_empty_folder(&folder).unwrap();
        assert!(list_folder(&folder).unwrap().is_empty());
        remove_folder(&folder).unwrap();
    }

    #[test]
    fn disk_usage_counts_a_file_with_two_names_once() {
        let folder = create_test_folder("usage");
        write_file(&folder.join("a"), vec![1; 1 << 20]).unwrap();
        let one_name = disk_usage_bytes(&folder);
        fs::hard_link(folder.join("a"), folder.join("b")).unwrap();
        assert_eq!(disk_usage_bytes(&folder), one_name);
        assert!(one_name >= 1 << 20, "{one_name}");
        remove_folder(&folder).unwrap();
    }
}
