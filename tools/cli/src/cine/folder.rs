//! Folders of frames: PNG or JPEG images, or a series of DICOM images.

use super::decoder::CineSource;
use super::dicom;
use super::image_folder;
use std::io::Read;
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Number of bytes at the beginning of a file that show whether it is DICOM.
const DICOM_BYTES: u64 = 4096;

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
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut start = Vec::new();
    let read =
        regular_file::open(path).and_then(|file| file.take(DICOM_BYTES).read_to_end(&mut start));
    !name.starts_with(b".") && name != b"DICOMDIR" && read.is_ok() && dicom::is_dicom(&start)
}
