//! DICOM multi-frame images.
//!
//! The data set is read element by element, and only the attributes that are needed are kept. A
//! reader that kept the whole data set would recurse as deeply, and allocate as much memory, as a
//! hostile file demanded. For the same reason, the code that decodes the pixels works frame by
//! frame and checks every length. Part 5 of the DICOM standard (PS3.5) defines the encodings, and
//! part 3 (PS3.3) defines the attributes.
//!
//! | module | contents |
//! | --- | --- |
//! | `element`, `data_set`, `value` | the headers of elements, the walk over a data set, and values |
//! | `syntax` | the transfer syntaxes |
//! | `image` | a file whose attributes have been read |
//! | `multi_frame` | a file with several frames |
//! | `attributes` | the attributes that are kept |
//! | `regions` | ultrasound regions |
//! | `frames`, `fragments` | the location of each frame in the file |
//! | `decoder`, `rle` | the decoder of a frame, and of RLE |
//! | `layout`, `palette` | the conversion of stored samples to grey or RGB |
//! | `directory` | the files that a DICOMDIR lists |
//! | `edit` | adds elements to a file |
//! | `series` | a folder of files with one frame each |

mod attributes;
mod data_set;
mod decoder;
mod directory;
pub(crate) mod edit;
mod element;
mod fragments;
mod frames;
mod image;
mod layout;
mod multi_frame;
mod palette;
mod regions;
mod rle;
mod series;
mod syntax;
mod value;

pub(super) use directory::{is_directory, list_files};
pub(super) use image::count_frames;
pub(super) use multi_frame::open;
pub(super) use series::open_series;

/// Returns whether the file begins like a DICOM file, with or without a preamble.
pub(crate) fn is_dicom(file: &[u8]) -> bool {
    let start = data_set::find_start(file);
    start > 0 || element::begins_data_set(file, start)
}
