//! Conversions from luma and chroma to RGB (ITU-R BT.601 and BT.709), in fixed-point numbers with
//! 16 fractional bits and rounding.

/// Rounds a fixed-point number to a sample.
fn round(value: i32) -> u8 {
    ((value + (1 << 15)) >> 16).clamp(0, 255) as u8
}

/// Converts full-range BT.601 samples, as in JPEG and in YBR_FULL of DICOM (PS3.3, C.7.6.3.1.2).
pub(super) fn convert_full([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let [red, blue] = [91_881 * cr, 116_130 * cb]; // 1.402, 1.772
    let green = -22_554 * cb - 46_802 * cr; // 0.344136, 0.714136
    [round(y + red), round(y + green), round(y + blue)]
}

/// The coefficients of the samples of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VideoColours {
    /// Whether the samples have the full range instead of 16 to 235 for luma and 16 to 240 for
    /// chroma.
    pub(super) is_full_range: bool,
    /// Whether the coefficients are those of BT.709 instead of BT.601.
    pub(super) is_bt_709: bool,
}

impl VideoColours {
    /// Converts the samples of a pixel.
    pub(super) fn convert(self, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        // Red from Cr, green from Cb and Cr, and blue from Cb, for the full range.
        let [red, green_cb, green_cr, blue] = match self.is_bt_709 {
            false => [91_881, 22_554, 46_802, 116_130],
            true => [103_206, 12_276, 30_679, 121_609],
        };
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let (y, [cb, cr]) = match self.is_full_range {
            true => (i32::from(y) << 16, [cb << 8, cr << 8]),
            // 255 / 219 and 255 / 224
            false => ((i32::from(y) - 16) * 76_309, [cb, cr].map(|value| (value * 74_606) >> 8)),
        };
        let scale = |coefficient: i32, chroma: i32| {
            ((i64::from(coefficient) * i64::from(chroma)) >> 8) as i32
        };
        [
            round(y + scale(red, cr)),
            round(y - scale(green_cb, cb) - scale(green_cr, cr)),
            round(y + scale(blue, cb)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_and_black_of_every_range_are_white_and_black() {
        for is_bt_709 in [false, true] {
            let [full, limited] =
                [true, false].map(|is_full_range| VideoColours { is_full_range, is_bt_709 });
            assert_eq!(
                [full.convert([255, 128, 128]), limited.convert([235, 128, 128])],
                [[255; 3]; 2]
            );
            assert_eq!([full.convert([0, 128, 128]), limited.convert([16, 128, 128])], [[0; 3]; 2]);
        }
    }

    #[test]
    fn full_range_video_equals_jpeg() {
        let colours = VideoColours { is_full_range: true, is_bt_709: false };
        for sample in [[76, 85, 255], [150, 44, 21], [29, 255, 107]] {
            let pairs = colours.convert(sample).into_iter().zip(convert_full(sample));
            assert!(pairs.into_iter().all(|(a, b)| a.abs_diff(b) <= 1), "{sample:?}");
        }
    }
}
