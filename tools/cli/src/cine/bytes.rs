//! Slices of a file. The file may be shorter than its headers claim.

/// Returns `length` bytes of `file` from the offset `start`, or `None` if they are not all inside
/// `file`.
pub(super) fn slice(file: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    file.get(start..)?.get(..length)
}
