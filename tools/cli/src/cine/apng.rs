//! Animated PNG files.

use super::canvas::{Canvas, Part};
use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::timing::{FrameRate, choose_timing};
use png::{BlendOp, ColorType, DisposeOp, FrameControl, Limits, Transformations};
use std::io::Cursor;
use tteview::frame::PixelFormat;

type Reader = png::Reader<Cursor<Vec<u8>>>;

/// Maximum number of bytes of auxiliary chunks that the decoder keeps.
const MAX_CHUNK_BYTES: usize = 32 << 20;

/// Name of the chunk that an animated file has before its first image.
const ANIMATION: &[u8] = b"acTL";

/// Returns whether a file is an animated one.
pub(super) fn is_animated(file: &[u8]) -> bool {
    let image = file.windows(4).position(|name| name == b"IDAT").unwrap_or(file.len());
    file[..image].windows(ANIMATION.len()).any(|name| name == ANIMATION)
}

/// Opens an animated file.
pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    // The first pass reads the delays. The decoder checks each chunk.
    let mut reader = create_reader(file.clone())?;
    let animation = reader.info().animation_control().copied();
    let animation = animation.ok_or("the PNG file has no animation")?;
    let (width, height) = reader.info().size();
    let mut delays = Vec::new();
    let mut is_cut = false;
    if reader.info().frame_control().is_none() {
        // The first image is not a part of the animation.
        reader.next_frame_info().map_err(describe)?;
    }
    while let Some(frame) = reader.info().frame_control().copied() {
        let unit = if frame.delay_den == 0 { 100.0 } else { f64::from(frame.delay_den) };
        delays.push(f64::from(frame.delay_num) / unit * 1e9);
        if delays.len() >= animation.num_frames as usize {
            break;
        }
        if reader.next_frame_info().is_err() {
            is_cut = true;
            break;
        }
    }
    // A frame's delay is the time until the next frame.
    let steps_ns = std::iter::once(0.0).chain(delays.iter().copied()).collect();
    let rate = FrameRate { source: "frame delays", steps_ns };
    let (timing, mut warnings) = choose_timing(delays.len(), &[rate]);
    if is_cut {
        let (found, declared) = (delays.len(), animation.num_frames);
        warnings.push(format!("the file is truncated: it has {found} of {declared} frames"));
    }
    let facts = Facts::new("animated PNG", PixelFormat::Rgb24, [width, height], timing)?
        .with_warnings(warnings);
    let decoder = ApngDecoder {
        reader: create_reader(file)?,
        size: [width, height].map(|side| side as usize),
        canvas: None,
        disposal: None,
    };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

fn create_reader(file: Vec<u8>) -> Result<Reader, String> {
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MAX_CHUNK_BYTES });
    decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
    decoder.read_info().map_err(describe)
}

fn describe(error: png::DecodingError) -> String {
    format!("PNG: {error}")
}

struct ApngDecoder {
    reader: Reader,
    size: [usize; 2],
    /// The canvas, which exists after the first frame.
    canvas: Option<Canvas>,
    /// Change that must be made to the canvas before the next frame is painted.
    disposal: Option<Disposal>,
}

enum Disposal {
    Clear(Part),
    Restore(Vec<u8>),
}

impl Decoder for ApngDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        if self.canvas.is_none() && self.reader.info().frame_control().is_none() {
            // The first image is not a part of the animation.
            self.reader.next_frame_info().map_err(describe)?;
        }
        let canvas = self.canvas.get_or_insert_with(|| Canvas::new(self.size));
        match self.disposal.take() {
            Some(Disposal::Clear(part)) => canvas.clear(part),
            Some(Disposal::Restore(pixels)) => canvas.restore(pixels),
            None => {}
        }
        let bytes = self.reader.output_buffer_size().ok_or("the PNG frame is too large")?;
        let mut pixels = vec![0; bytes];
        let info = self.reader.next_frame(&mut pixels).map_err(describe)?;
        let control = self.reader.info().frame_control().copied();
        let control = control.ok_or("the PNG file has no more frames")?;
        let part = find_part(&control);
        self.disposal = match control.dispose_op {
            DisposeOp::Previous => Some(Disposal::Restore(canvas.save())),
            DisposeOp::Background => Some(Disposal::Clear(part)),
            DisposeOp::None => None,
        };
        pixels.truncate(info.buffer_size());
        let pixels = match info.color_type {
            ColorType::Rgba => pixels,
            ColorType::GrayscaleAlpha => {
                let pairs = pixels.as_chunks().0.iter();
                pairs.flat_map(|&[grey, opacity]| [grey, grey, grey, opacity]).collect()
            }
            other => return Err(format!("PNG frames of type {other:?} are not supported")),
        };
        canvas.paint(part, &pixels, control.blend_op == BlendOp::Over);
        Ok(canvas.to_rgb().into())
    }
}

fn find_part(control: &FrameControl) -> Part {
    let [left, top, width, height] =
        [control.x_offset, control.y_offset, control.width, control.height]
            .map(|side| side as usize);
    Part { left, top, width, height }
}
