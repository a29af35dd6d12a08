//! Output of cines to files: PNG, DICOM, contact sheets and labelled sets.

pub(crate) mod contact_sheet;
pub(crate) mod dicom;
pub(crate) mod png;
pub(crate) mod set;
pub(crate) mod whole;
