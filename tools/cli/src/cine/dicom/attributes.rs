//! The DICOM attributes that the decoder keeps. Part 6 of the DICOM standard (PS3.6) lists their
//! tags.

use super::palette::PaletteAttributes;
use super::regions::UltrasoundRegion;
use super::value::Value;
use crate::cine::timing::{Timing, round_step_ns};
use dicom_core::Tag;

/// Tags of Frame Time and Frame Time Vector, to which the Frame Increment Pointer can point.
const FRAME_TIME: [u16; 2] = [0x0018, 0x1063];
const FRAME_TIME_VECTOR: [u16; 2] = [0x0018, 0x1065];

/// The attributes that the decoder needs from a data set. An optional field is `None` if its value
/// is missing or malformed, and the code that needs the value reports the error.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    pub(super) samples: Option<u16>,
    pub(super) photometric: String,
    pub(super) is_planar: bool,
    pub(super) bits_allocated: Option<u16>,
    pub(super) bits_stored: Option<u16>,
    pub(super) high_bit: Option<u16>,
    pub(super) is_signed: bool,
    pub(super) palette: PaletteAttributes,
    pub(super) regions: Vec<UltrasoundRegion>,
    pub(super) rows: Option<u16>,
    pub(super) columns: Option<u16>,
    pub(super) frames: Option<String>,
    pub(super) increment: Vec<u16>,
    pub(super) frame_time_ms: Option<f64>,
    pub(super) frame_times_ms: Vec<f64>,
    pub(super) display_rate: Option<f64>,
    pub(super) cine_rate: Option<f64>,
}

impl Attributes {
    /// Keeps the value of a top-level element if the decoder uses its attribute.
    pub(super) fn set(&mut self, tag: Tag, value: Value<'_>) {
        match (tag.0, tag.1) {
            (0x0008, 0x2144) => self.display_rate = parse_number(value.text()),
            (0x0018, 0x0040) => self.cine_rate = parse_number(value.text()),
            (0x0018, 0x1063) => self.frame_time_ms = parse_number(value.text()),
            (0x0018, 0x1065) => {
                self.frame_times_ms = value.text().split('\\').map_while(parse_number).collect();
            }
            (0x0028, 0x0002) => self.samples = value.u16(),
            (0x0028, 0x0004) => self.photometric = value.text().to_owned(),
            (0x0028, 0x0006) => self.is_planar = value.u16() == Some(1),
            (0x0028, 0x0008) => self.frames = Some(value.text().to_owned()),
            (0x0028, 0x0009) => self.increment = value.u16s(),
            (0x0028, 0x0010) => self.rows = value.u16(),
            (0x0028, 0x0011) => self.columns = value.u16(),
            (0x0028, 0x0100) => self.bits_allocated = value.u16(),
            (0x0028, 0x0101) => self.bits_stored = value.u16(),
            (0x0028, 0x0102) => self.high_bit = value.u16(),
            (0x0028, 0x0103) => self.is_signed = value.u16() == Some(1),
            (0x0028, element @ 0x1101..=0x1203) => self.palette.set(element, value),
            _ => {}
        }
    }

    /// Keeps the value of an element of the last ultrasound region if the decoder uses its
    /// attribute.
    pub(super) fn set_in_region(&mut self, tag: Tag, value: Value<'_>) {
        if let Some(region) = self.regions.last_mut().filter(|_| tag.0 == 0x0018) {
            region.set(tag.1, value);
        }
    }

    /// Returns the width and height in pixels.
    pub(super) fn size(&self) -> Result<[u32; 2], String> {
        let [columns, rows] =
            [(self.columns, "Columns"), (self.rows, "Rows")].map(|(side, name)| {
                side.filter(|&side| side > 0).ok_or_else(|| format!("the file has no {name}"))
            });
        Ok([columns?.into(), rows?.into()])
    }

    /// Returns the value of Number of Frames, or 1 for an image without this attribute.
    pub(super) fn frame_count(&self) -> Result<usize, String> {
        let Some(text) = self.frames.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(1);
        };
        let frames = text.parse().ok().filter(|&frames: &usize| frames > 0);
        frames.ok_or_else(|| format!("Number of Frames must be a positive integer, got {text:?}"))
    }

    /// Returns the frame times. The times come from the attribute to which the Frame Increment
    /// Pointer points (PS3.3, C.7.6.5), or else from the first valid attribute in this order: Frame
    /// Time, Frame Time Vector, Cine Rate and Recommended Display Frame Rate.
    pub(super) fn timing(&self, frames: usize) -> Timing {
        let vector = || {
            let steps: Option<Vec<i64>> = (0..frames)
                .map(|frame| match frame {
                    0 => Some(0),
                    _ => self.frame_times_ms.get(frame).and_then(|ms| round_step_ns(ms * 1e6)),
                })
                .collect();
            steps.map(|steps| Timing::from_steps(&steps, "FrameTimeVector"))
        };
        let regular = |period: Option<f64>, source| {
            period
                .and_then(round_step_ns)
                .map(|period| Timing::regular(frames, period, Some(source)))
        };
        let time = || regular(self.frame_time_ms.map(|ms| ms * 1e6), "FrameTime");
        let pointed = match self.increment[..] {
            [group, element] if [group, element] == FRAME_TIME_VECTOR => vector(),
            [group, element] if [group, element] == FRAME_TIME => time(),
            _ => None,
        };
        pointed
            .or_else(time)
            .or_else(|| if self.frame_times_ms.is_empty() { None } else { vector() })
            .or_else(|| regular(self.cine_rate.map(|rate| 1e9 / rate), "CineRate"))
            .or_else(|| {
                regular(self.display_rate.map(|rate| 1e9 / rate), "RecommendedDisplayFrameRate")
            })
            .unwrap_or_else(|| Timing::assume(frames))
    }
}

fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}
