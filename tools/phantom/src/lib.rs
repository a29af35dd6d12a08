//! Synthetic transthoracic echo cines of every view, rendered from one model of the beating heart.
//!
//! [`render`] renders one cine and [`Set::write`] writes a labelled set to disk. Equal views, seeds
//! and settings give equal bytes. docs/model/phantom.md describes what the model contains and what
//! it leaves out.

#![forbid(unsafe_code)]

mod anatomy_map;
mod body;
mod cine;
mod files;
mod image;
mod render;
mod render_organic;
mod rng;
mod vector;

pub use anatomy_map::map_anatomy;
pub use body::heart::Heart;
pub use body::rhythm::RhythmKind;
pub use body::structure::Structure;
pub use cine::{Cine, Settings};
pub use files::contact_sheet::write_contact_sheet;
pub use files::dicom::write_dicom;
pub use files::png::write_png;
pub use files::set::{CineFiles, Set};
pub use image::conditions::ImagingConditions;
pub use image::other::kind::OtherKind;
pub use image::scanner::Scanner;
pub use image::view::View;
pub use render::render;
