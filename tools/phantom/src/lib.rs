//! Synthetic transthoracic echo cines of every view from one beating-heart model.
//!
//! [`render`] makes one cine, [`write_set`] a labelled set on disk. The same seed gives the same bytes.
//! See `docs/phantom.md` for what is modelled and what is not.

#![forbid(unsafe_code)]

mod heart;
mod image;
mod output;
mod rng;
mod view;

pub use heart::Heart;
pub use image::{Cine, Settings, render};
pub use output::{write_contact_sheet, write_dicom, write_png, write_set};
pub use view::View;
