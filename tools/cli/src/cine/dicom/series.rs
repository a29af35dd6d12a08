//! A folder of DICOM files with one frame each, which together are a cine.

use super::image::Image;
use super::multi_frame::open;
use crate::cine::decoder::{CineSource, Decoded, Decoder};
use crate::cine::facts::Facts;
use crate::cine::image_folder::sort_key;
use crate::cine::timing::Timing;
use crate::terminal::escape_path;
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Maximum size in bytes of a file with one frame.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Opens the files of a series. They are sorted by their Instance Number (PS3.3, C.7.6.1), or by
/// their names if a number is missing. Also returns the total size of the files in bytes.
pub(in crate::cine) fn open_series(files: Vec<PathBuf>) -> Result<(CineSource, u64), String> {
    let mut parts = Vec::new();
    let mut bytes = 0u64;
    let mut series: Option<String> = None;
    for path in files {
        let name = escape_name(&path);
        let file = read(&path)?;
        bytes = bytes.saturating_add(file.len() as u64);
        let image = Image::read(file).map_err(|error| format!("{name}: {error}"))?;
        if image.attributes.frame_count().unwrap_or(1) > 1 {
            return Err(format!(
                "the folder contains DICOM cines such as {name}; name the files instead of the \
                 folder"
            ));
        }
        let first = series.get_or_insert_with(|| image.attributes.series.clone());
        if *first != image.attributes.series {
            return Err(
                "the folder contains DICOM images of several series; give each series its \
                        own folder"
                    .into(),
            );
        }
        parts.push((image.attributes.instance, sort_key(&name), path));
    }
    if parts.iter().any(|(instance, ..)| instance.is_none()) {
        parts.iter_mut().for_each(|(instance, ..)| *instance = None);
    }
    parts.sort();
    let files: Vec<PathBuf> = parts.into_iter().map(|(.., path)| path).collect();
    let first = files.first().ok_or("the folder has no DICOM files")?;
    let CineSource { mut facts, .. } = open(read(first)?)?;
    let frames = files.len();
    facts.timing = match facts.timing.source {
        Some(_) => {
            let period_ns = find_period_ns(first)?;
            Timing::regular(frames, period_ns, facts.timing.source)
        }
        None => Timing::assume(frames),
    };
    facts.source = format!("series of {}", facts.source);
    let decoder = SeriesDecoder { files: files.into_iter(), facts: facts.clone() };
    Ok((CineSource { facts, decoder: Box::new(decoder) }, bytes))
}

/// Returns the time between two frames according to one file.
fn find_period_ns(path: &Path) -> Result<i64, String> {
    let image = Image::read(read(path)?)?;
    Ok(image.attributes.timing(2).0.period_ns())
}

fn escape_name(path: &Path) -> String {
    escape_path(Path::new(path.file_name().unwrap_or_default()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = regular_file::read(path, MAX_FILE_BYTES);
    file.map_err(|error| format!("{}: {error}", escape_name(path)))
}

struct SeriesDecoder {
    files: std::vec::IntoIter<PathBuf>,
    facts: Facts,
}

impl Decoder for SeriesDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let path = self.files.next().ok_or("the folder has no more files")?;
        let name = escape_name(&path);
        let CineSource { facts, mut decoder } =
            open(read(&path)?).map_err(|error| format!("{name}: {error}"))?;
        let [expected, found] = [self.facts.geometry(), facts.geometry()]
            .map(|geometry| (geometry.width_px(), geometry.height_px(), geometry.format()));
        if expected != found {
            return Err(format!("{name}: the frame differs in size or colours from the first one"));
        }
        decoder.next_frame().map_err(|error| format!("{name}: {error}"))
    }
}
