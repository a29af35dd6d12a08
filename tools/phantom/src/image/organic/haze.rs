//! Haze: echoes that are not from the place where they are shown, and uneven gain.

use crate::body::organic::palette::decibels;
use crate::body::organic::shape::Family;
use crate::image::conditions::ImagingConditions;
use crate::image::plane::Plane;
use crate::image::polar::{compute_beam_gain, compute_free_window};
use crate::rng::Rng;
use ndarray::Array2;

/// The haze and the gain of a cine. Amplitudes are relative to muscle.
#[derive(Clone, Debug)]
pub(crate) struct Haze {
    /// Amplitude at the skin, and the distance over which it falls to a third.
    near: f32,
    near_mm: f32,
    /// Amplitude everywhere.
    floor: f32,
    /// Echoes at multiples of one depth.
    repeats: f32,
    repeat_mm: f32,
    patches: Vec<Patch>,
    /// Layers of the chest wall.
    layers: Vec<Layer>,
    bias: Vec<BiasWave>,
    /// Errors of the time gain compensation at five depths, in decibels.
    depth_gain_db: [f32; 5],
}

/// A patch of haze. Positions are fractions of the sector: -1 to 1 across and 0 to 1 in depth.
#[derive(Clone, Copy, Debug)]
struct Patch {
    across: f32,
    depth: f32,
    width: f32,
    height: f32,
    amplitude: f32,
}

/// A bright layer between the skin and the heart.
#[derive(Clone, Copy, Debug)]
struct Layer {
    depth_mm: f32,
    /// Change of the depth from the middle to the right edge of the sector.
    slope_mm: f32,
    half_mm: f32,
    amplitude: f32,
}

/// A slow variation of the gain.
#[derive(Clone, Copy, Debug)]
struct BiasWave {
    across: f32,
    depth: f32,
    phase: f32,
    size_db: f32,
}

impl Haze {
    /// Draws the haze. `is_harmonic` images have less of it near the skin.
    pub(crate) fn draw(family: Family, is_harmonic: bool, blood: f32, rng: &mut Rng) -> Self {
        let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
        let near_db = if is_harmonic { pick(-16.0, 6.0) } else { pick(-6.0, 14.0) };
        let near_mm = if is_harmonic { pick(3.0, 14.0) } else { pick(6.0, 32.0) };
        // Some images have hardly any haze, and in others it is nearly as bright as the walls.
        let floor = decibels(pick(-40.0, -9.0)).max(0.3 * blood);
        let repeats = if pick(0.0, 1.0) < 0.35 { decibels(pick(-16.0, 2.0)) } else { 0.0 };
        let repeat_mm = pick(7.0, 28.0);
        let patches = match family {
            Family::Wild => pick(0.0, 4.0) as usize,
            Family::Unlike => 2 + pick(0.0, 5.0) as usize,
        };
        let size = if family == Family::Wild { (0.12, 0.5) } else { (0.05, 0.2) };
        let patches = (0..patches).map(|_| Patch {
            across: pick(-1.1, 1.1),
            depth: pick(0.0, 1.0),
            width: 1.6 * pick(size.0, size.1),
            height: pick(size.0, size.1),
            amplitude: decibels(pick(-18.0, -3.0)),
        });
        let patches = patches.collect();
        let layers = (0..pick(0.0, 5.0) as usize).map(|_| Layer {
            depth_mm: pick(3.0, 22.0),
            slope_mm: pick(-4.0, 4.0),
            half_mm: pick(0.6, 2.5),
            amplitude: decibels(pick(-14.0, 3.0)),
        });
        let layers = layers.collect();
        let bias = (0..4).map(|_| BiasWave {
            across: pick(-2.5, 2.5),
            depth: pick(-5.0, 5.0),
            phase: pick(0.0, std::f32::consts::TAU),
            size_db: pick(0.0, 3.5),
        });
        let bias = bias.collect();
        let depth_gain_db = std::array::from_fn(|_| pick(-4.5, 4.5));
        Self {
            near: decibels(near_db),
            near_mm,
            floor,
            repeats,
            repeat_mm,
            patches,
            layers,
            bias,
            depth_gain_db,
        }
    }

    /// Computes the amplitude of the haze at each point of a grid of `[beams, samples]`.
    pub(crate) fn compute_amplitude(&self, plane: &Plane, grid: [usize; 2]) -> Array2<f32> {
        Array2::from_shape_fn(grid, |at| {
            let (across, depth) = locate(at.into(), grid);
            let r = depth * plane.depth_mm;
            let order = (r / self.repeat_mm).round().max(1.0);
            let line = self.repeats / order * (-((r / self.repeat_mm - order) * 9.0).powi(2)).exp();
            let patches = self.patches.iter().map(|patch| {
                let x = (across - patch.across) / patch.width;
                let y = (depth - patch.depth) / patch.height;
                patch.amplitude * (-x * x - y * y).exp()
            });
            let layers = self.layers.iter().map(|layer| {
                let away = (r - layer.depth_mm - layer.slope_mm * across) / layer.half_mm;
                layer.amplitude * (-away * away).exp()
            });
            layers.sum::<f32>()
                + self.floor
                + self.near * (-r / self.near_mm).exp()
                + line
                + patches.sum::<f32>()
        })
    }

    /// Computes the gain of each point: bias fields, errors of the time gain compensation, lung,
    /// ribs and loss of contact.
    pub(crate) fn compute_gain(
        &self,
        conditions: &ImagingConditions,
        plane: &Plane,
        grid: [usize; 2],
    ) -> Array2<f32> {
        let beam_gain = compute_beam_gain(conditions, grid[0]);
        Array2::from_shape_fn(grid, |at| {
            let (across, depth) = locate(at.into(), grid);
            let waves = self.bias.iter().map(|wave| {
                wave.size_db * (wave.across * across + wave.depth * depth + wave.phase).sin()
            });
            let place = depth * (self.depth_gain_db.len() - 1) as f32;
            let knot = (place as usize).min(self.depth_gain_db.len() - 2);
            let [low, high] = [self.depth_gain_db[knot], self.depth_gain_db[knot + 1]];
            let depth_db = low + (high - low) * (place - knot as f32);
            let fade_db = conditions.residual_attenuation_db * depth;
            let free = compute_free_window(conditions.lung, across, depth * plane.depth_mm);
            beam_gain[at.0]
                * (0.25 + 0.75 * free)
                * decibels(waves.sum::<f32>() + depth_db - fade_db)
        })
    }
}

/// Returns the position of a grid point: -1 to 1 across and 0 to 1 in depth.
fn locate([beam, sample]: [usize; 2], [beams, samples]: [usize; 2]) -> (f32, f32) {
    (2.0 * (beam as f32 + 0.5) / beams as f32 - 1.0, (sample as f32 + 0.5) / samples as f32)
}
