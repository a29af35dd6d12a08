//! The segments of an image before its first scan (ITU T.81, annex B).

use super::colours::{SampleColours, UnmarkedColours};
use crate::cine::advice::CONVERT_IMAGE;
use crate::cine::bytes::slice;
use std::ops::Range;

/// The entropy coding and the prediction of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// Baseline, extended or progressive.
    #[default]
    Lossy,
    Lossless,
    /// JPEG-LS, which is lossless unless the scan allows an error.
    NearLossless,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal and vertical sampling factors.
    pub(super) sampling: [u8; 2],
}

/// The properties of an image, from the segments before its first scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: Vec<Component>,
    pub(super) precision: u8,
    pub(super) coding: Coding,
    /// Byte ranges of the segments that a decoder needs, with their markers: tables, the frame
    /// header and the restart interval.
    pub(super) segments: Vec<Range<usize>>,
    /// Offset of the marker of the first scan.
    pub(super) scan: usize,
    pub(super) has_huffman_tables: bool,
    has_jfif: bool,
    /// The colour transform of the Adobe segment, if the image has one.
    adobe_transform: Option<u8>,
}

/// A marker with the byte range of its parameters.
pub(super) struct Segment {
    pub(super) marker: u8,
    pub(super) body: Range<usize>,
}

/// Reads the segment at the offset `at`, which may be preceded by fill bytes.
pub(super) fn read_segment(image: &[u8], mut at: usize) -> Result<Segment, String> {
    let truncated = || String::from("the JPEG header is truncated");
    if image.get(at) != Some(&0xff) {
        return Err(match at < image.len() {
            true => format!("the JPEG image has no marker at byte {at}"),
            false => truncated(),
        });
    }
    while image.get(at + 1) == Some(&0xff) {
        at += 1; // Skips a fill byte.
    }
    let &[_, marker, high, low] = slice(image, at, 4).ok_or_else(truncated)? else {
        return Err(truncated());
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let body = at + 4..(at + 2).saturating_add(length);
    if length < 2 || body.end > image.len() {
        return Err(truncated());
    }
    Ok(Segment { marker, body })
}

impl Header {
    /// Reads the segments up to the first scan.
    pub(super) fn read(image: &[u8]) -> Result<Self, String> {
        if !image.starts_with(&[0xff, 0xd8]) {
            return Err("the frame is not a JPEG image".into());
        }
        let mut header = Self::default();
        let mut at = 2;
        loop {
            let Segment { marker, body } = read_segment(image, at)?;
            let end = body.end;
            match (marker, image.get(body.clone()).unwrap_or_default()) {
                (0xda, _) if header.components.is_empty() => {
                    return Err("the JPEG image has a scan before its frame header".into());
                }
                (0xda, _) => {
                    header.scan = body.start - 4;
                    return Ok(header);
                }
                (0xe0, [b'J', b'F', b'I', b'F', ..]) => header.has_jfif = true,
                (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                    header.adobe_transform = Some(*transform);
                }
                (0xc0..=0xc3 | 0xf7, parameters) => {
                    header.read_frame(marker, parameters)?;
                    header.segments.push(body.start - 4..end);
                }
                (0xc9..=0xcb, _) => {
                    return Err(format!(
                        "JPEG with arithmetic coding is not supported; {CONVERT_IMAGE}"
                    ));
                }
                (0xc5..=0xc7 | 0xcd..=0xcf | 0xde, _) => {
                    return Err(format!("hierarchical JPEG is not supported; {CONVERT_IMAGE}"));
                }
                (0xc4, _) => {
                    header.has_huffman_tables = true;
                    header.segments.push(body.start - 4..end);
                }
                // Quantization tables, the restart interval and the parameters of JPEG-LS.
                (0xdb | 0xdd | 0xf8, _) => header.segments.push(body.start - 4..end),
                _ => {}
            }
            at = end;
        }
    }

    /// Reads the parameters of a frame header.
    fn read_frame(&mut self, marker: u8, parameters: &[u8]) -> Result<(), String> {
        let &[precision, h1, h0, w1, w0, count, ref components @ ..] = parameters else {
            return Err("the JPEG header is truncated".into());
        };
        if !self.components.is_empty() {
            return Err("the JPEG image has two frame headers".into());
        }
        if components.len() != 3 * usize::from(count) || count == 0 {
            return Err(format!("the JPEG header must list its {count} components"));
        }
        self.precision = precision;
        self.height = u16::from_be_bytes([h1, h0]);
        self.width = u16::from_be_bytes([w1, w0]);
        self.components = components
            .chunks_exact(3)
            .map(|part| Component { id: part[0], sampling: [part[1] >> 4, part[1] & 15] })
            .collect();
        if self
            .components
            .iter()
            .flat_map(|part| part.sampling)
            .any(|side| !(1..=4).contains(&side))
        {
            return Err("the sampling factors of a JPEG image must be 1 to 4".into());
        }
        self.coding = match marker {
            0xc3 => Coding::Lossless,
            0xf7 => Coding::NearLossless,
            _ => Coding::Lossy,
        };
        Ok(())
    }

    /// Returns whether all components have one sample for every pixel.
    pub(super) fn has_equal_sampling(&self) -> bool {
        self.components.windows(2).all(|pair| pair[0].sampling == pair[1].sampling)
    }

    /// Determines the meaning of the samples like the Independent JPEG Group's library, and uses
    /// `unmarked` only if nothing in the image contradicts it. RGB cannot be subsampled (PS3.3,
    /// C.7.6.3.1.2). A lossless image keeps the colour space of its container, unless the image
    /// says that it is RGB.
    pub(super) fn colours(&self, unmarked: UnmarkedColours) -> SampleColours {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        let is_named_rgb = ids == *b"RGB";
        if self.components.len() < 3 {
            return SampleColours::Stored;
        }
        if self.coding != Coding::Lossy {
            return match self.adobe_transform {
                Some(0) => SampleColours::Rgb,
                None if is_named_rgb && !self.has_jfif => SampleColours::Rgb,
                _ => SampleColours::Stored,
            };
        }
        match (self.has_jfif, self.adobe_transform) {
            (true, _) => SampleColours::YCbCr,
            (false, Some(0)) => SampleColours::Rgb,
            (false, Some(_)) => SampleColours::YCbCr,
            (false, None) if is_named_rgb => SampleColours::Rgb,
            (false, None) if !self.has_equal_sampling() => SampleColours::YCbCr,
            (false, None) => match unmarked {
                UnmarkedColours::Rgb => SampleColours::Rgb,
                UnmarkedColours::YCbCr => SampleColours::YCbCr,
            },
        }
    }
}
