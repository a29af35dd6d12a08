//! A folder of PNG frames, in the order of the numbers in their names.

use super::{Decoder, Facts, Opened, Timing};
use png::{ColorType, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tteview::frame::PixelFormat;

pub(super) fn open(folder: &Path) -> Result<Opened, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
            files.push(path);
        }
    }
    files.sort_by_cached_key(|path| order(&path.file_name().unwrap_or_default().to_string_lossy()));
    let first = files.first().ok_or("a folder without PNG files")?;
    let reader = reader(first)?;
    let (width_px, height_px) = reader.info().size();
    let format = match reader.output_color_type().0 {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => PixelFormat::Gray8,
        _ => PixelFormat::Rgb24,
    };
    let facts = Facts {
        source: "PNG".into(),
        format,
        width_px,
        height_px,
        timing: Timing::assumed(files.len()),
        region: None,
    };
    let frames = Frames { files: files.into_iter(), size: (width_px, height_px), format };
    Ok((facts, Box::new(frames)))
}

struct Frames {
    files: std::vec::IntoIter<PathBuf>,
    size: (u32, u32),
    format: PixelFormat,
}

impl Decoder for Frames {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let path = self.files.next().ok_or("no file")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut reader = reader(&path)?;
        let size = reader.info().size();
        if size != self.size {
            let [(w, h), (width, height)] = [size, self.size];
            return Err(format!("{name} has {w} x {h} pixels, the first frame {width} x {height}"));
        }
        let bytes = reader.output_buffer_size().ok_or_else(|| format!("{name} is too large"))?;
        let mut pixels = vec![0; bytes];
        reader.next_frame(&mut pixels).map_err(|error| format!("{name}: {error}"))?;
        let (color, _) = reader.output_color_type();
        match (color, self.format) {
            (ColorType::Grayscale, PixelFormat::Gray8) | (ColorType::Rgb, PixelFormat::Rgb24) => Ok(pixels),
            (ColorType::GrayscaleAlpha, PixelFormat::Gray8) => Ok(without_alpha::<2>(&pixels)),
            (ColorType::Rgba, PixelFormat::Rgb24) => Ok(without_alpha::<4>(&pixels)),
            _ => Err(format!("{name} is grey or in colour, the first frame is not")),
        }
    }
}

fn without_alpha<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(N).flat_map(|pixel| &pixel[..N - 1]).copied().collect()
}

/// Opens a file for samples of 8 bits without palette.
fn reader(path: &Path) -> Result<png::Reader<BufReader<File>>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info().map_err(|error| format!("{name}: {error}"))
}

/// Sort key of a name: numbers by value, so that frame 2 comes before frame 10, the rest as text.
fn order(name: &str) -> Vec<(u128, String)> {
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
    fn frame_2_comes_before_frame_10() {
        let mut names = ["f10.png", "f9.png", "f010b.png", "e99.png", "f2.png"];
        names.sort_by_cached_key(|name| order(name));
        assert_eq!(names, ["e99.png", "f2.png", "f9.png", "f10.png", "f010b.png"]);
    }
}
