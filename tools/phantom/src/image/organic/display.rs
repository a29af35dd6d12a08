//! What happens to a frame after the scan conversion: filters of displays, grabbers and codecs.

use crate::body::organic::shape::Family;
use crate::rng::Rng;
use ndarray::Array2;

/// Side of a block of the codec, in pixels.
const BLOCK: usize = 8;

/// The steps from a displayed frame to a stored frame.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// Standard deviation of the blur in pixels.
    blur_px: f32,
    /// Standard deviation of noise that is new in every frame, in grey values.
    noise: f32,
    /// Grey value outside the sector.
    pub(crate) background: f32,
    artefact: Artefact,
}

/// What a codec or a grabber leaves in the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Artefact {
    None,
    /// Blocks of 8 pixels whose higher frequencies are rounded to multiples of this step.
    Blocks {
        step: f32,
    },
    /// Every second row comes from the preceding frame.
    Interlaced,
    /// Blocks of two pixels.
    Pixelated,
    /// Each row is sharpened, which leaves dark and bright rims.
    Sharpened {
        strength: f32,
    },
}

impl Capture {
    pub(crate) fn draw(family: Family, rng: &mut Rng) -> Self {
        let mut pick = |low: f32, high: f32| rng.draw_uniform(low, high);
        let kind = pick(0.0, 1.0);
        let artefact = match family {
            Family::Wild if kind < 0.18 => Artefact::Blocks { step: pick(8.0, 60.0) },
            Family::Wild => Artefact::None,
            Family::Unlike if kind < 0.25 => Artefact::Interlaced,
            Family::Unlike if kind < 0.45 => Artefact::Pixelated,
            Family::Unlike if kind < 0.75 => Artefact::Sharpened { strength: pick(0.5, 1.5) },
            Family::Unlike => Artefact::None,
        };
        Self {
            blur_px: pick(-0.5, 0.9).max(0.0),
            noise: pick(-4.0, 6.0).max(0.0),
            background: if pick(0.0, 1.0) < 0.15 { pick(4.0, 30.0) } else { 0.0 },
            artefact,
        }
    }

    /// Applies the steps to a channel. `previous` is the same channel of the preceding frame.
    pub(crate) fn apply(
        &self,
        frame: &mut Array2<u8>,
        previous: Option<&Array2<u8>>,
        rng: &mut Rng,
    ) {
        if self.blur_px > 0.15 {
            blur(frame, self.blur_px);
        }
        if self.noise > 0.3 {
            for value in frame.iter_mut() {
                let noise = (rng.draw_bits() & 0xFFFF) as f32 / 32768.0 - 1.0;
                *value = (f32::from(*value) + 1.7 * self.noise * noise).clamp(0.0, 255.0) as u8;
            }
        }
        match self.artefact {
            Artefact::None => {}
            Artefact::Blocks { step } => quantise_blocks(frame, step),
            Artefact::Interlaced => {
                let Some(previous) = previous else { return };
                for (row, (mut to, from)) in
                    frame.rows_mut().into_iter().zip(previous.rows()).enumerate()
                {
                    if row % 2 == 1 {
                        to.assign(&from);
                    }
                }
            }
            Artefact::Pixelated => {
                for mut block in frame.exact_chunks_mut([2, 2]) {
                    let value = block[[0, 0]];
                    block.fill(value);
                }
            }
            Artefact::Sharpened { strength } => {
                for mut row in frame.rows_mut() {
                    let source: Vec<f32> = row.iter().map(|&v| f32::from(v)).collect();
                    for (value, near) in row.iter_mut().skip(1).zip(source.windows(3)) {
                        let edge = near[1] - 0.5 * (near[0] + near[2]);
                        *value = (near[1] + strength * edge).clamp(0.0, 255.0) as u8;
                    }
                }
            }
        }
    }
}

/// Blurs a frame with a Gaussian of five taps in each direction.
fn blur(frame: &mut Array2<u8>, sigma: f32) {
    let weight = |d: f32| (-d * d / (2.0 * sigma * sigma)).exp();
    let [a, b, c] = [weight(0.0), weight(1.0), weight(2.0)];
    let sum = a + 2.0 * (b + c);
    let [a, b, c] = [a / sum, b / sum, c / sum];
    for axis in [0, 1] {
        for mut lane in frame.lanes_mut(ndarray::Axis(axis)) {
            let source: Vec<f32> = lane.iter().map(|&v| f32::from(v)).collect();
            for (value, near) in lane.iter_mut().skip(2).zip(source.windows(5)) {
                let mean = a * near[2] + b * (near[1] + near[3]) + c * (near[0] + near[4]);
                *value = (mean + 0.5) as u8;
            }
        }
    }
}

/// Rounds the cosine transform of each block like a codec does, with steps that grow with the
/// frequency.
fn quantise_blocks(frame: &mut Array2<u8>, step: f32) {
    let basis: [[f32; BLOCK]; BLOCK] = std::array::from_fn(|k| {
        let scale = if k == 0 { (1.0 / BLOCK as f32).sqrt() } else { (2.0 / BLOCK as f32).sqrt() };
        std::array::from_fn(|x| {
            scale * (std::f32::consts::PI * (x as f32 + 0.5) * k as f32 / BLOCK as f32).cos()
        })
    });
    for mut block in frame.exact_chunks_mut([BLOCK, BLOCK]) {
        let pixels: [[f32; BLOCK]; BLOCK] =
            std::array::from_fn(|y| std::array::from_fn(|x| f32::from(block[[y, x]])));
        // Each step transforms the rows and transposes the result.
        let forward = |rows: &[[f32; BLOCK]; BLOCK]| -> [[f32; BLOCK]; BLOCK] {
            std::array::from_fn(|k| {
                std::array::from_fn(|y| (0..BLOCK).map(|x| basis[k][x] * rows[y][x]).sum())
            })
        };
        let backward = |rows: &[[f32; BLOCK]; BLOCK]| -> [[f32; BLOCK]; BLOCK] {
            std::array::from_fn(|x| {
                std::array::from_fn(|y| (0..BLOCK).map(|k| basis[k][x] * rows[y][k]).sum())
            })
        };
        let mut spectrum = forward(&forward(&pixels));
        for (i, row) in spectrum.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                let step = step * (0.3 + 0.3 * (i + j) as f32);
                *value = (*value / step).round() * step;
            }
        }
        let pixels = backward(&backward(&spectrum));
        for ((y, x), value) in block.indexed_iter_mut() {
            *value = pixels[y][x].clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_with_a_small_step_keeps_the_frame() {
        let frame = Array2::from_shape_fn((32, 32), |(y, x)| (5 * y + 2 * x) as u8);
        let mut stored = frame.clone();
        quantise_blocks(&mut stored, 0.01);
        assert!(frame.iter().zip(&stored).all(|(a, b)| a.abs_diff(*b) <= 1));
        quantise_blocks(&mut stored, 90.0);
        assert!(frame.iter().zip(&stored).any(|(a, b)| a.abs_diff(*b) > 3));
    }

    #[test]
    fn a_blur_keeps_the_mean() {
        let mut frame = Array2::from_elem((20, 20), 0u8);
        frame[[10, 10]] = 255;
        blur(&mut frame, 0.8);
        assert!(frame[[10, 10]] < 100);
        let sum: u32 = frame.iter().map(|&v| u32::from(v)).sum();
        assert!((240..270).contains(&sum), "{sum}");
    }
}
