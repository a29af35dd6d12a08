//! Baseline, extended and progressive images.

use super::edges::correct_edges;
use super::header::Header;
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::options::DecoderOptions;

const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];

/// Maximum number of scans of a progressive image. Encoders write about ten.
const MAX_SCANS: usize = 64;

/// Numbers of codes of each length, from 1 to 16 bits, in the typical Huffman tables (ITU T.81,
/// K.3.3), and the values of the tables for differences.
const DC_COUNTS: [[u8; 16]; 2] = [
    [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
];
const AC_COUNTS: [[u8; 16]; 2] = [
    [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
    [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
];
/// The first values of the typical tables for coefficients, whose codes are assigned by frequency.
/// The other values follow in ascending order.
const AC_VALUES: [&[u8]; 2] = [
    &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61,
        0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52,
        0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82,
    ],
    &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61,
        0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33,
        0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1,
    ],
];

/// Decodes an image to interleaved samples in its own colour space.
pub(super) fn decode(image: &[u8], header: &Header) -> Result<Vec<u8>, String> {
    let image = rewrite(image, header);
    let options = DecoderOptions::default().jpeg_set_max_scans(MAX_SCANS);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(&image), options);
    decoder.decode_headers().map_err(|error| format!("JPEG: {error}"))?;
    let colours = decoder.input_colorspace().ok_or("the JPEG image has no colour space")?;
    let options = options.jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(&image), options);
    let mut samples = decoder.decode().map_err(|error| format!("JPEG: {error}"))?;
    let bytes = usize::from(header.width) * usize::from(header.height) * header.components.len();
    if samples.len() != bytes {
        return Err(format!("JPEG: the image must have {bytes} samples, got {}", samples.len()));
    }
    correct_edges(&mut samples, header);
    Ok(samples)
}

/// Returns whether the image has an end marker, possibly followed by padding.
pub(super) fn has_end(image: &[u8]) -> bool {
    let end = image.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    // The tail is searched because some writers append a few bytes of their own.
    let tail = image.get(end.saturating_sub(32)..end).unwrap_or_default();
    tail.windows(2).any(|pair| pair == END)
}

/// Writes the image with only the segments that a decoder needs, so that nothing else determines
/// how the decoder treats the colours. An image without Huffman tables gets the typical ones, as in
/// Motion JPEG. A missing end marker is added, so that the rows that exist can be decoded.
fn rewrite(image: &[u8], header: &Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(image.len() + 1024);
    out.extend(START);
    if !header.has_huffman_tables {
        out.extend(write_typical_tables());
    }
    for segment in &header.segments {
        out.extend(image.get(segment.clone()).unwrap_or_default());
    }
    out.extend(image.get(header.scan..).unwrap_or_default());
    if !has_end(image) {
        if out.last() == Some(&0xff) {
            out.pop();
        }
        out.extend(END);
    }
    out
}

/// Writes the segment of the typical Huffman tables.
fn write_typical_tables() -> Vec<u8> {
    let mut body = Vec::new();
    for table in [0u8, 1] {
        let index = usize::from(table);
        body.push(table);
        body.extend(DC_COUNTS[index]);
        body.extend(0..12);
        body.push(0x10 | table);
        body.extend(AC_COUNTS[index]);
        let first = AC_VALUES[index];
        body.extend(first);
        // A value is a run of 0 to 15 zeros and a size of 1 to 10 bits.
        let values = (0..=0xffu8).filter(|value| (1..=10).contains(&(value & 15)));
        body.extend(values.filter(|value| !first.contains(value)));
    }
    let length = (body.len() + 2) as u16;
    [&[0xff, 0xc4][..], &length.to_be_bytes(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_tables_have_as_many_values_as_codes() {
        // Four tables of 17 bytes, 12 values for each table of differences and 162 values for each
        // table of coefficients (ITU T.81, K.3.3).
        assert_eq!(write_typical_tables().len(), 4 + 4 * 17 + 2 * 12 + 2 * 162);
        for counts in AC_COUNTS {
            assert_eq!(counts.iter().map(|&count| usize::from(count)).sum::<usize>(), 162);
        }
    }

    #[test]
    fn the_end_marker_is_found_before_padding() {
        assert!(has_end(&[0xff, 0xd8, 1, 2, 0xff, 0xd9, 0, 0]));
        assert!(!has_end(&[0xff, 0xd8, 1, 2, 0xff]));
    }
}
