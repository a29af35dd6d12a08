//! The beating heart: the sizes of its chambers and their motion.
//!
//! Lengths are in millimetres. The origin is the centre of the left ventricular base, `z` points to
//! the apex, `x` to the lateral wall and `y` to the anterior wall. Every view is a section through
//! the same heart.

use crate::body::beat::{Beat, compute_relative_length};
use crate::body::rhythm::{Rhythm, RhythmKind};
use crate::body::vessel::{Vessel, build_vessels};
use crate::rng::Rng;
use crate::vector::Vec3;

/// One heart: its geometry at end-diastole, its contraction and its rhythm.
#[derive(Clone, Debug)]
pub struct Heart {
    /// Semi-axes of the left ventricular cavity.
    pub(crate) lv: Vec3,
    /// Thickness of the left ventricular wall.
    pub(crate) wall: f32,
    /// Semi-axes of the right ventricle.
    pub(crate) rv: Vec3,
    /// Semi-axes of the left atrium.
    pub(crate) la: Vec3,
    /// Semi-axes of the right atrium.
    pub(crate) ra: Vec3,
    /// Left ventricular ejection fraction, 0 to 1.
    pub ejection_fraction: f32,
    /// Mean heart rate in beats per minute.
    pub rate_bpm: f32,
    /// Distance that the base moves towards the apex in systole.
    descent: f32,
    rhythm: Rhythm,
    pub(crate) vessels: Vec<Vessel>,
}

impl Heart {
    /// Creates a heart with random chamber sizes, wall thickness, rate, rhythm and ejection
    /// fraction.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xA11C_E0DE);
        let mut vary =
            |mean: f32, spread: f32| mean * (1.0 + spread * rng.draw_normal().clamp(-2.0, 2.0));
        let (lv, aorta) = (vary(22.5, 0.09), vary(13.0, 0.08));
        let (rv, atria) = (vary(1.0, 0.09), vary(1.0, 0.11));
        Self {
            lv: [lv, lv, 65.0],
            wall: vary(9.5, 0.16),
            rv: [30.0 * rv, 35.0 * rv, 47.0],
            la: [20.0 * atria, 18.0 * atria, 25.0],
            ra: [21.0 * atria, 21.0 * atria, 25.0],
            ejection_fraction: vary(0.57, 0.17),
            rate_bpm: vary(74.0, 0.2),
            descent: vary(12.0, 0.2),
            rhythm: Rhythm::draw(&mut Rng::new(seed ^ 0x5EED_BEA7)),
            vessels: build_vessels(aorta),
        }
    }

    /// Scales the chambers, the wall and the contraction by random factors that cover the range
    /// from hypertrophy to dilation. The same seed gives the same factors for every view.
    #[must_use]
    pub fn vary_size(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xD11A_7ED0);
        let left = rng.draw_uniform(0.8, 1.35);
        for axis in &mut self.lv[..2] {
            *axis *= left;
        }
        self.wall *= rng.draw_uniform(0.75, 1.3);
        let (right, atria) = (rng.draw_uniform(0.75, 1.1), rng.draw_uniform(0.85, 1.2));
        for axis in &mut self.rv[..2] {
            *axis *= right;
        }
        for axis in self.la.iter_mut().chain(&mut self.ra) {
            *axis *= atria;
        }
        self.ejection_fraction =
            (self.ejection_fraction * rng.draw_uniform(0.35, 1.15)).clamp(0.12, 0.75);
        self.descent *= rng.draw_uniform(0.4, 1.1);
        self
    }

    /// Returns the kind of rhythm.
    pub fn rhythm(&self) -> RhythmKind {
        self.rhythm.kind
    }

    /// Returns the position within the beat, from 0 to 1, `t` seconds after end-diastole.
    pub(crate) fn position(&self, t: f32) -> f32 {
        self.rhythm.position(t * self.rate_bpm / 60.0)
    }

    /// Returns the state of the heart `t` seconds after end-diastole.
    pub(crate) fn beat(&self, t: f32) -> Beat {
        Beat::new(self.position(t), self.ejection_fraction, self.descent)
    }

    /// Returns the volume of the left ventricular cavity in millilitres, `t` seconds after
    /// end-diastole. The volume is the sum of discs that are 1 mm thick.
    pub fn lv_volume_ml(&self, t: f32) -> f32 {
        let beat = self.beat(t);
        let length = compute_relative_length(beat.systole, self.descent);
        let disc = |z: i32| (1.0 - ((z as f32 + 0.5 - 15.0) / self.lv[2]).powi(2)).max(0.0);
        (0..80).map(disc).sum::<f32>()
            * std::f32::consts::PI
            * (self.lv[0] * beat.cavity_scale).powi(2)
            * length
            / 1000.0
    }

    /// Returns the radius of the left ventricle including its wall.
    pub(crate) fn lv_outer_radius(&self, beat: Beat) -> f32 {
        (self.lv[0] + self.wall) * (1.0 - 0.05 * beat.systole)
    }

    /// Returns the position that the tissue now at `p` would have without the descent of the base.
    pub(crate) fn undo_descent(&self, p: Vec3, beat: Beat) -> Vec3 {
        let descent = self.descent * beat.systole;
        // The descent is largest at the base. It fades out towards the apex and towards the great
        // vessels behind the atria.
        let fade = if p[2] < -20.0 { ((p[2] + 70.0) / 50.0).clamp(0.0, 1.0) } else { 1.0 };
        let z =
            if p[2] < 80.0 { p[2] - fade * descent * (1.0 - (p[2].max(0.0) / 80.0)) } else { p[2] };
        [p[0], p[1], z]
    }

    /// Returns the position that the tissue at `p` had at end-diastole, before the wall thickened.
    /// `p` is a point returned by `undo_descent`.
    pub(crate) fn undo_thickening(&self, p: Vec3, beat: Beat) -> Vec3 {
        let r2 = (p[0] * p[0] + p[1] * p[1]) / (self.lv[0] * self.lv[0]);
        let scale = if p[2] > 0.0 {
            1.0 + (1.0 / beat.cavity_scale - 1.0) * (-0.5 * r2).exp()
        } else {
            1.0
        };
        [p[0] * scale, p[1] * scale, p[2]]
    }
}

/// A heart at one instant, with the vessels that the scan plane can cross.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) heart: &'a Heart,
    pub(crate) beat: Beat,
    pub(crate) vessels: &'a [Vessel],
}
