//! The position of the probe for organic hearts.

use crate::image::conditions::ImagingConditions;
use crate::image::plane::Plane;
use crate::image::view::View;
use crate::rng::Rng;
use crate::vector::Vec3;

/// Largest rotation of the plane around its axis, in radians. Apical views are 60 degrees apart.
const LARGEST_TURN: f32 = 0.14;

/// Largest distance between the probe and the apex in a foreshortened apical view.
const LARGEST_FORESHORTENING_MM: f32 = 13.0;

/// Returns the plane in which an examiner holds the probe. It is farther from the exact plane than
/// those of the other scanners, but always shows the structures that define the view.
pub(crate) fn place_probe(view: View, conditions: &ImagingConditions, rng: &mut Rng) -> Plane {
    let exact = view.plane();
    let mut draw =
        |spread: f32| std::array::from_fn(|_| rng.draw_normal().clamp(-1.8, 1.8) * spread);
    let (mut shift, mut tilt): (Vec3, Vec3) =
        (draw(conditions.shift_mm), draw(conditions.tilt_rad));
    tilt[2] += rng.draw_uniform(-LARGEST_TURN, LARGEST_TURN);
    if is_apical(view) && rng.draw_uniform(0.0, 1.0) < 0.4 {
        let distance = rng.draw_uniform(-LARGEST_FORESHORTENING_MM, LARGEST_FORESHORTENING_MM);
        shift[2] += distance;
        // The probe still points to the base of the heart, which is about 98 mm away.
        tilt[0] -= distance / 98.0;
    }
    if is_level(view) {
        // A shift along the heart would turn one short-axis view into another.
        shift[2] *= 0.7;
        tilt[0] *= 0.7;
    }
    if view == View::Sc4c {
        // The exact plane cuts the edge of the left atrium, so the probe is tilted towards it.
        tilt = [0.3 * tilt[0] + 0.022, tilt[1], 0.6 * tilt[2]];
        shift[2] *= 0.5;
    }
    if exact.zoom.is_none() {
        // The structures that tell these views apart are at the sides of the sector.
        let part = if is_level(view) || is_subcostal(view) { 0.5 } else { 1.0 };
        shift[1] += part * conditions.in_plane_shift_mm;
        // The examiner turns the probe back to the heart, but not exactly.
        tilt[1] += part * (conditions.in_plane_turn_rad - conditions.in_plane_shift_mm / 120.0);
    }
    let mut plane = exact.displace(shift, tilt);
    // The heart fills the width at the bottom of subcostal views.
    let [least_depth, least_angle] = if is_subcostal(view) { [0.95, 0.9] } else { [0.0; 2] };
    plane.depth_mm *= conditions.depth_scale.max(least_depth);
    plane.half_angle_rad *= conditions.angle_scale.max(least_angle);
    if let Some(zoom) = &mut plane.zoom {
        zoom.magnification *= conditions.depth_scale * rng.draw_uniform(0.88, 1.25);
    }
    plane
}

fn is_apical(view: View) -> bool {
    matches!(view, View::A4c | View::A4cLa | View::A2c | View::A3c | View::A5c)
}

fn is_subcostal(view: View) -> bool {
    matches!(view, View::Sc4c | View::ScSax | View::ScIvc)
}

fn is_level(view: View) -> bool {
    matches!(view, View::PsaxAv | View::PsaxPa | View::PsaxMv | View::PsaxPm | View::PsaxAp)
}
