//! Animated GIF files.

use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::frame_limit::max_frame_bytes;
use super::timing::{FrameRate, choose_timing};
use gif::{ColorOutput, DecodeOptions, DisposalMethod, MemoryLimit};
use std::io::Cursor;
use std::num::NonZeroU64;
use tteview::frame::{FRAME_SIDE_PX, PixelFormat};

type Reader = gif::Decoder<Cursor<Vec<u8>>>;

/// Size in bytes of an RGBA frame with the maximum width and height.
const MAX_RGBA_BYTES: u64 = 4 * (*FRAME_SIDE_PX.end() as u64).pow(2);

pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let mut reader = create_reader(file, true)?;
    let mut steps_ns = Vec::new();
    // A frame's delay is the time until the next frame, so the step to a frame is the delay of the
    // previous one.
    let mut delay = 0;
    let mut warnings = Vec::new();
    loop {
        match reader.next_frame_info() {
            Ok(Some(frame)) => {
                steps_ns.push(f64::from(delay) * 1e7);
                delay = frame.delay;
            }
            Ok(None) => break,
            Err(error) if steps_ns.is_empty() => return Err(describe(error)),
            Err(error) => {
                let frames = steps_ns.len();
                warnings.push(format!("the GIF file is damaged after {frames} frames: {error}"));
                break;
            }
        }
    }
    let (width, height) = (reader.width(), reader.height());
    let file = reader.into_inner().into_inner().into_inner();
    let frames = steps_ns.len();
    let rate = FrameRate { source: "frame delays", steps_ns };
    let (timing, more) = choose_timing(frames, std::slice::from_ref(&rate));
    let facts = Facts::new("GIF", PixelFormat::Rgb24, [width.into(), height.into()], timing)?
        .with_warnings(warnings.into_iter().chain(more));
    let decoder = GifDecoder {
        reader: create_reader(file, false)?,
        size: [width.into(), height.into()],
        canvas: Vec::new(),
        disposal: None,
    };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// Creates a reader. If `skip_pixels` is set, the reader does not decode the pixels of the frames.
fn create_reader(file: Vec<u8>, skip_pixels: bool) -> Result<Reader, String> {
    let mut options = DecodeOptions::new();
    // A part of the image may be larger than the image itself, so the size of the parts is limited,
    // too. A pixel has four bytes in the decoder and three bytes in a frame.
    let max_bytes = MAX_RGBA_BYTES.min(max_frame_bytes(file.len() as u64) / 3 * 4);
    options.set_color_output(ColorOutput::RGBA);
    options.skip_frame_decoding(skip_pixels);
    if let Some(bytes) = NonZeroU64::new(max_bytes) {
        options.set_memory_limit(MemoryLimit::Bytes(bytes));
    }
    options.read_info(Cursor::new(file)).map_err(describe)
}

fn describe(error: gif::DecodingError) -> String {
    format!("GIF: {error}")
}

struct GifDecoder {
    reader: Reader,
    size: [usize; 2],
    /// RGB pixels of the whole image. A GIF frame paints a part of the image.
    canvas: Vec<u8>,
    /// Change that must be made to the canvas before the next frame is painted.
    disposal: Option<Disposal>,
}

enum Disposal {
    /// Paint this rectangle black: left, top, width, height.
    Clear([usize; 4]),
    /// Restore this canvas.
    Restore(Vec<u8>),
}

impl Decoder for GifDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let [width, height] = self.size;
        self.canvas.resize(3 * width * height, 0);
        match self.disposal.take() {
            Some(Disposal::Restore(canvas)) => self.canvas = canvas,
            Some(Disposal::Clear([left, top, w, h])) => {
                for y in top..(top + h).min(height) {
                    let row = &mut self.canvas[3 * y * width..][..3 * width];
                    row[3 * left.min(width)..3 * (left + w).min(width)].fill(0);
                }
            }
            None => {}
        }
        let frame = self.reader.read_next_frame().map_err(describe)?;
        let frame = frame.ok_or("the file has no more frames")?;
        let [left, top, w, h] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
        self.disposal = match frame.dispose {
            DisposalMethod::Background => Some(Disposal::Clear([left, top, w, h])),
            DisposalMethod::Previous => Some(Disposal::Restore(self.canvas.clone())),
            DisposalMethod::Any | DisposalMethod::Keep => None,
        };
        let visible = w.min(width.saturating_sub(left));
        for (y, pixels) in frame.buffer.chunks_exact(4 * w.max(1)).enumerate().take(h) {
            if top + y >= height {
                break;
            }
            let row = &mut self.canvas[3 * ((top + y) * width + left.min(width))..][..3 * visible];
            for (to, from) in row.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
                if from[3] != 0 {
                    to.copy_from_slice(&from[..3]);
                }
            }
        }
        Ok(self.canvas.clone().into())
    }
}
