//! Folders of PNG or JPEG frames, which are sorted by the numbers in their names.

use super::alpha;
use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::jpeg;
use super::jpeg_frames;
use super::timing::Timing;
use crate::terminal::escape_path;
use png::{ColorType, Transformations};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use tteview::frame::PixelFormat;
use tteview::regular_file;

/// Ends of the names of images.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "jpe", "jfif"];

/// Number of bytes at the beginning of a JPEG file in which its header must be. The segments before
/// the header can contain a preview.
const HEADER_BYTES: u64 = 1 << 20;

/// Maximum size of an image file in bytes.
const MAX_IMAGE_BYTES: u64 = 64 << 20;

/// Returns the images among the files of a folder, in the order of the numbers in their names.
/// Hidden files, such as the companions that macOS writes, are not images.
pub(super) fn find_images(files: &[PathBuf]) -> Vec<PathBuf> {
    let is_image = |path: &&PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        let extension = path.extension().unwrap_or_default();
        !is_hidden && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
    };
    let mut images: Vec<PathBuf> = files.iter().filter(is_image).cloned().collect();
    // Names that are not UTF-8 can have the same key, so the path is a part of the key.
    images.sort_by_cached_key(|path| {
        (sort_key(&path.file_name().unwrap_or_default().to_string_lossy()), path.clone())
    });
    images
}

/// Opens images as the frames of a cine. Also returns the total size of the files in bytes.
pub(super) fn open(files: Vec<PathBuf>) -> Result<(CineSource, u64), String> {
    let bytes = files.iter().map(|path| std::fs::metadata(path).map_or(0, |file| file.len()));
    let bytes = bytes.fold(0u64, u64::saturating_add);
    let mut kinds: Vec<&str> = Vec::new();
    let mut size = None;
    let mut has_colours = false;
    for path in &files {
        // A damaged file is left out when its frame is decoded.
        let Ok(header) = Header::read(path) else { continue };
        if let Header { is_animated: true, .. } = header {
            let name = escape_name(path);
            return Err(format!("{name} is an animated PNG; name the file instead of the folder"));
        }
        size = size.or(Some(header.size));
        has_colours |= header.has_colours;
        if !kinds.contains(&header.kind) {
            kinds.push(header.kind);
        }
    }
    let Some(size) = size else {
        let first = files.first().ok_or("the folder has no PNG, JPEG or DICOM files")?;
        Header::read(first)?;
        return Err("the folder has no readable images".into());
    };
    let format = if has_colours { PixelFormat::Rgb24 } else { PixelFormat::Gray8 };
    let facts = Facts::new(kinds.join(" and "), format, size, Timing::assume(files.len()))?;
    let decoder = ImageFolderDecoder { files: files.into_iter(), size, format };
    Ok((CineSource { facts, decoder: Box::new(decoder) }, bytes))
}

/// The properties of an image, from the beginning of its file.
struct Header {
    kind: &'static str,
    size: [u32; 2],
    has_colours: bool,
    is_animated: bool,
}

impl Header {
    fn read(path: &Path) -> Result<Self, String> {
        let name = escape_name(path);
        if is_jpeg(path)? {
            let file = regular_file::open(path).map_err(|error| format!("{name}: {error}"))?;
            let mut header = Vec::new();
            let read = file.take(HEADER_BYTES).read_to_end(&mut header);
            read.map_err(|error| format!("{name}: {error}"))?;
            let describe = || -> Result<Self, String> {
                let size = jpeg::read_size(&header)?;
                let has_colours = jpeg::read_component_count(&header)? > 1;
                Ok(Self { kind: "JPEG", size, has_colours, is_animated: false })
            };
            return describe().map_err(|error| format!("{name}: {error}"));
        }
        let reader = open_png(path)?;
        let (width, height) = reader.info().size();
        let colour = reader.output_color_type().0;
        Ok(Self {
            kind: "PNG",
            size: [width, height],
            has_colours: !matches!(colour, ColorType::Grayscale | ColorType::GrayscaleAlpha),
            is_animated: reader.info().is_animated(),
        })
    }
}

struct ImageFolderDecoder {
    files: std::vec::IntoIter<PathBuf>,
    size: [u32; 2],
    format: PixelFormat,
}

impl Decoder for ImageFolderDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let path = self.files.next().ok_or("the folder has no more files")?;
        let name = escape_name(&path);
        if is_jpeg(&path)? {
            let file = regular_file::read(&path, MAX_IMAGE_BYTES);
            let file = file.map_err(|error| format!("{name}: {error}"))?;
            let decoded = jpeg_frames::decode(&file, self.size, self.format);
            return decoded.map_err(|error| format!("{name}: {error}"));
        }
        let mut reader = open_png(&path)?;
        let (w, h) = reader.info().size();
        if [w, h] != self.size {
            let [width, height] = self.size;
            let expected = format!("{width} x {height} pixels like the first frame");
            return Err(format!("{name}: the frame must have {expected}, got {w} x {h}"));
        }
        let bytes =
            reader.output_buffer_size().ok_or_else(|| format!("{name}: the image is too large"))?;
        let mut pixels = vec![0; bytes];
        reader.next_frame(&mut pixels).map_err(|error| format!("{name}: {error}"))?;
        let (colour, _) = reader.output_color_type();
        Ok(match (colour, self.format) {
            (ColorType::Grayscale, PixelFormat::Gray8) | (ColorType::Rgb, PixelFormat::Rgb24) => {
                pixels
            }
            (ColorType::Grayscale, _) => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            (ColorType::GrayscaleAlpha, PixelFormat::Gray8) => alpha::over_black::<2>(&pixels),
            (ColorType::GrayscaleAlpha, _) => {
                alpha::over_black::<2>(&pixels).iter().flat_map(|&grey| [grey; 3]).collect()
            }
            (ColorType::Rgba, PixelFormat::Rgb24) => alpha::over_black::<4>(&pixels),
            _ => return Err(format!("{name}: the frame must be grey like the other frames")),
        }
        .into())
    }
}

/// Returns whether a file begins like a JPEG image.
fn is_jpeg(path: &Path) -> Result<bool, String> {
    let mut start = [0; 2];
    let read = regular_file::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.map_err(|error| format!("{}: {error}", escape_name(path)))?;
    Ok(start == [0xff, 0xd8])
}

fn escape_name(path: &Path) -> String {
    escape_path(Path::new(path.file_name().unwrap_or_default()))
}

/// Opens a PNG file. The returned reader replaces palette indices by colours and converts all
/// components to 8 bits.
fn open_png(path: &Path) -> Result<png::Reader<BufReader<File>>, String> {
    let name = escape_name(path);
    let file = regular_file::open(path).map_err(|error| format!("{name}: {error}"))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info().map_err(|error| format!("{name}: {error}"))
}

/// Returns the sort key of a name. The numbers in names are compared by value and the rest as text,
/// so that frame 2 precedes frame 10.
pub(super) fn sort_key(name: &str) -> Vec<(u128, String)> {
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

    #[test]
    fn hidden_files_and_other_files_are_not_images() {
        let files = ["._f1.png", "f2.PNG", "f1.jpeg", "Thumbs.db"].map(PathBuf::from);
        assert_eq!(find_images(&files), ["f1.jpeg", "f2.PNG"].map(PathBuf::from));
    }
}
