//! DICOM multi-frame images.
//!
//! The data set is read token by token and only what is needed is kept: whole-file readers nest as deep and take as
//! much memory as a hostile file says. Pixels are decoded frame by frame by code that checks every length, for the
//! same reason; the formats are those of PS3.5, the attributes those of PS3.3.

mod attributes;
mod colour;
mod data_set;
mod fragments;
mod palette;
mod regions;
mod rle;

use self::attributes::Attributes;
use self::colour::{Colours, Layout};
use self::data_set::PixelData;
use super::jpeg::{self, Unmarked};
use super::{Decoder, Facts, Opened};
use std::ops::Range;

/// How the pixels are compressed, by transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Native { big_endian: bool },
    Jpeg,
    Rle,
}

impl Coding {
    fn of(uid: &str, name: &str) -> Result<Self, String> {
        match uid {
            "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" => Ok(Self::Native { big_endian: false }),
            "1.2.840.10008.1.2.2" => Ok(Self::Native { big_endian: true }),
            "1.2.840.10008.1.2.4.50"
            | "1.2.840.10008.1.2.4.51"
            | "1.2.840.10008.1.2.4.57"
            | "1.2.840.10008.1.2.4.70" => Ok(Self::Jpeg),
            "1.2.840.10008.1.2.5" => Ok(Self::Rle),
            _ => Err(format!("transfer syntax {name} ({uid}) is not supported")),
        }
    }
}

pub(super) fn open(file: Vec<u8>) -> Result<Opened, String> {
    let (syntax, start) = data_set::file_meta(&file)?;
    let coding = Coding::of(syntax.uid(), syntax.name())?;
    let mut attributes = Attributes::default();
    let pixel_data = data_set::read(&file, start, syntax, &mut attributes)?.ok_or("no pixel data")?;
    let size = attributes.size()?;
    let mut layout = Layout::new(&attributes, size)?;
    let frames = match (coding, pixel_data) {
        (Coding::Native { .. }, PixelData::Native(range)) => {
            native_frames(&mut layout, &range, attributes.frames()?)?
        }
        (Coding::Jpeg | Coding::Rle, PixelData::Encapsulated(fragments)) => {
            layout.unpack_422();
            fragments::frames(&file, fragments, attributes.frames()?)?
        }
        _ => return Err("pixel data are not stored as their transfer syntax says".into()),
    };
    let facts = Facts {
        source: format!("DICOM, {}", syntax.name()),
        format: layout.format(),
        width_px: size[0],
        height_px: size[1],
        timing: attributes.timing(frames.len()),
        region: regions::image_region(&attributes.regions, size),
    };
    Ok((facts, Box::new(Frames { file, frames: frames.into_iter(), coding, layout, size })))
}

/// Uncompressed frames lie one after the other.
fn native_frames(
    layout: &mut Layout,
    pixels: &Range<usize>,
    frames: usize,
) -> Result<Vec<Vec<Range<usize>>>, String> {
    // Some writers unpack 4:2:2 and leave its name.
    let unpacked = layout.frame_bytes() / 2 * 3;
    if layout.colours == Colours::Ybr422
        && frames.checked_mul(unpacked).is_some_and(|all| pixels.len() >= all)
    {
        layout.unpack_422();
    }
    let bytes = layout.frame_bytes();
    if frames.checked_mul(bytes).is_none_or(|all| all > pixels.len()) {
        let there = pixels.len();
        return Err(format!("pixel data of {there} bytes, {frames} frames of {bytes} bytes are declared"));
    }
    let piece = |frame: usize| pixels.start + frame * bytes..pixels.start + (frame + 1) * bytes;
    Ok((0..frames).map(|frame| std::iter::once(piece(frame)).collect()).collect())
}

struct Frames {
    file: Vec<u8>,
    /// Where the bytes of each frame lie, one or several pieces.
    frames: std::vec::IntoIter<Vec<Range<usize>>>,
    coding: Coding,
    layout: Layout,
    size: [u32; 2],
}

impl Decoder for Frames {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let pieces = self.frames.next().ok_or("no frame")?;
        let joined;
        let data = match &pieces[..] {
            [piece] => &self.file[piece.clone()],
            pieces => {
                joined =
                    pieces.iter().flat_map(|piece| &self.file[piece.clone()]).copied().collect::<Vec<u8>>();
                &joined[..]
            }
        };
        match self.coding {
            Coding::Native { big_endian } => self.layout.convert(data, big_endian),
            Coding::Rle => {
                let planes = rle::decode(data, self.size, self.layout.samples, self.layout.sample_bytes())?;
                self.layout.clone().planar().convert(&planes, false)
            }
            Coding::Jpeg => self.jpeg(data),
        }
    }
}

impl Frames {
    fn jpeg(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let unmarked = match self.layout.colours {
            Colours::Rgb => Unmarked::Rgb,
            _ => Unmarked::YCbCr,
        };
        let image = jpeg::decode(data, self.size, unmarked)?;
        let layout = self.layout.clone().decoded(&image)?;
        layout.convert(&image.samples, false)
    }
}
