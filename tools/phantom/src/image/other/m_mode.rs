//! M-mode traces: one beam through the heart over time.

use crate::body::organic::organ::OrganicHeart;
use crate::body::organic::structures::find_place;
use crate::image::organic::look::Look;
use crate::image::organic::texture::Texture;
use crate::image::other::strip::{Strip, Timeline};
use crate::image::plane::Plane;
use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled};
use ndarray::Array2;

/// Draws the trace of a beam of `plane`. The first frame ends `phase` seconds after end-diastole.
pub(crate) fn draw_m_mode(
    organ: &OrganicHeart,
    plane: &Plane,
    look: &Look,
    phase: f32,
    timeline: Timeline,
    rng: &mut Rng,
) -> Strip {
    let texture = Texture::draw(look.speckle, rng);
    let angle = plane.half_angle_rad * rng.draw_uniform(-0.35, 0.35);
    let (sin, cos) = angle.sin_cos();
    let beam: Vec3 = std::array::from_fn(|k| plane.axis[k] * cos + plane.right[k] * sin);
    let [start, end] = [rng.draw_uniform(0.0, 0.15), rng.draw_uniform(0.75, 1.0)];
    let rows = timeline.rows;
    let step_mm = plane.depth_mm * (end - start) / rows as f32;
    let normal = plane.normal();
    let points: Vec<Vec3> = (0..rows)
        .map(|row| {
            let r = plane.depth_mm * start + step_mm * (row as f32 + 0.5);
            organ.deformation.undo_in_plane(add_scaled(plane.probe, beam, r), normal)
        })
        .collect();
    let mut level = Array2::zeros([rows, timeline.columns]);
    for column in 0..timeline.columns {
        let moment = organ.at(phase + timeline.time(column), &organ.heart.vessels);
        let mut before = None;
        for (row, &p) in points.iter().enumerate() {
            let undone = organ.heart.undo_descent(p, moment.beat);
            let place = find_place(undone, &moment);
            let facing = before
                .map_or(0.5, |before: f32| ((place.boundary_mm - before) / step_mm).abs().min(1.0));
            before = Some(place.boundary_mm);
            let near = place.boundary_mm / 1.1;
            let strength = if place.is_outer {
                look.palette.outer_reflection
            } else {
                look.palette.inner_reflection
            };
            let amplitude =
                look.palette.scatter(&place) + strength * facing * facing * (-near * near).exp();
            let tissue = organ.heart.undo_thickening(undone, moment.beat);
            let depth: f32 = tissue.iter().zip(&normal).map(|(a, b)| a * (b + 0.7)).sum();
            let grain = texture.log_speckle(depth / step_mm, column as f32 / 3.0);
            let haze = 0.02 + 0.5 * (-(row as f32) * step_mm / 9.0).exp();
            level[[row, column]] = (amplitude + haze).log2() + look.speckle_strength * grain;
        }
    }
    let mut sorted: Vec<f32> = level.iter().copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let percentile = |part: f32| sorted[(sorted.len() as f32 * part) as usize];
    let (black, white) = (percentile(0.2), percentile(0.98));
    let grey = level.mapv(|level| {
        let index = ((level - black) / (white - black).max(1.0) * 255.0).clamp(0.0, 255.0);
        look.grey_curve[index as usize] as u8
    });
    timeline.finish(grey)
}
