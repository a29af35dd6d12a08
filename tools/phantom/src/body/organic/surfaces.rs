//! Distances from a point to the surfaces of an organic heart.

use crate::body::organic::noise::compute_noise;
use crate::body::organic::organ::Moment;
use crate::body::vessel::Vessel;
use crate::vector::Vec3;

/// Signed distances in millimetres. A distance is negative inside the surface.
pub(crate) struct Surfaces<'a> {
    pub(crate) lv: f32,
    pub(crate) lv_outer: f32,
    pub(crate) rv: f32,
    /// Distance to the right ventricle as if the left one did not displace it.
    pub(crate) rv_whole: f32,
    pub(crate) la: f32,
    pub(crate) ra: f32,
    pub(crate) vessel: f32,
    /// Distance to the lumen of the vessel whose wall contains the point, or `f32::MAX`.
    pub(crate) vessel_wall: f32,
    pub(crate) nearest_vessel: Option<&'a Vessel>,
}

impl<'a> Surfaces<'a> {
    /// Measures the distances from `p`, a point without the deformation and the motion of the
    /// heart.
    pub(crate) fn measure(p: Vec3, moment: &Moment<'a>) -> Self {
        let (heart, shape, beat) = (&moment.organ.heart, &moment.organ.shape, moment.beat);
        let scale = beat.cavity_scale;
        let centre = [0.0, 0.0, 15.0];
        let cavity = [shape.lv[0] * scale, shape.lv[1] * scale, shape.lv[2]];
        let thickening = 1.0 - 0.05 * beat.systole;
        let outer = [
            (shape.lv[0] + heart.wall) * thickening,
            (shape.lv[1] + heart.wall) * thickening,
            shape.lv[2] + shape.apical_wall * heart.wall,
        ];
        let lv_outer = measure_bullet(p, centre, outer, shape.outer_taper).max(-p[2] - 5.0);
        let mut lv = measure_bullet(p, centre, cavity, shape.taper).max(-p[2]);

        let squeeze = 1.0 - 0.16 * beat.systole;
        let towards_apex = ((p[2] - 14.0) / shape.rv[2]).clamp(0.0, 1.2);
        let middle = [-30.0 + shape.rv_bend_mm * towards_apex * towards_apex, 9.0, 14.0];
        let axes = [shape.rv[0] * squeeze, shape.rv[1] * squeeze, shape.rv[2]];
        let rv_whole =
            measure_bullet(p, middle, axes, shape.rv_taper).max(shape.tricuspid_mm - p[2]);
        let mut rv = rv_whole.max(-lv_outer);
        // Trabeculae are bars of muscle in the apical half of the ventricles.
        if lv.abs().min(rv.abs()) < 5.0 {
            let scale = 1.0 / shape.trabecula_size_mm;
            let q = [p[0] * scale, p[1] * scale, p[2] * 0.6 * scale];
            let bars = (compute_noise(q, shape.noise_seed) + 0.3).max(0.0);
            let height = shape.trabeculae_mm * (0.15 + (p[2] / 60.0).clamp(0.0, 1.0));
            lv += height * bars;
            rv += 2.0 * height * bars;
        }
        let fill = 1.0 + 0.08 * beat.systole;
        let atrium = |centre: Vec3, axes: Vec3| {
            let lift = if p[2] > centre[2] { shape.atrial_lift } else { 1.0 };
            measure_bullet(p, centre, [axes[0] * fill, axes[1] * fill, axes[2] * fill * lift], 0.0)
        };
        let la = atrium([3.0, -13.0, -19.0], heart.la).max(p[2]);
        let ra = atrium([-43.0, 0.0, -18.0], heart.ra).max(p[2] - shape.tricuspid_mm);
        let (mut vessel, mut vessel_wall, mut nearest_vessel) = (f32::MAX, f32::MAX, None);
        // The walls of vessels are not straight.
        let wobble = 1.6 * compute_noise(p.map(|v| 0.07 * v), shape.noise_seed ^ 0x5A5A);
        for candidate in moment.vessels {
            let d = candidate.distance(p) + wobble;
            if d < vessel {
                (vessel, nearest_vessel) = (d, Some(candidate));
            }
            if d > 0.0 && d < candidate.wall_mm {
                vessel_wall = vessel_wall.min(d);
            }
        }
        Self { lv, lv_outer, rv, rv_whole, la, ra, vessel, vessel_wall, nearest_vessel }
    }

    /// Returns the signed distance to the nearest blood.
    pub(crate) fn blood(&self) -> f32 {
        self.lv.min(self.rv).min(self.la).min(self.ra).min(self.vessel)
    }
}

/// Returns the approximate signed distance to an ellipsoid that becomes narrower towards the apex.
///
/// `taper` is the relative narrowing at the apical end.
fn measure_bullet(p: Vec3, centre: Vec3, axes: Vec3, taper: f32) -> f32 {
    let z = (p[2] - centre[2]) / axes[2];
    let narrow = 1.0 / (1.0 - taper * z.clamp(0.0, 1.1));
    let (sx, sy) = (narrow / axes[0], narrow / axes[1]);
    let (x, y) = ((p[0] - centre[0]) * sx, (p[1] - centre[1]) * sy);
    let length2 = x * x + y * y + z * z;
    let gradient2 = (x * sx).powi(2) + (y * sy).powi(2) + (z / axes[2]).powi(2);
    // This is the first-order distance to the level set of the length of the scaled vector.
    let length = length2.sqrt();
    (length - 1.0) * length / gradient2.sqrt().max(1e-6)
}
