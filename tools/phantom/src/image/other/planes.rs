//! Planes of the heart that are not views of a transthoracic examination.

use crate::image::other::kind::OtherKind;
use crate::image::other_content::OtherContent;
use crate::image::plane::{Plane, Zoom};
use crate::image::view::View;
use crate::rng::Rng;
use crate::vector::Vec3;

/// Views whose mirror image cannot be mistaken for a view.
const CHIRAL_VIEWS: [View; 5] = [View::A4c, View::A5c, View::A3c, View::Plax, View::Sc4c];

/// Views whose sector has a tip that shows which side is up.
const TIPPED_VIEWS: [View; 11] = [
    View::Plax,
    View::PlaxRvif,
    View::PsaxAv,
    View::PsaxPm,
    View::A4c,
    View::A5c,
    View::A2c,
    View::A3c,
    View::Sc4c,
    View::ScSax,
    View::SsnAo,
];

/// Pairs of views that dual screens and biplane screens show.
const PAIRS: [[View; 2]; 4] = [
    [View::A4c, View::A2c],
    [View::A2c, View::A3c],
    [View::Plax, View::PsaxPm],
    [View::A4c, View::A4c],
];

/// Views in which Doppler and M-mode are recorded.
const TRACED_VIEWS: [View; 6] =
    [View::A4c, View::A5c, View::Plax, View::PsaxAv, View::A3c, View::ScIvc];

/// Chooses the view from which the plane of a cine with this kind of content starts.
pub(crate) fn choose_view(kind: OtherKind, rng: &mut Rng) -> View {
    let mut choose = |views: &[View]| views[rng.draw_below(views.len())];
    match kind {
        OtherKind::Mirrored => choose(&CHIRAL_VIEWS),
        OtherKind::UpsideDown => choose(&TIPPED_VIEWS),
        OtherKind::DuplexDoppler | OtherKind::DuplexMMode => choose(&TRACED_VIEWS),
        OtherKind::TissueDoppler => choose(&[View::A4c, View::A2c, View::A3c, View::PsaxPm]),
        OtherKind::MMode => choose(&[View::Plax, View::A4c, View::PsaxPm, View::ScIvc]),
        OtherKind::Sweep => choose(&[View::Other, View::A4c, View::Plax]),
        _ => View::Other,
    }
}

/// Chooses the two views of a screen with two sectors.
pub(crate) fn choose_pair(rng: &mut Rng) -> [View; 2] {
    PAIRS[rng.draw_below(PAIRS.len())]
}

/// Chooses the plane of a cine that shows the heart from another place than those of the views, or
/// a plane for another part of the body.
pub(crate) fn choose_plane(kind: OtherKind, plane: Plane, rng: &mut Rng) -> Plane {
    match kind {
        OtherKind::OffPlane => {
            let far = OtherContent::OffPlane.choose_plane(plane, rng);
            let mut draw = |spread: f32| std::array::from_fn(|_| rng.draw_normal() * spread);
            let (shift, tilt): (Vec3, Vec3) = (draw(6.0), draw(0.1));
            far.displace(shift, tilt)
        }
        OtherKind::Transoesophageal => {
            // The planes are the four-chamber, two-chamber and long-axis views, the short axis of
            // the aortic valve, the bicaval view and the descending aorta.
            let places: [(Vec3, Vec3, Vec3, f32); 6] = [
                ([-4.0, -41.0, -38.0], [-4.0, 4.0, 50.0], [1.0, 0.0, 0.0], 140.0),
                ([3.0, -40.0, -38.0], [2.0, 2.0, 50.0], [-0.1, 1.0, 0.2], 140.0),
                ([3.0, -40.0, -36.0], [-4.0, 8.0, 30.0], [-0.5, 0.8, -0.2], 130.0),
                ([2.0, -42.0, -24.0], [-8.0, 18.0, -14.0], [1.0, 0.0, 0.0], 105.0),
                ([-8.0, -44.0, -20.0], [-44.0, 2.0, -20.0], [0.0, 0.0, -1.0], 105.0),
                ([3.0, -30.0, -30.0], [18.0, -46.0, -22.0], [0.7, 0.7, 0.0], 70.0),
            ];
            let (probe, target, right, depth_mm) = places[rng.draw_below(places.len())];
            let depth_mm = depth_mm * rng.draw_uniform(0.85, 1.2);
            let mut draw = |spread: f32| std::array::from_fn(|_| rng.draw_normal() * spread);
            let (shift, tilt): (Vec3, Vec3) = (draw(2.0), draw(0.05));
            let half_angle_rad = plane.half_angle_rad.max(0.55);
            Plane::aim(probe, target, right, depth_mm, half_angle_rad).displace(shift, tilt)
        }
        OtherKind::Air
        | OtherKind::Gel
        | OtherKind::Layers
        | OtherKind::Liver
        | OtherKind::Kidney
        | OtherKind::Lung
        | OtherKind::Vessel
        | OtherKind::Fluid => {
            let depth_mm = match kind {
                OtherKind::Layers | OtherKind::Vessel => rng.draw_uniform(35.0, 80.0),
                OtherKind::Lung => rng.draw_uniform(60.0, 150.0),
                _ => rng.draw_uniform(90.0, 180.0),
            };
            // A window without a tip looks like the image of a linear probe.
            let is_window = rng.draw_below(3) == 0;
            let zoom =
                Zoom { centre_mm: 0.55 * depth_mm, magnification: rng.draw_uniform(1.1, 1.5) };
            let half_angle_rad = rng.draw_uniform(0.45, 0.8);
            Plane { depth_mm, half_angle_rad, zoom: is_window.then_some(zoom), ..plane }
        }
        _ => plane,
    }
}
