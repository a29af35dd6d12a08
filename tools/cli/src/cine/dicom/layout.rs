//! The conversion of stored samples to 8-bit grey or RGB (PS3.3, C.7.6.3.1).

use super::attributes::Attributes;
use super::palette::Palette;
use crate::cine::jpeg::SampleColours;
use crate::cine::ybr;
use std::sync::Arc;
use tteview::frame::PixelFormat;

/// The meaning of a pixel's samples, from the attribute Photometric Interpretation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    /// The stored value 0 is white.
    GreyInverted,
    Rgb,
    Ybr,
    /// Two neighbouring pixels are stored as the four samples Y, Y, Cb and Cr.
    Ybr422,
    Palette,
}

/// The arrangement of a frame's samples in memory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) colours: Colours,
    /// Number of samples per pixel, 1 or 3.
    pub(super) samples: usize,
    pixels: usize,
    bits_allocated: usize,
    bits_stored: u32,
    /// Number of unused bits below the stored bits.
    shift: u32,
    is_planar: bool,
    /// Whether the width of the frames is odd.
    pub(super) has_odd_width: bool,
    /// Whether Planar Configuration is 1.
    has_planes: bool,
    palette: Option<Arc<Palette>>,
}

impl Layout {
    /// Creates the layout of native pixels, or of the pixels of compressed frames.
    pub(super) fn new(
        attributes: &Attributes,
        [width, height]: [u32; 2],
        is_native: bool,
    ) -> Result<Self, String> {
        let (colours, samples) = match attributes.photometric.as_str() {
            "MONOCHROME1" => (Colours::GreyInverted, 1),
            "MONOCHROME2" => (Colours::Grey, 1),
            "PALETTE COLOR" => (Colours::Palette, 1),
            "RGB" => (Colours::Rgb, 3),
            "YBR_FULL" => (Colours::Ybr, 3),
            "YBR_FULL_422" => (Colours::Ybr422, 3),
            // The transform belongs to JPEG 2000, whose decoder inverts it.
            "YBR_RCT" | "YBR_ICT" if !is_native => (Colours::Rgb, 3),
            other => return Err(format!("Photometric Interpretation {other:?} is not supported")),
        };
        let given = attributes.samples.ok_or("the file has no Samples per Pixel")?;
        if usize::from(given) != samples {
            let photometric = &attributes.photometric;
            return Err(format!(
                "{photometric} must have {samples} samples per pixel, got {given}"
            ));
        }
        let bits_allocated = attributes.bits_allocated.ok_or("the file has no Bits Allocated")?;
        let bits_stored = attributes.bits_stored.unwrap_or(bits_allocated);
        let high_bit = attributes.high_bit.unwrap_or(bits_stored.saturating_sub(1));
        let fits = matches!(bits_allocated, 8 | 16)
            && (1..=bits_allocated).contains(&bits_stored)
            && (bits_stored - 1..bits_allocated).contains(&high_bit)
            && !attributes.is_signed
            && (colours != Colours::Ybr422 || bits_allocated == 8);
        if !fits {
            let sign = if attributes.is_signed { "signed" } else { "unsigned" };
            return Err(format!(
                "{sign} pixels with {bits_stored} bits stored in {bits_allocated} bits, with high bit \
                 {high_bit}, are not supported; convert them to unsigned pixels of 8 or 16 bits"
            ));
        }
        let palette = match colours {
            Colours::Palette => Some(Arc::new(Palette::new(&attributes.palette)?)),
            _ => None,
        };
        Ok(Self {
            colours,
            samples,
            pixels: width as usize * height as usize,
            bits_allocated: bits_allocated.into(),
            bits_stored: bits_stored.into(),
            shift: (high_bit + 1 - bits_stored).into(),
            is_planar: attributes.is_planar && samples > 1 && colours != Colours::Ybr422,
            has_odd_width: width % 2 == 1,
            has_planes: attributes.is_planar && samples > 1,
            palette,
        })
    }

    pub(super) fn format(&self) -> PixelFormat {
        match self.colours {
            Colours::Grey | Colours::GreyInverted => PixelFormat::Gray8,
            _ => PixelFormat::Rgb24,
        }
    }

    pub(super) fn sample_bytes(&self) -> usize {
        self.bits_allocated / 8
    }

    pub(super) fn frame_bytes(&self) -> usize {
        let samples = if self.colours == Colours::Ybr422 { 2 } else { self.samples };
        self.pixels * samples * self.sample_bytes()
    }

    /// Changes the layout to three samples for every pixel, even if the Photometric Interpretation
    /// is 4:2:2. Compressed frames are decoded to three samples per pixel.
    pub(super) fn use_full_chroma(&mut self) {
        if self.colours == Colours::Ybr422 {
            self.colours = Colours::Ybr;
            self.is_planar = self.has_planes;
        }
    }

    /// Returns the layout with one plane per sample, which RLE uses.
    pub(super) fn into_planar(mut self) -> Self {
        self.is_planar = self.samples > 1;
        self
    }

    /// Returns the layout of a decoded image with interleaved components.
    ///
    /// # Errors
    /// Returns an error if the image does not have the expected number of components.
    pub(super) fn for_image(
        mut self,
        components: u8,
        precision: u8,
        colours: SampleColours,
    ) -> Result<Self, String> {
        if usize::from(components) != self.samples {
            let samples = self.samples;
            return Err(format!("the image must have {samples} components, got {components}"));
        }
        self.is_planar = false;
        self.shift = 0;
        self.bits_allocated = if precision > 8 { 16 } else { 8 };
        self.bits_stored = self.bits_stored.min(precision.into());
        match colours {
            SampleColours::Stored => {}
            SampleColours::Rgb => self.colours = Colours::Rgb,
            SampleColours::YCbCr => self.colours = Colours::Ybr,
        }
        Ok(self)
    }

    /// Converts a frame to the pixel format that [`Self::format`] returns. If samples have more
    /// than 8 bits, only their 8 most significant bits are kept.
    ///
    /// # Errors
    /// Returns an error if `data` is too short or if the palette is missing.
    pub(super) fn convert(&self, data: &[u8], is_big_endian: bool) -> Result<Vec<u8>, String> {
        let bytes = self.frame_bytes();
        let found = data.len();
        let data = data
            .get(..bytes)
            .ok_or_else(|| format!("the frame must have {bytes} bytes, got {found}"))?;
        let stored = |index: usize| -> u16 {
            let value = match (self.sample_bytes(), is_big_endian) {
                (1, _) => data[index].into(),
                (_, false) => u16::from_le_bytes([data[2 * index], data[2 * index + 1]]),
                (_, true) => u16::from_be_bytes([data[2 * index], data[2 * index + 1]]),
            };
            // The bits above the stored bits can have any value, so clear them.
            (value >> self.shift) & (u16::MAX >> (16 - self.bits_stored))
        };
        let sample = |index: usize| -> u8 {
            let value = stored(index);
            (if self.bits_stored > 8 {
                value >> (self.bits_stored - 8)
            } else {
                value << (8 - self.bits_stored)
            }) as u8
        };
        let pixel = |index: usize| -> [u8; 3] {
            if self.is_planar {
                [0, 1, 2].map(|plane| sample(plane * self.pixels + index))
            } else {
                [0, 1, 2].map(|place| sample(3 * index + place))
            }
        };
        let all = 0..self.pixels;
        // Whether each byte is a sample in its place, which is the usual case and faster.
        let is_packed = self.bits_stored == 8 && self.bits_allocated == 8 && !self.is_planar;
        Ok(match (self.colours, &self.palette) {
            (Colours::Grey, _) if is_packed => data.to_vec(),
            (Colours::Rgb, _) if is_packed => data.to_vec(),
            (Colours::Ybr, _) if is_packed => {
                data.as_chunks().0.iter().flat_map(|&pixel| ybr::convert_full(pixel)).collect()
            }
            (Colours::Grey, _) => all.map(sample).collect(),
            (Colours::GreyInverted, _) => all.map(|index| 255 - sample(index)).collect(),
            (Colours::Rgb, _) => all.flat_map(pixel).collect(),
            (Colours::Ybr, _) => all.flat_map(|index| ybr::convert_full(pixel(index))).collect(),
            (Colours::Ybr422, _) => data
                .chunks_exact(4)
                .flat_map(|two| {
                    [
                        ybr::convert_full([two[0], two[2], two[3]]),
                        ybr::convert_full([two[1], two[2], two[3]]),
                    ]
                })
                .flatten()
                .collect(),
            (Colours::Palette, Some(palette)) => {
                all.flat_map(|index| palette.rgb(stored(index))).collect()
            }
            (Colours::Palette, None) => return Err("the file has no palette".into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(photometric: &str, samples: u16, allocated: u16, stored: u16) -> Attributes {
        Attributes {
            photometric: photometric.into(),
            samples: Some(samples),
            bits_allocated: Some(allocated),
            bits_stored: Some(stored),
            ..Attributes::default()
        }
    }

    fn convert(attributes: &Attributes, size: [u32; 2], data: &[u8]) -> Vec<u8> {
        Layout::new(attributes, size, true).unwrap().convert(data, false).unwrap()
    }

    #[test]
    fn twelve_bit_grey_keeps_the_highest_eight_bits() {
        let data = [0xf0, 0xff, 0x00, 0x01];
        assert_eq!(convert(&attributes("MONOCHROME2", 1, 16, 12), [2, 1], &data), [0xff, 0x10]);
        let layout = Layout::new(&attributes("MONOCHROME2", 1, 16, 12), [2, 1], true).unwrap();
        assert_eq!(layout.convert(&[0x0f, 0xf0, 0x01, 0x00], true).unwrap(), [0xff, 0x10]);
    }

    #[test]
    fn zero_is_white_in_monochrome1() {
        assert_eq!(convert(&attributes("MONOCHROME1", 1, 8, 8), [2, 1], &[0, 250]), [255, 5]);
    }

    #[test]
    fn planes_and_interleaved_samples_give_the_same_pixels() {
        let mut planar = attributes("RGB", 3, 8, 8);
        planar.is_planar = true;
        let interleaved = convert(&attributes("RGB", 3, 8, 8), [2, 1], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(convert(&planar, [2, 1], &[1, 4, 2, 5, 3, 6]), interleaved);
    }

    #[test]
    fn ybr_is_converted_to_the_rgb_primaries() {
        let data = [76, 85, 255, 150, 44, 21, 29, 255, 107, 128, 128, 128];
        let expected = [[254, 0, 0], [0, 255, 1], [0, 0, 254], [128, 128, 128]].concat();
        let found = convert(&attributes("YBR_FULL", 3, 8, 8), [4, 1], &data);
        let far = found.iter().zip(&expected).any(|(a, b)| a.abs_diff(*b) > 1);
        assert!(!far, "{found:?}");
    }

    #[test]
    fn two_pixels_of_422_share_their_chroma() {
        let found = convert(&attributes("YBR_FULL_422", 3, 8, 8), [2, 1], &[10, 200, 128, 128]);
        assert_eq!(found, [10, 10, 10, 200, 200, 200]);
    }

    #[test]
    fn unsupported_pixels_are_named() {
        let mut signed = attributes("MONOCHROME2", 1, 16, 12);
        signed.is_signed = true;
        for (attributes, word) in [
            (signed, "signed"),
            (attributes("YBR_ICT", 3, 8, 8), "YBR_ICT"),
            (attributes("RGB", 1, 8, 8), "got 1"),
            (attributes("MONOCHROME2", 1, 8, 9), "9 bits stored in 8 bits"),
            (attributes("MONOCHROME2", 1, 32, 32), "32 bits"),
        ] {
            let error = Layout::new(&attributes, [2, 1], true).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
