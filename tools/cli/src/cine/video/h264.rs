//! The decoder of H.264, which is Cisco's OpenH264.

use super::nal::{SEQUENCE_PARAMETERS, Units, unit_type, write_units};
use super::parameters::SequenceParameters;
use crate::cine::decoder::{Decoded, Decoder};
use crate::cine::ybr::VideoColours;
use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use std::collections::VecDeque;
use std::ops::Range;

/// Creates the decoder of a stream.
pub(super) fn create_decoder(
    file: Vec<u8>,
    units: Units,
    parameters: SequenceParameters,
) -> Result<Box<dyn Decoder>, String> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let decoder = openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), config);
    let mut decoder = decoder.map_err(|error| format!("H.264: {error}"))?;
    let headers = units.write_headers(&file);
    if !headers.is_empty() {
        // An error in the parameters shows in the pictures.
        let _ = decoder.decode(&headers);
    }
    Ok(Box::new(H264Decoder {
        file,
        pictures: units.pictures.into_iter(),
        decoder,
        ready: VecDeque::new(),
        parameters,
        is_flushed: false,
    }))
}

struct H264Decoder {
    file: Vec<u8>,
    pictures: std::vec::IntoIter<Vec<Range<usize>>>,
    decoder: openh264::decoder::Decoder,
    /// Decoded pictures in the order of presentation.
    ready: VecDeque<Picture>,
    parameters: SequenceParameters,
    is_flushed: bool,
}

/// A decoded picture with packed planes.
struct Picture {
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
    size: [usize; 2],
}

impl Decoder for H264Decoder {
    fn next_frame(&mut self) -> Result<Decoded, String> {
        // The decoder returns pictures in the order of presentation, so a picture can come out
        // several pictures later.
        while self.ready.is_empty() {
            let Some(units) = self.pictures.next() else {
                if self.is_flushed {
                    return Err("the H.264 picture is damaged or missing".into());
                }
                self.is_flushed = true;
                let rest =
                    self.decoder.flush_remaining().map_err(|error| format!("H.264: {error}"));
                self.ready.extend(rest?.iter().map(Picture::new));
                continue;
            };
            self.check_parameters(&units)?;
            let packet = write_units(&self.file, &units);
            let options = DecodeOptions::new().flush_after_decode(Flush::NoFlush);
            // A damaged picture is missing at the end of the cine.
            if let Ok(Some(picture)) = self.decoder.decode_with_options(&packet, options) {
                self.ready.push_back(Picture::new(&picture));
            }
        }
        let picture = self.ready.pop_front().ok_or("the file has no more frames")?;
        if picture.size != self.parameters.size.map(|side| side as usize) {
            return Err("the H.264 picture has another size than the first one".into());
        }
        Ok(picture.convert(self.parameters.colours).into())
    }
}

impl H264Decoder {
    /// Checks that the parameters in a picture do not make the decoder allocate larger frames.
    fn check_parameters(&self, units: &[Range<usize>]) -> Result<(), String> {
        for unit in units {
            if unit_type(&self.file, unit) == SEQUENCE_PARAMETERS {
                let unit = self.file.get(unit.clone()).unwrap_or_default();
                if SequenceParameters::read(unit)?.size != self.parameters.size {
                    return Err("the size of the H.264 pictures changes".into());
                }
            }
        }
        Ok(())
    }
}

impl Picture {
    fn new(picture: &DecodedYUV<'_>) -> Self {
        let (width, height) = picture.dimensions();
        let strides = picture.strides();
        let pack = |plane: &[u8], stride: usize, width: usize, height: usize| {
            let rows = plane.chunks(stride.max(1)).take(height);
            rows.flat_map(|row| row.iter().take(width)).copied().collect::<Vec<u8>>()
        };
        let half = [width.div_ceil(2), height.div_ceil(2)];
        Self {
            luma: pack(picture.y(), strides.0, width, height),
            chroma: [
                pack(picture.u(), strides.1, half[0], half[1]),
                pack(picture.v(), strides.2, half[0], half[1]),
            ],
            size: [width, height],
        }
    }

    fn convert(&self, colours: VideoColours) -> Vec<u8> {
        let [width, height] = self.size;
        let half = width.div_ceil(2);
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let chroma = y / 2 * half + x / 2;
                let sample = |plane: &[u8], index: usize| plane.get(index).copied().unwrap_or(128);
                pixels.extend(colours.convert([
                    sample(&self.luma, y * width + x),
                    sample(&self.chroma[0], chroma),
                    sample(&self.chroma[1], chroma),
                ]));
            }
        }
        pixels
    }
}
