//! The units of an H.264 stream (ITU-T H.264, annex B; ISO/IEC 14496-15).

use super::parameters::SequenceParameters;
use crate::cine::bytes::slice;
use std::ops::Range;

#[cfg(feature = "h264")]
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Types of units.
const SLICE: u8 = 1;
const SLICE_OF_KEY_PICTURE: u8 = 5;
pub(super) const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;
const UNIT_TYPES_BEFORE_PICTURE: [u8; 4] = [6, SEQUENCE_PARAMETERS, PICTURE_PARAMETERS, 9];

/// The units of a stream, as byte ranges in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Units {
    /// Parameters outside the pictures.
    headers: Vec<Range<usize>>,
    /// The units of each picture and those that precede it, in the order of decoding.
    pub(super) pictures: Vec<Vec<Range<usize>>>,
}

/// Returns the type of a unit.
pub(super) fn unit_type(file: &[u8], unit: &Range<usize>) -> u8 {
    file.get(unit.start).map_or(0, |byte| byte & 31)
}

impl Units {
    /// Returns the first sequence parameters of the stream.
    pub(super) fn parameters(&self, file: &[u8]) -> Result<SequenceParameters, String> {
        let mut units = self.headers.iter().chain(self.pictures.iter().flatten());
        let unit = units.find(|unit| unit_type(file, unit) == SEQUENCE_PARAMETERS);
        let unit = unit.ok_or("the H.264 stream has no sequence parameters")?;
        SequenceParameters::read(file.get(unit.clone()).unwrap_or_default())
    }

    /// Returns the parameters outside the pictures with start codes.
    #[cfg(feature = "h264")]
    pub(super) fn write_headers(&self, file: &[u8]) -> Vec<u8> {
        write_units(file, &self.headers)
    }
}

/// Returns units with start codes.
#[cfg(feature = "h264")]
pub(super) fn write_units(file: &[u8], units: &[Range<usize>]) -> Vec<u8> {
    let parts = units.iter().map(|unit| file.get(unit.clone()).unwrap_or_default());
    parts.flat_map(|unit| START_CODE.iter().chain(unit)).copied().collect()
}

/// Finds the units of a stream with start codes.
pub(super) fn read_stream(stream: &[u8]) -> Units {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(distance) =
        stream.get(at..).and_then(|rest| rest.windows(3).position(|three| three == [0, 0, 1]))
    {
        starts.push(at + distance + 3);
        at += distance + 3;
    }
    let mut units = Units::default();
    let mut picture: Vec<Range<usize>> = Vec::new();
    let mut has_slice = false;
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(stream.len(), |next| next - 3);
        let body = stream.get(start..end).unwrap_or_default();
        let zeros = body.iter().rev().take_while(|&&byte| byte == 0).count();
        let unit = start..end - zeros;
        if unit.is_empty() {
            continue;
        }
        let kind = unit_type(stream, &unit);
        let is_slice = matches!(kind, SLICE | SLICE_OF_KEY_PICTURE);
        // A slice that begins a picture has the address 0 of its first macroblock, which is coded
        // as one bit.
        let begins_picture = is_slice && stream.get(start + 1).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && (begins_picture || UNIT_TYPES_BEFORE_PICTURE.contains(&kind)) {
            units.pictures.push(std::mem::take(&mut picture));
            has_slice = false;
        }
        has_slice |= is_slice;
        picture.push(unit);
    }
    if has_slice {
        units.pictures.push(picture);
    }
    units
}

/// Finds the units of pictures with start codes.
pub(super) fn read_pictures(file: &[u8], pictures: &[Range<usize>]) -> Units {
    let mut units = Units::default();
    for picture in pictures {
        let data = file.get(picture.clone()).unwrap_or_default();
        let parts = read_stream(data).pictures.into_iter().flatten();
        let parts = parts.map(|unit| unit.start + picture.start..unit.end + picture.start);
        units.pictures.push(parts.collect());
    }
    units
}

/// Finds the units of samples with lengths. `configuration` is the configuration record, which
/// contains the size of the lengths and the parameters.
pub(super) fn read_samples(
    file: &[u8],
    configuration: Range<usize>,
    samples: Vec<Range<usize>>,
) -> Result<Units, String> {
    let truncated = || String::from("the H.264 configuration is truncated");
    let start = configuration.start;
    let record = file.get(configuration).ok_or_else(truncated)?;
    let length_bytes = usize::from(record.get(4).ok_or_else(truncated)? & 3) + 1;
    let mut units = Units::default();
    let mut at = 5;
    for mask in [0x1f, 0xff] {
        let count = record.get(at).ok_or_else(truncated)? & mask;
        at += 1;
        for _ in 0..count {
            let length = slice(record, at, 2).ok_or_else(truncated)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            slice(record, at + 2, length).ok_or_else(truncated)?;
            units.headers.push(start + at + 2..start + at + 2 + length);
            at += 2 + length;
        }
    }
    for sample in samples {
        let mut picture = Vec::new();
        let mut at = sample.start;
        while let Some(length) = slice(file, at, length_bytes).filter(|_| at < sample.end) {
            let length = length.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
            at += length_bytes;
            picture.push(at..at.saturating_add(length).min(file.len()));
            at = at.saturating_add(length);
        }
        units.pictures.push(picture);
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_begins_at_its_first_slice_or_its_parameters() {
        let stream = [
            &[0, 0, 0, 1, 0x67, 9][..],
            &[0, 0, 1, 0x65, 0x88],
            &[0, 0, 1, 0x65, 0x18],
            &[0, 0, 1, 0x41, 0x88, 0, 0],
            &[0, 0, 1, 0x09, 0xf0],
            &[0, 0, 1, 0x41, 0x88],
        ]
        .concat();
        let pictures = read_stream(&stream).pictures;
        assert_eq!(pictures.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 2]);
        assert_eq!(pictures[1][0], 19..21, "zeros after a unit do not belong to it");
    }
}
