//! AVI: Motion JPEG and uncompressed frames of the first video stream.
//!
//! Chunk layout as in Microsoft's "AVI RIFF File Reference"; files of several RIFF parts (OpenDML) are read through.

use super::jpeg::{self, Unmarked};
use super::timing::{Timing, step_ns};
use super::{Decoder, Facts, Opened, slice};
use std::ops::Range;
use tteview::frame::PixelFormat;

/// A RIFF chunk: its name and where its body is.
type Chunk = ([u8; 4], Range<usize>);

pub(super) fn open(file: Vec<u8>) -> Result<Opened, String> {
    let content = scan(&file)?;
    let stream = content.stream.ok_or("AVI without a video stream")?;
    let frames = content.frames;
    let first = frames.iter().find(|frame| !frame.is_empty()).ok_or("AVI without frames")?;
    let codec = stream.codec(&file[first.clone()])?;
    let timing = match step_ns(stream.period_ns) {
        Some(period) => Timing::regular(frames.len(), period, Some("AVI stream rate")),
        None => Timing::assumed(frames.len()),
    };
    let [width_px, height_px] = stream.size;
    let facts = Facts {
        source: format!("AVI, {}", codec.name()),
        format: codec.format(),
        width_px,
        height_px,
        timing,
        region: None,
    };
    let frames = Frames { file, frames: frames.into_iter(), stream, codec, last: None };
    Ok((facts, Box::new(frames)))
}

/// What is used of a file.
#[derive(Default)]
struct Content {
    stream: Option<Stream>,
    frames: Vec<Range<usize>>,
    /// Streams seen so far: frames are named by the number of their stream.
    streams: usize,
}

/// The video stream.
struct Stream {
    number: usize,
    period_ns: f64,
    size: [u32; 2],
    /// The first row in memory is the bottom of the picture.
    bottom_up: bool,
    bits: u16,
    compression: [u8; 4],
    /// RGB by index.
    palette: Vec<[u8; 3]>,
}

fn scan(file: &[u8]) -> Result<Content, String> {
    let mut content = Content::default();
    for (name, part) in chunks(file, 0..file.len())? {
        if &name == b"RIFF" {
            for (name, list) in chunks(file, after_type(&part))? {
                match (&name, slice(file, list.start, 4)) {
                    (b"LIST", Some(b"hdrl")) => header(file, after_type(&list), &mut content)?,
                    (b"LIST", Some(b"movi")) => movie(file, after_type(&list), &mut content)?,
                    _ => {}
                }
            }
        }
    }
    Ok(content)
}

/// The chunks side by side in `within`.
fn chunks(file: &[u8], within: Range<usize>) -> Result<Vec<Chunk>, String> {
    let mut found = Vec::new();
    let mut at = within.start;
    while let Some(&[a, b, c, d, s0, s1, s2, s3]) = slice(file, at, 8).filter(|_| at + 8 <= within.end) {
        let name = [a, b, c, d];
        let body = at + 8..at + 8 + u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if body.end > within.end {
            let (name, bytes, left) = (name.escape_ascii(), body.len(), within.end - body.start);
            return Err(format!("AVI truncated: chunk {name} of {bytes} bytes, {left} are there"));
        }
        at = body.end + body.len() % 2;
        found.push((name, body));
    }
    Ok(found)
}

/// The chunks of a RIFF or LIST lie after its type.
fn after_type(list: &Range<usize>) -> Range<usize> {
    (list.start + 4).min(list.end)..list.end
}

fn header(file: &[u8], within: Range<usize>, content: &mut Content) -> Result<(), String> {
    for (name, list) in chunks(file, within)? {
        if &name != b"LIST" || slice(file, list.start, 4) != Some(b"strl") {
            continue;
        }
        let number = content.streams;
        content.streams += 1;
        let parts = chunks(file, after_type(&list))?;
        let part = |wanted: &[u8; 4]| {
            parts.iter().find(|(name, _)| name == wanted).map_or(&[][..], |(_, body)| &file[body.clone()])
        };
        if content.stream.is_none() && part(b"strh").starts_with(b"vids") {
            content.stream = Some(Stream::read(number, part(b"strh"), part(b"strf"))?);
        }
    }
    Ok(())
}

fn movie(file: &[u8], within: Range<usize>, content: &mut Content) -> Result<(), String> {
    let Some(stream) = &content.stream else { return Err("AVI with frames before its header".into()) };
    let prefix = format!("{:02}", stream.number);
    let mut frames = Vec::new();
    let mut take = |(name, body): Chunk| {
        if name.starts_with(prefix.as_bytes()) && matches!(&name[2..], b"dc" | b"db") {
            frames.push(body);
        }
    };
    for (name, body) in chunks(file, within)? {
        if &name == b"LIST" {
            chunks(file, after_type(&body))?.into_iter().for_each(&mut take);
        } else {
            take((name, body));
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
            field.map(u32::from_le_bytes).ok_or_else(|| "AVI stream header truncated".to_owned())
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
            bottom_up: height > 0,
            bits: (planes_bits >> 16) as u16,
            compression: long(format, 16)?.to_le_bytes(),
            palette: palette
                .chunks_exact(4)
                .take(entries as usize)
                .map(|bgr| [bgr[2], bgr[1], bgr[0]])
                .collect(),
        })
    }

    fn codec(&self, first: &[u8]) -> Result<Codec, String> {
        match (&self.compression.map(|byte| byte.to_ascii_uppercase()), self.bits) {
            (b"MJPG", _) if jpeg::components(first)? == 1 => Ok(Codec::MotionJpeg(PixelFormat::Gray8)),
            (b"MJPG", _) => Ok(Codec::MotionJpeg(PixelFormat::Rgb24)),
            (b"\0\0\0\0", 8) if self.palette.iter().all(|[r, g, b]| r == g && g == b) => {
                Ok(Codec::GreyIndexed)
            }
            (b"\0\0\0\0", 8) => Ok(Codec::Indexed),
            (b"\0\0\0\0", 24) => Ok(Codec::Bgr(3)),
            (b"\0\0\0\0", 32) => Ok(Codec::Bgr(4)),
            (b"Y800" | b"Y8  " | b"GREY", _) => Ok(Codec::Grey),
            (compression, bits) => {
                let name = compression.escape_ascii();
                Err(format!(
                    "AVI compression {name} with {bits} bits is not supported; Motion JPEG and uncompressed are"
                ))
            }
        }
    }
}

enum Codec {
    MotionJpeg(PixelFormat),
    Grey,
    GreyIndexed,
    Indexed,
    /// Blue, green, red in that many bytes.
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

struct Frames {
    file: Vec<u8>,
    frames: std::vec::IntoIter<Range<usize>>,
    stream: Stream,
    codec: Codec,
    /// The last frame that was not empty: an empty one repeats it.
    last: Option<Range<usize>>,
}

impl Decoder for Frames {
    fn next_frame(&mut self) -> Result<Vec<u8>, String> {
        let frame = self.frames.next().ok_or("no frame")?;
        if !frame.is_empty() {
            self.last = Some(frame);
        }
        let data = self.last.clone().ok_or("the first frame is empty")?;
        let data = self.file.get(data).ok_or("no frame")?;
        match self.codec {
            Codec::MotionJpeg(_) => Ok(jpeg::decode(data, self.stream.size, Unmarked::YCbCr)?.samples),
            Codec::Grey => self.rows(data, 1, false, |pixel, out| out.extend_from_slice(pixel)),
            Codec::GreyIndexed => self.rows(data, 1, true, |pixel, out| out.push(self.colour(pixel[0])[0])),
            Codec::Indexed => {
                self.rows(data, 1, true, |pixel, out| out.extend_from_slice(&self.colour(pixel[0])))
            }
            Codec::Bgr(bytes) => {
                self.rows(data, bytes, true, |pixel, out| out.extend([pixel[2], pixel[1], pixel[0]]))
            }
        }
    }
}

impl Frames {
    /// Palette entry; an index outside it, or a file without a palette, is the grey of that number.
    fn colour(&self, index: u8) -> [u8; 3] {
        self.stream.palette.get(usize::from(index)).copied().unwrap_or([index; 3])
    }

    /// Rows of `bytes` a pixel from the top. Those of a bitmap may be upside down and fill multiples of four bytes.
    fn rows(
        &self,
        data: &[u8],
        bytes: usize,
        bitmap: bool,
        pixel: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<Vec<u8>, String> {
        let [width, height] = self.stream.size.map(|side| side as usize);
        let row = width * bytes;
        let stride = if bitmap || data.len() >= row.next_multiple_of(4) * height {
            row.next_multiple_of(4)
        } else {
            row
        };
        if data.len() < stride * height.saturating_sub(1) + row {
            return Err(format!("{} bytes, a frame has {}", data.len(), stride * height));
        }
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            let y = if bitmap && self.stream.bottom_up { height - 1 - y } else { y };
            data[y * stride..][..row].chunks_exact(bytes).for_each(|one| pixel(one, &mut pixels));
        }
        Ok(pixels)
    }
}
