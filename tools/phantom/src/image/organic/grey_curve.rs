//! The curve from the level of the log compression to the grey value.

use crate::body::organic::shape::Family;
use crate::rng::Rng;

/// Draws the grey value of each of 256 levels, and the exponent that describes the curve roughly.
///
/// `Wild` curves are powers with a ripple, which is large enough in some cines to make the curve
/// fall in places, and a few are inverted. `Unlike` curves are S-shaped or have a few steps.
pub(crate) fn draw_grey_curve(family: Family, rng: &mut Rng) -> (Vec<f32>, f32) {
    let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
    let lowest = pick(-20.0, 12.0).max(0.0);
    let highest = pick(190.0, 300.0).min(255.0);
    match family {
        Family::Wild => {
            let exponent = pick(0.65, 1.9);
            let ripple = pick(-0.08, 0.12).max(0.0) * 0.6;
            let (waves, phase) = (pick(0.6, 2.6), pick(0.0, std::f32::consts::TAU));
            let is_inverted = pick(0.0, 1.0) < 0.03;
            let map = |level: f32| {
                let x = level / 255.0;
                let wave = ripple * (std::f32::consts::TAU * waves * x + phase).sin() * x.min(0.5);
                let value = x.powf(exponent) + 2.0 * wave;
                let value = if is_inverted { 0.8 - 0.7 * value } else { value };
                (lowest + (highest - lowest) * value).clamp(0.0, 255.0)
            };
            ((0..256).map(|level| map(level as f32)).collect(), exponent)
        }
        Family::Unlike => {
            let (middle, slope) = (pick(0.35, 0.65), pick(4.0, 9.0));
            let steps = if pick(0.0, 1.0) < 0.35 { pick(8.0, 20.0).floor() } else { 256.0 };
            let sigmoid = |x: f32| 1.0 / (1.0 + (-slope * (x - middle)).exp());
            let (start, end) = (sigmoid(0.0), sigmoid(1.0));
            let map = |level: f32| {
                let x = (level / 255.0 * steps).floor() / steps;
                let value = (sigmoid(x) - start) / (end - start);
                (lowest + (highest - lowest) * value).clamp(0.0, 255.0)
            };
            ((0..256).map(|level| map(level as f32)).collect(), 1.0)
        }
    }
}
