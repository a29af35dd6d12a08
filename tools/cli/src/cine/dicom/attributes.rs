//! The DICOM attributes that the decoder keeps. Part 6 of the DICOM standard (PS3.6) lists their
//! tags.

use super::element::Tag;
use super::palette::PaletteAttributes;
use super::regions::UltrasoundRegion;
use super::value::Value;
use crate::cine::timing::{FrameRate, Timing, choose_timing};

/// Tag of Frame Time Vector, to which the Frame Increment Pointer can point.
const FRAME_TIME_VECTOR: [u16; 2] = [0x0018, 0x1065];

/// Tag of Referenced File ID in a directory record.
const REFERENCED_FILE_ID: Tag = Tag(0x0004, 0x1500);

/// The attributes that the decoder needs from a data set. An optional field is `None` if its value
/// is missing or malformed, and the code that needs the value reports the error.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    pub(super) sop_class: String,
    pub(super) modality: String,
    pub(super) series: String,
    pub(super) instance: Option<i64>,
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
    /// Entries of the Extended Offset Table.
    pub(super) offsets: Vec<u64>,
    /// Values of Referenced File ID in the records of a DICOMDIR.
    pub(super) file_ids: Vec<String>,
}

impl Attributes {
    /// Keeps the value of a top-level element if the decoder uses its attribute.
    pub(super) fn set(&mut self, tag: Tag, value: Value<'_>) {
        match (tag.0, tag.1) {
            (0x0008, 0x0016) => self.sop_class = value.text().to_owned(),
            (0x0008, 0x0060) => self.modality = value.text().to_owned(),
            (0x0020, 0x000e) => self.series = value.text().to_owned(),
            (0x0020, 0x0013) => {
                self.instance = parse_number(value.text()).map(|number| number as i64);
            }
            (0x0008, 0x2144) => self.display_rate = parse_number(value.text()),
            (0x0018, 0x0040) => self.cine_rate = parse_number(value.text()),
            (0x0018, 0x1063) => self.frame_time_ms = parse_number(value.text()),
            (0x0018, 0x1065) => {
                self.frame_times_ms = value
                    .text()
                    .split('\\')
                    .map(|text| parse_number(text).unwrap_or_default())
                    .collect();
            }
            (0x0028, 0x0002) => self.samples = value.u16(),
            (0x0028, 0x0004) => self.photometric = value.text().to_ascii_uppercase(),
            (0x0028, 0x0006) => self.is_planar = value.u16() == Some(1),
            (0x0028, 0x0008) => self.frames = Some(value.text().to_owned()),
            (0x0028, 0x0009) => self.increment = value.u16s(),
            (0x0028, 0x0010) => self.rows = value.u16(),
            (0x0028, 0x0011) => self.columns = value.u16(),
            (0x0028, 0x0100) => self.bits_allocated = value.u16(),
            (0x0028, 0x0101) => self.bits_stored = value.u16(),
            (0x0028, 0x0102) => self.high_bit = value.u16(),
            (0x0028, 0x0103) => self.is_signed = value.u16() == Some(1),
            (0x7fe0, 0x0001) => self.offsets = value.u64s(),
            (0x0028, element @ 0x1101..=0x1223) => self.palette.set(element, value),
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

    /// Keeps the value of an element of a directory record if it names a file.
    pub(super) fn set_in_record(&mut self, tag: Tag, value: Value<'_>) {
        if tag == REFERENCED_FILE_ID {
            self.file_ids.push(value.text().to_owned());
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

    /// Returns the value of Number of Frames, or `None` if it is missing or not a positive number.
    /// Some writers store the number with a decimal point.
    pub(super) fn frame_count(&self) -> Option<usize> {
        let number = parse_number(self.frames.as_deref()?)?;
        (number >= 1.0 && number.fract() == 0.0 && number < 1e9).then_some(number as usize)
    }

    /// Returns the frame times and the warnings about them. The times come from the attribute to
    /// which the Frame Increment Pointer points (PS3.3, C.7.6.5), or else from the first usable
    /// attribute in this order: Frame Time, Frame Time Vector, Cine Rate and Recommended Display
    /// Frame Rate.
    pub(super) fn timing(&self, frames: usize) -> (Timing, Vec<String>) {
        let vector = self.frame_times_ms.len() > 1;
        let vector = vector.then(|| {
            let steps = self.frame_times_ms.iter().map(|ms| ms * 1e6).collect();
            FrameRate { source: "FrameTimeVector", steps_ns: steps }
        });
        let period =
            |ns: Option<f64>, source| ns.map(|ns| FrameRate { source, steps_ns: vec![ns] });
        let time = period(self.frame_time_ms.map(|ms| ms * 1e6), "FrameTime");
        let mut rates = vec![time, vector];
        if self.increment == FRAME_TIME_VECTOR {
            rates.reverse();
        }
        rates.push(period(self.cine_rate.map(|rate| 1e9 / rate), "CineRate"));
        rates.push(period(self.display_rate.map(|rate| 1e9 / rate), "RecommendedDisplayFrameRate"));
        let rates: Vec<FrameRate> = rates.into_iter().flatten().collect();
        choose_timing(frames, &rates)
    }
}

fn parse_number(text: &str) -> Option<f64> {
    // Some writers use a decimal comma.
    text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}
