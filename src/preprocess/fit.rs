//! Sizes: to which size a region is resized, and which part of the result becomes the sample.

use super::side::Side;
use crate::frame::Geometry;
use crate::model::{ModelSpec, ResizeMethod};

/// Returns the width and the height of the resized region, and the parts of them that fit into the
/// sample.
pub(super) fn fit_region(geometry: &Geometry, target: &Target) -> [Side; 2] {
    let [width, height] = compute_size(geometry, target);
    [cut_side(width, target.width_px), cut_side(height, target.height_px)]
}

/// The size of a sample, and the rule for the size of the resized region.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) width_px: usize,
    pub(super) height_px: usize,
    method: ResizeMethod,
}

impl Target {
    pub(super) fn new(spec: &ModelSpec) -> Self {
        let (width_px, height_px) = (spec.width_px, spec.height_px);
        Self { width_px, height_px, method: spec.resize.method }
    }
}

/// Returns the width and the height to which the region is resized, both at least 1.
fn compute_size(geometry: &Geometry, target: &Target) -> [usize; 2] {
    let region = geometry.region();
    let width = f64::from(region.width_px);
    let height = f64::from(region.height_px) * f64::from(geometry.pixel_aspect());
    match target.method {
        ResizeMethod::Letterbox => {
            let (max_width, max_height) = (target.width_px as f64, target.height_px as f64);
            let scale = (max_width / width).min(max_height / height);
            let side = |length: f64, most: f64| (length * scale).round().clamp(1.0, most) as usize;
            [side(width, max_width), side(height, max_height)]
        }
        ResizeMethod::Stretch { width_px, height_px } => [width_px, height_px],
        ResizeMethod::ShortSide { side_px } => {
            // Resize of torchvision truncates the longer side. If both sides are equal, rounding
            // must not make the longer side shorter than the other.
            let (short, long) = (width.min(height), width.max(height));
            let long_px = ((side_px as f64 * long / short) as usize).max(side_px);
            if width <= height { [side_px, long_px] } else { [long_px, side_px] }
        }
    }
}

/// Returns the part of a resized side that is in the sample. As in CenterCrop of torchvision, half
/// of an odd number of pixels is rounded to the nearest even number.
fn cut_side(full_px: usize, sample_px: usize) -> Side {
    let extra = full_px.saturating_sub(sample_px);
    let first_px = extra / 2 + usize::from(extra % 4 == 3);
    Side { full_px, first_px, len_px: full_px.min(sample_px) }
}
