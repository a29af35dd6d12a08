//! Which fragments of encapsulated pixel data make a frame.

use super::data_set::Fragments;
use std::ops::Range;

/// The pieces of each frame. Frames are found by the basic offset table, else one fragment is one frame, else a
/// frame begins where a JPEG image does.
pub(super) fn frames(file: &[u8], data: Fragments, frames: usize) -> Result<Vec<Vec<Range<usize>>>, String> {
    let fragments = data.fragments;
    let short = |found: usize| format!("{frames} frames are declared, pixel data hold {found}");
    if frames > fragments.len() {
        return Err(short(fragments.len()));
    }
    if frames == 1 {
        return Ok(vec![fragments]);
    }
    if frames == fragments.len() {
        return Ok(fragments.into_iter().map(|fragment| vec![fragment]).collect());
    }
    let offsets: Vec<usize> = file
        .get(data.offsets)
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)
        .collect();
    let base = fragments.first().map_or(0, |first| first.start);
    let begins = |fragment: &Range<usize>| match offsets.len() == frames {
        // An offset counts from the first fragment's item to the frame's.
        true => offsets.binary_search(&(fragment.start - base)).is_ok(),
        false => file.get(fragment.start..).is_some_and(|bytes| bytes.starts_with(&[0xff, 0xd8, 0xff])),
    };
    let mut found: Vec<Vec<Range<usize>>> = Vec::new();
    for fragment in fragments {
        match found.last_mut() {
            Some(frame) if !begins(&fragment) => frame.push(fragment),
            _ => found.push(vec![fragment]),
        }
    }
    if found.len() == frames { Ok(found) } else { Err(short(found.len())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    /// Bytes of an item's tag and length, which offsets count too.
    const ITEM_HEADER: usize = 8;

    fn fragments(offsets: Range<usize>, fragments: &[Range<usize>]) -> Fragments {
        Fragments { offsets, fragments: fragments.to_vec() }
    }

    #[test]
    fn a_frame_of_two_fragments_is_found_by_the_offset_table() {
        let file = [0, 0, 0, 0, 24, 0, 0, 0];
        let (a, b, c) = (100..108, 100 + 8 + ITEM_HEADER..120, 100 + 24..130);
        let data = fragments(0..8, &[a.clone(), b.clone(), c.clone()]);
        assert_eq!(frames(&file, data, 2), Ok(vec![vec![a, b], vec![c]]));
    }

    #[test]
    fn without_an_offset_table_a_frame_begins_where_a_jpeg_image_does() {
        let file = [0xff, 0xd8, 0xff, 0, 1, 2, 0xff, 0xd8, 0xff];
        let data = fragments(0..0, &[0..3, 3..6, 6..9]);
        assert_eq!(frames(&file, data, 2), Ok(vec![vec![0..3, 3..6], vec![6..9]]));
    }

    #[test]
    fn more_frames_than_there_are_is_an_error_that_gives_both_numbers() {
        let error = frames(&[], fragments(0..0, &[0..0, 0..0]), 3).unwrap_err();
        assert_eq!(error, "3 frames are declared, pixel data hold 2");
    }
}
