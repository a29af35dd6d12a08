//! What a probe shows when it stands on none of the views.

use crate::heart::{Echo, Heart, P3, along, unit};
use crate::rng::Rng;
use crate::view::Plane;

/// A kind of `OTHER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Other {
    /// Probe in the air: ring-down and nothing below.
    Air,
    /// Layers of muscle, fat and fascia over a bright line.
    Layers { spacing_mm: f32, tilt: f32 },
    /// A solid organ with vessels: liver, spleen, kidney.
    Organ { shift: P3, vessels: f32 },
    /// Lung: the pleura and its repeated echoes.
    Lung { pleura_mm: f32, streaks: f32 },
    /// The heart, with the probe sweeping across it.
    Sweep { across: f32, reach_mm: f32, speed: f32 },
    /// The heart, cut far from any view.
    OffPlane,
    /// A scrolling trace in place of a picture: M-mode or spectral Doppler.
    Trace { spectral: bool, seed: f32 },
}

impl Other {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.below(7) {
            0 => Self::Air,
            1 => Self::Layers { spacing_mm: rng.range(5.0, 18.0), tilt: rng.range(-0.5, 0.5) },
            2 => Self::Organ {
                shift: [rng.range(-50.0, 50.0), rng.range(-50.0, 50.0), rng.range(-50.0, 50.0)],
                vessels: rng.range(0.5, 1.6),
            },
            3 => Self::Lung { pleura_mm: rng.range(12.0, 35.0), streaks: rng.range(0.0, 1.0) },
            4 => Self::Sweep {
                across: rng.range(0.0, 1.0),
                reach_mm: rng.range(45.0, 80.0),
                speed: rng.range(1.2, 3.0),
            },
            5 => Self::OffPlane,
            _ => Self::Trace { spectral: rng.below(2) == 0, seed: rng.range(0.0, 100.0) },
        }
    }

    /// The plane at the start; only a cut of the heart differs from the nominal one.
    pub(crate) fn plane(self, nominal: Plane, rng: &mut Rng) -> Plane {
        let mut plane = nominal;
        if self == Self::OffPlane {
            // Beside the heart or slanted through its edge: the right chest, the flank, the back of the atria.
            let spots: [(P3, P3, P3); 4] = [
                ([-95.0, 70.0, -10.0], [-60.0, -20.0, 0.0], [0.3, 0.1, -0.9]),
                ([75.0, 45.0, 50.0], [35.0, -30.0, 35.0], [0.1, 0.6, 0.8]),
                ([40.0, 80.0, 90.0], [40.0, -10.0, 40.0], [0.9, 0.1, 0.4]),
                ([-60.0, 75.0, -75.0], [-30.0, -20.0, -60.0], [0.7, 0.4, 0.6]),
            ];
            let (probe, target, right) = spots[rng.below(spots.len())];
            plane = Plane::through(probe, target, right, plane.depth, plane.half);
        }
        plane
    }

    /// The plane `t` seconds into the cine.
    pub(crate) fn moved(self, plane: Plane, t: f32) -> Plane {
        let Self::Sweep { across, reach_mm, speed } = self else { return plane };
        let mut moved = plane;
        let way = reach_mm * (t * speed).sin();
        moved.probe = along(plane.probe, plane.right, way * (1.0 - across));
        let out = plane.normal();
        moved.probe = along(moved.probe, out, way * across);
        moved.axis = unit(along(plane.axis, out, 0.5 * across * (t * speed * 0.8).cos()));
        moved
    }

    /// Echo at `p`, `r` mm deep on a beam at `angle`; `None` where the heart is cut.
    pub(crate) fn echo(self, p: P3, r: f32, angle: f32) -> Option<Echo> {
        let amplitude = match self {
            Self::Air => 0.6 * (-r / 6.0).exp() + 0.002,
            Self::Layers { spacing_mm, tilt } => {
                let depth = r * (1.0 + tilt * angle);
                let line = (depth / spacing_mm).fract();
                if line < 0.12 { 0.5 * (-r / 60.0).exp() } else { 0.05 + 0.12 * (-r / 40.0).exp() }
            }
            Self::Organ { shift, vessels } => {
                let q = [p[0] + shift[0], p[1] + shift[1], p[2] + shift[2]];
                // Blood vessels run where two slow waves cross.
                let a = (0.09 * vessels * q[0] + 0.05 * q[2]).sin() + (0.07 * q[1] - 0.04 * q[0]).sin();
                let b = (0.06 * q[2] + 0.05 * vessels * q[1]).sin();
                match (a + b).abs() {
                    d if d < 0.09 => 0.01,
                    d if d < 0.16 => 0.4,
                    _ => 0.16,
                }
            }
            Self::Lung { pleura_mm, streaks } => {
                let repeat = (r / pleura_mm).fract();
                let order = (r / pleura_mm).floor();
                let line = if repeat < 0.06 && order >= 1.0 { 0.9 / (order * order) } else { 0.0 };
                let comet = if (angle * 9.0 + streaks * 7.0).sin() > 0.93 { 0.3 * streaks } else { 0.0 };
                let skin = if r < pleura_mm { 0.14 } else { 0.012 + comet };
                line + skin
            }
            Self::Sweep { .. } | Self::OffPlane => return None,
            Self::Trace { .. } => 0.0,
        };
        Some(Echo::tissue(amplitude))
    }

    /// Draws the whole frame where it is no sector; the trace scrolls with time. Says whether it did.
    pub(crate) fn draw_trace(
        self,
        frame: &mut [u8],
        [w, h]: [usize; 2],
        heart: &Heart,
        t: f32,
        rng: &mut Rng,
    ) -> bool {
        let Self::Trace { spectral, seed } = self else { return false };
        for x in 0..w {
            let when = t - (w - x) as f32 / w as f32 * 2.5;
            let p = heart.position(when + seed);
            for y in 0..h {
                let down = (y as f32 + 0.5) / h as f32;
                let noise = rng.range(0.0, 1.0);
                let value = if spectral {
                    let up = (-((p - 0.22) / 0.1).powi(2)).exp() * 0.35;
                    let low = (-((p - 0.55) / 0.07).powi(2)).exp() * 0.3
                        + (-((p - 0.9) / 0.04).powi(2)).exp() * 0.2;
                    let (from, to) = (0.5 - up, 0.5 + low);
                    if (from..to).contains(&down) { 60.0 + 180.0 * noise } else { 12.0 * noise }
                } else {
                    let wall = |rest: f32, swing: f32| {
                        let here = rest + swing * (-((p - 0.3) / 0.18).powi(2)).exp();
                        (1.0 - (down - here).abs() / 0.03).max(0.0)
                    };
                    let bands = wall(0.3, 0.05)
                        + wall(0.45, 0.12 * ((seed * 3.1).sin()))
                        + wall(0.7, -0.09)
                        + wall(0.85, -0.03);
                    (40.0 + 200.0 * noise) * bands.min(1.0) + 25.0 * noise
                };
                frame[y * w + x] = value.clamp(0.0, 255.0) as u8;
            }
        }
        true
    }
}
