//! Groups the fragments of encapsulated pixel data into frames.

use super::data_set::Encapsulated;
use std::borrow::Cow;
use std::ops::Range;

/// The byte ranges of one frame.
pub(super) type FrameRanges = Vec<Range<usize>>;

/// Size in bytes of an item's tag and length. The offsets of a table count these bytes, too.
const ITEM_HEADER: u64 = 8;

/// What is known about the frames from other attributes.
pub(super) struct Declared<'a> {
    /// Number of Frames, if the file has a valid one.
    pub(super) frames: Option<usize>,
    /// Entries of the Extended Offset Table.
    pub(super) offsets: &'a [u64],
}

/// Returns the fragments of each frame. If there are as many fragments as frames, each fragment is
/// a frame. Otherwise, the offset table defines where each frame begins, if the table has one
/// offset for each frame and each offset is that of a fragment. Without such a table, a frame
/// begins wherever `begins_image` recognizes the beginning of an image. Without any of these, all
/// fragments belong to one frame.
pub(super) fn group_fragments(
    file: &[u8],
    data: Encapsulated,
    declared: &Declared<'_>,
    begins_image: impl Fn(&[u8]) -> bool,
) -> Result<Vec<FrameRanges>, String> {
    let Encapsulated { offsets, fragments, .. } = data;
    if fragments.is_empty() {
        return Err("the pixel data have no frames".into());
    }
    if declared.frames == Some(fragments.len()) {
        return Ok(fragments.into_iter().map(|fragment| vec![fragment]).collect());
    }
    let basic: Vec<u64> = file
        .get(offsets)
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]).into())
        .collect();
    for table in [&basic[..], declared.offsets] {
        if Some(table.len()) == declared.frames
            && let Some(starts) = find_offsets(&fragments, table)
        {
            return Ok(split(fragments, |index, _| starts.binary_search(&index).is_ok()));
        }
    }
    // An empty fragment contains no image, so it is a part of the frame that precedes it.
    let begins =
        |fragment: &Range<usize>| begins_image(file.get(fragment.clone()).unwrap_or_default());
    Ok(split(fragments, |_, fragment| begins(fragment)))
}

/// Returns the index of the fragment at each offset of a table, if all offsets are those of
/// fragments. An offset is the distance in bytes from the item that contains the first fragment to
/// the first item of the frame.
fn find_offsets(fragments: &[Range<usize>], table: &[u64]) -> Option<Vec<usize>> {
    let base = (fragments.first()?.start as u64).checked_sub(ITEM_HEADER)?;
    let mut starts = Vec::with_capacity(table.len());
    for &offset in table {
        let place = base.checked_add(offset)?.checked_add(ITEM_HEADER)?;
        let index = fragments.binary_search_by_key(&place, |fragment| fragment.start as u64);
        starts.push(index.ok()?);
    }
    let ascends = starts.first() == Some(&0) && starts.windows(2).all(|pair| pair[0] < pair[1]);
    ascends.then_some(starts)
}

/// Splits the fragments into frames.
fn split(
    fragments: Vec<Range<usize>>,
    begins_frame: impl Fn(usize, &Range<usize>) -> bool,
) -> Vec<FrameRanges> {
    let mut frames: Vec<FrameRanges> = Vec::new();
    for (index, fragment) in fragments.into_iter().enumerate() {
        match frames.last_mut() {
            Some(frame) if !begins_frame(index, &fragment) => frame.push(fragment),
            _ => frames.push(vec![fragment]),
        }
    }
    frames
}

/// Joins the byte ranges of a frame.
pub(super) fn join<'a>(file: &'a [u8], ranges: &[Range<usize>]) -> Cow<'a, [u8]> {
    let part = |range: &Range<usize>| file.get(range.clone()).unwrap_or_default();
    match ranges {
        [range] => Cow::Borrowed(part(range)),
        ranges => Cow::Owned(ranges.iter().flat_map(part).copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(
        file: &[u8],
        offsets: Range<usize>,
        fragments: &[Range<usize>],
        frames: usize,
        extended: &[u64],
    ) -> Vec<FrameRanges> {
        let data = Encapsulated { offsets, fragments: fragments.to_vec(), is_cut: false };
        let declared = Declared { frames: Some(frames), offsets: extended };
        group_fragments(file, data, &declared, |data| data.starts_with(&[0xff, 0xd8])).unwrap()
    }

    #[test]
    fn the_offset_table_groups_the_fragments_of_a_frame() {
        let file = [0, 0, 0, 0, 32, 0, 0, 0];
        let (a, b, c) = (108..116, 124..132, 140..150);
        let fragments = [a.clone(), b.clone(), c.clone()];
        let frames = [vec![a, b], vec![c]];
        assert_eq!(group(&file, 0..8, &fragments, 2, &[]), frames);
        assert_eq!(group(&file, 0..0, &fragments, 2, &[0, 32]), frames);
    }

    #[test]
    fn without_a_valid_table_a_frame_begins_at_an_image() {
        let file = [0xff, 0xd8, 0xff, 0, 1, 2, 0xff, 0xd8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        let last: FrameRanges = std::iter::once(6..9).collect();
        let frames = [vec![0..3, 3..6], last];
        assert_eq!(group(&file, 0..0, &[0..3, 3..6, 6..9], 2, &[]), frames);
        assert_eq!(group(&file, 9..17, &[0..3, 3..6, 6..9], 2, &[]), frames, "a table of zeros");
        assert_eq!(group(&file, 0..0, &[0..3, 3..6, 6..9], 1, &[]), frames, "a wrong number");
    }

    #[test]
    fn fragments_that_no_image_begins_are_one_frame() {
        assert_eq!(group(&[0; 9], 0..0, &[0..3, 3..6, 6..6], 1, &[]), [vec![0..3, 3..6, 6..6]]);
    }
}
