//! Reads cines from files: DICOM multi-frame, AVI, GIF and folders of PNG frames.
//!
//! [`Cine::open`] reads the facts about a cine. Iterating over the cine decodes one frame at a
//! time, so the decoded frames of a long cine are never all in memory. Files may be hostile, so
//! every size in a file is checked before memory is allocated. The size of a frame is checked
//! against the size of the file, because a small file can claim large frames.
//!
//! | module | contents |
//! | --- | --- |
//! | `facts`, `timing` | the facts about the frames of a cine, and the frame times |
//! | `decoder` | the interface of the readers |
//! | `description` | the facts as JSON and as one line of text |
//! | `dicom` | DICOM: uncompressed, JPEG baseline and lossless, RLE; ultrasound regions |
//! | `avi` | AVI: Motion JPEG and uncompressed |
//! | `gif`, `png_folder` | animated GIF, and a folder of PNG frames |
//! | `jpeg` | one JPEG image, for DICOM and AVI |
//! | `bytes` | slices of a file |
//! | `frame_limit` | the limit for the size of decoded frames |

mod avi;
mod bytes;
mod decoder;
mod description;
mod dicom;
mod error;
mod facts;
mod frame_limit;
mod gif;
mod jpeg;
mod png_folder;
mod timing;

pub use error::CineError;
pub use facts::{Facts, ImageRegion};
pub use timing::Timing;

use decoder::{CineSource, Decoder};
use frame_limit::check_frame_size;
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Maximum size of a file in bytes. Cines from scanners rarely exceed a few hundred megabytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// One decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in the format of [`Facts::geometry`], with packed rows.
    pub pixels: Vec<u8>,
    /// Time since the first frame.
    pub time_ns: i64,
}

/// A cine. Iterating over it decodes its frames in order. The iterator ends after an error.
pub struct Cine {
    /// The facts about the frames, as the file specifies them.
    pub facts: Facts,
    path: PathBuf,
    decoder: Box<dyn Decoder>,
    next: usize,
}

impl Cine {
    /// Opens a cine file, or a folder of PNG frames. The format of a file is determined from its
    /// content, not from its name.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, has an unknown format or is inconsistent.
    pub fn open(path: &Path) -> Result<Self, CineError> {
        Self::from_source(path, open_source(path))
    }

    /// Opens a cine file whose content is in memory. `name` is its path in errors.
    ///
    /// # Errors
    /// Returns an error if the file has an unknown format or is inconsistent.
    pub fn from_bytes(name: &Path, file: Vec<u8>) -> Result<Self, CineError> {
        Self::from_source(name, open_bytes(file))
    }

    fn from_source(path: &Path, source: Result<CineSource, String>) -> Result<Self, CineError> {
        let path = path.to_path_buf();
        match source {
            Ok(CineSource { facts, decoder }) => Ok(Self { facts, path, decoder, next: 0 }),
            Err(cause) => Err(CineError { path, frame: None, cause }),
        }
    }

    /// Creates a cine from decoded frames in memory. `frames` must contain one frame for each time
    /// in `facts`, in the pixel format of `facts` and with packed rows.
    #[must_use]
    pub fn from_frames(name: &Path, facts: Facts, frames: Vec<Vec<u8>>) -> Self {
        Self { facts, path: name.to_path_buf(), decoder: Box::new(frames.into_iter()), next: 0 }
    }
}

impl Iterator for Cine {
    type Item = Result<Frame, CineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let time_ns = *self.facts.timing.times_ns.get(index)?;
        self.next += 1;
        let bytes = self.facts.geometry().frame_bytes();
        let pixels = self.decoder.next_frame().and_then(|pixels| match pixels.len() {
            length if length == bytes => Ok(pixels),
            length => Err(format!("the decoded frame must have {bytes} bytes, got {length}")),
        });
        Some(pixels.map(|pixels| Frame { pixels, time_ns }).map_err(|cause| {
            self.next = self.facts.frame_count();
            CineError { path: self.path.clone(), frame: Some(index), cause }
        }))
    }
}

fn open_source(path: &Path) -> Result<CineSource, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        let (source, bytes) = png_folder::open(path)?;
        return check_frame_size(source, bytes);
    }
    open_bytes(regular_file::read(path, MAX_FILE_BYTES).map_err(|error| error.to_string())?)
}

fn open_bytes(file: Vec<u8>) -> Result<CineSource, String> {
    let bytes = file.len() as u64;
    check_frame_size(open_file(file)?, bytes)
}

fn open_file(file: Vec<u8>) -> Result<CineSource, String> {
    match &file[..] {
        [b'G', b'I', b'F', b'8', ..] => gif::open(file),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => avi::open(file),
        [0x89, b'P', b'N', b'G', ..] => {
            Err("a single PNG file is not a cine; name the folder that contains the frames".into())
        }
        _ if file.get(128..132) == Some(b"DICM") => dicom::open(file),
        [] => Err("the file is empty".into()),
        _ => Err("the file is not DICOM, AVI or GIF".into()),
    }
}
