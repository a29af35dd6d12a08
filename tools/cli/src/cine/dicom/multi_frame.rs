//! A file with one or several frames.

use super::data_set::PixelData;
use super::decoder::DicomDecoder;
use super::frames;
use super::image::Image;
use super::layout::Layout;
use super::regions;
use super::syntax::{Encoding, Syntax};
use crate::cine::advice::CONVERT_SYNTAX;
use crate::cine::decoder::CineSource;
use crate::cine::facts::Facts;
use crate::cine::video;

/// Opens a file.
pub(in crate::cine) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let mut image = Image::read(file)?;
    let Syntax { uid, name, encoding } = image.syntax;
    let Some(encoding) = encoding else {
        return Err(format!("transfer syntax {name} ({uid}) is not supported; {CONVERT_SYNTAX}"));
    };
    let source = image.describe_source();
    let regions = regions::find_image_regions(&image.attributes.regions, image.size);
    if encoding == Encoding::H264 {
        let (rate, warnings) = image.attributes.timing(2);
        let stream = frames::join_fragments(&image.file, &image.pixels);
        let period_ns = rate.source.map(|source| (rate.period_ns(), source));
        let video = video::open_stream(stream.into_owned(), source, image.size, period_ns)
            .map_err(|error| format!("transfer syntax {name} ({uid}): {error}"))?;
        let (declared, found) = (image.attributes.frame_count(), video.facts.frame_count());
        frames::warn_about_count(&mut image.warnings, &image.attributes.frames, declared, found);
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
