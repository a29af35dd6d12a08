//! Synthetic transthoracic echo cines of every view from one beating-heart model.
//!
//! [`render`] makes one cine, [`Set::write`] a labelled set on disk. The same seed gives the same bytes.
//! See `docs/phantom.md` for what is modelled and what is not.

#![forbid(unsafe_code)]

mod anatomy;
mod doppler;
mod heart;
mod image;
mod look;
mod other;
mod output;
mod overlay;
mod rhythm;
mod rng;
mod screen;
mod view;

pub use anatomy::{Structure, anatomy};
pub use heart::Heart;
pub use image::{Cine, Settings, render};
pub use look::{Look, Scanner};
pub use output::{Set, write_contact_sheet, write_dicom, write_png};
pub use rhythm::RhythmKind;
pub use view::View;
