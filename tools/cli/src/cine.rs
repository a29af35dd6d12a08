//! Reads cines from files, and from folders of frames.
//!
//! [`Cine::open`] reads the facts about a cine. Iterating over the cine decodes one frame at a
//! time, so the decoded frames of a long cine are never all in memory. Files may be hostile, so
//! every size in a file is checked before memory is allocated. The size of a frame is checked
//! against the size of the file, because a small file can claim large frames.
//!
//! | module | contents |
//! | --- | --- |
//! | `formats` | the format of a file |
//! | `facts`, `timing` | the facts about the frames of a cine, and the frame times |
//! | `decoder` | the interface of the readers |
//! | `description` | the facts as JSON and as one line of text |
//! | `dicom` | DICOM, and series of DICOM images in a folder |
//! | `avi`, `video` | AVI; MP4, QuickTime, Matroska and H.264 |
//! | `gif`, `apng`, `webp` | animated images |
//! | `folder`, `image_folder` | a folder, and its PNG or JPEG frames |
//! | `discovery` | finds the cines in a folder |
//! | `jpeg`, `jpeg_frames`, `jpeg2000` | one image, and Motion JPEG |
//! | `ybr`, `alpha`, `canvas` | conversions of colours, and the frames of animated images |
//! | `bytes`, `inflate` | slices of a file, and deflate streams |
//! | `advice` | advice in messages |
//! | `frame_limit` | the limit for the size of decoded frames |

mod advice;
mod alpha;
mod apng;
mod avi;
mod bytes;
mod canvas;
mod decoder;
mod description;
pub(crate) mod dicom;
pub(crate) mod discovery;
mod error;
mod facts;
mod folder;
mod formats;
mod frame_limit;
mod gif;
mod image_folder;
mod inflate;
mod jpeg;
mod jpeg2000;
mod jpeg_frames;
mod timing;
mod video;
mod webp;
mod ybr;

pub use error::CineError;
pub use facts::{Facts, ImageRegion};
pub use timing::{DOUBTFUL, Timing};

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

/// A cine. Iterating over it decodes its frames in order. A frame that cannot be decoded is left
/// out: the iterator removes its time from the facts and adds a warning at the end. If no frame can
/// be decoded, the iterator returns the error of the first one.
pub struct Cine {
    /// The facts about the frames, as the file specifies them. They are complete when the iterator
    /// has ended.
    pub facts: Facts,
    path: PathBuf,
    decoder: Box<dyn Decoder>,
    /// Number of frames returned.
    next: usize,
    damage: Damage,
}

/// The damaged frames of a cine.
#[derive(Default)]
struct Damage {
    /// The index and the error of the first frame that was left out.
    first: Option<(usize, String)>,
    left_out: usize,
    /// The index of the first frame whose end is missing.
    first_cut: Option<usize>,
    cut: usize,
    is_reported: bool,
}

impl Cine {
    /// Opens a cine file, or a folder of frames. The format of a file is determined from its
    /// content, not from its name.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, has an unknown format or is inconsistent.
    pub fn open(path: &Path) -> Result<Self, CineError> {
        Self::from_source(path, open_source(path))
    }

    /// Opens a single PNG or JPEG file as a cine of one frame.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not an image.
    pub fn open_still(path: &Path) -> Result<Self, CineError> {
        let source = image_folder::open(vec![path.to_path_buf()]);
        Self::from_source(path, source.and_then(|(source, bytes)| check_frame_size(source, bytes)))
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
            Ok(CineSource { facts, decoder }) => Ok(Self::new(path, facts, decoder)),
            Err(cause) => Err(CineError { path, frame: None, cause }),
        }
    }

    /// Creates a cine from decoded frames in memory. `frames` must contain one frame for each time
    /// in `facts`, in the pixel format of `facts` and with packed rows.
    #[must_use]
    pub fn from_frames(name: &Path, facts: Facts, frames: Vec<Vec<u8>>) -> Self {
        Self::new(name.to_path_buf(), facts, Box::new(frames.into_iter()))
    }

    fn new(path: PathBuf, facts: Facts, decoder: Box<dyn Decoder>) -> Self {
        Self { facts, path, decoder, next: 0, damage: Damage::default() }
    }

    /// Returns the path of the cine.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the warnings about damaged frames, once.
    fn report_damage(&mut self) {
        if std::mem::replace(&mut self.damage.is_reported, true) {
            return;
        }
        let frames = self.next + self.damage.left_out;
        if let Some((index, cause)) = &self.damage.first {
            self.facts.warnings.push(format!(
                "{} of {frames} frames are damaged and left out; frame {index}: {cause}",
                self.damage.left_out
            ));
        }
        if let Some(index) = self.damage.first_cut {
            self.facts.warnings.push(format!(
                "{} of {frames} frames have no end and may be incomplete; the first one is frame \
                 {index}",
                self.damage.cut
            ));
        }
    }
}

impl Iterator for Cine {
    type Item = Result<Frame, CineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.facts.geometry().frame_bytes();
        loop {
            let Some(&time_ns) = self.facts.timing.times_ns.get(self.next) else {
                self.report_damage();
                return None;
            };
            // The index in the file, which counts the frames that were left out.
            let index = self.next + self.damage.left_out;
            let decoded =
                self.decoder.next_frame().and_then(|decoded| match decoded.pixels.len() {
                    length if length == bytes => Ok(decoded),
                    length => {
                        Err(format!("the decoded frame must have {bytes} bytes, got {length}"))
                    }
                });
            match decoded {
                Ok(decoded) => {
                    self.next += 1;
                    if decoded.is_cut {
                        self.damage.cut += 1;
                        self.damage.first_cut.get_or_insert(index);
                    }
                    return Some(Ok(Frame { pixels: decoded.pixels, time_ns }));
                }
                Err(cause) if self.facts.frame_count() == 1 && self.next == 0 => {
                    // No other frame is left, and none was decoded.
                    self.next = 1;
                    self.damage.is_reported = true;
                    let (frame, cause) = self.damage.first.take().unwrap_or((index, cause));
                    let path = self.path.clone();
                    return Some(Err(CineError { path, frame: Some(frame), cause }));
                }
                Err(cause) => {
                    self.facts.leave_out(self.next);
                    self.damage.left_out += 1;
                    self.damage.first.get_or_insert((index, cause));
                }
            }
        }
    }
}

fn open_source(path: &Path) -> Result<CineSource, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        let (source, bytes) = folder::open(path)?;
        return check_frame_size(source, bytes);
    }
    open_bytes(regular_file::read(path, MAX_FILE_BYTES).map_err(|error| error.to_string())?)
}

fn open_bytes(file: Vec<u8>) -> Result<CineSource, String> {
    let bytes = file.len() as u64;
    check_frame_size(formats::open(file)?, bytes)
}
