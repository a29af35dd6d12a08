//! The headers of elements (PS3.5, 7.1), in explicit and implicit VR.

use crate::cine::bytes::slice;
use std::fmt;

/// The tag of an attribute: group and element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(pub(super) u16, pub(super) u16);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04x},{:04x})", self.0, self.1)
    }
}

/// Tags of the delimiters of sequences and items.
pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Length that stands for an undefined length.
const UNDEFINED: u32 = u32::MAX;

/// VRs whose length has 32 bits, after two reserved bytes.
const LONG_VRS: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];

/// VRs whose length has 16 bits.
const SHORT_VRS: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
];

/// The encoding of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) is_implicit: bool,
    pub(super) is_big_endian: bool,
}

/// The form of the file meta group, and of data sets without another agreement.
pub(super) const EXPLICIT: Form = Form { is_implicit: false, is_big_endian: false };
pub(super) const IMPLICIT: Form = Form { is_implicit: true, is_big_endian: false };

impl Form {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u16_bytes(self, number: u16) -> [u8; 2] {
        if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub(super) fn u32_bytes(self, number: u32) -> [u8; 4] {
        if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Reads the tag at the offset `at`, or `None` at the end of the file.
    pub(super) fn read_tag(self, file: &[u8], at: usize) -> Option<Tag> {
        let &[a, b, c, d] = slice(file, at, 4)? else { return None };
        Some(Tag(self.u16([a, b]), self.u16([c, d])))
    }
}

/// The header of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tag: Tag,
    /// The VR, or `None` in implicit VR.
    pub(super) vr: Option<[u8; 2]>,
    /// Offset of the value.
    pub(super) value: usize,
    /// Length of the value, or `None` if it is undefined.
    pub(super) length: Option<u32>,
}

impl Header {
    /// Returns the offset after the value, or the offset of the value if the length is undefined.
    pub(super) fn end(&self) -> usize {
        self.value.saturating_add(self.length.unwrap_or(0) as usize)
    }

    /// Reads the header at the offset `at`. Returns `None` if the file ends inside the header.
    pub(super) fn read(file: &[u8], at: usize, form: Form) -> Result<Option<Self>, String> {
        let Some(tag) = form.read_tag(file, at) else { return Ok(None) };
        let Some(&[a, b, c, d]) = slice(file, at + 4, 4) else { return Ok(None) };
        let header = |vr, value, length: u32| {
            let length = Some(length).filter(|&length| length != UNDEFINED);
            Some(Self { tag, vr, value, length })
        };
        let vr = [a, b];
        let implicit = header(None, at + 8, form.u32([a, b, c, d]));
        if form.is_implicit || tag.0 == ITEM.0 {
            return Ok(implicit);
        }
        let short = header(Some(vr), at + 8, form.u16([c, d]).into());
        let long = slice(file, at + 8, 4)
            .and_then(|four| header(Some(vr), at + 12, form.u32(four.try_into().ok()?)));
        if LONG_VRS.contains(&&vr) {
            return Ok(long);
        }
        if SHORT_VRS.contains(&&vr) {
            return Ok(short);
        }
        // An unknown VR has a length of 16 or 32 bits, or the element has no VR. In the right
        // reading, the next element follows the value.
        let long = long.filter(|_| [c, d] == [0, 0]);
        let mut readings = [short, long, implicit].into_iter().flatten();
        let fits = |reading: &Self| reading.length.is_some() && follows(file, reading, form);
        readings
            .find(fits)
            .map(Some)
            .ok_or_else(|| format!("element {tag} has the unknown VR \"{}\"", vr.escape_ascii()))
    }
}

/// Returns whether an element with a larger tag, or the end of the file, follows the element.
fn follows(file: &[u8], header: &Header, form: Form) -> bool {
    let end = header.end();
    end == file.len() || form.read_tag(file, end).is_some_and(|next| next > header.tag)
}

/// Returns whether the length of an element with this VR has 32 bits.
pub(super) fn is_long_vr(vr: [u8; 2]) -> bool {
    LONG_VRS.contains(&&vr)
}

/// Returns whether the VR of the element at the offset `at` is a known one.
pub(super) fn has_vr(file: &[u8], at: usize) -> bool {
    slice(file, at + 4, 2)
        .is_some_and(|vr| SHORT_VRS.iter().chain(&LONG_VRS).any(|known| *known == vr))
}

/// Determines the form of a data set from its first element, because some writers declare another
/// form. `declared` decides only the byte order of a group that reads the same in both.
pub(super) fn detect_form(file: &[u8], at: usize, declared: Form) -> Form {
    let group = |is_big_endian| {
        let form = Form { is_implicit: false, is_big_endian };
        form.read_tag(file, at).map_or(u16::MAX, |tag| tag.0)
    };
    let is_big_endian = match (group(false), group(true)) {
        (little, big) if little < big => false,
        (little, big) if little > big => true,
        _ => declared.is_big_endian,
    };
    Form { is_implicit: !has_vr(file, at), is_big_endian }
}

/// Returns whether a data set without a preamble can begin at the offset `at`: with an element of
/// the file meta group or of the group that identifies the image.
pub(super) fn begins_data_set(file: &[u8], at: usize) -> bool {
    let form = detect_form(file, at, EXPLICIT);
    let header = Header::read(file, at, form).ok().flatten();
    header.is_some_and(|header| {
        matches!(header.tag.0, 2 | 8)
            && header.tag.1 < 0x2000
            && header.length.is_some_and(|length| length % 2 == 0)
            && header.end() <= file.len()
            && form.read_tag(file, header.end()).is_some_and(|next| next > header.tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], form: Form) -> Result<Option<Header>, String> {
        Header::read(bytes, 0, form)
    }

    #[test]
    fn lengths_have_16_or_32_bits() {
        let short =
            read(&[8, 0, 0x60, 0, b'C', b'S', 2, 0, b'U', b'S'], EXPLICIT).unwrap().unwrap();
        assert_eq!((short.tag, short.value, short.length), (Tag(8, 0x60), 8, Some(2)));
        let long = [0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0, 0xff, 0xff, 0xff, 0xff];
        let long = read(&long, EXPLICIT).unwrap().unwrap();
        assert_eq!((long.value, long.length), (12, None));
        let implicit = read(&[8, 0, 0x60, 0, 2, 0, 0, 0, b'U', b'S'], IMPLICIT).unwrap().unwrap();
        assert_eq!((implicit.vr, implicit.length), (None, Some(2)));
    }

    #[test]
    fn an_unknown_vr_is_read_if_the_next_element_follows() {
        let next = [0x28, 0, 2, 0, b'U', b'S', 2, 0, 1, 0];
        let short = [&[9, 0, 1, 0x10, b'?', b'?', 2, 0, 1, 2][..], &next].concat();
        assert_eq!(read(&short, EXPLICIT).unwrap().unwrap().end(), 10);
        let long = [&[9, 0, 1, 0x10, b'?', b'?', 0, 0, 2, 0, 0, 0, 1, 2][..], &next].concat();
        assert_eq!(read(&long, EXPLICIT).unwrap().unwrap().end(), 14);
        let neither = [9, 0, 1, 0x10, b'?', b'?', 9, 9, 9, 9, 9, 9, 9, 9];
        assert!(read(&neither, EXPLICIT).unwrap_err().contains("unknown VR \"??\""));
    }

    #[test]
    fn the_first_element_shows_the_form() {
        let big = [0, 8, 0, 0x60, b'C', b'S', 0, 2, b'U', b'S'];
        let form = detect_form(&big, 0, EXPLICIT);
        assert!(form.is_big_endian && !form.is_implicit);
        assert_eq!(detect_form(&[8, 0, 0x60, 0, 2, 0, 0, 0, b'U', b'S'], 0, EXPLICIT), IMPLICIT);
    }
}
