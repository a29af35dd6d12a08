//! AVI files: Motion JPEG and uncompressed frames of the first video stream.
//!
//! Microsoft's "AVI RIFF File Reference" defines the chunks. If a file has several RIFF chunks
//! (OpenDML), all of them are read.
//!
//! | module | contents |
//! | --- | --- |
//! | `chunks` | the walk over the chunks of a file |
//! | `pixels` | uncompressed pixels |

mod chunks;
mod pixels;

use super::bytes::slice;
use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::jpeg;
use super::jpeg_frames;
use super::timing::{FrameRate, choose_timing};
use super::video::CONVERT;
use chunks::Content;
use pixels::{Arrangement, Bitmap};
use std::ops::Range;
use tteview::frame::PixelFormat;

/// Number of columns or rows by which a Motion JPEG image may be larger than the frame, because
/// encoders code whole blocks.
const MAX_BLOCK_REST: u32 = 15;

pub(super) fn open(file: Vec<u8>) -> Result<CineSource, String> {
    let content = Content::read(&file)?;
    let stream = content.stream.ok_or("the AVI file has no video stream")?;
    let frames = content.frames;
    let first =
        frames.iter().find(|frame| !frame.is_empty()).ok_or("the AVI file has no frames")?;
    let codec = stream.choose_codec(&file, first, &frames)?;
    let rate = |source, step_ns| FrameRate { source, steps_ns: vec![step_ns] };
    let rates = [
        rate("AVI stream rate", stream.period_ns),
        rate("AVI frame period", content.header_period_ns),
    ];
    let (timing, mut warnings) = choose_timing(frames.len(), &rates);
    let declared = stream.declared_frames as usize;
    if content.is_cut || frames.len() < declared {
        let found = frames.len();
        warnings.push(match declared > found {
            true => format!("the AVI file is truncated: it has {found} of {declared} frames"),
            false => "the AVI file is truncated inside or after its last frame".into(),
        });
    }
    let facts =
        Facts::new(format!("AVI, {}", codec.name()), codec.format(), stream.bitmap.size, timing)?
            .with_warnings(warnings);
    let frames = frames.into_iter();
    let decoder = AviDecoder { file, frames, bitmap: stream.bitmap, codec, last: None };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
}

/// The video stream.
struct Stream {
    number: usize,
    period_ns: f64,
    /// Number of frames according to the header of the stream, or 0.
    declared_frames: u32,
    bits: u16,
    compression: [u8; 4],
    bitmap: Bitmap,
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
        let palette = palette.chunks_exact(4).take(entries as usize);
        Ok(Self {
            number,
            period_ns: f64::from(scale) / f64::from(rate) * 1e9,
            declared_frames: long(header, 32).unwrap_or(0),
            bits: (planes_bits >> 16) as u16,
            compression: long(format, 16)?.to_le_bytes(),
            bitmap: Bitmap {
                size: [long(format, 4)?, height.unsigned_abs()],
                is_bottom_up: height > 0,
                palette: palette.map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect(),
            },
        })
    }

    /// Chooses the codec of the stream. `first` is the first frame that is not empty.
    fn choose_codec(
        &self,
        file: &[u8],
        first: &Range<usize>,
        frames: &[Range<usize>],
    ) -> Result<Codec, String> {
        let bitmap = |arrangement| Ok(Codec::Uncompressed(arrangement));
        match (&self.compression.map(|byte| byte.to_ascii_uppercase()), self.bits) {
            // Names of Motion JPEG in the files of capture cards and cameras.
            (
                b"MJPG" | b"AVRN" | b"AVDJ" | b"ADVJ" | b"JPEG" | b"DMB1" | b"MJPA" | b"IJPG"
                | b"JPGL" | b"SLMJ" | b"CJPG" | b"QIVG",
                _,
            ) => {
                let data = |frame: &Range<usize>| file.get(frame.clone()).unwrap_or_default();
                let mut images = frames.iter().map(data);
                let image = images.find(|image| jpeg::read_size(image).is_ok());
                Ok(Codec::MotionJpeg(jpeg_frames::choose_format(image.unwrap_or(data(first)))?))
            }
            (b"\0\0\0\0" | b"DIB " | b"RAW " | b"RGB ", bits) if matches!(bits, 8 | 24 | 32) => {
                bitmap(match bits {
                    8 if self.bitmap.palette.iter().all(|[r, g, b]| r == g && g == b) => {
                        Arrangement::GreyIndexed
                    }
                    8 => Arrangement::Indexed,
                    24 => Arrangement::Bgr,
                    _ => Arrangement::Bgrx,
                })
            }
            (b"Y800" | b"Y8  " | b"GREY", _) => bitmap(Arrangement::Grey),
            (b"I420" | b"IYUV", _) => bitmap(Arrangement::I420),
            (b"YV12", _) => bitmap(Arrangement::Yv12),
            (b"NV12", _) => bitmap(Arrangement::Nv12),
            (b"YUY2" | b"YUYV" | b"YUNV", _) => bitmap(Arrangement::Yuy2),
            (b"UYVY" | b"UYNV" | b"Y422", _) => bitmap(Arrangement::Uyvy),
            (compression, bits) => Err(format!(
                "AVI compression \"{}\" with {bits} bits is not supported; {CONVERT}",
                compression.escape_ascii()
            )),
        }
    }
}

enum Codec {
    MotionJpeg(PixelFormat),
    Uncompressed(Arrangement),
}

impl Codec {
    fn name(&self) -> &'static str {
        if matches!(self, Self::MotionJpeg(_)) { "Motion JPEG" } else { "uncompressed" }
    }

    fn format(&self) -> PixelFormat {
        match self {
            Self::MotionJpeg(format) => *format,
            Self::Uncompressed(arrangement) => arrangement.format(),
        }
    }
}

struct AviDecoder {
    file: Vec<u8>,
    frames: std::vec::IntoIter<Range<usize>>,
    bitmap: Bitmap,
    codec: Codec,
    /// The last frame that was not empty. An empty frame repeats this frame.
    last: Option<Range<usize>>,
}

impl Decoder for AviDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let frame = self.frames.next().ok_or("the file has no more frames")?;
        if !frame.is_empty() {
            self.last = Some(frame);
        }
        let data = self.last.clone().ok_or("the first frame is empty")?;
        let data = self.file.get(data).ok_or("the frame lies outside the file")?;
        match self.codec {
            Codec::MotionJpeg(format) => decode_jpeg(data, self.bitmap.size, format),
            Codec::Uncompressed(arrangement) => Ok(self.bitmap.convert(data, arrangement)?.into()),
        }
    }
}

/// Decodes an image, and removes the columns and rows that only complete its last blocks.
fn decode_jpeg(image: &[u8], size: [u32; 2], format: PixelFormat) -> Result<Decoded, String> {
    let coded = jpeg::read_size(image)?;
    let is_larger = |coded: u32, side: u32| (side..=side + MAX_BLOCK_REST).contains(&coded);
    if coded == size || !is_larger(coded[0], size[0]) || !is_larger(coded[1], size[1]) {
        return jpeg_frames::decode(image, size, format);
    }
    let decoded = jpeg_frames::decode(image, coded, format)?;
    let bytes = if format == PixelFormat::Gray8 { 1 } else { 3 };
    let rows = decoded.pixels.chunks(coded[0] as usize * bytes).take(size[1] as usize);
    let pixels = rows.flat_map(|row| row.iter().take(size[0] as usize * bytes)).copied().collect();
    Ok(Decoded { pixels, ..decoded })
}
