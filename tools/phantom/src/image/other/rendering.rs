//! Shaded three-dimensional renderings of the heart, as volume scanners show them.

use crate::body::organic::noise::compute_noise;
use crate::body::organic::organ::OrganicHeart;
use crate::body::organic::structures::find_place;
use crate::body::structure::Structure;
use crate::rng::Rng;
use crate::vector::{Vec3, add_scaled, cross, normalise, orthogonalise, subtract};
use ndarray::{Array2, Array3};

/// Side of the grid of rays. The rendering is enlarged to the frame.
const RAYS: usize = 44;

/// Number of steps of a ray.
const STEPS: usize = 34;

/// The camera and the colours of a rendering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rendering {
    eye: Vec3,
    forward: Vec3,
    right: Vec3,
    half_width_mm: f32,
    step_mm: f32,
    is_coloured: bool,
    light: f32,
    middle: [f32; 2],
    size: f32,
}

impl Rendering {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        // The cameras look from the left atrium at the mitral valve, from the apex at the base,
        // from the side into an opened heart, and along the outflow tract.
        let places: [(Vec3, Vec3, Vec3); 4] = [
            ([4.0, -12.0, -34.0], [4.0, -6.0, 10.0], [1.0, 0.0, 0.0]),
            ([0.0, 0.0, 60.0], [-4.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
            ([0.0, 6.0, 20.0], [0.0, -30.0, 20.0], [1.0, 0.0, 0.0]),
            ([-14.0, 4.0, 14.0], [20.0, -10.0, 14.0], [0.0, 0.5, 1.0]),
        ];
        let (mut eye, target, right) = places[rng.draw_below(places.len())];
        for value in &mut eye {
            *value += 3.0 * rng.draw_normal().clamp(-2.0, 2.0);
        }
        let forward = normalise(subtract(target, eye));
        let mut right = orthogonalise(right, forward);
        let turn = rng.draw_uniform(0.0, std::f32::consts::TAU);
        let down = cross(forward, right);
        right = add_scaled(right.map(|v| v * turn.cos()), down, turn.sin());
        Self {
            eye,
            forward,
            right,
            half_width_mm: rng.draw_uniform(24.0, 55.0),
            step_mm: rng.draw_uniform(1.4, 2.6),
            is_coloured: rng.draw_below(3) > 0,
            light: rng.draw_uniform(0.7, 1.3),
            middle: [rng.draw_uniform(0.4, 0.6), rng.draw_uniform(0.42, 0.58)],
            size: rng.draw_uniform(0.55, 1.0),
        }
    }

    /// Paints the heart as it is `t` seconds after end-diastole.
    pub(crate) fn paint(&self, organ: &OrganicHeart, t: f32, frame: &mut Array3<u8>) {
        let depth = self.measure_depths(organ, t);
        let (height, width, channels) = frame.dim();
        let side = self.size * height.min(width) as f32;
        let [left, top] = [
            self.middle[0] * width as f32 - 0.5 * side,
            self.middle[1] * height as f32 - 0.5 * side,
        ];
        for row in 0..height {
            for column in 0..width {
                let x = (column as f32 - left) / side * (RAYS - 1) as f32;
                let y = (row as f32 - top) / side * (RAYS - 1) as f32;
                let is_inside =
                    x >= 1.0 && y >= 1.0 && x < (RAYS - 2) as f32 && y < (RAYS - 2) as f32;
                if !is_inside {
                    continue;
                }
                let at = |dx: f32, dy: f32| interpolate(&depth, x + dx, y + dy);
                let here = at(0.0, 0.0);
                if here > 0.98 {
                    continue;
                }
                // The light comes from the upper left.
                let slope = (at(1.0, 0.0) - at(-1.0, 0.0)) + (at(0.0, 1.0) - at(0.0, -1.0));
                let near = 1.0 - here;
                // Cut surfaces are darker than the surfaces of the chambers.
                let cut = if here < 0.5 / STEPS as f32 { 0.45 } else { 1.0 };
                let grain = compute_noise([x * 0.9, y * 0.9, 0.0], 77);
                let shade = cut * self.light * (0.3 + 0.7 * near) * (0.85 + 0.3 * grain);
                let shade = (shade - 3.0 * slope).clamp(0.0, 1.0);
                let colour = if self.is_coloured {
                    // Near surfaces are orange, and far ones are blue.
                    [
                        shade * (0.35 + 0.65 * near) * 255.0,
                        shade * (0.35 + 0.35 * near) * 255.0,
                        shade * (0.75 - 0.45 * near) * 255.0,
                    ]
                } else {
                    [shade * 255.0; 3]
                };
                for (channel, value) in colour.into_iter().take(channels).enumerate() {
                    frame[[row, column, channel]] = value as u8;
                }
            }
        }
    }

    /// Returns the depth of the first tissue on each ray, from 0 at the eye to 1 at the end.
    fn measure_depths(&self, organ: &OrganicHeart, t: f32) -> Array2<f32> {
        let moment = organ.at(t, &organ.heart.vessels);
        let down = cross(self.forward, self.right);
        Array2::from_shape_fn([RAYS, RAYS], |(row, column)| {
            let part = |index: usize| 2.0 * (index as f32 + 0.5) / RAYS as f32 - 1.0;
            let (x, y) = (part(column) * self.half_width_mm, part(row) * self.half_width_mm);
            let start = add_scaled(add_scaled(self.eye, self.right, x), down, y);
            for step in 0..STEPS {
                let p = add_scaled(start, self.forward, step as f32 * self.step_mm);
                let p = organ.deformation.undo_in_plane(p, self.forward);
                let place = find_place(organ.heart.undo_descent(p, moment.beat), &moment);
                if place.structure == Structure::Body && step == 0 {
                    return 1.0;
                }
                // A ray that starts in tissue shows the cut surface.
                if !place.is_blood() {
                    return step as f32 / STEPS as f32;
                }
            }
            1.0
        })
    }
}

fn interpolate(table: &Array2<f32>, x: f32, y: f32) -> f32 {
    let (left, top) = (x as usize, y as usize);
    let (a, b) = (x - left as f32, y - top as f32);
    let [right, bottom] = [(left + 1).min(RAYS - 1), (top + 1).min(RAYS - 1)];
    let upper = table[[top, left]] * (1.0 - a) + table[[top, right]] * a;
    let lower = table[[bottom, left]] * (1.0 - a) + table[[bottom, right]] * a;
    upper * (1.0 - b) + lower * b
}
