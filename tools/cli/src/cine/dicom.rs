//! DICOM multi-frame images.
//!
//! The data set is read token by token, and only the attributes that are needed are kept. A reader
//! that kept the whole data set would recurse as deeply, and allocate as much memory, as a hostile
//! file demanded. For the same reason, the code that decodes the pixels works frame by frame and
//! checks every length. Part 5 of the DICOM standard (PS3.5) defines the encodings, and part 3
//! (PS3.3) defines the attributes.
//!
//! | module | contents |
//! | --- | --- |
//! | `data_set`, `value` | the walk over a data set, and the value of an element |
//! | `attributes` | the attributes that are kept |
//! | `regions` | ultrasound regions |
//! | `fragments`, `rle` | the fragments of a frame, and the RLE decoder |
//! | `layout`, `palette` | the conversion of stored samples to grey or RGB |

mod attributes;
mod data_set;
mod fragments;
mod layout;
mod palette;
mod regions;
mod rle;
mod value;

use super::decoder::{CineSource, Decoder};
use super::facts::{Facts, check_sides};
use super::jpeg::{self, UnmarkedColours};
use attributes::Attributes;
use data_set::PixelData;
use layout::{Colours, Layout};
use std::ops::Range;

/// The encoding of the pixels, which the transfer syntax determines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Native { is_big_endian: bool },
    Jpeg,
    Rle,
}

impl Encoding {
    fn from_transfer_syntax(uid: &str, name: &str) -> Result<Self, String> {
        match uid {
            "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" => {
                Ok(Self::Native { is_big_endian: false })
            }
            "1.2.840.10008.1.2.2" => Ok(Self::Native { is_big_endian: true }),
            "1.2.840.10008.1.2.4.50"
            | "1.2.840.10008.1.2.4.51"
            | "1.2.840.10008.1.2.4.57"
            | "1.2.840.10008.1.2.4.70" => Ok(Self::Jpeg),
            "1.2.840.10008.1.2.5" => Ok(Self::Rle),
            _ => Err(format!("transfer syntax {name} ({uid}) is not supported")),
        }
    }
}

pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let (syntax, start) = data_set::read_file_meta(&file)?;
    let encoding = Encoding::from_transfer_syntax(syntax.uid(), syntax.name())?;
    let mut attributes = Attributes::default();
    let pixel_data = data_set::read_data_set(&file, start, syntax, &mut attributes)?;
    let size = attributes.size()?;
    // The size is checked before the frames are located, because a file can have as many frames as
    // bytes if its frames have one pixel.
    check_sides(size)?;
    let mut layout = Layout::new(&attributes, size)?;
    let frames = match (encoding, pixel_data.ok_or("the file has no pixel data")?) {
        (Encoding::Native { .. }, PixelData::Native(range)) => {
            find_native_frames(&mut layout, &range, attributes.frame_count()?)?
        }
        (Encoding::Jpeg | Encoding::Rle, PixelData::Encapsulated(encapsulated)) => {
            layout.use_full_chroma();
            fragments::group_fragments(&file, encapsulated, attributes.frame_count()?)?
        }
        _ => return Err("the encoding of the pixel data contradicts the transfer syntax".into()),
    };
    let source = format!("DICOM, {}", syntax.name());
    let mut facts = Facts::new(source, layout.format(), size, attributes.timing(frames.len()))?;
    if let Some(region) = regions::choose_image_region(&attributes.regions, size) {
        facts = facts.with_region(region);
    }
    let decoder = DicomDecoder { file, frames: frames.into_iter(), encoding, layout, size };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// Returns the byte range of each uncompressed frame. The frames are consecutive.
fn find_native_frames(
    layout: &mut Layout,
    pixels: &Range<usize>,
    frames: usize,
) -> Result<Vec<Vec<Range<usize>>>, String> {
    // Some writers store three samples for every pixel although they declare 4:2:2.
    let full_bytes = layout.frame_bytes() / 2 * 3;
    if layout.colours == Colours::Ybr422
        && frames.checked_mul(full_bytes).is_some_and(|all| pixels.len() >= all)
    {
        layout.use_full_chroma();
    }
    let bytes = layout.frame_bytes();
    if frames.checked_mul(bytes).is_none_or(|all| all > pixels.len()) {
        let found = pixels.len();
        return Err(format!(
            "the pixel data must have {bytes} bytes for each of {frames} frames, got {found} bytes"
        ));
    }
    let frame = |index: usize| pixels.start + index * bytes..pixels.start + (index + 1) * bytes;
    Ok((0..frames).map(|index| std::iter::once(frame(index)).collect()).collect())
}

struct DicomDecoder {
    file: Vec<u8>,
    /// One or more byte ranges for each frame.
    frames: std::vec::IntoIter<Vec<Range<usize>>>,
    encoding: Encoding,
    layout: Layout,
    size: [u32; 2],
}

impl Decoder for DicomDecoder {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let ranges = self.frames.next().ok_or("the file has no more frames")?;
        let joined;
        let data = match &ranges[..] {
            [range] => &self.file[range.clone()],
            ranges => {
                joined = ranges
                    .iter()
                    .flat_map(|range| &self.file[range.clone()])
                    .copied()
                    .collect::<Vec<u8>>();
                &joined[..]
            }
        };
        match self.encoding {
            Encoding::Native { is_big_endian } => self.layout.convert(data, is_big_endian),
            Encoding::Rle => {
                let planes =
                    rle::decode(data, self.size, self.layout.samples, self.layout.sample_bytes())?;
                self.layout.clone().into_planar().convert(&planes, false)
            }
            Encoding::Jpeg => self.decode_jpeg(data),
        }
    }
}

impl DicomDecoder {
    fn decode_jpeg(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let unmarked = match self.layout.colours {
            Colours::Rgb => UnmarkedColours::Rgb,
            _ => UnmarkedColours::YCbCr,
        };
        let image = jpeg::decode(data, self.size, unmarked)?;
        self.layout.clone().for_image(&image)?.convert(&image.samples, false)
    }
}
