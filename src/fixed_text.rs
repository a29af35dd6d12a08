//! Text in a buffer of fixed size, for code that must not allocate.

use std::fmt;

/// Text of at most `N` bytes.
pub(crate) struct FixedText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> FixedText<N> {
    /// Creates an empty text.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Removes the text.
    #[cfg(feature = "capi")]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Replaces the end of the text with `end`, so that the text fits into the buffer.
    #[cfg(feature = "capi")]
    pub(crate) fn end_with(&mut self, end: &str) {
        let text = self.as_str();
        let mut len = text.len().min(N.saturating_sub(end.len()));
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.len = len;
        // This cannot fail, because there is room for `end`.
        let _ = fmt::Write::write_str(self, end);
    }

    /// Returns the text. If the buffer does not contain valid UTF-8, returns the valid beginning.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }

    /// Fills the buffer with the bytes that `read` returns, until `read` returns 0 or the buffer is
    /// full.
    pub(crate) fn fill_from(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<()> {
        self.len = 0;
        loop {
            match read(self.bytes.get_mut(self.len..).unwrap_or_default())? {
                0 => return Ok(()),
                count => self.len = (self.len + count).min(N),
            }
        }
    }
}

impl<const N: usize> fmt::Write for FixedText<N> {
    /// Appends a string. If the buffer is too small, appends as many whole characters as fit and
    /// returns an error.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = N - self.len;
        let mut len = text.len().min(room);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        let target = self.bytes.get_mut(self.len..self.len + len).unwrap_or_default();
        target.copy_from_slice(text.as_bytes().get(..len).unwrap_or_default());
        self.len += len;
        if len == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn text_that_does_not_fit_ends_after_a_whole_character() {
        let mut text = FixedText::<5>::new();
        write!(text, "abc").unwrap();
        assert_eq!(text.as_str(), "abc");
        assert!(write!(text, "d\u{e9}").is_err());
        assert_eq!(text.as_str(), "abcd");
    }

    #[test]
    fn bytes_are_read_until_the_buffer_is_full() {
        let mut text = FixedText::<4>::new();
        let mut parts = [&b"ab"[..], b"cd"].into_iter();
        text.fill_from(|to| {
            let part = parts.next().unwrap_or_default();
            let count = part.len().min(to.len());
            to[..count].copy_from_slice(&part[..count]);
            Ok(count)
        })
        .unwrap();
        assert_eq!(text.as_str(), "abcd");
    }
}
