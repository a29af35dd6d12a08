//! Distances from a point to the surfaces of the heart.

use crate::body::heart::Snapshot;
use crate::body::vessel::Vessel;
use crate::vector::{Vec3, dot};

/// Signed distances in millimetres from a point to the surfaces of the heart. A distance is
/// negative if the point is inside the surface.
pub(crate) struct Distances<'a> {
    /// Distance to the outer surface of the left ventricular wall.
    pub(crate) lv_outer: f32,
    pub(crate) lv: f32,
    /// Distance to the complete right ventricular ellipsoid, which overlaps the left ventricle.
    pub(crate) rv_whole: f32,
    pub(crate) rv: f32,
    pub(crate) la: f32,
    pub(crate) ra: f32,
    /// Distance to the lumen of the nearest vessel.
    pub(crate) vessel: f32,
    /// Distance to the nearest lumen of the vessels whose walls contain the point, or `f32::MAX` if
    /// no wall contains the point.
    pub(crate) vessel_wall: f32,
    pub(crate) nearest_vessel: Option<&'a Vessel>,
}

impl<'a> Distances<'a> {
    /// Measures the distances from `p`, a point returned by `Heart::undo_descent`.
    pub(crate) fn measure(p: Vec3, Snapshot { heart, beat, vessels }: Snapshot<'a>) -> Self {
        let scale = beat.cavity_scale;
        let centre = [0.0, 0.0, 15.0];
        let cavity = [heart.lv[0] * scale, heart.lv[1] * scale, heart.lv[2]];
        let outer = heart.lv_outer_radius(beat);
        let lv_outer =
            measure_ellipsoid(p, centre, [outer, outer, heart.lv[2] + heart.wall]).max(-p[2] - 5.0);
        let lv = measure_ellipsoid(p, centre, cavity).max(-p[2]);
        let scale = 1.0 - 0.16 * beat.systole;
        let axes = [heart.rv[0] * scale, heart.rv[1] * scale, heart.rv[2]];
        let rv_whole = measure_ellipsoid(p, [-30.0, 9.0, 14.0], axes).max(-p[2]);
        let rv = rv_whole.max(-lv_outer);
        let scale = 1.0 + 0.08 * beat.systole;
        let la = measure_ellipsoid(p, [3.0, -13.0, -19.0], heart.la.map(|v| v * scale)).max(p[2]);
        let ra = measure_ellipsoid(p, [-43.0, 0.0, -18.0], heart.ra.map(|v| v * scale)).max(p[2]);
        let (mut vessel, mut vessel_wall, mut nearest_vessel) = (f32::MAX, f32::MAX, None);
        for candidate in vessels {
            let d = candidate.distance(p);
            if d < vessel {
                (vessel, nearest_vessel) = (d, Some(candidate));
            }
            vessel_wall =
                vessel_wall.min(if d > 0.0 && d < candidate.wall_mm { d } else { f32::MAX });
        }
        Self { lv_outer, lv, rv_whole, rv, la, ra, vessel, vessel_wall, nearest_vessel }
    }

    /// Returns the signed distance to the nearest chamber or vessel lumen.
    pub(crate) fn blood(&self) -> f32 {
        self.lv.min(self.rv).min(self.la).min(self.ra).min(self.vessel)
    }

    /// Returns the signed distance to the outer surface of the heart.
    pub(crate) fn heart_surface(&self) -> f32 {
        self.lv_outer.min(self.rv_whole - 4.0).min(self.la.min(self.ra) - 2.5)
    }
}

/// Returns the signed distance to the liver, which has a right and a left lobe.
pub(crate) fn measure_liver(p: Vec3) -> f32 {
    let left = measure_ellipsoid(p, [-112.0, -30.0, 22.0], [42.0, 46.0, 55.0]);
    measure_ellipsoid(p, [-62.0, -118.0, 5.0], [88.0, 88.0, 88.0]).min(left)
}

/// Returns the approximate signed distance to an ellipsoid. The function scales the ellipsoid to a
/// unit sphere and multiplies the distance to that sphere by the shortest semi-axis.
fn measure_ellipsoid(p: Vec3, centre: Vec3, axes: Vec3) -> f32 {
    let q =
        [(p[0] - centre[0]) / axes[0], (p[1] - centre[1]) / axes[1], (p[2] - centre[2]) / axes[2]];
    (dot(q, q).sqrt() - 1.0) * axes[0].min(axes[1]).min(axes[2])
}
