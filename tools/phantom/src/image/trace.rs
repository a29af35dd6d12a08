//! M-mode and spectral Doppler traces, which scanners show in place of a sector.

use crate::body::heart::Heart;
use crate::rng::Rng;
use ndarray::Array2;

/// Time that the width of the frame spans, in seconds.
const SWEEP_S: f32 = 2.5;

/// A trace that scrolls to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trace {
    /// Whether the trace is spectral Doppler instead of M-mode.
    is_spectral: bool,
    /// Offset that is added to the heart's time. The offset also determines how far one of the
    /// walls moves in M-mode.
    offset_s: f32,
}

impl Trace {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self { is_spectral: rng.draw_below(2) == 0, offset_s: rng.draw_uniform(0.0, 100.0) }
    }

    /// Renders the trace of `heart` up to the time `t` into a frame of `[height, width]` pixels.
    pub(crate) fn render(
        self,
        size: [usize; 2],
        heart: &Heart,
        t: f32,
        rng: &mut Rng,
    ) -> Array2<u8> {
        let mut frame = Array2::zeros(size);
        let [height, width] = size;
        for (x, mut column) in frame.columns_mut().into_iter().enumerate() {
            let time = t - (width - x) as f32 / width as f32 * SWEEP_S;
            let position = heart.position(time + self.offset_s);
            for (y, pixel) in column.iter_mut().enumerate() {
                let down = (y as f32 + 0.5) / height as f32;
                let noise = rng.draw_uniform(0.0, 1.0);
                let value = if self.is_spectral {
                    compute_spectrum(position, down, noise)
                } else {
                    self.compute_walls(position, down, noise)
                };
                *pixel = value.clamp(0.0, 255.0) as u8;
            }
        }
        frame
    }

    /// Computes the grey value of a pixel in an M-mode trace of four walls that move with the beat.
    fn compute_walls(self, position: f32, down: f32, noise: f32) -> f32 {
        let wall = |rest: f32, swing: f32| {
            let place = rest + swing * (-((position - 0.3) / 0.18).powi(2)).exp();
            (1.0 - (down - place).abs() / 0.03).max(0.0)
        };
        let walls = wall(0.3, 0.05)
            + wall(0.45, 0.12 * ((self.offset_s * 3.1).sin()))
            + wall(0.7, -0.09)
            + wall(0.85, -0.03);
        (40.0 + 200.0 * noise) * walls.min(1.0) + 25.0 * noise
    }
}

/// Computes the grey value of a pixel in a spectrum. Ejection is above the baseline, and early
/// filling and atrial contraction are below it.
fn compute_spectrum(position: f32, down: f32, noise: f32) -> f32 {
    let above = (-((position - 0.22) / 0.1).powi(2)).exp() * 0.35;
    let below = (-((position - 0.55) / 0.07).powi(2)).exp() * 0.3
        + (-((position - 0.9) / 0.04).powi(2)).exp() * 0.2;
    if (0.5 - above..0.5 + below).contains(&down) { 60.0 + 180.0 * noise } else { 12.0 * noise }
}
