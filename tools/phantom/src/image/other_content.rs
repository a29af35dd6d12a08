//! The contents of cines labelled `OTHER`. These cines show none of the standard views.

use crate::body::echo::Echo;
use crate::image::plane::Plane;
use crate::image::trace::Trace;
use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled, normalise};

/// The content of a cine labelled `OTHER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OtherContent {
    /// A probe in the air: the image shows ring-down and nothing below it.
    Air,
    /// Layers of muscle, fat and fascia.
    Layers { spacing_mm: f32, tilt: f32 },
    /// A solid organ with vessels, such as the liver, the spleen or a kidney.
    Organ { shift_mm: Vec3, vessels: f32 },
    /// The pleura and its reverberations.
    Lung { pleura_mm: f32, streaks: f32 },
    /// The heart under a moving probe.
    Sweep { across: f32, reach_mm: f32, speed: f32 },
    /// The heart in a plane far from every view.
    OffPlane,
    /// An M-mode or spectral Doppler trace.
    Trace(Trace),
}

impl OtherContent {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.draw_below(7) {
            0 => Self::Air,
            1 => Self::Layers {
                spacing_mm: rng.draw_uniform(5.0, 18.0),
                tilt: rng.draw_uniform(-0.5, 0.5),
            },
            2 => Self::Organ {
                shift_mm: [
                    rng.draw_uniform(-50.0, 50.0),
                    rng.draw_uniform(-50.0, 50.0),
                    rng.draw_uniform(-50.0, 50.0),
                ],
                vessels: rng.draw_uniform(0.5, 1.6),
            },
            3 => Self::Lung {
                pleura_mm: rng.draw_uniform(12.0, 35.0),
                streaks: rng.draw_uniform(0.0, 1.0),
            },
            4 => Self::Sweep {
                across: rng.draw_uniform(0.0, 1.0),
                reach_mm: rng.draw_uniform(45.0, 80.0),
                speed: rng.draw_uniform(1.2, 3.0),
            },
            5 => Self::OffPlane,
            _ => Self::Trace(Trace::draw(rng)),
        }
    }

    /// Returns the name that is used in the manifest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Air => "air",
            Self::Layers { .. } => "layers",
            Self::Organ { .. } => "organ",
            Self::Lung { .. } => "lung",
            Self::Sweep { .. } => "sweep",
            Self::OffPlane => "off-plane",
            Self::Trace(_) => "trace",
        }
    }

    /// Chooses the plane in which the cine starts: a random one for `OffPlane`, and `plane` for all
    /// other kinds of content.
    pub(crate) fn choose_plane(self, plane: Plane, rng: &mut Rng) -> Plane {
        if self != Self::OffPlane {
            return plane;
        }
        // The planes lie next to the heart or cut obliquely through its edge. They show the right
        // chest, the flank, the left chest and the back of the atria.
        let places: [(Vec3, Vec3, Vec3); 4] = [
            ([-95.0, 70.0, -10.0], [-60.0, -20.0, 0.0], [0.3, 0.1, -0.9]),
            ([75.0, 45.0, 50.0], [35.0, -30.0, 35.0], [0.1, 0.6, 0.8]),
            ([40.0, 80.0, 90.0], [40.0, -10.0, 40.0], [0.9, 0.1, 0.4]),
            ([-60.0, 75.0, -75.0], [-30.0, -20.0, -60.0], [0.7, 0.4, 0.6]),
        ];
        let (probe, target, right) = places[rng.draw_below(places.len())];
        Plane::aim(probe, target, right, plane.depth_mm, plane.half_angle_rad)
    }

    /// Returns the plane `t` seconds after end-diastole. Only a sweep moves the plane.
    pub(crate) fn sweep_plane(self, plane: Plane, t: f32) -> Plane {
        let Self::Sweep { across, reach_mm, speed } = self else { return plane };
        let distance_mm = reach_mm * (t * speed).sin();
        let normal = plane.normal();
        let probe = add_scaled(plane.probe, plane.right, distance_mm * (1.0 - across));
        Plane {
            probe: add_scaled(probe, normal, distance_mm * across),
            axis: normalise(add_scaled(plane.axis, normal, 0.5 * across * (t * speed * 0.8).cos())),
            ..plane
        }
    }

    /// Computes the echo of the point `p`, which lies `r` millimetres deep on a beam at `angle`
    /// radians from the sector's axis. Returns `None` if the cine shows the heart.
    pub(crate) fn compute_echo(self, p: Vec3, r: f32, angle: f32) -> Option<Echo> {
        let amplitude = match self {
            Self::Air => 0.6 * (-r / 6.0).exp() + 0.002,
            Self::Layers { spacing_mm, tilt } => {
                let depth = r * (1.0 + tilt * angle);
                let line = (depth / spacing_mm).fract();
                if line < 0.12 { 0.5 * (-r / 60.0).exp() } else { 0.05 + 0.12 * (-r / 40.0).exp() }
            }
            Self::Organ { shift_mm, vessels } => {
                let q = [p[0] + shift_mm[0], p[1] + shift_mm[1], p[2] + shift_mm[2]];
                // The vessels follow the zeros of a sum of slowly varying sine waves.
                let a =
                    (0.09 * vessels * q[0] + 0.05 * q[2]).sin() + (0.07 * q[1] - 0.04 * q[0]).sin();
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
                let comet =
                    if (angle * 9.0 + streaks * 7.0).sin() > 0.93 { 0.3 * streaks } else { 0.0 };
                let skin = if r < pleura_mm { 0.14 } else { 0.012 + comet };
                line + skin
            }
            Self::Sweep { .. } | Self::OffPlane => return None,
            Self::Trace(_) => 0.0,
        };
        Some(Echo::from_tissue(amplitude))
    }
}
