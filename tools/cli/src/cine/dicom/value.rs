//! The value of an element.

/// The value of an element in the byte order of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_big_endian: bool,
}

impl<'a> Value<'a> {
    /// Returns the text without padding, up to the first byte that is not ASCII. The attributes
    /// that are read as text contain only ASCII characters.
    pub(super) fn text(self) -> &'a str {
        let end = self.bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(self.bytes.len());
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default().trim_matches([' ', '\0'])
    }

    pub(super) fn u16s(self) -> Vec<u16> {
        let number = if self.is_big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        self.bytes.chunks_exact(2).map(|pair| number([pair[0], pair[1]])).collect()
    }

    pub(super) fn u16(self) -> Option<u16> {
        self.u16s().first().copied()
    }

    pub(super) fn u32(self) -> Option<u32> {
        let number = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        self.bytes.first_chunk().copied().map(number)
    }

    pub(super) fn u64s(self) -> Vec<u64> {
        let number = if self.is_big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        self.bytes.as_chunks().0.iter().copied().map(number).collect()
    }

    pub(super) fn f64(self) -> Option<f64> {
        let number = if self.is_big_endian { f64::from_be_bytes } else { f64::from_le_bytes };
        self.bytes.first_chunk().copied().map(number)
    }
}
