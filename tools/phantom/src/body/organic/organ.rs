//! The organic heart: its shape, and its state at one instant.

use crate::body::beat::Beat;
use crate::body::heart::Heart;
use crate::body::organic::deformation::Deformation;
use crate::body::organic::leaflets::Valve;
use crate::body::organic::shape::{Family, Shape};
use crate::body::valves::{MITRAL, TRICUSPID};
use crate::body::vessel::Vessel;
use crate::rng::Rng;
use crate::vector::{Vec3, dot, subtract};

/// A heart with an organic shape.
#[derive(Clone, Debug)]
pub(crate) struct OrganicHeart {
    pub(crate) heart: Heart,
    pub(crate) shape: Shape,
    pub(crate) deformation: Deformation,
}

impl OrganicHeart {
    /// Draws the heart of a patient. The same seed gives the same heart for every view.
    pub(crate) fn draw(seed: u64, family: Family) -> Self {
        let mut heart = Heart::draw(seed).vary_size(seed);
        let mut rng = Rng::new(seed ^ 0x0E6A_41C5);
        // The left atrium is wider than deep. Very large atria would appear in views that do not
        // show them.
        heart.la[0] *= rng.draw_uniform(1.0, 1.22);
        heart.la = clamp_axes(heart.la, [23.5, 20.0, 27.0]);
        heart.ra = clamp_axes(heart.ra, [24.0, 24.0, 28.0]);
        let shape = Shape::draw(&heart, seed as u32, family, &mut rng);
        // The descending aorta leaves the plane of the parasternal long axis behind the atrium.
        let end = [rng.draw_uniform(-8.0, 16.0), rng.draw_uniform(-95.0, -75.0), 30.0];
        Vessel::bend_descending_aorta(&mut heart.vessels, end);
        heart.vessels.extend(Vessel::build_pulmonary_veins());
        for vessel in &mut heart.vessels {
            vessel.scale(rng.draw_uniform(0.88, 1.12), rng.draw_uniform(0.8, 1.5));
        }
        let deformation = match family {
            Family::Wild => Deformation::draw_waves(rng.draw_uniform(3.0, 8.0), &mut rng),
            Family::Unlike => Deformation::draw_bumps(rng.draw_uniform(3.0, 8.0), &mut rng),
        };
        Self { heart, shape, deformation }
    }

    /// Returns the heart `seconds` after end-diastole, with the vessels that the scan can meet.
    pub(crate) fn at<'a>(&'a self, seconds: f32, vessels: &'a [Vessel]) -> Moment<'a> {
        let beat = self.heart.beat(seconds);
        let shape = &self.shape;
        let tricuspid = [TRICUSPID[0], TRICUSPID[1], shape.tricuspid_mm];
        let valves = [
            Valve::new(MITRAL, 17.0, [-0.45, 0.89], 0.3, beat, shape),
            Valve::new(tricuspid, 16.0, [0.3, 0.95], 0.12, beat, shape),
        ];
        let scale = beat.cavity_scale * self.shape.lv[0] / 22.5;
        let muscle = |[x, y]: [f32; 2]| Capsule {
            start: [1.2 * x * scale, 1.2 * y * scale, 56.0],
            end: [0.85 * x * scale, 0.85 * y * scale, 27.0 - 2.0 * beat.systole],
            radii: [shape.papillary_mm * 1.15, shape.papillary_mm * 0.65],
        };
        let papillary = [muscle([14.0, 8.0]), muscle([-2.0, -16.0])];
        let tips = valves[0].find_tips();
        let chorda = |muscle: usize, tip: usize| Capsule {
            start: papillary[muscle].end,
            end: tips[tip],
            radii: [shape.chorda_mm; 2],
        };
        let chordae = [chorda(0, 0), chorda(0, 1), chorda(1, 0), chorda(1, 1)];
        Moment { organ: self, beat, vessels, valves, papillary, chordae }
    }
}

fn clamp_axes(axes: Vec3, most: Vec3) -> Vec3 {
    std::array::from_fn(|k| axes[k].min(most[k]))
}

/// An organic heart at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) organ: &'a OrganicHeart,
    pub(crate) beat: Beat,
    pub(crate) vessels: &'a [Vessel],
    /// The mitral and the tricuspid valve.
    pub(crate) valves: [Valve; 2],
    pub(crate) papillary: [Capsule; 2],
    pub(crate) chordae: [Capsule; 4],
}

/// A straight rod with round ends whose radius changes linearly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capsule {
    pub(crate) start: Vec3,
    pub(crate) end: Vec3,
    pub(crate) radii: [f32; 2],
}

impl Capsule {
    /// Returns the signed distance from `p` to the surface.
    pub(crate) fn distance(&self, p: Vec3) -> f32 {
        let (axis, q) = (subtract(self.end, self.start), subtract(p, self.start));
        let t = (dot(q, axis) / dot(axis, axis).max(1e-3)).clamp(0.0, 1.0);
        let across = subtract(q, axis.map(|v| v * t));
        dot(across, across).sqrt() - (self.radii[0] + (self.radii[1] - self.radii[0]) * t)
    }
}
