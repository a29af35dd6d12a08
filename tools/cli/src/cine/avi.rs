//! AVI files: Motion JPEG, H.264 and uncompressed frames of the first video stream.
//!
//! Microsoft's "AVI RIFF File Reference" defines the chunks. If a file has several RIFF chunks
//! (OpenDML), all of them are read.
//!
//! | module | contents |
//! | --- | --- |
//! | `chunks` | the walk over the chunks of a file |
//! | `stream` | the header of the video stream, and its codec |
//! | `pixels` | uncompressed pixels |

mod chunks;
mod pixels;
mod stream;

use super::decoder::{CineSource, Decoded, Decoder};
use super::facts::Facts;
use super::jpeg;
use super::jpeg_frames;
use super::timing::{FrameRate, choose_timing};
use super::video;
use chunks::Content;
use pixels::Bitmap;
use std::ops::Range;
use stream::Codec;
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
    let (mut timing, mut warnings) = choose_timing(frames.len(), &rates);
    let declared = stream.declared_frames as usize;
    if content.is_cut || frames.len() < declared {
        let found = frames.len();
        warnings.push(match declared > found {
            true => format!("the AVI file is truncated: it has {found} of {declared} frames"),
            false => "the AVI file is truncated inside or after its last frame".into(),
        });
    }
    if matches!(codec, Codec::H264) {
        let frames: Vec<_> = frames.into_iter().filter(|frame| !frame.is_empty()).collect();
        timing.times_ns.truncate(frames.len());
        let video = video::open_pictures(file, &frames, "AVI, H.264".into(), timing)?;
        return Ok(CineSource { facts: video.facts.with_warnings(warnings), ..video });
    }
    let facts =
        Facts::new(format!("AVI, {}", codec.name()), codec.format(), stream.bitmap.size, timing)?
            .with_warnings(warnings);
    let frames = frames.into_iter();
    let decoder = AviDecoder { file, frames, bitmap: stream.bitmap, codec, last: None };
    Ok(CineSource { facts, decoder: Box::new(decoder) })
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
            Codec::H264 => Err("video is not decoded frame by frame".into()),
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
