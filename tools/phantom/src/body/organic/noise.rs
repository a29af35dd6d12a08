//! Smooth random noise in space.

use crate::vector::Vec3;

/// Returns noise from -1 to 1 at `p`. It is the interpolation of random values at points with
/// whole coordinates.
pub(crate) fn compute_noise(p: Vec3, seed: u32) -> f32 {
    let cell = p.map(f32::floor);
    let [x, y, z] = cell.map(|v| v as i32 as u32);
    let [a, b, c]: [f32; 3] = std::array::from_fn(|k| {
        let t = p[k] - cell[k];
        t * t * (3.0 - 2.0 * t)
    });
    let corner = |i: u32, j: u32, k: u32| {
        let mut h = x.wrapping_add(i).wrapping_mul(0x8DA6_B343)
            ^ y.wrapping_add(j).wrapping_mul(0xD816_3841)
            ^ z.wrapping_add(k).wrapping_mul(0xCB1A_B31F)
            ^ seed;
        h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
        h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
        (h >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let mix = |low: f32, high: f32, t: f32| low + (high - low) * t;
    let edge = |j, k| mix(corner(0, j, k), corner(1, j, k), a);
    let face = |k| mix(edge(0, k), edge(1, k), b);
    mix(face(0), face(1), c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_and_fills_its_range() {
        let values: Vec<f32> =
            (0..4000).map(|i| compute_noise([i as f32 * 0.01, 0.3, 0.6], 7)).collect();
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.05));
        assert!(values.iter().all(|v| (-1.0..=1.0).contains(v)));
        let (low, high) = values.iter().fold((1.0f32, -1.0f32), |(l, h), &v| (l.min(v), h.max(v)));
        assert!(low < -0.4 && high > 0.4, "{low} to {high}");
    }
}
