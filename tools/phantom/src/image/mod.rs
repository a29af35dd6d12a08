//! The image: the scan plane, the imaging conditions, and the steps from echoes to a frame.

pub(crate) mod colour_doppler;
pub(crate) mod conditions;
pub(crate) mod organic;
pub(crate) mod other;
pub(crate) mod other_content;
pub(crate) mod overlay;
pub(crate) mod plane;
pub(crate) mod polar;
pub(crate) mod scan_conversion;
pub(crate) mod scanner;
pub(crate) mod speckle;
pub(crate) mod trace;
pub(crate) mod view;
