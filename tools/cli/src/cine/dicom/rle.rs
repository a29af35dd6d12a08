//! RLE Lossless (PS3.5, annex G): each byte of each sample is a segment of PackBits.

use crate::cine::slice;

/// Numbers in the header: how many segments, and 15 offsets.
const HEADER: usize = 64;
const MAX_SEGMENTS: usize = 15;

/// Decodes a frame to planes, one a sample, of `sample_bytes` little-endian bytes a pixel.
pub(super) fn decode(
    data: &[u8],
    [width, height]: [u32; 2],
    samples: usize,
    sample_bytes: usize,
) -> Result<Vec<u8>, String> {
    let pixels = width as usize * height as usize;
    let header = data.get(..HEADER).ok_or("RLE header truncated")?;
    let number = |at: usize| {
        let four = &header[4 * at..][..4];
        u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize
    };
    let segments = samples * sample_bytes;
    if number(0) != segments || segments > MAX_SEGMENTS {
        return Err(format!("{} RLE segments, the pixels have {segments}", number(0)));
    }
    let mut planes = vec![0; pixels * segments];
    for segment in 0..segments {
        let start = number(1 + segment);
        let end = if segment + 1 < segments { number(2 + segment) } else { data.len() };
        let packed = end.checked_sub(start).and_then(|bytes| slice(data, start, bytes));
        let packed = packed.ok_or_else(|| format!("RLE segment {segment} lies outside the frame"))?;
        // The most significant byte comes first.
        let (sample, byte) = (segment / sample_bytes, sample_bytes - 1 - segment % sample_bytes);
        let plane = &mut planes[sample * pixels * sample_bytes..][..pixels * sample_bytes];
        let filled = unpack(packed, plane.iter_mut().skip(byte).step_by(sample_bytes));
        if filled != pixels {
            return Err(format!("RLE segment {segment} ends after {filled} of {pixels} pixels"));
        }
    }
    Ok(planes)
}

/// Unpacks until the target is full or the data end; gives the number of bytes written.
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
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut offset = HEADER;
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
    fn literals_runs_and_no_operations_unpack() {
        let data = frame(&[&[1, 7, 8, 128, 254, 9, 0]]);
        assert_eq!(decode(&data, [5, 1], 1, 1), Ok(vec![7, 8, 9, 9, 9]));
    }

    #[test]
    fn wide_samples_come_out_little_endian() {
        let data = frame(&[&[1, 0x12, 0x56], &[1, 0x34, 0x78]]);
        assert_eq!(decode(&data, [2, 1], 1, 2), Ok(vec![0x34, 0x12, 0x78, 0x56]));
    }

    #[test]
    fn short_segments_and_offsets_outside_the_frame_are_errors() {
        let short = decode(&frame(&[&[0, 7]]), [5, 1], 1, 1).unwrap_err();
        assert_eq!(short, "RLE segment 0 ends after 1 of 5 pixels");
        let mut outside = frame(&[&[0, 7]]);
        outside[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&outside, [1, 1], 1, 1).is_err());
        assert!(decode(&[0; 10], [1, 1], 1, 1).is_err());
        assert!(decode(&frame(&[&[0, 7]]), [1, 1], 3, 1).is_err());
    }
}
