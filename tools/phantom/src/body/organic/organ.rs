//! The organic heart: its shape, and its state at one instant.

use crate::body::beat::Beat;
use crate::body::heart::Heart;
use crate::body::organic::deformation::Deformation;
use crate::body::organic::leaflets::Valve;
use crate::body::valves::{MITRAL, TRICUSPID};
use crate::body::vessel::Vessel;
use crate::rng::Rng;
use crate::vector::{Vec3, dot, subtract};

/// Least width of the crescent of the right ventricle beside the left one.
const LEAST_CRESCENT_MM: f32 = 16.0;

/// Distance between the axis of the left ventricle and the middle of the right one.
const RV_DISTANCE_MM: f32 = 30.0;

/// The family of shapes from which an organic heart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Hearts that are deformed by waves.
    Wild,
    /// Hearts that are deformed by bumps, with thicker or straighter apices than those of `Wild`.
    Unlike,
}

/// A heart with an organic shape.
#[derive(Clone, Debug)]
pub(crate) struct OrganicHeart {
    pub(crate) heart: Heart,
    pub(crate) shape: Shape,
    pub(crate) deformation: Deformation,
}

/// The numbers that describe the shape of a heart, besides its sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Semi-axes of the left ventricular cavity at end-diastole.
    pub(crate) lv: Vec3,
    /// Relative narrowing of the left ventricular cavity from its middle to its apex.
    pub(crate) taper: f32,
    /// Relative narrowing of the outer surface.
    pub(crate) outer_taper: f32,
    /// Thickness of the left ventricular wall at the apex, relative to the rest.
    pub(crate) apical_wall: f32,
    pub(crate) rv: Vec3,
    pub(crate) rv_taper: f32,
    /// Distance by which the right ventricle bends towards the septum at its apex.
    pub(crate) rv_bend_mm: f32,
    pub(crate) rv_wall_mm: f32,
    pub(crate) atrial_wall_mm: f32,
    /// Height of the trabeculae in the left ventricle. It is twice as large in the right one.
    pub(crate) trabeculae_mm: f32,
    pub(crate) trabecula_size_mm: f32,
    pub(crate) papillary_mm: f32,
    pub(crate) chorda_mm: f32,
    pub(crate) leaflet_mm: f32,
    /// Bow of a leaflet, relative to its length.
    pub(crate) bow: f32,
    pub(crate) annulus_mm: f32,
    /// Distance by which the tricuspid valve is nearer to the apex than the mitral valve.
    pub(crate) tricuspid_mm: f32,
    /// Height of an atrium's widest part above its middle, relative to the rest of the atrium. An
    /// atrium with a high value is as wide at the valve as in its middle.
    pub(crate) atrial_lift: f32,
    /// Angle between closed leaflets and the plane of their ring, in radians.
    pub(crate) tenting: f32,
    pub(crate) noise_seed: u32,
}

impl OrganicHeart {
    /// Draws the heart of a patient. The same seed gives the same heart for every view.
    pub(crate) fn draw(seed: u64, family: Family) -> Self {
        let mut heart = Heart::draw(seed).vary_size(seed);
        let mut rng = Rng::new(seed ^ 0x0E6A_41C5);
        let mut pick = |wild: (f32, f32), unlike: (f32, f32)| {
            let (low, high) = if family == Family::Wild { wild } else { unlike };
            rng.draw_uniform(low, high)
        };
        let both = |low: f32, high: f32| ((low, high), (low, high));
        let mut same = |low, high| {
            let (wild, unlike) = both(low, high);
            pick(wild, unlike)
        };
        let round = same(0.92, 1.08);
        let length = same(0.93, 1.06);
        let rv = [heart.rv[0] * same(0.85, 1.12), heart.rv[1] * same(0.9, 1.08), same(50.0, 56.0)];
        let narrowest = heart.lv[0] + heart.wall + LEAST_CRESCENT_MM - RV_DISTANCE_MM;
        let rv = [rv[0].max(narrowest), rv[1].max(31.0), rv[2]];
        // Very large atria would appear in views that do not show them.
        heart.la = clamp_axes(heart.la, [22.0, 20.0, 27.0]);
        heart.ra = clamp_axes(heart.ra, [24.0, 24.0, 28.0]);
        let wall_mm = [same(2.0, 4.5), same(1.4, 3.0)];
        let small =
            [same(0.3, 2.6), same(4.0, 9.0), same(4.0, 7.0), same(0.45, 0.95), same(0.55, 1.2)];
        let annulus_mm = same(1.5, 3.6);
        let bow = same(-0.16, 0.16);
        let tricuspid_mm = same(2.0, 8.0);
        let atrial_lift = same(1.2, 2.4);
        let tenting = same(0.08, 0.42);
        let shape = Shape {
            lv: [heart.lv[0] * round, heart.lv[1] / round, heart.lv[2] * length],
            taper: pick((0.22, 0.42), (0.05, 0.18)),
            outer_taper: pick((0.16, 0.3), (0.05, 0.14)),
            apical_wall: pick((0.4, 0.8), (0.8, 1.1)),
            rv,
            rv_taper: pick((0.2, 0.45), (0.05, 0.2)),
            rv_bend_mm: pick((6.0, 16.0), (2.0, 8.0)),
            rv_wall_mm: wall_mm[0],
            atrial_wall_mm: wall_mm[1],
            trabeculae_mm: small[0],
            trabecula_size_mm: small[1],
            papillary_mm: small[2],
            chorda_mm: small[3],
            leaflet_mm: small[4],
            bow,
            annulus_mm,
            tricuspid_mm,
            atrial_lift,
            tenting,
            noise_seed: (seed as u32).wrapping_mul(0x9E37_79B9),
        };
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
