//! Fuzz targets that read arbitrary bytes as a cine.

use crate::png;
use std::path::Path;
use tteview_cli::cine::Cine;

/// Maximum number of bytes of decoded frames per input. More frames take time but no other code.
const MAX_DECODED_BYTES: usize = 4 << 20;

/// Maximum number of decoded frames per input.
const MAX_FRAMES: usize = 16;

/// Reads the input as a DICOM file.
pub(crate) fn run_dicom(input: &[u8]) {
    run_cine(input, 132, &[(128, b"DICM")]);
}

/// Reads the input as an AVI file.
pub(crate) fn run_avi(input: &[u8]) {
    run_cine(input, 12, &[(0, b"RIFF"), (8, b"AVI ")]);
}

/// Reads the input as a GIF file.
pub(crate) fn run_gif(input: &[u8]) {
    run_cine(input, 4, &[(0, b"GIF8")]);
}

/// Reads the input as a Matroska file if it begins like one, and otherwise as an MP4 file.
pub(crate) fn run_video(input: &[u8]) {
    match input.first() {
        Some(0x1a) => run_cine(input, 12, &[(0, &[0x1a, 0x45, 0xdf, 0xa3])]),
        _ => run_cine(input, 12, &[(4, b"ftyp")]),
    }
}

/// Reads the input as an animated PNG if it begins like a PNG, and otherwise as a WebP file. The
/// checksums of a PNG are corrected, because the reader would stop at the first wrong one.
pub(crate) fn run_animation(input: &[u8]) {
    match input.first() {
        Some(0x89) => run_cine(&png::correct_checksums(input), 12, &[(0, b"\x89PNG")]),
        _ => run_cine(input, 12, &[(0, b"RIFF"), (8, b"WEBP")]),
    }
}

/// Reads the input as a cine whose first bytes select the format. The reader must return frames of
/// the announced size, or an error. The texts in `magic` replace the bytes at their positions, so
/// that every input reaches the reader of the format.
fn run_cine(input: &[u8], min_bytes: usize, magic: &[(usize, &[u8; 4])]) {
    let mut file = input.to_vec();
    file.resize(file.len().max(min_bytes), 0);
    for (position, text) in magic {
        file[*position..][..text.len()].copy_from_slice(*text);
    }
    if let Ok(cine) = Cine::from_bytes(Path::new("input"), file) {
        check_frames(cine);
    }
}

/// Decodes the frames of a cine that could be opened, and checks them.
pub(crate) fn check_frames(cine: Cine) {
    let bytes = cine.facts.geometry().frame_bytes();
    let count = cine.facts.frame_count();
    assert!(count > 0, "a cine that can be opened has frames");
    let mut last_ns = i64::MIN;
    for frame in cine.take(MAX_FRAMES.min(MAX_DECODED_BYTES / bytes.max(1))) {
        let Ok(frame) = frame else { return };
        assert_eq!(frame.pixels.len(), bytes, "a frame has the size that the facts announce");
        assert!(frame.time_ns >= last_ns, "frame times do not go back");
        last_ns = frame.time_ns;
    }
}
