//! Decodes the frames of a file.

use super::fragments::{FrameRanges, join};
use super::layout::{Colours, Layout};
use super::rle;
use super::syntax::{Encoding, Syntax};
use crate::cine::decoder::{Decoded, Decoder};
use crate::cine::inflate;
use crate::cine::jpeg::{self, SampleColours, UnmarkedColours};
use crate::cine::jpeg2000;

pub(super) struct DicomDecoder {
    pub(super) file: Vec<u8>,
    /// The byte ranges of each frame.
    pub(super) frames: std::vec::IntoIter<FrameRanges>,
    pub(super) encoding: Encoding,
    pub(super) is_big_endian: bool,
    pub(super) syntax: Syntax,
    pub(super) layout: Layout,
    pub(super) size: [u32; 2],
}

impl Decoder for DicomDecoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        let ranges = self.frames.next().ok_or("the file has no more frames")?;
        let data = join(&self.file, &ranges);
        let frame = match self.encoding {
            Encoding::Native => {
                return Ok(self.layout.convert(&data, self.is_big_endian)?.into());
            }
            Encoding::DeflatedFrames => {
                let data = inflate::inflate(&data, self.layout.frame_bytes() + 1);
                data.and_then(|data| Ok(self.layout.convert(&data, false)?.into()))
            }
            Encoding::Rle => self.decode_rle(&data).map(Decoded::from),
            Encoding::Image if jpeg2000::is_image(&data) => self.decode_jpeg_2000(&data),
            Encoding::Image => self.decode_jpeg(&data),
            Encoding::H264 => Err("video is not decoded frame by frame".into()),
        };
        let Syntax { uid, name, .. } = self.syntax;
        frame.map_err(|error| format!("{error} (transfer syntax {name}, {uid})"))
    }
}

impl DicomDecoder {
    fn decode_rle(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let layout = self.layout.clone().into_planar();
        let planes = rle::decode(data, self.size, layout.samples, layout.sample_bytes())?;
        layout.convert(&planes, false)
    }

    fn decode_jpeg(&self, data: &[u8]) -> Result<Decoded, String> {
        let unmarked = match self.layout.colours {
            Colours::Rgb => UnmarkedColours::Rgb,
            _ => UnmarkedColours::YCbCr,
        };
        let image = jpeg::decode(data, self.size, unmarked)?;
        let layout =
            self.layout.clone().for_image(image.components, image.precision, image.colours)?;
        Ok(Decoded { pixels: layout.convert(&image.samples, false)?, is_cut: image.is_cut })
    }

    fn decode_jpeg_2000(&self, data: &[u8]) -> Result<Decoded, String> {
        let image = jpeg2000::decode(data, self.size)?;
        let colours = match image.has_transform && image.components == 3 {
            true => SampleColours::Rgb,
            false => SampleColours::Stored,
        };
        let layout = self.layout.clone().for_image(image.components, image.precision, colours)?;
        Ok(Decoded { pixels: layout.convert(&image.samples, false)?, is_cut: image.is_cut })
    }
}
