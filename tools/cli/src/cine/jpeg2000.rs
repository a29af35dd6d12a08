//! JPEG 2000 images (ITU T.800), and High-Throughput JPEG 2000 images that are lossless (T.814).

use super::advice::CONVERT_IMAGE;
use super::bytes::slice;

/// The signature box of a JP2 file. DICOM requires a bare codestream, but some writers store files.
const JP2_SIGNATURE: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
/// The markers SOC and SIZ, with which a codestream begins.
const CODESTREAM: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
/// The marker EOC, with which a codestream ends.
const END: [u8; 2] = [0xff, 0xd9];
/// The type of the box that contains the codestream.
const CODESTREAM_BOX: &[u8] = b"jp2c";

/// A decoded image with interleaved components.
pub(super) struct Image {
    /// 8-bit samples, or 16-bit little-endian samples if the precision is more than 8 bits.
    pub(super) samples: Vec<u8>,
    pub(super) components: u8,
    pub(super) precision: u8,
    /// Whether the image has a colour transform, which the decoder has inverted.
    pub(super) has_transform: bool,
    /// Whether the end of the image is missing.
    pub(super) is_cut: bool,
}

/// The properties of an image, from its main header.
struct Header {
    size: [u32; 2],
    components: u8,
    precision: u8,
    has_transform: bool,
    is_reversible: bool,
    is_high_throughput: bool,
}

/// Returns whether the data begin like an image.
pub(super) fn is_image(data: &[u8]) -> bool {
    data.starts_with(&CODESTREAM) || data.starts_with(JP2_SIGNATURE)
}

/// Decodes an image, which must have the given size.
pub(super) fn decode(image: &[u8], [width, height]: [u32; 2]) -> Result<Image, String> {
    let codestream = find_codestream(image)?;
    // The decoders allocate as much memory as the header demands, so the header is checked first.
    let header = Header::read(codestream)?;
    if header.size != [width, height] {
        let [w, h] = header.size;
        return Err(format!(
            "the JPEG 2000 image must have {width} x {height} pixels, got {w} x {h}"
        ));
    }
    let (components, bits) = (header.components, header.precision);
    if !matches!(components, 1 | 3) || !(1..=16).contains(&bits) {
        return Err(format!(
            "JPEG 2000 with {components} components of {bits} bits is not supported; {CONVERT_IMAGE}"
        ));
    }
    let samples = match header.is_high_throughput {
        true if !header.is_reversible => {
            return Err(format!(
                "lossy High-Throughput JPEG 2000 (HTJ2K) is not supported; {CONVERT_IMAGE}"
            ));
        }
        true => decode_high_throughput(codestream)?,
        false => decode_part_1(codestream, bits)?,
    };
    let bytes = width as usize * height as usize * usize::from(components) * sample_bytes(bits);
    if samples.len() != bytes {
        return Err(format!("the JPEG 2000 image must have {bytes} bytes, got {}", samples.len()));
    }
    let has_transform = header.has_transform;
    let is_cut = !has_end(codestream);
    Ok(Image { samples, components, precision: bits, has_transform, is_cut })
}

/// Returns whether the codestream has an end marker, possibly followed by padding.
fn has_end(codestream: &[u8]) -> bool {
    let end = codestream.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    codestream.get(..end).is_some_and(|data| data.ends_with(&END))
}

fn sample_bytes(precision: u8) -> usize {
    if precision > 8 { 2 } else { 1 }
}

fn decode_part_1(codestream: &[u8], precision: u8) -> Result<Vec<u8>, String> {
    let error = |error: hayro_jpeg2000::DecodeError| format!("JPEG 2000: {error}");
    let settings = hayro_jpeg2000::DecodeSettings::default();
    let image = hayro_jpeg2000::Image::new(codestream, &settings).map_err(error)?;
    let mut context = hayro_jpeg2000::DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(error)?;
    let planes: Vec<&[f32]> = decoded.components().iter().map(|plane| plane.samples()).collect();
    let pixels = planes.first().map_or(0, |plane| plane.len());
    let max = f32::from(u16::MAX >> (16 - precision));
    let mut samples = Vec::with_capacity(pixels * planes.len() * sample_bytes(precision));
    for pixel in 0..pixels {
        for plane in &planes {
            let value = plane.get(pixel).copied().unwrap_or_default();
            let value = value.round().clamp(0.0, max) as u16;
            match precision {
                0..=8 => samples.push(value as u8),
                _ => samples.extend(value.to_le_bytes()),
            }
        }
    }
    Ok(samples)
}

fn decode_high_throughput(codestream: &[u8]) -> Result<Vec<u8>, String> {
    let settings = dicom_toolkit_jpeg2000::DecodeSettings::default();
    let image = dicom_toolkit_jpeg2000::Image::new(codestream, &settings);
    let decoded = image.and_then(|image| image.decode_native());
    decoded.map(|bitmap| bitmap.data).map_err(|error| format!("HTJ2K: {error}"))
}

/// Returns the codestream of an image, which may be in a JP2 file.
fn find_codestream(image: &[u8]) -> Result<&[u8], String> {
    if image.starts_with(&CODESTREAM) {
        return Ok(image);
    }
    if !image.starts_with(JP2_SIGNATURE) {
        return Err("the frame is not a JPEG 2000 image".into());
    }
    let mut at = 0;
    while let Some(&[a, b, c, d, ref kind @ ..]) = slice(image, at, 8) {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == CODESTREAM_BOX {
            return Ok(image.get(at + 8..).unwrap_or_default());
        }
        if length < 8 {
            break;
        }
        at = at.saturating_add(length);
    }
    Err("the JPEG 2000 file has no codestream".into())
}

impl Header {
    /// Reads the main header (T.800, annex A) up to the first tile.
    fn read(codestream: &[u8]) -> Result<Self, String> {
        let truncated = || String::from("the JPEG 2000 header is truncated");
        if !codestream.starts_with(&CODESTREAM) {
            return Err("the JPEG 2000 image has no image size".into());
        }
        let mut header = Self {
            size: [0; 2],
            components: 0,
            precision: 0,
            has_transform: false,
            is_reversible: false,
            is_high_throughput: false,
        };
        let mut at = 2;
        loop {
            let &[first, marker, high, low] = slice(codestream, at, 4).ok_or_else(truncated)?
            else {
                return Err(truncated());
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if first != 0xff || length < 2 {
                return Err("the JPEG 2000 header is invalid".into());
            }
            let body = slice(codestream, at + 4, length - 2).ok_or_else(truncated)?;
            match marker {
                0x51 => header.read_size(body)?,
                // Coding style: progression, layers, the transform of the components, then the
                // levels, the code-blocks, their style, and the wavelet.
                0x52 => {
                    let &[_, _, _, _, transform, _, _, _, style, wavelet, ..] = body else {
                        return Err(truncated());
                    };
                    header.has_transform = transform != 0;
                    header.is_high_throughput = style & 0x40 != 0;
                    header.is_reversible = wavelet == 1;
                }
                0x90 => break,
                _ => {}
            }
            at += 2 + length;
        }
        if header.components == 0 {
            Err("the JPEG 2000 image has no size".into())
        } else {
            Ok(header)
        }
    }

    fn read_size(&mut self, body: &[u8]) -> Result<(), String> {
        let truncated = || String::from("the JPEG 2000 header is truncated");
        let number = |at: usize| -> Result<u32, String> {
            let bytes = slice(body, at, 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_be_bytes).ok_or_else(truncated)
        };
        let [right, bottom, left, top] = [number(2)?, number(6)?, number(10)?, number(14)?];
        let [tile_width, tile_height] = [number(18)?, number(22)?];
        self.size = [right.saturating_sub(left), bottom.saturating_sub(top)];
        // The decoders allocate memory for each tile.
        let tiles = |side: u32, tile: u32| u64::from(side.div_ceil(tile.max(1)));
        if tiles(right, tile_width) * tiles(bottom, tile_height) > MAX_TILES {
            return Err(format!("the JPEG 2000 image must have at most {MAX_TILES} tiles"));
        }
        let count = slice(body, 34, 2).ok_or_else(truncated)?;
        let count = usize::from(u16::from_be_bytes([count[0], count[1]]));
        let components = slice(body, 36, 3 * count).ok_or_else(truncated)?;
        let first = *components.first().ok_or_else(truncated)?;
        if components.chunks_exact(3).any(|part| part != [first, 1, 1]) {
            return Err(format!(
                "JPEG 2000 with different components is not supported; {CONVERT_IMAGE}"
            ));
        }
        self.components = u8::try_from(count).unwrap_or(u8::MAX);
        self.precision = (first & 0x7f) + 1;
        if first & 0x80 != 0 {
            return Err(format!("JPEG 2000 with signed samples is not supported; {CONVERT_IMAGE}"));
        }
        Ok(())
    }
}

/// Maximum number of tiles of an image. Most images have one tile.
const MAX_TILES: u64 = 1024;
