//! DICOM multi-frame images.
//!
//! The data set is read element by element, and only the attributes that are needed are kept. A
//! reader that kept the whole data set would recurse as deeply, and allocate as much memory, as a
//! hostile file demanded. For the same reason, the code that decodes the pixels works frame by
//! frame and checks every length. Part 5 of the DICOM standard (PS3.5) defines the encodings, and
//! part 3 (PS3.3) defines the attributes.
//!
//! | module | contents |
//! | --- | --- |
//! | `element`, `data_set`, `value` | the headers of elements, the walk over a data set, and values |
//! | `syntax` | the transfer syntaxes |
//! | `attributes` | the attributes that are kept |
//! | `regions` | ultrasound regions |
//! | `frames`, `fragments` | the location of each frame in the file |
//! | `decoder`, `rle` | the decoder of a frame, and of RLE |
//! | `layout`, `palette` | the conversion of stored samples to grey or RGB |
//! | `series` | a folder of files with one frame each |

mod attributes;
mod data_set;
mod decoder;
mod element;
mod fragments;
mod frames;
mod layout;
mod palette;
mod regions;
mod rle;
mod series;
mod syntax;
mod value;

pub(super) use series::open_series;

use super::decoder::CineSource;
use super::facts::{Facts, check_sides};
use super::inflate;
use super::video;
use attributes::Attributes;
use data_set::PixelData;
use decoder::DicomDecoder;
use layout::Layout;
use std::borrow::Cow;
use syntax::{Encoding, Syntax};

/// The class of a DICOMDIR (PS3.4, B.5).
const DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";

/// The value of Modality for ultrasound.
const ULTRASOUND: &str = "US";

/// Returns whether the file begins like a DICOM file, with or without a preamble.
pub(super) fn is_dicom(file: &[u8]) -> bool {
    let start = data_set::find_start(file);
    start > 0 || element::begins_data_set(file, start)
}

/// A file whose attributes have been read.
struct Image {
    file: Vec<u8>,
    syntax: Syntax,
    attributes: Attributes,
    pixels: PixelData,
    size: [u32; 2],
    warnings: Vec<String>,
}

impl Image {
    fn read(file: Vec<u8>) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let meta = data_set::read_file_meta(&file)?;
        let mut start = meta.data_set;
        let syntax = match &meta.syntax {
            Some(uid) => syntax::find(uid)?,
            None => {
                warnings.push("the file names no transfer syntax, so it was guessed".into());
                syntax::DEFAULT
            }
        };
        let file = match syntax.is_deflated() {
            true => {
                let packed = file.get(start..).unwrap_or_default();
                start = 0;
                inflate::inflate(packed, inflate::max_data_set_bytes(packed.len()))?
            }
            false => file,
        };
        let mut attributes = Attributes::default();
        let pixels = data_set::read_data_set(&file, start, &syntax, &mut attributes)?;
        if [&meta.class, &attributes.sop_class].contains(&&DIRECTORY_CLASS.to_owned()) {
            return Err("the file is a DICOMDIR, which lists other files; name these files".into());
        }
        let pixels = pixels.ok_or("the file has no pixel data, so it contains no image")?;
        let size = attributes.size()?;
        // The size is checked before the frames are located, because a file can have as many frames
        // as bytes if its frames have one pixel.
        check_sides(size)?;
        if !matches!(attributes.modality.as_str(), "" | ULTRASOUND) {
            warnings.push(format!(
                "the modality is {}, but the models know only ultrasound (US)",
                attributes.modality
            ));
        }
        Ok(Self { file, syntax, attributes, pixels, size, warnings })
    }

    fn describe_source(&self) -> String {
        format!("DICOM, {}", self.syntax.name)
    }
}

pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let mut image = Image::read(file)?;
    let Syntax { uid, name, encoding } = image.syntax;
    let Some(encoding) = encoding else {
        return Err(format!(
            "transfer syntax {name} ({uid}) is not supported; convert the file to an uncompressed \
             or JPEG transfer syntax"
        ));
    };
    let source = image.describe_source();
    let regions = regions::find_image_regions(&image.attributes.regions, image.size);
    if encoding == Encoding::H264 {
        let (rate, warnings) = image.attributes.timing(2);
        let stream = frames::join_fragments(&image.file, &image.pixels);
        let period_ns = rate.source.map(|source| (rate.period_ns(), source));
        let video = video::open_stream(stream.into_owned(), source, image.size, period_ns)
            .map_err(|error| format!("transfer syntax {name} ({uid}): {error}"))?;
        let facts = video.facts.with_warnings(image.warnings.into_iter().chain(warnings));
        return Ok(CineSource { facts: facts.with_regions(regions), ..video });
    }
    let is_native =
        encoding == Encoding::Native && matches!(image.pixels, PixelData::Native { .. });
    let mut layout = Layout::new(&image.attributes, image.size, is_native)?;
    let frames = frames::locate(&mut image, encoding, &mut layout)?;
    let (timing, warnings) = image.attributes.timing(frames.ranges.len());
    image.warnings.extend(warnings);
    let facts = Facts::new(source, layout.format(), image.size, timing)?
        .with_warnings(image.warnings)
        .with_regions(regions);
    let decoder = DicomDecoder {
        file: image.file,
        frames: frames.ranges.into_iter(),
        encoding: frames.encoding,
        is_big_endian: frames.is_big_endian,
        syntax: image.syntax,
        layout,
        size: image.size,
    };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// Joins the byte ranges of a frame.
fn join<'a>(file: &'a [u8], ranges: &[std::ops::Range<usize>]) -> Cow<'a, [u8]> {
    let part = |range: &std::ops::Range<usize>| file.get(range.clone()).unwrap_or_default();
    match ranges {
        [range] => Cow::Borrowed(part(range)),
        ranges => Cow::Owned(ranges.iter().flat_map(part).copied().collect()),
    }
}
