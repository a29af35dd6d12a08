//! The last column and row of subsampled components.
//!
//! An encoder completes the last blocks with samples of its choice, which are not a part of the
//! image (ITU T.81, A.2.4). `zune-jpeg` interpolates the last column and row of a component that
//! has half of the resolution between a sample of the image and such a sample. The decoder of the
//! Independent JPEG Group repeats the sample of the image instead, and so does this module.

use super::header::Header;

/// Number of samples in a row or column of a block.
const BLOCK: usize = 8;

/// Corrects the interpolated samples at the right and the lower edge of an image.
pub(super) fn correct_edges(samples: &mut [u8], header: &Header) {
    let [width, height] = [header.width, header.height].map(usize::from);
    let count = header.components.len();
    let largest = |axis: usize| {
        let factors = header.components.iter().map(|component| component.sampling[axis]);
        usize::from(factors.max().unwrap_or(1))
    };
    let largest = [largest(0), largest(1)];
    for (place, component) in header.components.iter().enumerate() {
        let at = |x: usize, y: usize| (y * width + x) * count + place;
        let is_interpolated = |axis: usize, side: usize| {
            let factor = usize::from(component.sampling[axis]);
            let has_padding = !(side / 2).is_multiple_of(BLOCK * factor);
            2 * factor == largest[axis] && side.is_multiple_of(2) && side >= 4 && has_padding
        };
        if is_interpolated(0, width) {
            for y in 0..height {
                repeat_last(samples, [3, 2, 1].map(|back| at(width - back, y)));
            }
        }
        if is_interpolated(1, height) {
            for x in 0..width {
                repeat_last(samples, [3, 2, 1].map(|back| at(x, height - back)));
            }
        }
    }
}

/// Replaces the last of three samples by the last sample before the interpolation. The first two
/// are a quarter of the way from this sample and its predecessor to the other one.
fn repeat_last(samples: &mut [u8], [first, second, last]: [usize; 3]) {
    let original = (3 * i32::from(samples[second]) - i32::from(samples[first]) + 1) / 2;
    samples[last] = original.clamp(0, 255) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sample_is_that_before_the_interpolation() {
        for (before, end) in [(0, 255), (255, 0), (100, 100), (40, 90), (91, 40)] {
            let mix = |near: u32, far: u32| ((3 * near + far + 2) / 4) as u8;
            let mut samples = [mix(before, end), mix(end, before), 7];
            repeat_last(&mut samples, [0, 1, 2]);
            assert!(u32::from(samples[2]).abs_diff(end) <= 1, "{before} {end}: {samples:?}");
        }
    }
}
