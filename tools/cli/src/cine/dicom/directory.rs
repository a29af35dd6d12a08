//! A DICOMDIR, which lists the files of a folder (PS3.3, annex F).

use super::attributes::Attributes;
use super::data_set;
use super::image::DIRECTORY_CLASS;
use super::syntax;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns whether the beginning of a file shows that it is a DICOMDIR.
pub(in crate::cine) fn is_directory(start: &[u8]) -> bool {
    data_set::read_file_meta(start).is_ok_and(|meta| meta.class == DIRECTORY_CLASS)
}

/// Returns the files that a DICOMDIR lists, in its order. `folder` contains the DICOMDIR. Returns
/// `None` if the DICOMDIR is damaged, or if it names a file outside the folder.
pub(in crate::cine) fn list_files(file: &[u8], folder: &Path) -> Option<Vec<PathBuf>> {
    let meta = data_set::read_file_meta(file).ok()?;
    let syntax =
        meta.syntax.as_ref().map_or(Some(syntax::DEFAULT), |uid| syntax::find(uid).ok())?;
    let mut attributes = Attributes::default();
    data_set::read_data_set(file, meta.data_set, &syntax, &mut attributes).ok()?;
    attributes.file_ids.iter().map(|id| find_file(folder, id)).collect()
}

/// Returns the path of the file with a File ID, which consists of the names of the folders and of
/// the file. The case of a name is ignored if no file has the exact name, because media with
/// upper-case names are often copied with lower-case names.
fn find_file(folder: &Path, id: &str) -> Option<PathBuf> {
    id.split('\\').map(str::trim).try_fold(folder.to_path_buf(), |path, name| {
        // With anything but names, a hostile file could name files outside the folder.
        let is_name = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        let exact = path.join(name);
        is_name.then(|| match exact.exists() {
            true => exact,
            false => find_name(&path, name).map_or(exact, |found| path.join(found)),
        })
    })
}

/// Returns the name in a folder that differs from `name` only in case.
fn find_name(folder: &Path, name: &str) -> Option<OsString> {
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    names.filter(|found| found.eq_ignore_ascii_case(name)).min()
}
