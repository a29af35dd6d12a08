//! Scan conversion from the polar grid of beams and samples to pixels.

use crate::image::plane::{Plane, Zoom};
use ndarray::Array2;

/// Fraction of the placement's height that the sector fills. The rest is a margin above and below
/// the sector.
const FILL: f32 = 0.96;

/// The size and the position of the sector in the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Height of the sector with its margins, as a fraction of the frame's height.
    pub(crate) scale: f32,
    /// Middle of the sector, as a fraction of the frame's width.
    pub(crate) middle: f32,
    /// Top of the margin above the sector, as a fraction of the frame's height.
    pub(crate) top: f32,
    /// Width of a pixel's content relative to its height. It differs from 1 where a display or a
    /// resize has changed the aspect ratio.
    pub(crate) stretch: f32,
}

impl Placement {
    /// The placement in which the sector and its margins fill the height of the frame.
    pub(crate) const FULL: Self = Self { scale: 1.0, middle: 0.5, top: 0.0, stretch: 1.0 };
}

/// Returns the size of a pixel in millimetres, which is the same in both directions.
pub(crate) fn compute_mm_per_px(plane: &Plane, placement: Placement, height: usize) -> f32 {
    let magnification = plane.zoom.map_or(1.0, |zoom| zoom.magnification);
    plane.depth_mm / (FILL * placement.scale * height as f32) / magnification
}

/// A point of the scan plane, in millimetres.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanePoint {
    /// Distance from the sector's axis, positive to the right.
    pub(crate) across: f32,
    /// Distance from the probe along the sector's axis.
    pub(crate) along: f32,
}

/// Locates the middle of the pixel at `row` and `column` in the scan plane. Returns `None` if that
/// point lies outside the sector.
pub(crate) fn locate_pixel(
    plane: &Plane,
    placement: Placement,
    [height, width]: [usize; 2],
    [row, column]: [usize; 2],
) -> Option<PlanePoint> {
    let mm = compute_mm_per_px(plane, placement, height);
    let scale = placement.scale * height as f32;
    let (left, top) =
        (placement.middle * width as f32 - 0.5 * scale, placement.top * height as f32);
    let (x, y) = (column as f32 + 0.5 - left, row as f32 + 0.5 - top);
    let across = (x - 0.5 * scale) * mm / placement.stretch;
    let along = match plane.zoom {
        // A zoom shows a square window of the scan.
        Some(_) if x < 0.0 || y < 0.0 || x > scale || y > scale => return None,
        Some(Zoom { centre_mm, .. }) => centre_mm + (y - 0.5 * scale) * mm,
        None => (y - 0.02 * scale) * mm,
    };
    let is_outside = along <= 0.0
        || across.atan2(along).abs() >= plane.half_angle_rad
        || across.hypot(along) >= plane.depth_mm;
    (!is_outside).then_some(PlanePoint { across, along })
}

/// A pixel inside the sector, and the samples of the polar grid from which the pixel is
/// interpolated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectorPixel {
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// The beam to the left of the pixel. The pixel lies between this beam and the next one.
    pub(crate) beam: usize,
    /// The sample above the pixel. The pixel lies between this sample and the next one.
    pub(crate) sample: usize,
    /// Weight of the next beam.
    beam_weight: f32,
    /// Weight of the next sample.
    sample_weight: f32,
}

/// Lists the pixels inside the sector of a frame of `[height, width]` pixels, row by row, for a
/// polar grid of `[beams, samples]`.
pub(crate) fn map_sector(
    plane: &Plane,
    placement: Placement,
    size: [usize; 2],
    [beams, samples]: [usize; 2],
) -> Vec<SectorPixel> {
    let [height, width] = size;
    let mut pixels = Vec::new();
    for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
        let Some(PlanePoint { across, along }) =
            locate_pixel(plane, placement, size, [row, column])
        else {
            continue;
        };
        let (r, angle) = (across.hypot(along), across.atan2(along));
        let sample = (r / plane.depth_mm * samples as f32 - 0.5).clamp(0.0, samples as f32 - 1.01);
        let beam = ((angle / plane.half_angle_rad + 1.0) / 2.0 * beams as f32 - 0.5)
            .clamp(0.0, beams as f32 - 1.01);
        pixels.push(SectorPixel {
            row,
            column,
            beam: beam as usize,
            sample: sample as usize,
            beam_weight: beam.fract(),
            sample_weight: sample.fract(),
        });
    }
    pixels
}

impl SectorPixel {
    /// Interpolates values on the polar grid, `[beams, samples]`, at the pixel.
    pub(crate) fn interpolate(&self, polar: &Array2<f32>) -> f32 {
        let (b, s) = (self.beam, self.sample);
        let along_beam =
            |b| polar[[b, s]] * (1.0 - self.sample_weight) + polar[[b, s + 1]] * self.sample_weight;
        along_beam(b) * (1.0 - self.beam_weight) + along_beam(b + 1) * self.beam_weight
    }
}
