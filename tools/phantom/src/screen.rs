//! From the polar grid of beams and samples to pixels.

use crate::look::Placement;
use crate::view::Plane;

/// Part of the frame's height that a sector which fills it takes.
const FILL: f32 = 0.96;

/// Millimetres that a pixel spans, the same in both directions.
pub(crate) fn mm_per_px(plane: &Plane, screen: Placement, height: usize) -> f32 {
    plane.depth / (FILL * screen.scale * height as f32) / plane.zoom.map_or(1.0, |zoom| zoom.1)
}

/// A pixel inside the sector: where it is, and which samples of the polar grid it lies between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixel {
    /// Index in the frame.
    pub(crate) at: u32,
    /// Index in the polar grid of the sample before it in depth and angle.
    pub(crate) polar: u32,
    /// Part of the way to the next sample of the beam, and to the next beam.
    pub(crate) weights: [f32; 2],
}

/// Where the middle of a pixel lies in the plane: millimetres to the right of the sector's axis and along it from the
/// probe. `None` outside the sector.
pub(crate) fn point(
    plane: &Plane,
    screen: Placement,
    [w, h]: [usize; 2],
    [x, y]: [usize; 2],
) -> Option<[f32; 2]> {
    let mm = mm_per_px(plane, screen, h);
    let scale = screen.scale * h as f32;
    let (left, top) = (screen.middle * w as f32 - 0.5 * scale, screen.top * h as f32);
    let (column, row) = (x as f32 + 0.5 - left, y as f32 + 0.5 - top);
    let across = (column - 0.5 * scale) * mm;
    let deep = match plane.zoom {
        // A zoom shows a square window of the scan.
        Some(_) if column < 0.0 || row < 0.0 || column > scale || row > scale => return None,
        Some((centre, _)) => centre + (row - 0.5 * scale) * mm,
        None => (row - 0.02 * scale) * mm,
    };
    let outside = deep <= 0.0 || across.atan2(deep).abs() >= plane.half || across.hypot(deep) >= plane.depth;
    (!outside).then_some([across, deep])
}

/// Pixels inside the sector, for a polar grid of `beams` times `samples`.
pub(crate) fn scan_map(
    plane: &Plane,
    screen: Placement,
    size: [usize; 2],
    [beams, samples]: [usize; 2],
) -> Vec<Pixel> {
    let [w, h] = size;
    let mut out = Vec::new();
    for at in 0..w * h {
        let Some([across, deep]) = point(plane, screen, size, [at % w, at / w]) else { continue };
        let (r, angle) = (across.hypot(deep), across.atan2(deep));
        let s = (r / plane.depth * samples as f32 - 0.5).clamp(0.0, samples as f32 - 1.01);
        let b = ((angle / plane.half + 1.0) / 2.0 * beams as f32 - 0.5).clamp(0.0, beams as f32 - 1.01);
        let polar = b as usize * samples + s as usize;
        out.push(Pixel { at: at as u32, polar: polar as u32, weights: [s.fract(), b.fract()] });
    }
    out
}

impl Pixel {
    /// Value at the pixel, between the four samples around it.
    pub(crate) fn between(&self, polar: &[f32], samples: usize) -> f32 {
        let (at, [fs, fb]) = (self.polar as usize, self.weights);
        let here = polar[at] * (1.0 - fs) + polar[at + 1] * fs;
        let next = polar[at + samples] * (1.0 - fs) + polar[at + samples + 1] * fs;
        here * (1.0 - fb) + next * fb
    }
}
