//! Groups the fragments of encapsulated pixel data into frames.

use super::data_set::Encapsulated;
use std::ops::Range;

/// Returns the fragments of each frame. If there is only one frame, all fragments belong to it. If
/// there are as many fragments as frames, each fragment is a frame. Otherwise, the basic offset
/// table defines where each frame begins. If the table does not have one offset per frame, a frame
/// begins wherever a JPEG image begins.
pub(super) fn group_fragments(
    file: &[u8],
    data: Encapsulated,
    frames: usize,
) -> Result<Vec<Vec<Range<usize>>>, String> {
    let fragments = data.fragments;
    let wrong_count = |found: usize| {
        format!("the pixel data must have {frames} frames, as declared, got {found}")
    };
    if frames > fragments.len() {
        return Err(wrong_count(fragments.len()));
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
    let begins_frame = |fragment: &Range<usize>| {
        if offsets.len() == frames {
            // An offset is the distance in bytes from the item that contains the first fragment to
            // the first item of the frame.
            offsets.binary_search(&(fragment.start - base)).is_ok()
        } else {
            file.get(fragment.start..).is_some_and(|bytes| bytes.starts_with(&[0xff, 0xd8, 0xff]))
        }
    };
    let mut groups: Vec<Vec<Range<usize>>> = Vec::new();
    for fragment in fragments {
        match groups.last_mut() {
            Some(frame) if !begins_frame(&fragment) => frame.push(fragment),
            _ => groups.push(vec![fragment]),
        }
    }
    if groups.len() == frames { Ok(groups) } else { Err(wrong_count(groups.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size in bytes of an item's tag and length. The offsets count these bytes, too.
    const ITEM_HEADER: usize = 8;

    fn create_data(offsets: Range<usize>, fragments: &[Range<usize>]) -> Encapsulated {
        Encapsulated { offsets, fragments: fragments.to_vec() }
    }

    #[test]
    fn the_offset_table_groups_the_fragments_of_a_frame() {
        let file = [0, 0, 0, 0, 24, 0, 0, 0];
        let (a, b, c) = (100..108, 100 + 8 + ITEM_HEADER..120, 100 + 24..130);
        let data = create_data(0..8, &[a.clone(), b.clone(), c.clone()]);
        assert_eq!(group_fragments(&file, data, 2), Ok(vec![vec![a, b], vec![c]]));
    }

    #[test]
    fn without_offsets_a_frame_begins_at_a_jpeg_image() {
        let file = [0xff, 0xd8, 0xff, 0, 1, 2, 0xff, 0xd8, 0xff];
        let data = create_data(0..0, &[0..3, 3..6, 6..9]);
        assert_eq!(group_fragments(&file, data, 2), Ok(vec![vec![0..3, 3..6], vec![6..9]]));
    }

    #[test]
    fn a_missing_frame_is_an_error_with_both_numbers() {
        let error = group_fragments(&[], create_data(0..0, &[0..0, 0..0]), 3).unwrap_err();
        assert_eq!(error, "the pixel data must have 3 frames, as declared, got 2");
    }
}
