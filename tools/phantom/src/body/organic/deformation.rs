//! A smooth deformation of the whole body.

use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled, dot, normalise, subtract};

/// Part of the deformation perpendicular to a scan plane that the examiner does not correct.
const UNCORRECTED: f32 = 0.35;

/// A displacement of every point of the body, in millimetres, that varies slowly from point to
/// point.
#[derive(Clone, Debug)]
pub(crate) enum Deformation {
    /// A sum of sine waves.
    Waves(Vec<Wave>),
    /// A sum of bumps, each of which displaces only the points near its centre.
    Bumps(Vec<Bump>),
}

/// A sine wave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wave {
    shift_mm: Vec3,
    /// Change of the phase per millimetre.
    frequency: Vec3,
    phase: f32,
}

/// A bump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bump {
    shift_mm: Vec3,
    centre: Vec3,
    radius_mm: f32,
}

impl Deformation {
    /// Draws five waves with lengths of 70 to 170 mm. Together they displace a point by
    /// `amplitude_mm` or a little more at most.
    pub(crate) fn draw_waves(amplitude_mm: f32, rng: &mut Rng) -> Self {
        const COUNT: usize = 5;
        let each = amplitude_mm / (COUNT as f32).sqrt();
        let wave = |_| {
            let length_mm = rng.draw_uniform(70.0, 170.0);
            let frequency = draw_direction(rng).map(|v| v * std::f32::consts::TAU / length_mm);
            let shift_mm = draw_direction(rng).map(|v| v * each);
            Wave { shift_mm, frequency, phase: rng.draw_uniform(0.0, std::f32::consts::TAU) }
        };
        Self::Waves((0..COUNT).map(wave).collect())
    }

    /// Draws six bumps with radii of 18 to 40 mm inside and next to the heart.
    pub(crate) fn draw_bumps(amplitude_mm: f32, rng: &mut Rng) -> Self {
        let bump = |_| {
            let centre = [
                rng.draw_uniform(-60.0, 40.0),
                rng.draw_uniform(-40.0, 45.0),
                rng.draw_uniform(-50.0, 80.0),
            ];
            let size = amplitude_mm * rng.draw_uniform(0.5, 1.0);
            Bump {
                shift_mm: draw_direction(rng).map(|v| v * size),
                centre,
                radius_mm: rng.draw_uniform(18.0, 40.0),
            }
        };
        Self::Bumps((0..6).map(bump).collect())
    }

    /// Returns the displacement at `p`.
    pub(crate) fn displace(&self, p: Vec3) -> Vec3 {
        let mut sum = [0.0; 3];
        match self {
            Self::Waves(waves) => {
                for wave in waves {
                    sum =
                        add_scaled(sum, wave.shift_mm, (dot(wave.frequency, p) + wave.phase).sin());
                }
            }
            Self::Bumps(bumps) => {
                for bump in bumps {
                    let q = subtract(p, bump.centre);
                    let weight = (-dot(q, q) / (bump.radius_mm * bump.radius_mm)).exp();
                    sum = add_scaled(sum, bump.shift_mm, weight);
                }
            }
        }
        sum
    }

    /// Returns the point of the undeformed body that is at `p`, in a plane with the unit normal
    /// `normal`. An examiner follows the anatomy, so most of the displacement perpendicular to the
    /// plane is undone. Without this, a deformed heart would show another view.
    pub(crate) fn undo_in_plane(&self, p: Vec3, normal: Vec3) -> Vec3 {
        let shift = self.displace(p);
        let kept = add_scaled(shift, normal, -(1.0 - UNCORRECTED) * dot(shift, normal));
        add_scaled(p, kept, 1.0)
    }
}

fn draw_direction(rng: &mut Rng) -> Vec3 {
    normalise([rng.draw_normal(), rng.draw_normal(), rng.draw_normal()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deformation_is_smooth_and_has_the_amplitude_asked_for() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            for deformation in
                [Deformation::draw_waves(6.0, &mut rng), Deformation::draw_bumps(6.0, &mut rng)]
            {
                let mut largest = 0.0f32;
                for i in 0..4000 {
                    let [x, y, z] = [i % 20, i / 20 % 10, i / 200].map(|v| v as f32);
                    let p = [5.0 * x - 60.0, 8.0 * y - 40.0, 7.0 * z - 50.0];
                    let (a, b) =
                        (deformation.displace(p), deformation.displace([p[0] + 1.0, p[1], p[2]]));
                    let step = subtract(a, b);
                    assert!(dot(step, step).sqrt() < 0.9, "{step:?}");
                    largest = largest.max(dot(a, a).sqrt());
                }
                assert!((2.5..17.0).contains(&largest), "{largest}");
            }
        }
    }
}
