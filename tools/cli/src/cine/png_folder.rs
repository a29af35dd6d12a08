//! Folders of PNG frames, which are sorted by the numbers in their names.

use super::decoder::{CineSource, Decoder};
use super::facts::Facts;
use super::timing::Timing;
use crate::terminal::escape_path;
use png::{ColorType, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tteview::frame::PixelFormat;
use tteview::regular_file;

/// Opens a folder. Also returns the total size of its PNG files in bytes.
pub(super) fn open(folder: &Path) -> Result<(CineSource, u64), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    let mut bytes = 0u64;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
            bytes = bytes.saturating_add(std::fs::metadata(&path).map_or(0, |file| file.len()));
            files.push(path);
        }
    }
    // Names that are not UTF-8 can have the same key, so the path is a part of the key.
    files.sort_by_cached_key(|path| {
        (sort_key(&path.file_name().unwrap_or_default().to_string_lossy()), path.clone())
    });
    let first = files.first().ok_or("the folder has no PNG files")?;
    let reader = open_png(first)?;
    let size = reader.info().size();
    let format = match reader.output_color_type().0 {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => PixelFormat::Gray8,
        _ => PixelFormat::Rgb24,
    };
    let facts = Facts::new("PNG", format, size.into(), Timing::assume(files.len()))?;
    let decoder = PngFolderDecoder { files: files.into_iter(), size, format };
    Ok((CineSource { facts, decoder: Box::new(decoder) }, bytes))
}

struct PngFolderDecoder {
    files: std::vec::IntoIter<PathBuf>,
    size: (u32, u32),
    format: PixelFormat,
}

impl Decoder for PngFolderDecoder {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let path = self.files.next().ok_or("the folder has no more files")?;
        let name = escape_path(Path::new(path.file_name().unwrap_or_default()));
        let mut reader = open_png(&path)?;
        let size = reader.info().size();
        if size != self.size {
            let [(w, h), (width, height)] = [size, self.size];
            let expected = format!("{width} x {height} pixels like the first frame");
            return Err(format!("{name}: the frame must have {expected}, got {w} x {h}"));
        }
        let bytes =
            reader.output_buffer_size().ok_or_else(|| format!("{name}: the image is too large"))?;
        let mut pixels = vec![0; bytes];
        reader.next_frame(&mut pixels).map_err(|error| format!("{name}: {error}"))?;
        let (colour, _) = reader.output_color_type();
        match (colour, self.format) {
            (ColorType::Grayscale, PixelFormat::Gray8) | (ColorType::Rgb, PixelFormat::Rgb24) => {
                Ok(pixels)
            }
            (ColorType::GrayscaleAlpha, PixelFormat::Gray8) => Ok(remove_alpha::<2>(&pixels)),
            (ColorType::Rgba, PixelFormat::Rgb24) => Ok(remove_alpha::<4>(&pixels)),
            (_, PixelFormat::Gray8) => {
                Err(format!("{name}: the frame must be grey like the first frame"))
            }
            _ => Err(format!("{name}: the frame must have colours like the first frame")),
        }
    }
}

/// Removes the last of the `N` components of each pixel.
fn remove_alpha<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(N).flat_map(|pixel| &pixel[..N - 1]).copied().collect()
}

/// Opens a PNG file. The returned reader replaces palette indices by colours and converts all
/// components to 8 bits.
fn open_png(path: &Path) -> Result<png::Reader<BufReader<File>>, String> {
    let name = escape_path(Path::new(path.file_name().unwrap_or_default()));
    let file = regular_file::open(path).map_err(|error| format!("{name}: {error}"))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info().map_err(|error| format!("{name}: {error}"))
}

/// Returns the sort key of a name. The numbers in names are compared by value and the rest as text,
/// so that frame 2 precedes frame 10.
fn sort_key(name: &str) -> Vec<(u128, String)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let words = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (word, after) = after.split_at(words);
        key.push((number.parse().unwrap_or(0), word.to_owned()));
        rest = after;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_2_precedes_frame_10() {
        let mut names = ["f10.png", "f9.png", "f010b.png", "e99.png", "f2.png"];
        names.sort_by_cached_key(|name| sort_key(name));
        assert_eq!(names, ["e99.png", "f2.png", "f9.png", "f10.png", "f010b.png"]);
    }
}
