//! Animated WebP files (RFC 9649).
//!
//! The crate decodes the image of each frame. The frames are painted here, because the crate rounds
//! pixels that it blends.

use super::bytes::slice;
use super::canvas::{Canvas, Part};
use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::{Facts, check_sides};
use super::frame_limit::max_frame_bytes;
use super::timing::{FrameRate, choose_timing};
use image_webp::WebPDecoder;
use std::io::Cursor;
use std::ops::Range;
use tteview::frame::PixelFormat;

/// Offset of the first chunk in a file.
const FIRST_CHUNK: usize = 12;
/// Size in bytes of the description of a frame, which precedes its image.
const FRAME_HEADER: usize = 16;
/// Bits of a frame's flags: the frame replaces what is below, and it is removed afterwards.
const REPLACES: u8 = 2;
const IS_REMOVED: u8 = 1;

/// Opens an animated file.
pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let mut size = None;
    let mut frames = Vec::new();
    let mut is_cut = false;
    let mut at = FIRST_CHUNK;
    while let Some((kind, body)) = read_chunk(&file, at) {
        at = body.start.saturating_add(body.len().next_multiple_of(2));
        let content = file.get(body.start..body.end.min(file.len())).unwrap_or_default();
        match &kind {
            b"VP8X" => {
                let sides = (read_u24(content, 4), read_u24(content, 7));
                size = sides.0.zip(sides.1).map(|(width, height)| [width + 1, height + 1]);
            }
            b"ANMF" => {
                is_cut = body.end > file.len();
                frames.extend(Frame::read(content, body.start));
            }
            _ => {}
        }
    }
    let size = size.filter(|_| !frames.is_empty());
    let size =
        size.ok_or("a single WebP image is not a cine; convert the frames to PNG in one folder")?;
    check_sides(size)?;
    // A frame's duration is the time until the next frame.
    let durations = frames.iter().map(|frame| frame.duration_ns);
    let steps_ns = std::iter::once(0.0).chain(durations).collect();
    let rate = FrameRate { source: "frame durations", steps_ns };
    let (timing, mut warnings) = choose_timing(frames.len(), &[rate]);
    if is_cut {
        warnings.push("the WebP file is truncated inside its last frame".into());
    }
    let facts = Facts::new("animated WebP", PixelFormat::Rgb24, size, timing)?;
    let decoder = WebpDecoder {
        file,
        frames: frames.into_iter(),
        size: size.map(|side| side as usize),
        canvas: None,
        removed: None,
    };
    Ok(CineSource { facts: facts.with_warnings(warnings), decoder: Box::new(decoder) })
}

/// Reads the name of a chunk and the byte range of its content, which can end after the file.
fn read_chunk(file: &[u8], at: usize) -> Option<([u8; 4], Range<usize>)> {
    let &[a, b, c, d, s0, s1, s2, s3] = slice(file, at, 8)? else { return None };
    let bytes = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    Some(([a, b, c, d], at + 8..(at + 8).saturating_add(bytes)))
}

fn read_u24(bytes: &[u8], at: usize) -> Option<u32> {
    let &[low, middle, high] = slice(bytes, at, 3)? else { return None };
    Some(u32::from_le_bytes([low, middle, high, 0]))
}

/// A frame of the animation.
struct Frame {
    part: Part,
    duration_ns: f64,
    flags: u8,
    /// Byte range of the chunks of the image in the file.
    image: Range<usize>,
}

impl Frame {
    /// Reads a frame. `start` is the offset of `content` in the file.
    fn read(content: &[u8], start: usize) -> Option<Self> {
        let [left, top, width, height, duration] =
            [0, 3, 6, 9, 12].map(|at| read_u24(content, at).map(|number| number as usize));
        let part = Part { left: 2 * left?, top: 2 * top?, width: width? + 1, height: height? + 1 };
        Some(Self {
            part,
            duration_ns: duration? as f64 * 1e6,
            flags: *content.get(FRAME_HEADER - 1)?,
            image: start + FRAME_HEADER..start + content.len(),
        })
    }
}

struct WebpDecoder {
    file: Vec<u8>,
    frames: std::vec::IntoIter<Frame>,
    size: [usize; 2],
    /// The canvas, which exists after the first frame.
    canvas: Option<Canvas>,
    /// Part that must be made transparent before the next frame is painted.
    removed: Option<Part>,
}

impl Decoder for WebpDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let frame = self.frames.next().ok_or("the file has no more frames")?;
        let canvas = self.canvas.get_or_insert_with(|| Canvas::new(self.size));
        if let Some(part) = self.removed.take() {
            canvas.clear(part);
        }
        let image = self.file.get(frame.image).unwrap_or_default();
        let pixels = decode_image(image, frame.part, max_frame_bytes(self.file.len() as u64))?;
        canvas.paint(frame.part, &pixels, frame.flags & REPLACES == 0);
        self.removed = Some(frame.part).filter(|_| frame.flags & IS_REMOVED != 0);
        Ok(canvas.to_rgb().into())
    }
}

/// Decodes the image of a frame to RGBA pixels.
fn decode_image(chunks: &[u8], part: Part, max_bytes: u64) -> Result<Vec<u8>, String> {
    let describe = |error: image_webp::DecodingError| format!("WebP: {error}");
    let file = write_file(chunks, part);
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(describe)?;
    decoder.set_memory_limit(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    if [width as usize, height as usize] != [part.width, part.height] {
        return Err("the image of a WebP frame has another size than the frame".into());
    }
    let bytes = decoder.output_buffer_size().filter(|&bytes| bytes as u64 <= max_bytes);
    let mut pixels = vec![0; bytes.ok_or("the WebP frame is too large for its file")?];
    decoder.read_image(&mut pixels).map_err(describe)?;
    if decoder.has_alpha() {
        return Ok(pixels);
    }
    let colours = pixels.as_chunks().0.iter();
    Ok(colours.flat_map(|&[red, green, blue]| [red, green, blue, u8::MAX]).collect())
}

/// Writes a file with one image from the chunks of a frame.
fn write_file(chunks: &[u8], part: Part) -> Vec<u8> {
    let mut extended = Vec::new();
    if chunks.starts_with(b"ALPH") {
        let has_alpha = 0x10;
        extended.extend(b"VP8X");
        extended.extend(10u32.to_le_bytes());
        extended.extend([has_alpha, 0, 0, 0]);
        for side in [part.width, part.height] {
            extended.extend(&(side as u32 - 1).to_le_bytes()[..3]);
        }
    }
    let bytes = (b"WEBP".len() + extended.len() + chunks.len()) as u32;
    [&b"RIFF"[..], &bytes.to_le_bytes(), b"WEBP", &extended, chunks].concat()
}
