//! The meaning of the samples of an image.

/// The colour space of an image that has no sign of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cine) enum UnmarkedColours {
    YCbCr,
    Rgb,
}

/// The meaning of the samples of a decoded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cine) enum SampleColours {
    Rgb,
    YCbCr,
    /// The image does not say what its samples mean, so its container does. This is always the case
    /// for an image with one component.
    Stored,
}
