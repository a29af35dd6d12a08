//! Speckle: the interference pattern of scatterers that are smaller than the wavelength.

use crate::rng::Rng;
use ndarray::{Array2, Axis};

/// Side length of the field. It must be a power of two, because a mask wraps the indices around.
const SIZE: usize = 256;

/// Number of grid points that the blur reaches on either side.
const BLUR_REACH: i32 = 4;

/// A complex circular Gaussian field with unit variance, blurred by the point-spread function and
/// periodic in both directions. Each element contains a real and an imaginary part.
#[derive(Debug)]
pub(crate) struct SpeckleField(Array2<[f32; 2]>);

impl SpeckleField {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let white =
            Array2::from_shape_simple_fn((SIZE, SIZE), || [rng.draw_normal(), rng.draw_normal()]);
        let mut field = blur(&blur(&white, Axis(1), 1.0), Axis(0), 1.2);
        let power =
            field.iter().map(|v| v[0] * v[0] + v[1] * v[1]).sum::<f32>() / field.len() as f32;
        let scale = power.sqrt().recip();
        field.mapv_inplace(|v| [v[0] * scale, v[1] * scale]);
        Self(field)
    }

    /// Returns the amplitude of the field at (`u`, `v`).
    ///
    /// The complex field is interpolated before the modulus is taken, because interpolated moduli
    /// would not have a Rayleigh distribution.
    pub(crate) fn envelope(&self, u: f32, v: f32) -> f32 {
        let cell = self.find_cell(u, v);
        let [a, b] = cell.weights;
        let norm = ((a * a + (1.0 - a) * (1.0 - a)) * (b * b + (1.0 - b) * (1.0 - b))).sqrt();
        // Interpolation between independent grid points would multiply the amplitude by `norm`.
        // Neighbouring points are correlated, so the reduction is smaller. The correction is the
        // second-order approximation of `norm^-0.15`.
        let lost = 1.0 - norm;
        (cell.interpolate(0).powi(2) + cell.interpolate(1).powi(2)).sqrt()
            * (1.0 + lost * (0.15 + 0.0863 * lost))
    }

    /// Returns the real part of the field at (`u`, `v`).
    pub(crate) fn real_part(&self, u: f32, v: f32) -> f32 {
        self.find_cell(u, v).interpolate(0)
    }

    fn find_cell(&self, u: f32, v: f32) -> Cell {
        let (left, top) = (u.floor(), v.floor());
        let (x, y) = (left as i32 as usize & (SIZE - 1), top as i32 as usize & (SIZE - 1));
        let (x1, y1) = ((x + 1) & (SIZE - 1), (y + 1) & (SIZE - 1));
        let corners = [[y, x], [y, x1], [y1, x], [y1, x1]].map(|at| self.0[at]);
        Cell { corners, weights: [u - left, v - top] }
    }
}

/// Four neighbouring grid points, and the weights of the right and the lower points.
struct Cell {
    corners: [[f32; 2]; 4],
    weights: [f32; 2],
}

impl Cell {
    fn interpolate(&self, part: usize) -> f32 {
        let [a, b] = self.weights;
        let [p, q, r, s] = self.corners.map(|corner| corner[part]);
        (p * (1.0 - a) + q * a) * (1.0 - b) + (r * (1.0 - a) + s * a) * b
    }
}

/// Convolves the field with a Gaussian along one axis.
fn blur(field: &Array2<[f32; 2]>, axis: Axis, sigma: f32) -> Array2<[f32; 2]> {
    let taps = (-BLUR_REACH..=BLUR_REACH)
        .map(|d| (d, (-(d as f32).powi(2) / (2.0 * sigma * sigma)).exp()));
    let taps: Vec<(i32, f32)> = taps.collect();
    let mut blurred = Array2::from_elem(field.raw_dim(), [0.0; 2]);
    for (source, mut target) in field.lanes(axis).into_iter().zip(blurred.lanes_mut(axis)) {
        for (at, sum) in target.iter_mut().enumerate() {
            for &(d, weight) in &taps {
                let v = source[(at as i32 + d).rem_euclid(SIZE as i32) as usize];
                sum[0] += weight * v[0];
                sum[1] += weight * v[1];
            }
        }
    }
    blurred
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speckle_is_fully_developed() {
        let field = SpeckleField::draw(&mut Rng::new(5));
        let amplitudes: Vec<f32> =
            (0..40_000).map(|i| field.envelope(i as f32 * 0.77, (i / 200) as f32 * 1.3)).collect();
        let count = amplitudes.len() as f32;
        let mean = amplitudes.iter().sum::<f32>() / count;
        let variance = amplitudes.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
        // This ratio is 1.91 for a Rayleigh distribution.
        let signal_to_noise = mean / variance.sqrt();
        assert!((signal_to_noise - 1.91).abs() < 0.1, "{signal_to_noise}");
    }
}
