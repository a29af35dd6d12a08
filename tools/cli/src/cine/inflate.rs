//! Deflate streams (RFC 1951).

use flate2::{Decompress, FlushDecompress, Status};

/// Size in bytes that an inflated data set may have whatever the size of its file.
const FREE_BYTES: usize = 16 << 20;
/// For larger data sets, number of inflated bytes that each byte of the file allows.
const BYTES_PER_BYTE: usize = 8;
/// Size of the buffer in which the length of the data is determined.
const BUFFER_BYTES: usize = 1 << 16;

/// Returns the largest size in bytes of the data set in a stream.
pub(super) fn max_data_set_bytes(stream_bytes: usize) -> usize {
    FREE_BYTES.saturating_add(stream_bytes.saturating_mul(BYTES_PER_BYTE))
}

/// Inflates a stream to at most `max_bytes`. The data of a truncated stream end early.
///
/// # Errors
/// Returns an error if the stream is damaged or if there are more data.
pub(super) fn inflate(stream: &[u8], max_bytes: usize) -> Result<Vec<u8>, String> {
    // The first pass determines the length, so that no more memory is allocated than needed.
    let mut length = 0usize;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut decompress = Decompress::new(false);
    loop {
        let consumed = usize::try_from(decompress.total_in()).unwrap_or(usize::MAX);
        let rest = stream.get(consumed..).unwrap_or_default();
        let before = (decompress.total_in(), decompress.total_out());
        let status = decompress
            .decompress(rest, &mut buffer, FlushDecompress::None)
            .map_err(|error| format!("the deflate stream is damaged: {error}"))?;
        length += usize::try_from(decompress.total_out() - before.1).unwrap_or(usize::MAX);
        if length > max_bytes {
            return Err(format!("the deflate stream must have at most {max_bytes} bytes of data"));
        }
        let has_stopped = before == (decompress.total_in(), decompress.total_out());
        if status == Status::StreamEnd || has_stopped {
            break;
        }
    }
    let mut data = vec![0; length];
    let mut decompress = Decompress::new(false);
    decompress
        .decompress(stream, &mut data, FlushDecompress::Finish)
        .map_err(|error| format!("the deflate stream is damaged: {error}"))?;
    Ok(data)
}
