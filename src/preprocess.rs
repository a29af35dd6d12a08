//! From the bytes of a frame to the normalised sample that the network takes.
//!
//! The steps and their order are those of `docs/model-package.md`, "From a frame to a sample". All pixel work is
//! on 8-bit values, as the networks were trained on; the last step looks every value up in a table.

// A frame has exactly the bytes that its geometry asks for: `frame.rs` checked it. An index out of range here is a
// mistake of ours, and the border turns its panic into a poisoned stream.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use crate::frame::{Geometry, Orientation, PixelFormat, Region};
use crate::model::ModelSpec;
use crate::{Result, Status};
use resize::{Picture, Resize};

/// Turns frames into samples. One per stream; its buffers are made once, for the largest frame.
pub(crate) struct Preprocess {
    width_px: u32,
    height_px: u32,
    max_width_px: u32,
    max_height_px: u32,
    channels: usize,
    sample_len: usize,
    orientation: Orientation,
    /// Normalised value of each pixel value, per channel.
    normalised: Vec<[f32; 256]>,
    /// The region as luma or as planes of red, green and blue, where the frame's own bytes cannot be resized.
    region: Vec<u8>,
    /// The region at its size in the sample, one plane after the other.
    resized: Vec<u8>,
    yuv: yuv::Converter,
    resize: Resize,
}

impl Preprocess {
    /// Prepares for frames of at most `max_width_px` x `max_height_px`. `spec.channels` is 1 or 3, with a mean
    /// and a standard deviation for each.
    pub(crate) fn new(spec: &ModelSpec, max_width_px: u32, max_height_px: u32) -> Self {
        let table = |(&mean, &std): (&f32, &f32)| {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std) as [f32; 256]
        };
        Self {
            width_px: spec.width_px as u32,
            height_px: spec.height_px as u32,
            max_width_px,
            max_height_px,
            channels: spec.channels,
            sample_len: spec.sample_len(),
            orientation: spec.orientation,
            normalised: spec.mean.iter().zip(&spec.std).map(table).collect(),
            region: vec![0; max_width_px as usize * max_height_px as usize * spec.channels],
            resized: vec![0; spec.sample_len()],
            yuv: yuv::Converter::new(max_width_px),
            resize: Resize::new(
                [max_width_px as usize, max_height_px as usize],
                [spec.width_px, spec.height_px],
            ),
        }
    }

    /// Writes the sample `[channels, height, width]` of one frame.
    ///
    /// `packed` holds the frame as [`FrameView::copy_packed`](crate::frame::FrameView) lays it: rows without
    /// padding, planes one after the other. The buffers of `self` never grow: nothing is allocated.
    ///
    /// # Errors
    /// [`Status::FrameGeometry`] for a geometry out of range or too few bytes, [`Status::FrameTooLarge`] for a
    /// frame larger than declared, [`Status::InvalidArgument`] if `sample` is not of the sample's length.
    pub(crate) fn run(&mut self, geometry: &Geometry, packed: &[u8], sample: &mut [f32]) -> Result<()> {
        geometry.check()?;
        if geometry.width_px > self.max_width_px || geometry.height_px > self.max_height_px {
            return Err(Status::FrameTooLarge.into());
        }
        let packed = packed.get(..geometry.frame_bytes()).ok_or(Status::FrameGeometry)?;
        if sample.len() != self.sample_len {
            return Err(Status::InvalidArgument.into());
        }
        let size = fitted(geometry, self.width_px, self.height_px).map(|side| side as usize);
        let planes = self.resize(geometry, packed, size);
        self.place(geometry.orientation, planes, size, sample);
        Ok(())
    }

    /// Resizes the region into planes of `self.resized`, and says how many they are: one for grey.
    fn resize(&mut self, geometry: &Geometry, packed: &[u8], size: [usize; 2]) -> usize {
        let region = geometry.region;
        // Where they can be resized the frame's bytes are read in place.
        let in_place: Option<(usize, &[usize])> = match (geometry.format, self.channels) {
            (PixelFormat::Gray8, _) => Some((1, &[0])),
            (PixelFormat::Rgb24, 3) => Some((3, &[0, 1, 2])),
            (PixelFormat::Bgr24, 3) => Some((3, &[2, 1, 0])),
            (PixelFormat::Rgba32, 3) => Some((4, &[0, 1, 2])),
            (PixelFormat::Bgra32, 3) => Some((4, &[2, 1, 0])),
            _ => None,
        };
        if let Some((pixel_bytes, channels)) = in_place {
            let picture = Picture { bytes: packed, width_px: geometry.width_px as usize, pixel_bytes };
            self.resize.run(picture, region, channels, size, &mut self.resized);
            return channels.len();
        }
        let plane = |bytes, width_px| Picture { bytes, width_px, pixel_bytes: 1 };
        if self.channels == 1 || geometry.format == PixelFormat::Gray16Le {
            let width = region.width_px as usize;
            let target = &mut self.region[..width * region.height_px as usize];
            luma(geometry, packed, target);
            let cut = Region { x_px: 0, y_px: 0, ..region };
            self.resize.run(plane(target, width), cut, &[0], size, &mut self.resized);
            return 1;
        }
        let pairs = yuv::Pairs::of(&region);
        let bytes = pairs.width_px() * region.height_px as usize;
        self.yuv.planes(geometry, packed, &pairs, &mut self.region[..3 * bytes]);
        let cut = Region { x_px: region.x_px % 2, y_px: 0, ..region };
        let targets = self.resized.chunks_exact_mut(size[0] * size[1]);
        for (from, to) in self.region.chunks_exact(bytes).zip(targets).take(3) {
            self.resize.run(plane(from, pairs.width_px()), cut, &[0], size, to);
        }
        3
    }

    /// Centres the resized region on black, turns it, normalises it.
    fn place(&self, shown: Orientation, planes: usize, [width, height]: [usize; 2], sample: &mut [f32]) {
        let (full_width, full_height) = (self.width_px as usize, self.height_px as usize);
        let (left, top) = ((full_width - width) / 2, (full_height - height) / 2);
        let mirrored = shown.mirrored != self.orientation.mirrored;
        let upside_down = shown.upside_down != self.orientation.upside_down;
        // Turning comes after centring, so an odd border turns too.
        let left = if mirrored { full_width - width - left } else { left };
        for (channel, plane) in sample.chunks_exact_mut(full_width * full_height).enumerate() {
            let normalised = &self.normalised[channel];
            // Grey is the same for every channel.
            let resized = &self.resized[channel.min(planes - 1) * width * height..];
            plane.fill(normalised[0]);
            for (y, from) in resized.chunks_exact(width).take(height).enumerate() {
                let row = if upside_down { full_height - 1 - (top + y) } else { top + y };
                let to = &mut plane[row * full_width + left..][..width];
                let values = from.iter().map(|&value| normalised[value as usize]);
                if mirrored {
                    to.iter_mut().rev().zip(values).for_each(|(to, value)| *to = value);
                } else {
                    to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
                }
            }
        }
    }
}

/// Width and height of the region in the sample: as large as fits, in the aspect it has with square pixels,
/// rounded to whole pixels, at least one.
fn fitted(geometry: &Geometry, width_px: u32, height_px: u32) -> [u32; 2] {
    let region_width = f64::from(geometry.region.width_px);
    let region_height = f64::from(geometry.region.height_px) * f64::from(geometry.pixel_aspect);
    let scale = (f64::from(width_px) / region_width).min(f64::from(height_px) / region_height);
    let side = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    [side(region_width, width_px), side(region_height, height_px)]
}

/// Luma of the region, one byte a pixel, 0 black to 255 white.
fn luma(geometry: &Geometry, packed: &[u8], target: &mut [u8]) {
    match geometry.format {
        PixelFormat::Gray8 => map(geometry, packed, target, |[grey]| grey),
        PixelFormat::Gray16Le => map(geometry, packed, target, from_16_bits),
        PixelFormat::Rgb24 => map(geometry, packed, target, |[r, g, b]| luma_of(r, g, b)),
        PixelFormat::Bgr24 => map(geometry, packed, target, |[b, g, r]| luma_of(r, g, b)),
        PixelFormat::Rgba32 => map(geometry, packed, target, |[r, g, b, _]| luma_of(r, g, b)),
        PixelFormat::Bgra32 => map(geometry, packed, target, |[b, g, r, _]| luma_of(r, g, b)),
        PixelFormat::Yuyv => map(geometry, packed, target, |[y, _]| full_range(y)),
        PixelFormat::Uyvy => map(geometry, packed, target, |[_, y]| full_range(y)),
        // The plane of Y comes first and has one byte a pixel.
        PixelFormat::Nv12 | PixelFormat::I420 => map(geometry, packed, target, |[y]| full_range(y)),
    }
}

/// Writes `value` of each pixel of the region. The first plane of the frame has `IN` bytes a pixel.
fn map<const IN: usize>(
    geometry: &Geometry,
    packed: &[u8],
    target: &mut [u8],
    value: impl Fn([u8; IN]) -> u8,
) {
    let region = geometry.region;
    let (left, width) = (region.x_px as usize, region.width_px as usize);
    let rows = packed.chunks_exact(geometry.width_px as usize * IN).skip(region.y_px as usize);
    for (to, from) in target.chunks_exact_mut(width).zip(rows) {
        for (to, &from) in to.iter_mut().zip(&from.as_chunks::<IN>().0[left..left + width]) {
            *to = value(from);
        }
    }
}

/// The nearest 8-bit value of a 16-bit one; 65535 and 255 are both white, so a step of 8 bits is 257.
fn from_16_bits(bytes: [u8; 2]) -> u8 {
    ((u32::from(u16::from_le_bytes(bytes)) + 128) / 257) as u8
}

/// Luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B, rounded. The weights are in 1/65536 and sum to 1.
fn luma_of(red: u8, green: u8, blue: u8) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Video-range Y (16 black, 235 white) as 0 to 255: `255 / 219 * (Y - 16)`, rounded, clamped.
fn full_range(y: u8) -> u8 {
    ((u16::from(y).saturating_sub(16) * 255 + 109) / 219).min(255) as u8
}

mod resize;
mod yuv;

#[cfg(test)]
mod tests;
