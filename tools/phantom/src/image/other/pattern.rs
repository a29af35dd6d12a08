//! Test patterns and blank screens.

use crate::rng::Rng;
use ndarray::Array2;

/// Draws a test pattern.
pub(crate) fn draw_test_pattern([height, width]: [usize; 2], rng: &mut Rng) -> Array2<u8> {
    let kind = rng.draw_below(6);
    let cell = 3 + rng.draw_below(20);
    let (low, high) = (rng.draw_uniform(0.0, 60.0), rng.draw_uniform(150.0, 255.0));
    let levels = [1.0, 0.75, 0.6, 0.5, 0.35, 0.2, 0.1];
    Array2::from_shape_fn([height, width], |(y, x)| {
        let (down, right) = (y as f32 / height as f32, x as f32 / width as f32);
        let part = match kind {
            // Bars above a ramp.
            0 if down < 0.7 => levels[(right * 6.99) as usize],
            0 => right,
            1 => ((y / cell + x / cell) % 2) as f32,
            2 => (right * cell as f32).floor() / cell as f32,
            3 => {
                let r = (down - 0.5).hypot(right - 0.5);
                if (r * cell as f32 * 2.0).fract() < 0.15 { 1.0 } else { 0.1 }
            }
            4 => f32::from(u8::from(y % cell == 0 || x % cell == 0)),
            // A sector with a ramp in each beam.
            _ => {
                let (across, along) = (right - 0.5, down - 0.04);
                let r = across.hypot(along);
                if across.abs() < 0.8 * along && r < 0.9 { r / 0.9 } else { 0.0 }
            }
        };
        (low + (high - low) * part) as u8
    })
}

/// Draws a screen without an image: one grey value, noise, or a sector of one grey value.
pub(crate) fn draw_blank([height, width]: [usize; 2], rng: &mut Rng) -> Array2<u8> {
    let kind = rng.draw_below(5);
    let grey = if rng.draw_below(2) == 0 { 0.0 } else { rng.draw_uniform(0.0, 255.0) };
    let spread = rng.draw_uniform(2.0, 120.0);
    let slope = rng.draw_uniform(-60.0, 60.0);
    Array2::from_shape_fn([height, width], |(y, x)| {
        let (down, right) = (y as f32 / height as f32, x as f32 / width as f32);
        let noise = rng.draw_uniform(-1.0, 1.0);
        let value = match kind {
            0 => 0.0,
            1 => grey,
            2 => grey + spread * noise,
            3 => grey + slope * (down + right - 1.0),
            _ => {
                let (across, along) = (right - 0.5, down - 0.04);
                let is_inside = across.abs() < 0.8 * along && across.hypot(along) < 0.9;
                if is_inside { 20.0 + 0.2 * spread * (1.0 + noise) } else { 0.0 }
            }
        };
        value.clamp(0.0, 255.0) as u8
    })
}
