//! Animated GIF.

use super::timing::{Timing, step_ns};
use super::{Decoder, Facts, Opened};
use gif::{ColorOutput, DecodeOptions, DisposalMethod, MemoryLimit};
use std::io::Cursor;
use std::num::NonZeroU64;
use tteview::frame::{FRAME_SIDE_PX, PixelFormat};

type Reader = gif::Decoder<Cursor<Vec<u8>>>;

/// Bytes of one RGBA frame of the largest size.
const MAX_FRAME_BYTES: u64 = 4 * (*FRAME_SIDE_PX.end() as u64).pow(2);

pub(super) fn open(file: Vec<u8>) -> Result<Opened, String> {
    let mut counting = reader(file, true)?;
    let mut steps_ns = Vec::new();
    // The delay of a frame is the time until the one after it.
    let mut delay = 0;
    let mut timed = true;
    while let Some(frame) = counting.next_frame_info().map_err(text)? {
        timed &= steps_ns.is_empty() || step_ns(f64::from(delay) * 1e7).is_some();
        steps_ns.push(i64::from(delay) * 10_000_000);
        delay = frame.delay;
    }
    let (width, height) = (counting.width(), counting.height());
    let file = counting.into_inner().into_inner().into_inner();
    let timing = match timed && steps_ns.len() > 1 {
        true => Timing::from_steps(&steps_ns, "frame delays"),
        false => Timing::assumed(steps_ns.len()),
    };
    let facts = Facts {
        source: "GIF".into(),
        format: PixelFormat::Rgb24,
        width_px: width.into(),
        height_px: height.into(),
        timing,
        region: None,
    };
    let size = [usize::from(width), usize::from(height)];
    let frames = Frames { reader: reader(file, false)?, size, canvas: Vec::new(), restore: None };
    Ok((facts, Box::new(frames)))
}

fn reader(file: Vec<u8>, counting: bool) -> Result<Reader, String> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.skip_frame_decoding(counting);
    if let Some(bytes) = NonZeroU64::new(MAX_FRAME_BYTES) {
        options.set_memory_limit(MemoryLimit::Bytes(bytes));
    }
    options.read_info(Cursor::new(file)).map_err(text)
}

fn text(error: gif::DecodingError) -> String {
    format!("GIF: {error}")
}

struct Frames {
    reader: Reader,
    size: [usize; 2],
    /// RGB of the whole picture; GIF frames paint parts of it.
    canvas: Vec<u8>,
    /// What to do with the canvas before the next frame.
    restore: Option<Restore>,
}

enum Restore {
    /// Black where the frame was: left, top, width, height.
    Clear([usize; 4]),
    Canvas(Vec<u8>),
}

impl Decoder for Frames {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let [width, height] = self.size;
        self.canvas.resize(3 * width * height, 0);
        match self.restore.take() {
            Some(Restore::Canvas(canvas)) => self.canvas = canvas,
            Some(Restore::Clear([left, top, w, h])) => {
                for y in top..(top + h).min(height) {
                    let row = &mut self.canvas[3 * y * width..][..3 * width];
                    row[3 * left.min(width)..3 * (left + w).min(width)].fill(0);
                }
            }
            None => {}
        }
        let frame = self.reader.read_next_frame().map_err(text)?.ok_or("GIF: fewer frames than counted")?;
        let [left, top, w, h] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
        self.restore = match frame.dispose {
            DisposalMethod::Background => Some(Restore::Clear([left, top, w, h])),
            DisposalMethod::Previous => Some(Restore::Canvas(self.canvas.clone())),
            DisposalMethod::Any | DisposalMethod::Keep => None,
        };
        let visible = w.min(width.saturating_sub(left));
        for (y, painted) in frame.buffer.chunks_exact(4 * w.max(1)).enumerate().take(h) {
            if top + y >= height {
                break;
            }
            let row = &mut self.canvas[3 * ((top + y) * width + left.min(width))..][..3 * visible];
            for (to, from) in row.chunks_exact_mut(3).zip(painted.chunks_exact(4)) {
                if from[3] != 0 {
                    to.copy_from_slice(&from[..3]);
                }
            }
        }
        Ok(self.canvas.clone())
    }
}
