//! Spectral Doppler traces.

use crate::body::heart::Heart;
use crate::image::other::strip::{Strip, Timeline};
use crate::rng::Rng;
use ndarray::Array2;

/// A wave of the velocity. Times are parts of a beat, and velocities are parts of the scale.
#[derive(Clone, Copy, Debug)]
struct Wave {
    at: f32,
    width: f32,
    velocity: f32,
}

/// Draws the spectrum of a place in the heart or of a vessel. The spectrum of continuous-wave
/// Doppler is filled, and that of pulsed-wave Doppler is a band below the highest velocity.
pub(crate) fn draw_spectrum(
    is_continuous: bool,
    heart: &Heart,
    phase: f32,
    timeline: Timeline,
    rng: &mut Rng,
) -> Strip {
    let waves = choose_waves(is_continuous, rng);
    let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
    let baseline = pick(0.2, 0.8);
    let scale = pick(0.5, 1.3) * if baseline > 0.5 { baseline } else { 1.0 - baseline };
    // The spectrum points to the side of the baseline with more room.
    let side = if baseline > 0.5 { 1.0 } else { -1.0 };
    let band = if is_continuous { 1.0 } else { pick(0.12, 0.6) };
    let (bright, noise_level) = (pick(90.0, 240.0), pick(4.0, 40.0));
    let (filter, mirror) = (pick(0.0, 0.05), pick(-0.3, 0.4).max(0.0));
    let wraps = !is_continuous && pick(0.0, 1.0) < 0.25;
    let gamma = pick(0.6, 1.6);
    let rows = timeline.rows;
    let mut grey = Array2::zeros([rows, timeline.columns]);
    for column in 0..timeline.columns {
        let position = heart.position(phase + timeline.time(column));
        let velocity: f32 = waves
            .iter()
            .map(|wave| wave.velocity * (-((position - wave.at) / wave.width).powi(2)).exp())
            .sum();
        let jitter = 1.0 + 0.06 * rng.draw_normal();
        let top = side * velocity * scale * jitter;
        for row in 0..rows {
            let height = baseline - (row as f32 + 0.5) / rows as f32;
            let grain = rng.draw_uniform(0.0, 1.0);
            let grain = grain * grain;
            let mut strength = measure_strength(height, top, band);
            if wraps {
                strength = strength.max(measure_strength(height + 1.0, top, band));
                strength = strength.max(measure_strength(height - 1.0, top, band));
            }
            strength = strength.max(mirror * measure_strength(-height, top, band));
            if height.abs() < filter {
                strength = 0.0;
            }
            let line = if height.abs() < 0.5 / rows as f32 { 120.0 } else { 0.0 };
            let value = bright * strength.powf(gamma) * (0.35 + 0.9 * grain) + noise_level * grain;
            grey[[row, column]] = value.max(line).clamp(0.0, 255.0) as u8;
        }
    }
    timeline.finish(grey)
}

/// Returns the strength of the spectrum at a velocity, if its highest velocity is `top`.
fn measure_strength(velocity: f32, top: f32, band: f32) -> f32 {
    let part = velocity / if top.abs() < 0.02 { 0.02 } else { top };
    if !(0.0..1.05).contains(&part) || part < 1.0 - band {
        return if (0.0..1.0).contains(&part) { 0.12 } else { 0.0 };
    }
    // The edge is brighter than the inside.
    (0.5 + 0.5 * part) * (1.0 - ((part - 0.95) / 0.1).max(0.0))
}

fn choose_waves(is_continuous: bool, rng: &mut Rng) -> Vec<Wave> {
    let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
    let wave = |at: f32, width: f32, velocity: f32| Wave { at, width, velocity };
    let kind = pick(0.0, 4.0) as usize;
    if is_continuous {
        let high = pick(0.6, 1.0);
        return match kind {
            // Regurgitation of an atrioventricular valve, stenosis and regurgitation of a semilunar
            // valve, and stenosis of an atrioventricular valve.
            0 => vec![wave(0.2, pick(0.14, 0.2), high)],
            1 => {
                vec![wave(0.2, pick(0.1, 0.16), high), wave(0.65, pick(0.22, 0.3), -pick(0.3, 0.9))]
            }
            2 => vec![wave(0.2, pick(0.09, 0.13), high), wave(0.7, 0.2, -pick(0.0, 0.3))],
            _ => vec![wave(0.6, pick(0.14, 0.2), high), wave(0.9, 0.05, pick(0.3, 0.8))],
        };
    }
    match kind {
        // Inflow, outflow, pulmonary vein and tissue.
        0 => vec![wave(0.54, pick(0.05, 0.08), pick(0.5, 1.0)), wave(0.9, 0.04, pick(0.2, 0.9))],
        1 => vec![wave(0.2, pick(0.08, 0.12), pick(0.6, 1.0)), wave(0.4, 0.015, -pick(0.0, 0.5))],
        2 => vec![
            wave(0.22, 0.1, pick(0.4, 0.9)),
            wave(0.6, 0.1, pick(0.4, 0.9)),
            wave(0.95, 0.04, -pick(0.1, 0.5)),
        ],
        _ => vec![
            wave(0.15, 0.08, pick(0.4, 0.8)),
            wave(0.54, 0.05, -pick(0.4, 0.9)),
            wave(0.9, 0.04, -pick(0.3, 0.8)),
            wave(0.02, 0.02, pick(0.0, 0.5)),
        ],
    }
}
