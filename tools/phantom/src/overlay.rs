//! What scanners burn into the picture: ECG, depth ticks, bars, text, logo, probe mark, tool bar.
//!
//! A layout says where each stands. No layout belongs to a view: a network that reads them learns nothing.

use crate::heart::Heart;
use crate::look::{Look, TRAINING_LAYOUTS};
use crate::rng::Rng;

/// Marks of one cine: those that stand still are drawn once, the ECG runs.
#[derive(Debug)]
pub(crate) struct Overlay {
    size: [usize; 2],
    /// Pixels that the marks cover, and their grey.
    still: Vec<(u32, u8)>,
    ecg: Option<Ecg>,
}

#[derive(Debug)]
struct Ecg {
    /// Base line and height, parts of the frame's height.
    base: f32,
    height: f32,
    /// Pixels that the marker runs in a second, as a part of the width.
    speed: f32,
    grey: u8,
}

/// Rows of three pixels of the digits and a few letters.
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

/// A canvas for the marks that stand still, in parts of the frame.
struct Canvas {
    w: usize,
    h: usize,
    marks: Vec<(u32, u8)>,
}

impl Canvas {
    fn dot(&mut self, x: usize, y: usize, grey: u8) {
        if x < self.w && y < self.h {
            self.marks.push(((y * self.w + x) as u32, grey));
        }
    }

    fn block(&mut self, [x, y, w, h]: [f32; 4], grey: impl Fn(f32) -> u8) {
        let (x0, y0) = ((x * self.w as f32) as usize, (y * self.h as f32) as usize);
        let (bw, bh) = ((w * self.w as f32).max(1.0) as usize, (h * self.h as f32).max(1.0) as usize);
        for j in 0..bh {
            for i in 0..bw {
                self.dot(x0 + i, y0 + j, grey(j as f32 / bh as f32));
            }
        }
    }

    /// Lines of random characters; a character is 3 by 5 pixels at a height of 112.
    fn text(&mut self, [x, y]: [f32; 2], lines: usize, longest: usize, grey: u8, rng: &mut Rng) {
        let k = (self.h / 112).max(1);
        let (x0, y0) = ((x * self.w as f32) as usize, (y * self.h as f32) as usize);
        for line in 0..lines {
            for place in 0..1 + rng.below(longest) {
                if rng.below(6) == 0 {
                    continue;
                }
                for (row, bits) in GLYPHS[rng.below(GLYPHS.len())].into_iter().enumerate() {
                    for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                        for (i, j) in (0..k).flat_map(|i| (0..k).map(move |j| (i, j))) {
                            let (px, py) = (x0 + (place * 4 + column) * k + i, y0 + (line * 7 + row) * k + j);
                            self.dot(px, py, grey);
                        }
                    }
                }
            }
        }
    }

    /// Depth ticks down one side, every fifth longer.
    fn ticks(&mut self, x: f32, count: usize, grey: u8) {
        for k in 0..=count {
            let long = if k % 5 == 0 { 0.022 } else { 0.01 };
            self.block([x, 0.03 + 0.92 * k as f32 / count as f32, long, 0.004], |_| grey);
        }
    }

    fn bar(&mut self, x: f32, y: f32, height: f32) {
        self.block([x, y, 0.025, height], |down| (255.0 * (1.0 - down)) as u8);
    }

    fn disc(&mut self, [x, y]: [f32; 2], radius: f32, grey: u8) {
        let (cx, cy, r) = (x * self.w as f32, y * self.h as f32, radius * self.h as f32);
        for j in (cy - r).max(0.0) as usize..=(cy + r) as usize {
            for i in (cx - r).max(0.0) as usize..=(cx + r) as usize {
                if (i as f32 - cx).hypot(j as f32 - cy) <= r {
                    self.dot(i, j, grey);
                }
            }
        }
    }
}

impl Overlay {
    pub(crate) fn draw(look: &Look, [w, h]: [usize; 2], rng: &mut Rng) -> Self {
        let mut c = Canvas { w, h, marks: Vec::new() };
        let grey = 120 + rng.below(136) as u8;
        let ecg = |base: f32, height: f32, speed: f32| Some(Ecg { base, height, speed, grey });
        let ecg = match look.layout {
            None => None,
            Some(0) => {
                c.ticks(0.975, 10, 170);
                ecg(0.96, 0.06, 0.55)
            }
            Some(1) => {
                c.ticks(0.96, 16, grey);
                c.text([0.02, 0.02], 3, 6, grey, rng);
                c.bar(0.94, 0.05, 0.25);
                c.disc([look.screen.middle + 0.06, 0.03], 0.015, 200);
                ecg(0.95, 0.08, 0.4)
            }
            Some(2) => {
                c.text([0.78, 0.03], 4, 5, grey, rng);
                c.ticks(0.02, 12, grey);
                c.disc([0.05, 0.05], 0.03, 180);
                None
            }
            Some(3) => {
                c.bar(0.01, 0.1, 0.4);
                c.text([0.02, 0.72], 3, 5, grey, rng);
                c.ticks(0.965, 20, grey);
                ecg(0.9, 0.05, 0.7)
            }
            Some(layout) if layout < TRAINING_LAYOUTS => {
                c.block([0.12, 0.945, 0.76, 0.05], |_| 45);
                c.text([0.16, 0.95], 1, 14, 110, rng);
                c.text([0.01, 0.02], 2, 4, grey, rng);
                c.text([0.9, 0.25], 4, 2, grey, rng);
                None
            }
            // The field: marks where no training machine has them.
            Some(layout) if layout == TRAINING_LAYOUTS => {
                c.text([0.35, 0.005], 1, 9, grey, rng);
                c.bar(0.02, 0.55, 0.35);
                c.block([0.8, 0.86, 0.18, 0.12], |down| if (0.1..0.9).contains(&down) { 30 } else { 160 });
                ecg(0.06, 0.05, 0.5)
            }
            Some(layout) if layout == TRAINING_LAYOUTS + 1 => {
                c.block([0.0, 0.0, 1.0, 0.05], |_| 70);
                c.text([0.05, 0.005], 1, 16, 220, rng);
                c.text([0.8, 0.5], 6, 4, grey, rng);
                ecg(0.8, 0.1, 0.3)
            }
            Some(layout) if layout == TRAINING_LAYOUTS + 2 => {
                c.disc([0.92, 0.08], 0.06, 150);
                c.disc([0.92, 0.08], 0.03, 40);
                c.text([0.02, 0.85], 2, 8, grey, rng);
                c.ticks(0.5, 14, 90);
                None
            }
            Some(_) => {
                c.block([0.0, 0.0, 0.035, 1.0], |_| 60);
                c.block([0.965, 0.0, 0.035, 1.0], |_| 60);
                c.text([0.06, 0.08], 5, 6, grey, rng);
                c.text([0.7, 0.9], 1, 6, grey, rng);
                ecg(0.99, 0.12, 0.25)
            }
        };
        Self { size: [w, h], still: c.marks, ecg }
    }

    /// Draws the marks over a frame of `channels` interleaved bytes a pixel, `t` seconds into the cine.
    pub(crate) fn put(&self, frame: &mut [u8], channels: usize, heart: &Heart, t: f32, phase: f32) {
        let mut set = |at: usize, grey: u8| frame[at * channels..][..channels].fill(grey);
        for &(at, grey) in &self.still {
            set(at as usize, grey);
        }
        let (Some(ecg), [w, h]) = (&self.ecg, self.size) else { return };
        let now = (t * ecg.speed).rem_euclid(1.0) * w as f32;
        for x in 0..w {
            // Left of the marker stands this sweep, right of it what is left of the one before.
            let ago = (now - x as f32).rem_euclid(w as f32) / (ecg.speed * w as f32);
            let p = (heart.position(phase + t - ago) + 0.02).rem_euclid(1.0);
            let bump = |c: f32, wd: f32, a: f32| a * (-((p - c) / wd).powi(2)).exp();
            let v = bump(0.03, 0.012, 1.0) - bump(0.055, 0.012, 0.3)
                + bump(0.3, 0.05, 0.25)
                + bump(0.88, 0.03, 0.15);
            let y = (h as f32 * (ecg.base - ecg.height * v)).max(0.0) as usize;
            set(y.min(h - 1) * w + x, if x == now as usize { 255 } else { ecg.grey });
        }
    }
}
