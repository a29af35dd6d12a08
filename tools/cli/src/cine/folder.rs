//! Folders of frames: PNG or JPEG images, a series of DICOM images, or one animated PNG.

use super::apng;
use super::decoder::CineSource;
use super::dicom;
use super::image_folder;
use std::io::Read;
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Number of bytes at the beginning of a file that show what it is.
const START_BYTES: u64 = 4096;

/// Maximum size of an animated PNG in bytes.
const MAX_ANIMATION_BYTES: u64 = 4 << 30;

/// Opens a folder. Also returns the total size of its frames in bytes.
pub(super) fn open(folder: &Path) -> Result<(CineSource, u64), String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if !std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            files.push(path);
        }
    }
    let images = image_folder::find_images(&files);
    if let [image] = &images[..]
        && let Ok(start) = read_start(image)
        && apng::is_animated(&start)
    {
        let file = regular_file::read(image, MAX_ANIMATION_BYTES);
        let file = file.map_err(|error| error.to_string())?;
        let bytes = file.len() as u64;
        return Ok((apng::open(file)?, bytes));
    }
    if !images.is_empty() {
        return image_folder::open(images);
    }
    let series: Vec<PathBuf> = files.into_iter().filter(|path| is_series_file(path)).collect();
    match series.is_empty() {
        true => Err("the folder has no PNG, JPEG or DICOM files".into()),
        false => dicom::open_series(series),
    }
}

/// Returns whether a file is a DICOM file with an image. A DICOMDIR only lists other files.
fn is_series_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    !is_hidden
        && !name.eq_ignore_ascii_case("DICOMDIR")
        && read_start(path).is_ok_and(|start| dicom::is_dicom(&start))
}

fn read_start(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    regular_file::open(path)?.take(START_BYTES).read_to_end(&mut start)?;
    Ok(start)
}
