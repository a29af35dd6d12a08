//! The image of an organic heart: the look of the scanners `wild` and `unlike`.

pub(crate) mod display;
pub(crate) mod grey_curve;
pub(crate) mod haze;
pub(crate) mod levels;
pub(crate) mod look;
pub(crate) mod marks;
pub(crate) mod probe;
pub(crate) mod scan;
pub(crate) mod screen;
pub(crate) mod texture;
