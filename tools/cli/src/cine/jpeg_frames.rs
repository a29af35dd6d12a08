//! Cines whose frames are JPEG images: Motion JPEG.

use super::advice::CONVERT_IMAGE;
use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::jpeg::{self, SampleColours, UnmarkedColours};
use super::timing::Timing;
use super::ybr;
use std::ops::Range;
use tteview::frame::PixelFormat;

/// Opens a cine whose frames are at these places in a file. The first image that can be read
/// determines the size of the frames and whether they are grey.
pub(super) fn open(
    file: Vec<u8>,
    frames: Vec<Range<usize>>,
    source: String,
    timing: Timing,
) -> Result<CineSource, String> {
    let data = |frame: &Range<usize>| file.get(frame.clone()).unwrap_or_default();
    let readable = frames.iter().map(data).find(|image| jpeg::read_size(image).is_ok());
    let first = readable.or(frames.first().map(data)).unwrap_or_default();
    let size = jpeg::read_size(first)?;
    let format = choose_format(first)?;
    let facts = Facts::new(source, format, size, timing)?;
    let decoder = JpegFramesDecoder { file, frames: frames.into_iter(), size, format };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// Returns the format of the frames of which `image` is the first.
pub(super) fn choose_format(image: &[u8]) -> Result<PixelFormat, String> {
    Ok(match jpeg::read_component_count(image)? {
        1 => PixelFormat::Gray8,
        _ => PixelFormat::Rgb24,
    })
}

/// Decodes an image of the given size to pixels of the given format.
pub(super) fn decode(image: &[u8], size: [u32; 2], format: PixelFormat) -> Result<Decoded, String> {
    let jpeg::Image { samples, precision, colours, components, is_cut } =
        jpeg::decode(image, size, UnmarkedColours::YCbCr)?;
    if precision != 8 {
        return Err(format!(
            "a JPEG frame must have 8 bits per sample, got {precision}; {CONVERT_IMAGE}"
        ));
    }
    let pixels = match (components, format, colours) {
        (1, PixelFormat::Gray8, _) | (3, PixelFormat::Rgb24, SampleColours::Rgb) => samples,
        (1, _, _) => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        (_, PixelFormat::Gray8, _) => {
            return Err("the frame must be grey like the first one".into());
        }
        _ => samples.as_chunks().0.iter().flat_map(|&sample| ybr::convert_full(sample)).collect(),
    };
    Ok(Decoded { pixels, is_cut })
}

struct JpegFramesDecoder {
    file: Vec<u8>,
    frames: std::vec::IntoIter<Range<usize>>,
    size: [u32; 2],
    format: PixelFormat,
}

impl Decoder for JpegFramesDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let frame = self.frames.next().ok_or("the file has no more frames")?;
        decode(self.file.get(frame).unwrap_or_default(), self.size, self.format)
    }
}
