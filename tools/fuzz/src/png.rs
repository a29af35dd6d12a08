//! Corrects the checksums of PNG files, so that altered inputs reach the code behind them.

/// Number of bytes before the first chunk.
const SIGNATURE_BYTES: usize = 8;

/// Returns the file with the right checksum in each chunk. The data in the chunks stay as they are.
pub(crate) fn correct_checksums(input: &[u8]) -> Vec<u8> {
    let mut file = input.to_vec();
    let mut at = SIGNATURE_BYTES;
    while let Some(length) = file.get(at..at + 4).and_then(|length| length.try_into().ok()) {
        let end = (at + 8).saturating_add(u32::from_be_bytes(length) as usize);
        let Some(checked) = file.get(at + 4..end) else { break };
        let checksum = compute_checksum(checked).to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { break };
        place.copy_from_slice(&checksum);
        at = end + 4;
    }
    file
}

/// Returns the CRC-32 of PNG (ISO/IEC 15948, annex D).
fn compute_checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |register, &byte| {
        (0..8).fold(register ^ u32::from(byte), |register, _| {
            (register >> 1) ^ if register & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_chunk_is_replaced() {
        let chunk = [&b"12345678"[..], &[0, 0, 0, 0], b"IEND", &[0; 4], b"rest"].concat();
        let expected =
            [&b"12345678"[..], &[0, 0, 0, 0], b"IEND", &[0xae, 0x42, 0x60, 0x82], b"rest"];
        assert_eq!(correct_checksums(&chunk), expected.concat());
    }
}
