//! Tables of random texture: speckle, noise and slow variations of the brightness.

use crate::rng::Rng;
use ndarray::Array2;

/// Side length of a table. It must be a power of two, because a mask wraps the indices around.
const SIZE: usize = 128;

/// How the interference of scatterers is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpeckleKind {
    /// Many scatterers in each resolution cell: the amplitude has a Rayleigh distribution.
    Rayleigh,
    /// Few scatterers that form clusters: the amplitude has heavier tails (a K distribution).
    Clustered,
    /// Streaks across the beams, as smoothing filters of scanners leave them.
    Streaks,
}

/// A periodic table of speckle and of smooth noise.
#[derive(Debug)]
pub(crate) struct Texture {
    /// Binary logarithm of the amplitude of the speckle. Its mean is 0.
    log_speckle: Array2<f32>,
    /// Smooth Gaussian noise with unit variance.
    smooth: Array2<f32>,
}

impl Texture {
    pub(crate) fn draw(kind: SpeckleKind, rng: &mut Rng) -> Self {
        let (along, across) = if kind == SpeckleKind::Streaks { (0.7, 2.6) } else { (0.9, 0.9) };
        let mut draw_field = || {
            let white = Array2::from_shape_simple_fn((SIZE, SIZE), || draw_fast_normal(rng));
            normalise(blur(&white, along, across))
        };
        let (real, imaginary) = (draw_field(), draw_field());
        let mut power = &real * &real + &imaginary * &imaginary;
        if kind == SpeckleKind::Clustered {
            // The power of clusters varies over a few grains.
            let clusters = normalise(blur(&imaginary, 2.0, 2.0));
            power.zip_mut_with(&clusters, |power, cluster| *power *= (0.8 * cluster).exp());
        }
        let mut log_speckle = power.mapv(|power| 0.5 * (power + 1e-3).log2());
        let mean = log_speckle.sum() / log_speckle.len() as f32;
        log_speckle.mapv_inplace(|v| v - mean);
        Self { log_speckle, smooth: real }
    }

    /// Returns the binary logarithm of the speckle's amplitude at (`u`, `v`).
    pub(crate) fn log_speckle(&self, u: f32, v: f32) -> f32 {
        interpolate(&self.log_speckle, u, v)
    }

    /// Returns smooth noise at (`u`, `v`).
    pub(crate) fn smooth(&self, u: f32, v: f32) -> f32 {
        interpolate(&self.smooth, u, v)
    }

    /// Returns the noise amplitude of a grid point.
    pub(crate) fn noise(&self, row: usize, column: usize) -> f32 {
        let value = self.log_speckle[[row & (SIZE - 1), column & (SIZE - 1)]];
        // This polynomial is near 2^value for the values of the table.
        (1.0 + value * (0.5 + 0.1 * value)).max(0.0)
    }
}

/// Draws a number that is nearly normal, as the sum of four uniform ones.
fn draw_fast_normal(rng: &mut Rng) -> f32 {
    let bits = rng.draw_bits();
    let sum: u32 = (0..4).map(|k| (bits >> (16 * k)) as u32 & 0xFFFF).sum();
    (sum as f32 / 65536.0 - 2.0) * 1.732
}

fn interpolate(table: &Array2<f32>, u: f32, v: f32) -> f32 {
    let (left, top) = (u.floor(), v.floor());
    let (x, y) = (left as i32 as usize & (SIZE - 1), top as i32 as usize & (SIZE - 1));
    let (x1, y1) = ((x + 1) & (SIZE - 1), (y + 1) & (SIZE - 1));
    let (a, b) = (u - left, v - top);
    let upper = table[[y, x]] + (table[[y, x1]] - table[[y, x]]) * a;
    let lower = table[[y1, x]] + (table[[y1, x1]] - table[[y1, x]]) * a;
    upper + (lower - upper) * b
}

/// Blurs a periodic table with Gaussians of the given widths along the rows and the columns.
fn blur(table: &Array2<f32>, down: f32, right: f32) -> Array2<f32> {
    let mut blurred = table.clone();
    for (axis, sigma) in [(0, down), (1, right)] {
        let reach = (2.5 * sigma).ceil() as isize;
        let mut sum = Array2::zeros(table.raw_dim());
        for d in -reach..=reach {
            let weight = (-((d * d) as f32) / (2.0 * sigma * sigma)).exp();
            for (i, lane) in blurred.axis_iter(ndarray::Axis(axis)).enumerate() {
                let to = (i as isize + d).rem_euclid(SIZE as isize) as usize;
                sum.index_axis_mut(ndarray::Axis(axis), to).scaled_add(weight, &lane);
            }
        }
        blurred = sum;
    }
    blurred
}

fn normalise(mut table: Array2<f32>) -> Array2<f32> {
    let count = table.len() as f32;
    let mean = table.sum() / count;
    let power = table.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
    let scale = power.sqrt().recip();
    table.mapv_inplace(|v| (v - mean) * scale);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the ratio of the mean amplitude to its standard deviation.
    fn measure_signal_to_noise(kind: SpeckleKind) -> f32 {
        let texture = Texture::draw(kind, &mut Rng::new(5));
        let amplitudes = texture.log_speckle.mapv(f32::exp2);
        let mean = amplitudes.sum() / amplitudes.len() as f32;
        let variance = amplitudes.mapv(|v| (v - mean).powi(2)).sum() / amplitudes.len() as f32;
        mean / variance.sqrt()
    }

    #[test]
    fn speckle_has_the_statistics_of_its_kind() {
        // This ratio is 1.91 for fully developed speckle, and lower for clustered scatterers.
        let rayleigh = measure_signal_to_noise(SpeckleKind::Rayleigh);
        assert!((rayleigh - 1.91).abs() < 0.15, "{rayleigh}");
        let clustered = measure_signal_to_noise(SpeckleKind::Clustered);
        assert!(clustered < 1.5, "{clustered}");
    }
}
