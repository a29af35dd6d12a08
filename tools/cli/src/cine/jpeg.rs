//! One JPEG image: baseline, progressive or lossless.

use super::slice;
use jpeg_decoder::{ColorTransform, Decoder};

/// What an image says of itself before its first scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    width: u16,
    height: u16,
    components: u8,
    precision: u8,
    lossless: bool,
    /// It has a JFIF or Adobe segment, which says how its colours are stored.
    marked: bool,
}

/// How the colours of an image without a JFIF or Adobe segment are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmarked {
    YCbCr,
    Rgb,
}

/// A decoded image, components interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// 8-bit samples, or 16-bit little-endian ones where the precision is more than 8.
    pub(super) samples: Vec<u8>,
    /// 1 or 3.
    pub(super) components: u8,
    /// Bits of a sample.
    pub(super) precision: u8,
    /// Colours are as they were stored: lossless images are never converted.
    pub(super) as_stored: bool,
}

/// Decodes an image that must have this size. Three components come out as RGB unless the image is lossless.
pub(super) fn decode(image: &[u8], [width, height]: [u32; 2], unmarked: Unmarked) -> Result<Image, String> {
    // The decoder takes memory for what the header says, and panics for numbers of components it does not know.
    let header = header(image)?;
    if [u32::from(header.width), u32::from(header.height)] != [width, height] {
        let (w, h) = (header.width, header.height);
        return Err(format!("JPEG of {w} x {h} pixels in a cine of {width} x {height}"));
    }
    let precisions = if header.lossless { 8..=16 } else { 8..=8 };
    if !matches!(header.components, 1 | 3) || !precisions.contains(&header.precision) {
        let (components, bits) = (header.components, header.precision);
        return Err(format!("JPEG with {components} components of {bits} bits is not supported"));
    }
    let mut decoder = Decoder::new(image);
    if header.components == 3 && !header.lossless && !header.marked && unmarked == Unmarked::Rgb {
        decoder.set_color_transform(ColorTransform::RGB);
    }
    let mut samples = decoder.decode().map_err(|error| format!("JPEG: {error}"))?;
    if header.precision > 8 && cfg!(target_endian = "big") {
        // The decoder gives wide samples in the byte order of the machine.
        samples.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    }
    let (components, precision) = (header.components, header.precision);
    Ok(Image { samples, components, precision, as_stored: header.lossless })
}

/// Components of an image.
pub(super) fn components(image: &[u8]) -> Result<u8, String> {
    header(image).map(|header| header.components)
}

/// Reads the segments up to the first scan (ITU T.81, annex B).
fn header(image: &[u8]) -> Result<Header, String> {
    let truncated = || String::from("JPEG truncated in its header");
    if !image.starts_with(&[0xff, 0xd8]) {
        return Err("no JPEG image".into());
    }
    let mut header = Header::default();
    let mut at = 2;
    loop {
        let &[first, marker] = slice(image, at, 2).ok_or_else(truncated)? else { return Err(truncated()) };
        if first != 0xff {
            return Err(format!("JPEG without a marker at byte {at}"));
        }
        if marker == 0xff {
            at += 1; // fill byte
            continue;
        }
        let length = slice(image, at + 2, 2).ok_or_else(truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body =
            length.checked_sub(2).and_then(|bytes| slice(image, at + 4, bytes)).ok_or_else(truncated)?;
        match (marker, body) {
            (0xda, _) if header.components > 0 => return Ok(header),
            (0xda, _) => return Err("JPEG with a scan before its frame".into()),
            (0xe0, [b'J', b'F', b'I', b'F', ..]) | (0xee, [b'A', b'd', b'o', b'b', b'e', ..]) => {
                header.marked = true;
            }
            // Baseline, extended, progressive, lossless; all Huffman coded.
            (0xc0..=0xc3, &[precision, h1, h0, w1, w0, components, ..]) => {
                header.precision = precision;
                header.height = u16::from_be_bytes([h1, h0]);
                header.width = u16::from_be_bytes([w1, w0]);
                header.components = components;
                header.lossless = marker == 0xc3;
            }
            (0xf7, _) => return Err("JPEG-LS is not supported".into()),
            (0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, _) => {
                return Err("hierarchical and arithmetic JPEG are not supported".into());
            }
            _ => {}
        }
        at += 2 + length;
    }
}
