//! Cines from files: DICOM multi-frame, AVI, GIF, folders of PNG.
//!
//! [`Cine::open`] reads what a file says of itself; the frames follow one by one, so that a long cine never lies in
//! memory decoded. Files may be hostile: every size is checked against what is really there before memory is taken.
//!
//! | module | what |
//! | --- | --- |
//! | `dicom` | DICOM: uncompressed, JPEG baseline and lossless, RLE; grey, RGB, YBR, palette; ultrasound regions |
//! | `avi` | AVI: Motion JPEG and uncompressed |
//! | `gif`, `png_folder` | animated GIF; a folder of PNG frames |
//! | `jpeg` | one JPEG image, for DICOM and AVI |
//! | `timing` | when the frames were taken |

mod avi;
mod dicom;
mod gif;
mod jpeg;
mod png_folder;
mod timing;

pub use timing::Timing;

use std::fmt;
use std::path::{Path, PathBuf};
use tteview::frame::{FRAME_SIDE_PX, Geometry, PixelFormat, Region};

/// Largest file that is read; a cine of a scanner has a few hundred megabytes at most.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// What a cine says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Container and compression, as `DICOM, JPEG Baseline (Process 1)`.
    pub source: String,
    /// `Gray8` or `Rgb24`, the same in all frames.
    pub format: PixelFormat,
    /// Width of a frame.
    pub width_px: u32,
    /// Height of a frame.
    pub height_px: u32,
    /// Times of the frames, one each.
    pub timing: Timing,
    /// Where the image is, if the file says so believably; without burned-in text around it.
    pub region: Option<ImageRegion>,
}

/// The part of the frame that holds the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageRegion {
    /// In pixels, inside the frame.
    pub region: Region,
    /// Width and height of a pixel in micrometres, where the file gives them as lengths.
    pub um_per_px: Option<[f64; 2]>,
}

impl Facts {
    /// Number of frames, at least 1.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.timing.times_ns.len()
    }

    /// Geometry of the frames: the region of the file, or the whole frame.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        let mut geometry = Geometry::whole(self.format, self.width_px, self.height_px);
        if let Some(image) = self.region {
            geometry.region = image.region;
            if let Some([width, height]) = image.um_per_px {
                geometry.pixel_aspect = (height / width) as f32;
            }
        }
        geometry
    }
}

/// One frame, rows packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in the format of [`Facts::format`].
    pub pixels: Vec<u8>,
    /// Time since the first frame.
    pub time_ns: i64,
}

/// Decodes the frames of one file in order.
trait Decoder {
    /// The next frame. Called once for each frame of the facts.
    fn next_frame(&mut self) -> Result<Vec<u8>, String>;
}

/// What a format's reader finds.
type Opened = (Facts, Box<dyn Decoder>);

/// A cine whose frames are decoded one after the other by iterating. After an error there are no more frames.
pub struct Cine {
    /// What the file says of itself.
    pub facts: Facts,
    path: PathBuf,
    decoder: Box<dyn Decoder>,
    next: usize,
}

/// Why a cine cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CineError {
    /// The file or folder.
    pub path: PathBuf,
    /// The frame, counted from 0, if one is at fault.
    pub frame: Option<usize>,
    /// The cause in words.
    pub cause: String,
}

impl fmt::Display for CineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(frame) = self.frame {
            write!(f, "frame {frame}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for CineError {}

impl Cine {
    /// Opens a file by its content, or a folder of PNG frames.
    ///
    /// # Errors
    /// A file that cannot be read, is of no known kind, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, CineError> {
        let fail = |cause: String| CineError { path: path.to_path_buf(), frame: None, cause };
        let (facts, decoder) = open(path).and_then(check).map_err(fail)?;
        Ok(Self { facts, path: path.to_path_buf(), decoder, next: 0 })
    }
}

impl Cine {
    /// A cine that is in memory already: frames in the format of `facts`, rows packed, one for each time.
    #[must_use]
    pub fn of_frames(name: &Path, facts: Facts, frames: Vec<Vec<u8>>) -> Self {
        Self { facts, path: name.to_path_buf(), decoder: Box::new(frames.into_iter()), next: 0 }
    }
}

impl Decoder for std::vec::IntoIter<Vec<u8>> {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        self.next().ok_or_else(|| "fewer frames than times".into())
    }
}

impl Iterator for Cine {
    type Item = Result<Frame, CineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let time_ns = *self.facts.timing.times_ns.get(index)?;
        self.next += 1;
        let bytes = self.facts.format.frame_bytes(self.facts.width_px, self.facts.height_px);
        let pixels = self.decoder.next_frame().and_then(|pixels| match pixels.len() {
            length if length == bytes => Ok(pixels),
            length => Err(format!("decodes to {length} bytes, a frame has {bytes}")),
        });
        Some(pixels.map(|pixels| Frame { pixels, time_ns }).map_err(|cause| {
            self.next = self.facts.frames();
            CineError { path: self.path.clone(), frame: Some(index), cause }
        }))
    }
}

fn open(path: &Path) -> Result<Opened, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return png_folder::open(path);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(format!("has {} bytes, {MAX_FILE_BYTES} are read at most", metadata.len()));
    }
    let file = std::fs::read(path).map_err(|error| error.to_string())?;
    match &file[..] {
        [b'G', b'I', b'F', b'8', ..] => gif::open(file),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => avi::open(file),
        [0x89, b'P', b'N', b'G', ..] => Err("a single PNG is no cine; name the folder of its frames".into()),
        _ if file.get(128..132) == Some(b"DICM") => dicom::open(file),
        [] => Err("empty file".into()),
        _ => Err("neither DICOM, AVI nor GIF".into()),
    }
}

/// What holds for every format.
fn check((facts, decoder): Opened) -> Result<Opened, String> {
    let (width, height) = (facts.width_px, facts.height_px);
    if facts.frames() == 0 {
        return Err("no frames".into());
    }
    if !FRAME_SIDE_PX.contains(&width) || !FRAME_SIDE_PX.contains(&height) {
        let (least, most) = (FRAME_SIDE_PX.start(), FRAME_SIDE_PX.end());
        return Err(format!("frames of {width} x {height} pixels, {least} to {most} a side are possible"));
    }
    Ok((facts, decoder))
}

/// `N bytes` of the file from `start`, which may lie beyond it.
fn slice(file: &[u8], start: usize, bytes: usize) -> Option<&[u8]> {
    file.get(start..)?.get(..bytes)
}
