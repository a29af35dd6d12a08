//! The contents of cines labelled `OTHER` from the organic scanners.

pub(crate) mod kind;
pub(crate) mod m_mode;
pub(crate) mod pattern;
pub(crate) mod planes;
pub(crate) mod rendering;
pub(crate) mod report;
pub(crate) mod section;
pub(crate) mod spectrum;
pub(crate) mod strip;
