//! Finds the cines in a folder and its subfolders.

use super::dicom::{count_frames, is_dicom, is_directory, list_files};
use super::formats::is_known;
use super::image_folder::{find_images, sort_key};
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Number of bytes at the beginning of a file that show its format.
const FORMAT_BYTES: u64 = 4096;

/// Maximum size of a DICOMDIR in bytes.
const MAX_DIRECTORY_BYTES: u64 = 256 << 20;

/// Number of bytes at the beginning of a DICOM file in which the attributes of its image usually
/// lie.
const ATTRIBUTE_BYTES: u64 = 256 << 10;

/// Ends of the names of cine files. Such a file is not skipped if its content is something else.
const EXTENSIONS: [&str; 9] = ["dcm", "dicom", "avi", "gif", "mkv", "mov", "mp4", "m4v", "webp"];

/// The cines in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundCines {
    /// Cine files, folders of frames, and files of a kind that is refused with a message.
    pub(crate) cines: Vec<PathBuf>,
    /// Number of other files, which were skipped.
    pub(crate) skipped: usize,
}

/// Finds the cines in a folder and its subfolders, in the order of the numbers in their names. A
/// folder that contains only frames is one cine. Hidden files, and links to folders, are ignored.
pub(crate) fn find_cines(folder: &Path) -> FoundCines {
    let mut found = FoundCines::default();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        match Content::read(&folder) {
            Ok(content) => {
                let subfolders = content.add_to(&folder, &mut found);
                folders.extend(subfolders.into_iter().rev());
            }
            // Opening the folder as a cine gives the same error, which is then reported.
            Err(_) => found.cines.push(folder),
        }
    }
    found
}

/// Finds the cines that a DICOMDIR lists. A folder of single frames is one cine, of which the
/// DICOMDIR must list at least one frame. Returns `None` if the file is not a DICOMDIR or cannot be
/// used; opening it as a cine then gives the error.
pub(crate) fn find_listed_cines(path: &Path) -> Option<FoundCines> {
    if !is_directory(&read_start(path, FORMAT_BYTES)?) {
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let file = regular_file::read(path, MAX_DIRECTORY_BYTES).ok()?;
    let (files, missing): (Vec<PathBuf>, Vec<PathBuf>) =
        list_files(&file, folder)?.into_iter().partition(|file| file.exists());
    let listed: HashSet<&Path> =
        files.iter().flat_map(|file| [Some(file.as_path()), file.parent()]).flatten().collect();
    let mut found = find_cines(folder);
    let all = found.cines.len();
    found.cines.retain(|cine| listed.contains(cine.as_path()));
    found.skipped += all - found.cines.len();
    // Opening a missing file gives the error, which is then reported.
    found.cines.extend(missing);
    Some(found)
}

/// Returns whether a file is a cine file, or of a kind that is refused with a message. A single
/// image is neither.
pub(crate) fn is_cine_file(path: &Path) -> bool {
    let is_image = !find_images(&[path.to_path_buf()]).is_empty();
    let start = read_start(path, FORMAT_BYTES);
    // The message of a file that cannot be read is that of opening it.
    !is_directory_file(path)
        && start.is_none_or(|start| match is_image {
            true => is_animated(&start),
            false => is_known(&start) || has_cine_name(path),
        })
}

/// The content of one folder, by kind. Each list is sorted.
#[derive(Default)]
struct Content {
    /// PNG and JPEG images.
    images: Vec<PathBuf>,
    /// DICOM files with one frame.
    dicom_images: Vec<PathBuf>,
    /// Other cine files.
    cines: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    others: usize,
}

impl Content {
    fn read(folder: &Path) -> std::io::Result<Self> {
        let mut content = Self::default();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A link to a folder could lead back to this folder.
            match entry.file_type()? {
                kind if kind.is_dir() => content.folders.push(path),
                kind if kind.is_symlink() && path.is_dir() => content.others += 1,
                _ => files.push(path),
            }
        }
        sort(&mut files);
        sort(&mut content.folders);
        let images: HashSet<PathBuf> = find_images(&files).into_iter().collect();
        for path in files {
            let start = read_start(&path, FORMAT_BYTES);
            let list = match start {
                Some(start) if images.contains(&path) => match is_animated(&start) {
                    true => &mut content.cines,
                    false => &mut content.images,
                },
                Some(start) if is_dicom(&start) && !is_directory_file(&path) => {
                    match count_dicom_frames(&path) {
                        Some(1) => &mut content.dicom_images,
                        _ => &mut content.cines,
                    }
                }
                Some(start)
                    if is_directory_file(&path) || !(is_known(&start) || has_cine_name(&path)) =>
                {
                    content.others += 1;
                    continue;
                }
                // The error of a file that cannot be read is reported when the file is opened.
                _ => &mut content.cines,
            };
            list.push(path);
        }
        Ok(content)
    }

    /// Adds the cines of the folder, and returns its subfolders.
    fn add_to(self, folder: &Path, found: &mut FoundCines) -> Vec<PathBuf> {
        let Self { images, dicom_images, mut cines, folders, others } = self;
        // A single image next to cines or folders, such as an overview, is not a cine.
        let is_single = images.len() == 1 && dicom_images.is_empty() && !folders.is_empty();
        let has_frames = !(images.is_empty() || is_single) || !dicom_images.is_empty();
        if cines.is_empty() && has_frames {
            found.cines.push(folder.to_path_buf());
        } else {
            cines.extend(dicom_images);
            sort(&mut cines);
            found.cines.extend(cines);
            found.skipped += images.len();
        }
        found.skipped += others;
        folders
    }
}

fn sort(paths: &mut [PathBuf]) {
    paths.sort_by_cached_key(|path| {
        (sort_key(&path.file_name().unwrap_or_default().to_string_lossy()), path.clone())
    });
}

/// Returns whether a file has the name of a DICOMDIR, which lists other files.
fn is_directory_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"))
}

/// Returns whether the name of a file is that of a cine file.
fn has_cine_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Returns whether the beginning of an image shows that it has several frames.
fn is_animated(start: &[u8]) -> bool {
    super::apng::is_animated(start)
}

fn count_dicom_frames(path: &Path) -> Option<usize> {
    count_frames(&read_start(path, ATTRIBUTE_BYTES)?)
}

/// Reads the beginning of a file.
fn read_start(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    regular_file::open(path).ok()?.take(bytes).read_to_end(&mut start).ok()?;
    Some(start)
}
