//! Marks that scanners burn into the image: ECG, depth ticks, bars, text, logos, probe marks and
//! tool bars.
//!
//! A layout defines the marks and their positions. Every layout occurs with every view, so a
//! network cannot learn the view from the marks.

use crate::body::heart::Heart;
use crate::image::conditions::{ImagingConditions, TRAINING_LAYOUTS};
use crate::rng::Rng;
use ndarray::Array3;

/// The marks of one cine.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// The pixels of the marks that do not move.
    pub(crate) still: Vec<MarkPixel>,
    pub(crate) ecg: Option<Ecg>,
}

#[derive(Debug)]
pub(crate) struct MarkPixel {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) grey: u8,
}

/// An ECG trace that a moving marker draws repeatedly from left to right.
#[derive(Debug)]
pub(crate) struct Ecg {
    /// Position of the baseline, as a fraction of the frame's height.
    pub(crate) base: f32,
    /// Height of the R wave, as a fraction of the frame's height.
    pub(crate) height: f32,
    /// Distance that the marker moves in a second, as a fraction of the frame's width.
    pub(crate) speed: f32,
    pub(crate) grey: u8,
}

/// The digits and a few letters. Each glyph has five rows of three bits.
const GLYPHS: [[u8; 5]; 16] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 3, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 2, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
    [7, 5, 7, 5, 5],
    [7, 4, 4, 4, 7],
    [5, 7, 7, 5, 5],
    [7, 2, 2, 2, 7],
    [7, 2, 2, 2, 2],
    [4, 4, 4, 4, 7],
];

/// A canvas for the marks that do not move. All methods except `add_pixel` take positions and sizes
/// as fractions of the frame's width and height.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<MarkPixel>,
}

impl Canvas {
    pub(crate) fn add_pixel(&mut self, row: usize, column: usize, grey: u8) {
        if column < self.width && row < self.height {
            self.pixels.push(MarkPixel { row, column, grey });
        }
    }

    /// Adds a rectangle. `grey` maps the vertical position in the rectangle, 0 at the top and 1 at
    /// the bottom, to a grey value.
    pub(crate) fn add_block(&mut self, [x, y, width, height]: [f32; 4], grey: impl Fn(f32) -> u8) {
        let (left, top) = self.locate(x, y);
        let columns = (width * self.width as f32).max(1.0) as usize;
        let rows = (height * self.height as f32).max(1.0) as usize;
        for row in 0..rows {
            for column in 0..columns {
                self.add_pixel(top + row, left + column, grey(row as f32 / rows as f32));
            }
        }
    }

    /// Adds lines of random characters. In a frame that is 112 pixels high, a character is 3 pixels
    /// wide and 5 pixels high.
    pub(crate) fn add_text(
        &mut self,
        [x, y]: [f32; 2],
        lines: usize,
        longest: usize,
        grey: u8,
        rng: &mut Rng,
    ) {
        let scale = (self.height / 112).max(1);
        let (left, top) = self.locate(x, y);
        for line in 0..lines {
            for place in 0..1 + rng.draw_below(longest) {
                if rng.draw_below(6) == 0 {
                    continue;
                }
                let glyph = GLYPHS[rng.draw_below(GLYPHS.len())];
                for (row, column) in
                    (0..5 * scale).flat_map(|r| (0..3 * scale).map(move |c| (r, c)))
                {
                    if glyph[row / scale] >> (2 - column / scale) & 1 == 1 {
                        let (row, column) = (line * 7 * scale + row, place * 4 * scale + column);
                        self.add_pixel(top + row, left + column, grey);
                    }
                }
            }
        }
    }

    /// Adds depth ticks along a vertical line. Every fifth tick is longer.
    pub(crate) fn add_ticks(&mut self, x: f32, count: usize, grey: u8) {
        for tick in 0..=count {
            let length = if tick % 5 == 0 { 0.022 } else { 0.01 };
            self.add_block([x, 0.03 + 0.92 * tick as f32 / count as f32, length, 0.004], |_| grey);
        }
    }

    /// Adds a grey-scale bar that runs from white at the top to black at the bottom.
    pub(crate) fn add_bar(&mut self, x: f32, y: f32, height: f32) {
        self.add_block([x, y, 0.025, height], |down| (255.0 * (1.0 - down)) as u8);
    }

    pub(crate) fn add_disc(&mut self, [x, y]: [f32; 2], radius: f32, grey: u8) {
        let (x, y) = (x * self.width as f32, y * self.height as f32);
        let radius = radius * self.height as f32;
        for row in (y - radius).max(0.0) as usize..=(y + radius) as usize {
            for column in (x - radius).max(0.0) as usize..=(x + radius) as usize {
                if (column as f32 - x).hypot(row as f32 - y) <= radius {
                    self.add_pixel(row, column, grey);
                }
            }
        }
    }

    /// Returns the column and the row of a position.
    fn locate(&self, x: f32, y: f32) -> (usize, usize) {
        ((x * self.width as f32) as usize, (y * self.height as f32) as usize)
    }
}

impl Overlay {
    /// Creates random marks for a cine whose frames have `[height, width]` pixels.
    pub(crate) fn draw(
        conditions: &ImagingConditions,
        [height, width]: [usize; 2],
        rng: &mut Rng,
    ) -> Self {
        let mut canvas = Canvas { width, height, pixels: Vec::new() };
        let grey = 120 + rng.draw_below(136) as u8;
        let ecg = |base: f32, height: f32, speed: f32| Some(Ecg { base, height, speed, grey });
        let ecg = match conditions.layout {
            None => None,
            Some(0) => {
                canvas.add_ticks(0.975, 10, 170);
                ecg(0.96, 0.06, 0.55)
            }
            Some(1) => {
                canvas.add_ticks(0.96, 16, grey);
                canvas.add_text([0.02, 0.02], 3, 6, grey, rng);
                canvas.add_bar(0.94, 0.05, 0.25);
                canvas.add_disc([conditions.placement.middle + 0.06, 0.03], 0.015, 200);
                ecg(0.95, 0.08, 0.4)
            }
            Some(2) => {
                canvas.add_text([0.78, 0.03], 4, 5, grey, rng);
                canvas.add_ticks(0.02, 12, grey);
                canvas.add_disc([0.05, 0.05], 0.03, 180);
                None
            }
            Some(3) => {
                canvas.add_bar(0.01, 0.1, 0.4);
                canvas.add_text([0.02, 0.72], 3, 5, grey, rng);
                canvas.add_ticks(0.965, 20, grey);
                ecg(0.9, 0.05, 0.7)
            }
            Some(layout) if layout < TRAINING_LAYOUTS => {
                canvas.add_block([0.12, 0.945, 0.76, 0.05], |_| 45);
                canvas.add_text([0.16, 0.95], 1, 14, 110, rng);
                canvas.add_text([0.01, 0.02], 2, 4, grey, rng);
                canvas.add_text([0.9, 0.25], 4, 2, grey, rng);
                None
            }
            // The remaining layouts are for `Scanner::Field` and do not occur in training cines.
            Some(layout) if layout == TRAINING_LAYOUTS => {
                canvas.add_text([0.35, 0.005], 1, 9, grey, rng);
                canvas.add_bar(0.02, 0.55, 0.35);
                canvas.add_block([0.8, 0.86, 0.18, 0.12], |down| {
                    if (0.1..0.9).contains(&down) { 30 } else { 160 }
                });
                ecg(0.06, 0.05, 0.5)
            }
            Some(layout) if layout == TRAINING_LAYOUTS + 1 => {
                canvas.add_block([0.0, 0.0, 1.0, 0.05], |_| 70);
                canvas.add_text([0.05, 0.005], 1, 16, 220, rng);
                canvas.add_text([0.8, 0.5], 6, 4, grey, rng);
                ecg(0.8, 0.1, 0.3)
            }
            Some(layout) if layout == TRAINING_LAYOUTS + 2 => {
                canvas.add_disc([0.92, 0.08], 0.06, 150);
                canvas.add_disc([0.92, 0.08], 0.03, 40);
                canvas.add_text([0.02, 0.85], 2, 8, grey, rng);
                canvas.add_ticks(0.5, 14, 90);
                None
            }
            Some(_) => {
                canvas.add_block([0.0, 0.0, 0.035, 1.0], |_| 60);
                canvas.add_block([0.965, 0.0, 0.035, 1.0], |_| 60);
                canvas.add_text([0.06, 0.08], 5, 6, grey, rng);
                canvas.add_text([0.7, 0.9], 1, 6, grey, rng);
                ecg(0.99, 0.12, 0.25)
            }
        };
        Self { still: canvas.pixels, ecg }
    }

    /// Paints the marks over the frame that is `t` seconds after the start of the cine. The frame
    /// has the shape `[height, width, channels]`. The cine starts `phase` seconds after
    /// end-diastole.
    pub(crate) fn paint(&self, frame: &mut Array3<u8>, heart: &Heart, t: f32, phase: f32) {
        let (height, width, channels) = frame.dim();
        let mut paint = |row: usize, column: usize, grey: u8| {
            for channel in 0..channels {
                frame[[row, column, channel]] = grey;
            }
        };
        for mark in &self.still {
            paint(mark.row, mark.column, mark.grey);
        }
        let Some(ecg) = &self.ecg else { return };
        let marker = (t * ecg.speed).rem_euclid(1.0) * width as f32;
        for column in 0..width {
            // Pixels to the left of the marker belong to the current sweep. All other pixels belong
            // to the previous sweep.
            let age_s =
                (marker - column as f32).rem_euclid(width as f32) / (ecg.speed * width as f32);
            let voltage =
                compute_voltage((heart.position(phase + t - age_s) + 0.02).rem_euclid(1.0));
            let row = (height as f32 * (ecg.base - ecg.height * voltage)).max(0.0) as usize;
            let grey = if column == marker as usize { 255 } else { ecg.grey };
            paint(row.min(height - 1), column, grey);
        }
    }
}

/// Computes the voltage of the ECG at a position within the beat, relative to the height of the R
/// wave. The ECG consists of an R, an S, a T and a P wave.
fn compute_voltage(position: f32) -> f32 {
    let wave = |centre: f32, width: f32, height: f32| {
        height * (-((position - centre) / width).powi(2)).exp()
    };
    wave(0.03, 0.012, 1.0) - wave(0.055, 0.012, 0.3)
        + wave(0.3, 0.05, 0.25)
        + wave(0.88, 0.03, 0.15)
}
