//! The files of the repository.

use crate::files::read_text;
use crate::paths::root;
use crate::process::{Result, command, read_output};
use std::path::{Path, PathBuf};

/// Returns the paths, relative to the root, of committed and new files whose names end with one of
/// `endings`. Files of published crates are left out.
pub(super) fn list_files(endings: &[&str]) -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listing = read_output(&mut command("git", arguments))?;
    let has_ending = |name: &&str| endings.iter().any(|ending| name.ends_with(ending));
    let files = listing.lines().filter(has_ending).filter(is_own).map(PathBuf::from);
    Ok(files.filter(|file| root().join(file).is_file()).collect())
}

/// Returns whether a file was written for this repository. The folders in `third_party/` contain
/// published crates.
fn is_own(name: &&str) -> bool {
    let mut folders = name.split('/');
    folders.next() != Some("third_party") || folders.count() < 2
}

/// Reads a file.
pub(super) fn read_file(file: &Path) -> Result<String> {
    read_text(&root().join(file))
}
