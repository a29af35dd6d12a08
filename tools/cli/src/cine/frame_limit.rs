//! The limit for the size of decoded frames. A small file can claim large frames, so the size of a
//! frame is checked against the size of its file before a frame is decoded.

use super::decoder::CineSource;

/// A frame whose decoded pixels have at most this size in bytes is decoded whatever the size of its
/// file.
const FREE_FRAME_BYTES: u64 = 8 << 20;

/// For larger frames, number of decoded bytes of a frame that each byte of the file allows. Frames
/// with an image of tissue compress less than this.
const FRAME_BYTES_PER_BYTE: u64 = 256;

/// Returns the largest size in bytes that the decoded frames of a file may have.
pub(super) fn max_frame_bytes(file_bytes: u64) -> u64 {
    FREE_FRAME_BYTES.saturating_add(file_bytes.saturating_mul(FRAME_BYTES_PER_BYTE))
}

/// Checks the size of the frames before the first one is decoded.
pub(super) fn check_frame_size(source: CineSource, file_bytes: u64) -> Result<CineSource, String> {
    let bytes = source.facts.geometry().frame_bytes() as u64;
    let max = max_frame_bytes(file_bytes);
    if bytes <= max {
        return Ok(source);
    }
    Err(format!(
        "a file of {file_bytes} bytes must have frames of at most {max} bytes, got {} x {} pixels \
         with {bytes} bytes",
        source.facts.geometry().width_px(),
        source.facts.geometry().height_px()
    ))
}
