//! Finds the files of a folder that another program has completed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ends of the names of files that are being written under a temporary name.
const TEMPORARY: [&str; 6] = ["part", "partial", "tmp", "temp", "filepart", "crdownload"];

/// The properties of a file that change when it is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Returns the stamp of a file, or `None` if it is not a regular file or does not exist.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// A file that another program has completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SettledFile {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// The files that were found in the folder.
#[derive(Debug, Default)]
pub(super) struct SettledFiles {
    /// Time for which a file must not change.
    settle: Duration,
    files: HashMap<PathBuf, Found>,
}

#[derive(Debug)]
struct Found {
    stamp: Stamp,
    /// Time at which the file was first found with this stamp.
    since: Duration,
    is_returned: bool,
}

impl SettledFiles {
    pub(super) fn new(settle: Duration) -> Self {
        Self { settle, files: HashMap::new() }
    }

    /// Returns the files that have not changed for the settle time and were not returned with this
    /// stamp. `found` are all files of the folder at the time `now`, which is measured by a clock
    /// that never steps: the clocks of a file server and of this machine can differ. A file that
    /// was replaced or has grown is returned again, and so is one that was renamed.
    pub(super) fn update(
        &mut self,
        now: Duration,
        found: impl IntoIterator<Item = SettledFile>,
    ) -> Vec<SettledFile> {
        let mut files = HashMap::new();
        let mut settled = Vec::new();
        for SettledFile { path, stamp } in found {
            let known = self.files.remove(&path).filter(|known| known.stamp == stamp);
            let mut known = known.unwrap_or(Found { stamp, since: now, is_returned: false });
            if !known.is_returned && now.saturating_sub(known.since) >= self.settle {
                known.is_returned = true;
                settled.push(SettledFile { path: path.clone(), stamp });
            }
            files.insert(path, known);
        }
        self.files = files;
        settled
    }
}

/// Returns the files in a folder and its subfolders. Hidden files, files with a temporary name and
/// folders that cannot be read are left out.
pub(super) fn list_files(folder: &Path) -> Vec<SettledFile> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if is_temporary(&entry.file_name()) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Some(stamp) = Stamp::read(&path) {
                files.push(SettledFile { path, stamp });
            }
        }
    }
    files.sort_by(|a, b| (a.stamp.modified, &a.path).cmp(&(b.stamp.modified, &b.path)));
    files
}

fn is_temporary(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
        || TEMPORARY.iter().any(|end| extension.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, inode: u64, bytes: u64) -> SettledFile {
        let stamp = Stamp { device: 1, inode, bytes, modified: (7, 0) };
        SettledFile { path: path.into(), stamp }
    }

    /// Updates at each second, and returns the names that are returned.
    fn run(scans: &[&[SettledFile]]) -> Vec<Vec<String>> {
        let mut files = SettledFiles::new(Duration::from_secs(2));
        let scan = |(second, found): (usize, &&[SettledFile])| {
            let settled = files.update(Duration::from_secs(second as u64), found.to_vec());
            settled.into_iter().map(|file| file.path.display().to_string()).collect()
        };
        scans.iter().enumerate().map(scan).collect()
    }

    #[test]
    fn a_file_is_returned_once_it_stops_growing() {
        let [small, large] = [[file("a", 1, 10)], [file("a", 1, 20)]];
        let settled = run(&[&small, &small, &large, &large, &large, &large]);
        assert_eq!(settled, [vec![], vec![], vec![], vec![], vec!["a".to_owned()], vec![]]);
    }

    #[test]
    fn replaced_renamed_and_new_files_are_returned() {
        let (old, new) = ([file("a", 1, 10)], [file("a", 2, 10)]);
        let settled = run(&[&old, &old, &old, &new, &new, &new, &new]);
        assert_eq!(settled.concat(), ["a", "a"]);
        let renamed = [file("b", 1, 10)];
        let settled = run(&[&old, &old, &old, &renamed, &renamed, &renamed]);
        assert_eq!(settled.concat(), ["a", "b"]);
        // A file that was deleted and written again is a new file.
        let settled = run(&[&old, &old, &old, &[], &old, &old, &old]);
        assert_eq!(settled.concat(), ["a", "a"]);
        let settled = run(&[&old, &[], &[], &[]]);
        assert_eq!(settled.concat(), [] as [&str; 0]);
    }

    #[test]
    fn temporary_and_hidden_names_are_left_out() {
        for name in ["a.dcm.part", "a.TMP", ".a.dcm", ".page.html.partial"] {
            assert!(is_temporary(OsStr::new(name)), "{name}");
        }
        for name in ["a.dcm", "part", "a.part.dcm", "IM0001"] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }
}
