//! The location of each frame in the file.

use super::data_set::{Encapsulated, PixelData};
use super::fragments::{Declared, FrameRanges, group_fragments, join};
use super::image::Image;
use super::layout::{Colours, Layout};
use super::rle;
use super::syntax::{EXPLICIT_BIG_ENDIAN, Encoding};
use crate::cine::jpeg2000;
use std::borrow::Cow;
use std::ops::Range;

/// The frames of a file.
pub(super) struct Frames {
    pub(super) ranges: Vec<FrameRanges>,
    /// The encoding of the frames, which can differ from that of the transfer syntax.
    pub(super) encoding: Encoding,
    pub(super) is_big_endian: bool,
}

/// Locates the frames. Adds a warning to `image` if Number of Frames contradicts the pixel data.
pub(super) fn locate(
    image: &mut Image,
    encoding: Encoding,
    layout: &mut Layout,
) -> Result<Frames, String> {
    let is_big_endian = image.syntax.uid == EXPLICIT_BIG_ENDIAN;
    let declared = image.attributes.frame_count();
    match image.pixels.clone() {
        PixelData::Native { pixels, is_words, missing } => {
            if is_big_endian && is_words && layout.sample_bytes() == 1 {
                swap_bytes(image.file.get_mut(pixels.clone()).unwrap_or_default());
            }
            let ranges = find_native_frames(
                layout,
                pixels,
                declared,
                missing,
                &image.attributes.frames,
                &mut image.warnings,
            )?;
            Ok(Frames { ranges, encoding: Encoding::Native, is_big_endian })
        }
        PixelData::Encapsulated(data) if encoding == Encoding::Native => {
            locate_in_fragments(image, data, declared, layout)
        }
        PixelData::Encapsulated(data) => {
            let ranges = find_encapsulated_frames(image, data, declared, encoding, layout)?;
            Ok(Frames { ranges, encoding, is_big_endian: false })
        }
    }
}

/// Locates the frames of encapsulated pixel data whose transfer syntax is uncompressed. The
/// fragments contain images in spite of it, or consecutive pixels.
fn locate_in_fragments(
    image: &mut Image,
    data: Encapsulated,
    declared: Option<usize>,
    layout: &mut Layout,
) -> Result<Frames, String> {
    let first = data.fragments.first().cloned().unwrap_or_default();
    let begins_image = is_image(image.file.get(first).unwrap_or_default());
    image.warnings.push(format!(
        "the pixel data are encapsulated, but the transfer syntax is {}",
        image.syntax.name
    ));
    if begins_image {
        let ranges = find_encapsulated_frames(image, data, declared, Encoding::Image, layout)?;
        return Ok(Frames { ranges, encoding: Encoding::Image, is_big_endian: false });
    }
    image.file = join(&image.file, &data.fragments).into_owned();
    let pixels = 0..image.file.len();
    let ranges = find_native_frames(
        layout,
        pixels,
        declared,
        0,
        &image.attributes.frames,
        &mut image.warnings,
    )?;
    Ok(Frames { ranges, encoding: Encoding::Native, is_big_endian: false })
}

/// Returns whether the data begin like a JPEG, JPEG-LS or JPEG 2000 image.
fn is_image(data: &[u8]) -> bool {
    data.starts_with(&[0xff, 0xd8, 0xff]) || jpeg2000::is_image(data)
}

fn find_encapsulated_frames(
    image: &mut Image,
    data: Encapsulated,
    declared: Option<usize>,
    encoding: Encoding,
    layout: &mut Layout,
) -> Result<Vec<FrameRanges>, String> {
    layout.use_full_chroma();
    let segments = layout.samples * layout.sample_bytes();
    let begins_frame = |data: &[u8]| match encoding {
        Encoding::Image => is_image(data),
        Encoding::Rle => rle::is_header(data, segments),
        // Each frame is one stream, which has no recognizable beginning.
        _ => true,
    };
    let known = Declared { frames: declared, offsets: &image.attributes.offsets };
    let is_cut = data.is_cut;
    let ranges = group_fragments(&image.file, data, &known, begins_frame)?;
    warn_about_count(&mut image.warnings, &image.attributes.frames, declared, ranges.len());
    if is_cut {
        image.warnings.push("the file is truncated inside its last frame".into());
    }
    Ok(ranges)
}

/// Adds a warning if Number of Frames, whose value is `text`, contradicts the pixel data.
pub(super) fn warn_about_count(
    warnings: &mut Vec<String>,
    text: &Option<String>,
    declared: Option<usize>,
    found: usize,
) {
    if found == declared.unwrap_or(1) {
        return;
    }
    let declared = match text {
        None => "is missing".into(),
        Some(text) => format!("is {text:?}"),
    };
    warnings.push(format!("Number of Frames {declared}, but the pixel data have {found} frames"));
}

/// Swaps the bytes of each word. An odd last byte has no word of its own.
fn swap_bytes(pixels: &mut [u8]) {
    pixels.as_chunks_mut().0.iter_mut().for_each(|pair: &mut [u8; 2]| pair.swap(0, 1));
}

/// Returns the byte range of each uncompressed frame. The frames are consecutive. `missing` is the
/// number of bytes of the pixel data that the file lacks, and `text` is the value of Number of
/// Frames.
fn find_native_frames(
    layout: &mut Layout,
    pixels: Range<usize>,
    declared: Option<usize>,
    missing: usize,
    text: &Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Vec<FrameRanges>, String> {
    let length = pixels.len().saturating_add(missing);
    if layout.colours == Colours::Ybr422 && has_full_chroma(layout, length, declared.unwrap_or(1)) {
        // Some writers store three samples for every pixel although they declare 4:2:2.
        layout.use_full_chroma();
    }
    let bytes = layout.frame_bytes();
    // Some writers pad each frame to an even number of bytes.
    let padded = bytes.next_multiple_of(2);
    let is_padded = declared.is_some_and(|frames| {
        frames > 1 && padded > bytes && frames.checked_mul(padded) == Some(length)
    });
    let stride = if is_padded { padded } else { bytes };
    let whole = (pixels.len() + stride - bytes) / stride;
    if whole == 0 {
        return Err(format!(
            "the file is truncated: a frame has {bytes} bytes, but the pixel data have only {}",
            pixels.len()
        ));
    }
    // Bytes that are not a whole number of frames do not show that there are more frames.
    let remainder = length.checked_sub(whole * bytes).unwrap_or(usize::MAX);
    let count = match declared {
        Some(frames) if frames <= whole && (remainder > 1 || is_padded) => frames,
        None if remainder > 1 => 1,
        _ => whole,
    };
    if missing > 0 {
        warnings.push(format!("the file is truncated: only {count} frames are whole"));
    } else if count != declared.unwrap_or(1) {
        warn_about_count(warnings, text, declared, count);
    }
    let frame = |index: usize| {
        let start = pixels.start + index * stride;
        std::iter::once(start..start + bytes).collect()
    };
    Ok((0..count).map(frame).collect())
}

/// Returns whether pixels that are declared as 4:2:2 have three samples for every pixel.
fn has_full_chroma(layout: &Layout, length: usize, frames: usize) -> bool {
    let half = layout.frame_bytes();
    let full = half / 2 * 3;
    let is_exactly = |bytes: usize| {
        let all = frames.saturating_mul(bytes);
        length == all || length == all + all % 2
    };
    // An odd width cannot be divided into pairs of pixels (PS3.3, C.7.6.3.1.2).
    let is_odd = layout.has_odd_width;
    is_exactly(full) || is_odd || (!is_exactly(half) && length >= frames.saturating_mul(full))
}

/// Returns the pixel data as one stream, for video.
pub(super) fn join_fragments<'a>(file: &'a [u8], pixels: &PixelData) -> Cow<'a, [u8]> {
    match pixels {
        PixelData::Native { pixels, .. } => join(file, std::slice::from_ref(pixels)),
        PixelData::Encapsulated(data) => join(file, &data.fragments),
    }
}
