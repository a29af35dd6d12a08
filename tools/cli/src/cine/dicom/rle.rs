//! Decodes RLE Lossless (DICOM PS3.5, annex G). A frame has one PackBits segment for each byte of
//! each sample of a pixel.

use crate::cine::bytes::slice;

/// Size in bytes of the header, which contains the number of segments and 15 offsets.
const HEADER_BYTES: usize = 64;
const MAX_SEGMENTS: usize = 15;

/// Returns whether the data begin with the header of a frame with this number of segments.
pub(super) fn is_header(data: &[u8], segments: usize) -> bool {
    let number = |index: usize| {
        let four = slice(data, 4 * index, 4)?;
        Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
    };
    let offsets: Option<Vec<usize>> = (1..=segments).map(number).collect();
    data.len() >= HEADER_BYTES
        && number(0) == Some(segments)
        && offsets.is_some_and(|offsets| {
            offsets.first() == Some(&HEADER_BYTES)
                && offsets.windows(2).all(|pair| pair[0] < pair[1])
        })
}

/// Decodes a frame to one plane for each sample of a pixel. A plane has `sample_bytes`
/// little-endian bytes per pixel.
pub(super) fn decode(
    data: &[u8],
    [width, height]: [u32; 2],
    samples: usize,
    sample_bytes: usize,
) -> Result<Vec<u8>, String> {
    let pixels = width as usize * height as usize;
    let header = data.get(..HEADER_BYTES).ok_or("the RLE header is truncated")?;
    let number = |at: usize| {
        let four = &header[4 * at..][..4];
        u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize
    };
    let segments = samples * sample_bytes;
    if number(0) != segments || segments > MAX_SEGMENTS {
        return Err(format!("the number of RLE segments must be {segments}, got {}", number(0)));
    }
    let mut planes = vec![0; pixels * segments];
    for segment in 0..segments {
        let start = number(1 + segment);
        let end = if segment + 1 < segments { number(2 + segment) } else { data.len() };
        let packed = end.checked_sub(start).and_then(|bytes| slice(data, start, bytes));
        let packed =
            packed.ok_or_else(|| format!("RLE segment {segment} is not inside the frame"))?;
        // The segment of the most significant byte comes first.
        let (sample, byte) = (segment / sample_bytes, sample_bytes - 1 - segment % sample_bytes);
        let plane = &mut planes[sample * pixels * sample_bytes..][..pixels * sample_bytes];
        let filled = unpack(packed, plane.iter_mut().skip(byte).step_by(sample_bytes));
        if filled != pixels {
            return Err(format!("RLE segment {segment} must have {pixels} pixels, got {filled}"));
        }
    }
    Ok(planes)
}

/// Unpacks bytes until `target` is full or `packed` ends. Returns the number of bytes written.
fn unpack<'a>(packed: &[u8], mut target: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut filled = 0;
    let mut put = |byte: u8| match target.next() {
        Some(place) => {
            *place = byte;
            filled += 1;
            true
        }
        None => false,
    };
    let mut rest = packed;
    while let Some((&control, after)) = rest.split_first() {
        rest = match control {
            0..=127 => {
                let (literal, after) = after.split_at(after.len().min(usize::from(control) + 1));
                if !literal.iter().all(|&byte| put(byte)) {
                    break;
                }
                after
            }
            128 => after,
            129..=255 => {
                let Some((&byte, after)) = after.split_first() else { break };
                if !(0..257 - usize::from(control)).all(|_| put(byte)) {
                    break;
                }
                after
            }
        };
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut offset = HEADER_BYTES;
        let mut numbers = vec![segments.len()];
        for segment in segments {
            numbers.push(offset);
            offset += segment.len();
        }
        numbers.resize(16, 0);
        let header = numbers.iter().flat_map(|&number| (number as u32).to_le_bytes());
        header.chain(segments.iter().flat_map(|segment| segment.iter().copied())).collect()
    }

    #[test]
    fn literals_runs_and_no_operations_are_unpacked() {
        let data = frame(&[&[1, 7, 8, 128, 254, 9, 0]]);
        assert_eq!(decode(&data, [5, 1], 1, 1), Ok(vec![7, 8, 9, 9, 9]));
    }

    #[test]
    fn wide_samples_are_decoded_as_little_endian() {
        let data = frame(&[&[1, 0x12, 0x56], &[1, 0x34, 0x78]]);
        assert_eq!(decode(&data, [2, 1], 1, 2), Ok(vec![0x34, 0x12, 0x78, 0x56]));
    }

    #[test]
    fn short_segments_and_offsets_outside_are_refused() {
        let short = decode(&frame(&[&[0, 7]]), [5, 1], 1, 1).unwrap_err();
        assert_eq!(short, "RLE segment 0 must have 5 pixels, got 1");
        let mut outside = frame(&[&[0, 7]]);
        outside[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&outside, [1, 1], 1, 1).is_err());
        assert!(decode(&[0; 10], [1, 1], 1, 1).is_err());
        assert!(decode(&frame(&[&[0, 7]]), [1, 1], 3, 1).is_err());
    }
}
