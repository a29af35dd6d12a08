//! The four heart valves.

use crate::body::beat::Beat;
use crate::vector::{Vec3, add_scaled, dot, subtract};

pub(crate) const MITRAL: Vec3 = [4.0, -6.0, 0.0];
pub(crate) const TRICUSPID: Vec3 = [-42.0, 2.0, 2.0];
pub(crate) const AORTIC: Vec3 = [-8.0, 18.0, -9.0];
pub(crate) const PULMONARY: Vec3 = [13.0, 34.0, -18.0];

/// Returns whether `p`, a point returned by `Heart::undo_descent`, lies on a valve leaflet.
pub(crate) fn is_on_leaflet(p: Vec3, beat: Beat) -> bool {
    is_on_atrioventricular_leaflet(p, beat) || is_on_semilunar_cusp(p, beat)
}

/// Returns whether `p` lies on a leaflet of the mitral or the tricuspid valve. These leaflets are
/// hinged on a ring and hang into the ventricle.
fn is_on_atrioventricular_leaflet(p: Vec3, beat: Beat) -> bool {
    for (centre, radius) in [(MITRAL, 17.0f32), (TRICUSPID, 16.0)] {
        if (p[2] - centre[2]).abs() < 22.0 {
            let rho = ((p[0] - centre[0]).powi(2) + (p[1] - centre[1]).powi(2)).sqrt();
            let (sin, cos) = beat.leaflet;
            let t = ((radius - rho) * cos + (p[2] - centre[2]) * sin).clamp(0.0, radius);
            let d = (radius - rho - t * cos).powi(2) + (p[2] - centre[2] - t * sin).powi(2);
            if d < 1.1 {
                return true;
            }
        }
    }
    false
}

/// Returns whether `p` lies on a cusp of the aortic or the pulmonary valve. These cusps lie along
/// the wall while the valve is open.
pub(crate) fn is_on_semilunar_cusp(p: Vec3, beat: Beat) -> bool {
    for (centre, axis, radius) in
        [(AORTIC, [-0.17, 0.15, -0.97], 12.5f32), (PULMONARY, [0.27, -0.34, -0.9], 11.0)]
    {
        let q = subtract(p, centre);
        let height = dot(q, axis);
        if height.abs() > 7.0 {
            continue;
        }
        let across = add_scaled(q, axis, -height);
        let rho = dot(across, across).sqrt();
        if rho > radius {
            continue;
        }
        if beat.sl_open > 0.5 {
            if (rho - 0.78 * radius).abs() < 0.7 {
                return true;
            }
        } else {
            // The three commissures are 120 degrees apart, and the bellies of the cusps hang below
            // the closure line.
            let angle = (across[1] - 0.3 * across[0]).atan2(across[0]);
            let from_commissure = (angle * 1.5).cos().abs() * rho * 0.66;
            if from_commissure < 0.8 && (-2.0..6.0).contains(&height)
                || (height + 6.0 - 7.0 * (1.0 - rho / radius).powi(2)).abs() < 0.7
            {
                return true;
            }
        }
    }
    false
}
