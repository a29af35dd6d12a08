//! Colour Doppler: a box over the picture in which moving blood is coloured.

use crate::rng::Rng;

/// Fastest speed that the map holds, metres a second; faster blood wraps round to the other colour.
const NYQUIST: f32 = 0.6;

/// Slower blood is left grey.
const SLOWEST: f32 = 0.08;

/// Brighter than this, as a part of white, the point is tissue and keeps its grey.
const WRITE_PRIORITY: u8 = 120;

/// The box, in beams and samples of the polar grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColourBox {
    beams: [usize; 2],
    samples: [usize; 2],
    grid: [usize; 2],
}

impl ColourBox {
    /// A box over the middle of the sector.
    pub(crate) fn draw(grid: [usize; 2], rng: &mut Rng) -> Self {
        let part = |n: usize, u: f32| (n as f32 * u) as usize;
        let (left, right) = (rng.range(0.15, 0.4), rng.range(0.6, 0.85));
        let (top, bottom) = (rng.range(0.25, 0.45), rng.range(0.65, 0.88));
        let [beams, samples] = grid;
        Self {
            beams: [part(beams, left), part(beams, right)],
            samples: [part(samples, top), part(samples, bottom)],
            grid,
        }
    }

    /// Colour of the pixel at index `polar` of the grid, `None` where the grey of the picture stays. `toward` is the
    /// speed of the blood toward the probe, metres a second, `noise` -1 to 1.
    pub(crate) fn colour(&self, polar: u32, toward: f32, grey: u8, noise: f32) -> Option<[u8; 3]> {
        let [_, samples] = self.grid;
        let (beam, sample) = (polar as usize / samples, polar as usize % samples);
        let inside = |at: usize, [from, to]: [usize; 2]| (from..=to).contains(&at);
        if !inside(beam, self.beams) || !inside(sample, self.samples) {
            return None;
        }
        if self.beams.contains(&beam) || self.samples.contains(&sample) {
            return Some([90, 160, 90]);
        }
        if toward.abs() < SLOWEST || grey > WRITE_PRIORITY {
            return None;
        }
        let wrapped = (toward + 0.12 * noise + NYQUIST).rem_euclid(2.0 * NYQUIST) - NYQUIST;
        let fast = (wrapped.abs() / NYQUIST * 255.0) as u8;
        let base = 60 + fast / 2;
        Some(if wrapped > 0.0 {
            [base.saturating_add(60), fast / 2, 0]
        } else {
            [0, fast / 2, base.saturating_add(60)]
        })
    }
}
