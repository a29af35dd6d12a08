//! The header of the video stream, and its codec.

use super::pixels::{Arrangement, Bitmap};
use crate::cine::bytes::slice;
use crate::cine::jpeg;
use crate::cine::jpeg_frames;
use crate::cine::video::CONVERT;
use std::ops::Range;
use tteview::frame::PixelFormat;

/// The video stream.
pub(super) struct Stream {
    pub(super) number: usize,
    pub(super) period_ns: f64,
    /// Number of frames according to the header of the stream, or 0.
    pub(super) declared_frames: u32,
    bits: u16,
    compression: [u8; 4],
    pub(super) bitmap: Bitmap,
}

impl Stream {
    /// Reads `strh` (AVISTREAMHEADER) and `strf` (BITMAPINFOHEADER).
    pub(super) fn read(number: usize, header: &[u8], format: &[u8]) -> Result<Self, String> {
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
    pub(super) fn choose_codec(
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
            (b"H264" | b"X264" | b"AVC1", _) => Ok(Codec::H264),
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

pub(super) enum Codec {
    MotionJpeg(PixelFormat),
    H264,
    Uncompressed(Arrangement),
}

impl Codec {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::MotionJpeg(_) => "Motion JPEG",
            Self::H264 => "H.264",
            Self::Uncompressed(_) => "uncompressed",
        }
    }

    pub(super) fn format(&self) -> PixelFormat {
        match self {
            Self::MotionJpeg(format) => *format,
            Self::H264 => PixelFormat::Rgb24,
            Self::Uncompressed(arrangement) => arrangement.format(),
        }
    }
}
