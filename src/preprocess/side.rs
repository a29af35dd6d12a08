//! A side of a resized image.

/// One side of a resized image: the length to which the side of the region is resized, and the
/// pixels of the result that are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) full_px: usize,
    pub(super) first_px: usize,
    pub(super) len_px: usize,
}

impl Side {
    /// Returns the side of a resized image that is computed as a whole.
    #[cfg(test)]
    pub(super) fn whole(len_px: usize) -> Self {
        Self { full_px: len_px, first_px: 0, len_px }
    }
}
