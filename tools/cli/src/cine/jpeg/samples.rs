//! The samples of an image as bytes.

/// Returns the samples as bytes: one byte for each sample of at most 8 bits, or two bytes in
/// little-endian order.
pub(super) fn store_samples(samples: &[u16], precision: u8) -> Vec<u8> {
    if precision > 8 {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    } else {
        samples.iter().map(|&sample| sample as u8).collect()
    }
}
