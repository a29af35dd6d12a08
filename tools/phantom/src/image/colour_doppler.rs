//! Colour Doppler: a box over the image in which moving blood is coloured.

use crate::image::scan_conversion::SectorPixel;
use crate::rng::Rng;

/// Highest speed that the colour map shows, in metres per second. The colour of faster blood wraps
/// around to the colour of the opposite direction.
const NYQUIST_SPEED: f32 = 0.6;

/// Speed below which blood remains grey, in metres per second.
const WALL_FILTER_SPEED: f32 = 0.08;

/// Grey value above which a pixel counts as tissue and remains grey.
const WRITE_PRIORITY: u8 = 120;

const BORDER: [u8; 3] = [90, 160, 90];

/// The colour box, in beams and samples of the polar grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColourBox {
    /// The first and the last beam.
    beams: [usize; 2],
    /// The first and the last sample.
    samples: [usize; 2],
}

impl ColourBox {
    /// Chooses a random box over the middle of the sector, for a polar grid of `[beams, samples]`.
    pub(crate) fn draw([beams, samples]: [usize; 2], rng: &mut Rng) -> Self {
        let part = |count: usize, part: f32| (count as f32 * part) as usize;
        let (left, right) = (rng.draw_uniform(0.15, 0.4), rng.draw_uniform(0.6, 0.85));
        let (top, bottom) = (rng.draw_uniform(0.25, 0.45), rng.draw_uniform(0.65, 0.88));
        Self {
            beams: [part(beams, left), part(beams, right)],
            samples: [part(samples, top), part(samples, bottom)],
        }
    }

    /// Returns the colour of a pixel, or `None` if the pixel remains grey.
    ///
    /// `speed` is the speed of the blood towards the probe in metres per second. `noise` is between
    /// -1 and 1.
    pub(crate) fn colour_pixel(
        &self,
        &SectorPixel { beam, sample, .. }: &SectorPixel,
        speed: f32,
        grey: u8,
        noise: f32,
    ) -> Option<[u8; 3]> {
        let contains = |[first, last]: [usize; 2], at: usize| (first..=last).contains(&at);
        if !contains(self.beams, beam) || !contains(self.samples, sample) {
            return None;
        }
        if self.beams.contains(&beam) || self.samples.contains(&sample) {
            return Some(BORDER);
        }
        if speed.abs() < WALL_FILTER_SPEED || grey > WRITE_PRIORITY {
            return None;
        }
        let wrapped =
            (speed + 0.12 * noise + NYQUIST_SPEED).rem_euclid(2.0 * NYQUIST_SPEED) - NYQUIST_SPEED;
        let fast = (wrapped.abs() / NYQUIST_SPEED * 255.0) as u8;
        let base = 60 + fast / 2;
        Some(if wrapped > 0.0 {
            [base.saturating_add(60), fast / 2, 0]
        } else {
            [0, fast / 2, base.saturating_add(60)]
        })
    }
}
