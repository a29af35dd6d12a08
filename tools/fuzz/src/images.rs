//! Fuzz target that decodes arbitrary bytes as the frames of a DICOM file.
//!
//! The target writes the data set, so that all of the input reaches the decoder of the image.

use crate::cines::check_frames;
use std::path::Path;
use tteview_cli::cine::Cine;

/// The transfer syntaxes, whose decoders differ. The decoder of JPEG, JPEG-LS and JPEG 2000 is
/// chosen by the image and not by the transfer syntax.
const SYNTAXES: [&str; 4] = [
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2.4.102",
];

/// Photometric interpretations, with the number of samples per pixel.
const COLOURS: [(&str, u16); 4] =
    [("MONOCHROME2", 1), ("RGB", 3), ("YBR_FULL", 3), ("YBR_FULL_422", 3)];

/// Number of bytes of an input that describe the image.
const HEADER_BYTES: usize = 4;

/// Minimum width and height of an image.
const MIN_SIDE: u16 = 32;

/// Decodes the input as an image. The first four bytes are the transfer syntax, the colours and the
/// depth, the width and the height.
pub(crate) fn run_image(input: &[u8]) {
    let Some((&[syntax, kind, width, height], image)) = input.split_first_chunk::<HEADER_BYTES>()
    else {
        return;
    };
    let (photometric, samples) = COLOURS[usize::from(kind) % COLOURS.len()];
    let (allocated, stored) = match kind >> 2 & 3 {
        0 | 1 => (8, 8),
        2 => (16, 12),
        _ => (16, 16),
    };
    let [width, height] = [width, height].map(|side| MIN_SIDE + u16::from(side));
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let syntax = SYNTAXES[usize::from(syntax) % SYNTAXES.len()];
    write_element(&mut file, [2, 0x10], *b"UI", syntax.as_bytes());
    for (element, vr, value) in [
        (2, *b"US", &samples.to_le_bytes()[..]),
        (4, *b"CS", photometric.as_bytes()),
        (6, *b"US", &0u16.to_le_bytes()),
        (8, *b"IS", b"1"),
        (0x10, *b"US", &height.to_le_bytes()),
        (0x11, *b"US", &width.to_le_bytes()),
        (0x100, *b"US", &u16::to_le_bytes(allocated)),
        (0x101, *b"US", &u16::to_le_bytes(stored)),
        (0x102, *b"US", &u16::to_le_bytes(stored - 1)),
        (0x103, *b"US", &u16::from(kind >> 4 & 1).to_le_bytes()),
    ] {
        write_element(&mut file, [0x28, element], vr, value);
    }
    file.extend(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff");
    for item in [&[], image] {
        file.extend(b"\xfe\xff\x00\xe0");
        file.extend((item.len() as u32 + item.len() as u32 % 2).to_le_bytes());
        file.extend(item);
        file.extend((item.len() % 2 == 1).then_some(0));
    }
    file.extend(b"\xfe\xff\xdd\xe0\x00\x00\x00\x00");
    if let Ok(cine) = Cine::from_bytes(Path::new("input"), file) {
        check_frames(cine);
    }
}

/// Writes an element with a short value, in explicit little endian.
fn write_element(file: &mut Vec<u8>, tag: [u16; 2], vr: [u8; 2], value: &[u8]) {
    file.extend(tag.map(u16::to_le_bytes).as_flattened());
    file.extend(vr);
    file.extend((value.len() as u16 + value.len() as u16 % 2).to_le_bytes());
    file.extend(value);
    file.extend((value.len() % 2 == 1).then_some(if vr == *b"UI" { 0 } else { b' ' }));
}
