//! AVI files: Motion JPEG and uncompressed frames of the first video stream.
//!
//! Microsoft's "AVI RIFF File Reference" defines the chunks. If a file has several RIFF chunks
//! (OpenDML), all of them are read.

use super::bytes::slice;
use super::decoder::{CineSource, Decoder};
use super::facts::Facts;
use super::jpeg::{self, UnmarkedColours};
use super::timing::{Timing, round_step_ns};
use std::ops::Range;
use tteview::frame::PixelFormat;

/// A RIFF chunk: its name, and the byte range of its body in the file.
type Chunk = ([u8; 4], Range<usize>);

pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let content = read_content(&file)?;
    let stream = content.stream.ok_or("the AVI file has no video stream")?;
    let frames = content.frames;
    let first =
        frames.iter().find(|frame| !frame.is_empty()).ok_or("the AVI file has no frames")?;
    let codec = stream.choose_codec(&file[first.clone()])?;
    let timing = match round_step_ns(stream.period_ns) {
        Some(period) => Timing::regular(frames.len(), period, Some("AVI stream rate")),
        None => Timing::assume(frames.len()),
    };
    let facts = Facts::new(format!("AVI, {}", codec.name()), codec.format(), stream.size, timing)?;
    let decoder = AviDecoder { file, frames: frames.into_iter(), stream, codec, last: None };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// The parts of a file that the decoder uses.
#[derive(Default)]
struct Content {
    stream: Option<Stream>,
    frames: Vec<Range<usize>>,
    /// Number of streams read so far, which is the number of the next stream. The name of a frame's
    /// chunk contains the number of the stream.
    streams: usize,
}

/// The video stream.
struct Stream {
    number: usize,
    period_ns: f64,
    size: [u32; 2],
    /// Whether the first row in the file is the bottom row of the image.
    is_bottom_up: bool,
    bits: u16,
    compression: [u8; 4],
    /// RGB colours by palette index.
    palette: Vec<[u8; 3]>,
}

fn read_content(file: &[u8]) -> Result<Content, String> {
    let mut content = Content::default();
    for (name, part) in find_chunks(file, 0..file.len())? {
        if &name == b"RIFF" {
            for (name, list) in find_chunks(file, list_body(&part))? {
                match (&name, slice(file, list.start, 4)) {
                    (b"LIST", Some(b"hdrl")) => read_header(file, list_body(&list), &mut content)?,
                    (b"LIST", Some(b"movi")) => find_frames(file, list_body(&list), &mut content)?,
                    _ => {}
                }
            }
        }
    }
    Ok(content)
}

/// Returns the consecutive chunks in the byte range `within`.
fn find_chunks(file: &[u8], within: Range<usize>) -> Result<Vec<Chunk>, String> {
    let mut chunks = Vec::new();
    let mut at = within.start;
    while let Some(&[a, b, c, d, s0, s1, s2, s3]) =
        slice(file, at, 8).filter(|_| at + 8 <= within.end)
    {
        let name = [a, b, c, d];
        let body = at + 8..at + 8 + u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if body.end > within.end {
            let (name, bytes, left) = (name.escape_ascii(), body.len(), within.end - body.start);
            return Err(format!(
                "the AVI file is truncated: chunk \"{name}\" has {bytes} bytes, but only {left} follow"
            ));
        }
        at = body.end + body.len() % 2;
        chunks.push((name, body));
    }
    Ok(chunks)
}

/// Returns the byte range of the chunks inside a RIFF or LIST chunk. The range begins after the
/// four-byte type.
fn list_body(list: &Range<usize>) -> Range<usize> {
    (list.start + 4).min(list.end)..list.end
}

fn read_header(file: &[u8], within: Range<usize>, content: &mut Content) -> Result<(), String> {
    for (name, list) in find_chunks(file, within)? {
        if &name != b"LIST" || slice(file, list.start, 4) != Some(b"strl") {
            continue;
        }
        let number = content.streams;
        content.streams += 1;
        let parts = find_chunks(file, list_body(&list))?;
        let part = |wanted: &[u8; 4]| {
            parts
                .iter()
                .find(|(name, _)| name == wanted)
                .map_or(&[][..], |(_, body)| &file[body.clone()])
        };
        if content.stream.is_none() && part(b"strh").starts_with(b"vids") {
            content.stream = Some(Stream::read(number, part(b"strh"), part(b"strf"))?);
        }
    }
    Ok(())
}

fn find_frames(file: &[u8], within: Range<usize>, content: &mut Content) -> Result<(), String> {
    let Some(stream) = &content.stream else {
        return Err("the AVI file has frames before its header".into());
    };
    let prefix = format!("{:02}", stream.number);
    let mut frames = Vec::new();
    let mut add_frame = |(name, body): Chunk| {
        if name.starts_with(prefix.as_bytes()) && matches!(&name[2..], b"dc" | b"db") {
            frames.push(body);
        }
    };
    for (name, body) in find_chunks(file, within)? {
        if &name == b"LIST" {
            find_chunks(file, list_body(&body))?.into_iter().for_each(&mut add_frame);
        } else {
            add_frame((name, body));
        }
    }
    content.frames.append(&mut frames);
    Ok(())
}

impl Stream {
    /// Reads `strh` (AVISTREAMHEADER) and `strf` (BITMAPINFOHEADER).
    fn read(number: usize, header: &[u8], format: &[u8]) -> Result<Self, String> {
        let long = |bytes: &[u8], at: usize| -> Result<u32, String> {
            let field = slice(bytes, at, 4).and_then(|field| field.try_into().ok());
            field
                .map(u32::from_le_bytes)
                .ok_or_else(|| "the AVI stream header is truncated".to_owned())
        };
        let (scale, rate) = (long(header, 20)?, long(header, 24)?);
        let height = long(format, 8)?.cast_signed();
        let planes_bits = long(format, 12)?;
        let entries = match long(format, 32)? {
            0 => 256,
            used => used.min(256),
        };
        let palette = format.get(long(format, 0)? as usize..).unwrap_or_default();
        Ok(Self {
            number,
            period_ns: f64::from(scale) / f64::from(rate) * 1e9,
            size: [long(format, 4)?, height.unsigned_abs()],
            is_bottom_up: height > 0,
            bits: (planes_bits >> 16) as u16,
            compression: long(format, 16)?.to_le_bytes(),
            palette: palette
                .chunks_exact(4)
                .take(entries as usize)
                .map(|bgr| [bgr[2], bgr[1], bgr[0]])
                .collect(),
        })
    }

    /// Chooses the codec of the stream. `first` is the first frame that is not empty.
    fn choose_codec(&self, first: &[u8]) -> Result<Codec, String> {
        match (&self.compression.map(|byte| byte.to_ascii_uppercase()), self.bits) {
            (b"MJPG", _) if jpeg::read_component_count(first)? == 1 => {
                Ok(Codec::MotionJpeg(PixelFormat::Gray8))
            }
            (b"MJPG", _) => Ok(Codec::MotionJpeg(PixelFormat::Rgb24)),
            (b"\0\0\0\0", 8) if self.palette.iter().all(|[r, g, b]| r == g && g == b) => {
                Ok(Codec::GreyIndexed)
            }
            (b"\0\0\0\0", 8) => Ok(Codec::Indexed),
            (b"\0\0\0\0", 24) => Ok(Codec::Bgr(3)),
            (b"\0\0\0\0", 32) => Ok(Codec::Bgr(4)),
            (b"Y800" | b"Y8  " | b"GREY", _) => Ok(Codec::Grey),
            (compression, bits) => Err(format!(
                "AVI compression \"{}\" with {bits} bits is not supported; \
                 convert the file to Motion JPEG or uncompressed frames",
                compression.escape_ascii()
            )),
        }
    }
}

enum Codec {
    MotionJpeg(PixelFormat),
    Grey,
    GreyIndexed,
    Indexed,
    /// The components blue, green and red, with this number of bytes per pixel.
    Bgr(usize),
}

impl Codec {
    fn name(&self) -> &'static str {
        if matches!(self, Self::MotionJpeg(_)) { "Motion JPEG" } else { "uncompressed" }
    }

    fn format(&self) -> PixelFormat {
        match self {
            Self::MotionJpeg(format) => *format,
            Self::Grey | Self::GreyIndexed => PixelFormat::Gray8,
            Self::Indexed | Self::Bgr(_) => PixelFormat::Rgb24,
        }
    }
}

struct AviDecoder {
    file: Vec<u8>,
    frames: std::vec::IntoIter<Range<usize>>,
    stream: Stream,
    codec: Codec,
    /// The last frame that was not empty. An empty frame repeats this frame.
    last: Option<Range<usize>>,
}

impl Decoder for AviDecoder {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let frame = self.frames.next().ok_or("the file has no more frames")?;
        if !frame.is_empty() {
            self.last = Some(frame);
        }
        let data = self.last.clone().ok_or("the first frame is empty")?;
        let data = self.file.get(data).ok_or("the frame lies outside the file")?;
        match self.codec {
            Codec::MotionJpeg(_) => {
                Ok(jpeg::decode(data, self.stream.size, UnmarkedColours::YCbCr)?.samples)
            }
            Codec::Grey => {
                self.convert_rows(data, 1, false, |pixel, out| out.extend_from_slice(pixel))
            }
            Codec::GreyIndexed => {
                self.convert_rows(data, 1, true, |pixel, out| out.push(self.colour(pixel[0])[0]))
            }
            Codec::Indexed => self.convert_rows(data, 1, true, |pixel, out| {
                out.extend_from_slice(&self.colour(pixel[0]))
            }),
            Codec::Bgr(bytes) => self.convert_rows(data, bytes, true, |pixel, out| {
                out.extend([pixel[2], pixel[1], pixel[0]])
            }),
        }
    }
}

impl AviDecoder {
    /// Returns an entry of the palette. An index outside the palette is used as a grey value.
    fn colour(&self, index: u8) -> [u8; 3] {
        self.stream.palette.get(usize::from(index)).copied().unwrap_or([index; 3])
    }

    /// Converts the pixels, beginning with the top row of the image. `bytes` is the number of bytes
    /// per pixel. In the file, the rows of a bitmap may be in reverse order, and they are padded to
    /// multiples of four bytes.
    fn convert_rows(
        &self,
        data: &[u8],
        bytes: usize,
        is_bitmap: bool,
        convert_pixel: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<Vec<u8>, String> {
        let [width, height] = self.stream.size.map(|side| side as usize);
        let row = width * bytes;
        let padded = row.next_multiple_of(4);
        let stride = if is_bitmap || data.len() >= padded * height { padded } else { row };
        if data.len() < stride * height.saturating_sub(1) + row {
            return Err(format!(
                "the frame must have {} bytes, got {}",
                stride * height,
                data.len()
            ));
        }
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            let y = if is_bitmap && self.stream.is_bottom_up { height - 1 - y } else { y };
            let row = &data[y * stride..][..row];
            row.chunks_exact(bytes).for_each(|pixel| convert_pixel(pixel, &mut pixels));
        }
        Ok(pixels)
    }
}
