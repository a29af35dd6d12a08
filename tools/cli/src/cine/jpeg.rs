//! JPEG images: baseline, extended, progressive and lossless.

use super::bytes::slice;
use jpeg_decoder::{ColorTransform, Decoder};

/// The properties of an image, from the segments before its first scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    width: u16,
    height: u16,
    components: u8,
    precision: u8,
    is_lossless: bool,
    /// Whether the image has a JFIF or Adobe segment, which defines how its colours are stored.
    is_marked: bool,
}

/// The colour space of an image without a JFIF or Adobe segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnmarkedColours {
    YCbCr,
    Rgb,
}

/// A decoded image with interleaved components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// 8-bit samples, or 16-bit little-endian samples if the precision is more than 8 bits.
    pub(super) samples: Vec<u8>,
    /// Number of components, 1 or 3.
    pub(super) components: u8,
    /// Number of bits per sample.
    pub(super) precision: u8,
    /// Whether the samples are still in the stored colour space. This is always the case for a
    /// lossless image.
    pub(super) has_stored_colours: bool,
}

/// Decodes an image, which must have the given size. An image with three components is converted to
/// RGB unless it is lossless.
pub(super) fn decode(
    image: &[u8],
    [width, height]: [u32; 2],
    unmarked: UnmarkedColours,
) -> Result<Image, String> {
    // The decoder allocates as much memory as the header demands, and panics if it does not support
    // the number of components. The header is therefore checked first.
    let header = read_header(image)?;
    if [u32::from(header.width), u32::from(header.height)] != [width, height] {
        let (w, h) = (header.width, header.height);
        return Err(format!("the JPEG image must have {width} x {height} pixels, got {w} x {h}"));
    }
    let precisions = if header.is_lossless { 8..=16 } else { 8..=8 };
    if !matches!(header.components, 1 | 3) || !precisions.contains(&header.precision) {
        let (components, bits) = (header.components, header.precision);
        return Err(format!("JPEG with {components} components of {bits} bits is not supported"));
    }
    let mut decoder = Decoder::new(image);
    if header.components == 3
        && !header.is_lossless
        && !header.is_marked
        && unmarked == UnmarkedColours::Rgb
    {
        decoder.set_color_transform(ColorTransform::RGB);
    }
    let mut samples = decoder.decode().map_err(|error| format!("JPEG: {error}"))?;
    if header.precision > 8 && cfg!(target_endian = "big") {
        // The decoder writes 16-bit samples in the machine's byte order, but the image must have
        // little-endian samples.
        samples.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    }
    let (components, precision) = (header.components, header.precision);
    Ok(Image { samples, components, precision, has_stored_colours: header.is_lossless })
}

/// Reads the number of components of an image.
pub(super) fn read_component_count(image: &[u8]) -> Result<u8, String> {
    read_header(image).map(|header| header.components)
}

/// Reads the segments up to the first scan (ITU T.81, annex B).
fn read_header(image: &[u8]) -> Result<Header, String> {
    let truncated = || String::from("the JPEG header is truncated");
    if !image.starts_with(&[0xff, 0xd8]) {
        return Err("the frame is not a JPEG image".into());
    }
    let mut header = Header::default();
    let mut at = 2;
    loop {
        let &[first, marker] = slice(image, at, 2).ok_or_else(truncated)? else {
            return Err(truncated());
        };
        if first != 0xff {
            return Err(format!("the JPEG image has no marker at byte {at}"));
        }
        if marker == 0xff {
            at += 1; // Skips a fill byte.
            continue;
        }
        let length = slice(image, at + 2, 2).ok_or_else(truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = length
            .checked_sub(2)
            .and_then(|bytes| slice(image, at + 4, bytes))
            .ok_or_else(truncated)?;
        match (marker, body) {
            (0xda, _) if header.components > 0 => return Ok(header),
            (0xda, _) => return Err("the JPEG image has a scan before its frame header".into()),
            (0xe0, [b'J', b'F', b'I', b'F', ..]) | (0xee, [b'A', b'd', b'o', b'b', b'e', ..]) => {
                header.is_marked = true;
            }
            // These markers belong to baseline, extended, progressive and lossless images with
            // Huffman coding.
            (0xc0..=0xc3, &[precision, h1, h0, w1, w0, components, ..]) => {
                header.precision = precision;
                header.height = u16::from_be_bytes([h1, h0]);
                header.width = u16::from_be_bytes([w1, w0]);
                header.components = components;
                header.is_lossless = marker == 0xc3;
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
