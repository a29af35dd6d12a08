//! The shape of an organic heart.

use crate::body::heart::Heart;
use crate::rng::Rng;
use crate::vector::Vec3;

/// Least width of the crescent of the right ventricle next to the left one.
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

/// The numbers that describe the shape of a heart, in addition to its sizes.
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

impl Shape {
    /// Draws a shape for a heart with the sizes of `heart`.
    pub(crate) fn draw(heart: &Heart, seed: u32, family: Family, rng: &mut Rng) -> Self {
        let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
        let (round, length) = (pick(0.92, 1.08), pick(0.93, 1.06));
        let narrowest = heart.lv[0] + heart.wall + LEAST_CRESCENT_MM - RV_DISTANCE_MM;
        let rv = [
            (heart.rv[0] * pick(0.85, 1.12)).max(narrowest),
            (heart.rv[1] * pick(0.9, 1.08)).max(31.0),
            pick(50.0, 56.0),
        ];
        let is_wild = family == Family::Wild;
        Self {
            lv: [heart.lv[0] * round, heart.lv[1] / round, heart.lv[2] * length],
            taper: if is_wild { pick(0.22, 0.42) } else { pick(0.05, 0.18) },
            outer_taper: if is_wild { pick(0.16, 0.3) } else { pick(0.05, 0.14) },
            apical_wall: if is_wild { pick(0.4, 0.8) } else { pick(0.8, 1.1) },
            rv,
            rv_taper: if is_wild { pick(0.2, 0.45) } else { pick(0.05, 0.2) },
            rv_bend_mm: if is_wild { pick(6.0, 16.0) } else { pick(2.0, 8.0) },
            rv_wall_mm: pick(2.0, 4.5),
            atrial_wall_mm: pick(1.4, 3.0),
            trabeculae_mm: pick(0.3, 2.6),
            trabecula_size_mm: pick(4.0, 9.0),
            papillary_mm: pick(4.0, 7.0),
            chorda_mm: pick(0.45, 0.95),
            leaflet_mm: pick(0.55, 1.2),
            bow: pick(-0.16, 0.16),
            annulus_mm: pick(1.5, 3.6),
            tricuspid_mm: pick(2.0, 8.0),
            atrial_lift: pick(1.2, 2.4),
            tenting: pick(0.08, 0.42),
            noise_seed: seed.wrapping_mul(0x9E37_79B9),
        }
    }
}
