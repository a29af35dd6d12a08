//! Preprocessing: conversion of a frame to the normalised sample that is the network's input.
//!
//! This module implements docs/model-package.md#from-a-frame-to-a-sample. All pixel operations work
//! on 8-bit values, as in training. The last step normalises the values with a lookup table.

// A `Geometry` is checked when it is created, and `run` checks the sizes of the frame and the
// sample. An index out of range would therefore be a bug in this module. The worker would catch the
// panic and poison the stream.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use crate::error::{Result, Status};
use crate::frame::{Geometry, Orientation, PixelFormat, Region};
use crate::memory::fill_values;
use crate::model::{ChannelOrder, ModelSpec};
use fit::{Target, fit_region};
use resize::{Image, Resizer};
use side::Side;

/// A converter from frames to samples. Its buffers are allocated once, for the largest frame of a
/// stream.
pub(crate) struct Preprocess {
    target: Target,
    max_width_px: u32,
    max_height_px: u32,
    channels: usize,
    sample_len: usize,
    channel_order: ChannelOrder,
    orientation: Orientation,
    /// Normalised value of each pixel value, for each channel.
    normalised: Vec<[f32; 256]>,
    /// The region as a luma plane or as red, green and blue planes. This copy is used only if the
    /// resizer cannot read the frame directly.
    region: Vec<u8>,
    /// The part of the resized region that is in the sample, one plane after the other.
    resized: Vec<u8>,
    yuv: yuv::Converter,
    resizer: Resizer,
}

impl Preprocess {
    /// Allocates the buffers for frames of at most `max_width_px` x `max_height_px` pixels.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(crate) fn new(spec: &ModelSpec, max_width_px: u32, max_height_px: u32) -> Result<Self> {
        let table = |(&mean, &std): (&f32, &f32)| {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std) as [f32; 256]
        };
        let region = max_width_px as usize * max_height_px as usize * spec.channels;
        Ok(Self {
            target: Target::new(spec),
            max_width_px,
            max_height_px,
            channels: spec.channels,
            sample_len: spec.sample_len(),
            channel_order: spec.channel_order,
            orientation: spec.orientation,
            normalised: spec.mean.iter().zip(&spec.std).map(table).collect(),
            region: fill_values(region, 0, "the region of a frame")?,
            resized: fill_values(spec.sample_len(), 0, "a resized frame")?,
            yuv: yuv::Converter::new(max_width_px)?,
            resizer: Resizer::new(
                [max_width_px as usize, max_height_px as usize],
                [spec.width_px, spec.height_px],
                spec.resize.antialias,
            )?,
        })
    }

    /// Returns the size of all buffers in bytes.
    pub(crate) fn memory_bytes(spec: &ModelSpec, max_width_px: u32, max_height_px: u32) -> usize {
        let region = max_width_px as usize * max_height_px as usize * spec.channels;
        let tables = spec.channels * 256 * size_of::<f32>();
        let from = [max_width_px as usize, max_height_px as usize];
        let resizer = Resizer::memory_bytes(from, [spec.width_px, spec.height_px]);
        region + spec.sample_len() + tables + resizer + yuv::Converter::memory_bytes(max_width_px)
    }

    /// Converts one frame to a sample of the shape `[channels, height, width]`. The function does
    /// not allocate.
    ///
    /// `packed` contains the frame with packed rows, one plane after the other.
    ///
    /// # Errors
    /// Returns [`Status::FrameTooLarge`] if the frame is larger than the buffers,
    /// [`Status::FrameGeometry`] if `packed` is too short, and [`Status::InvalidArgument`] if
    /// `sample` has the wrong length.
    pub(crate) fn run(
        &mut self,
        geometry: &Geometry,
        packed: &[u8],
        sample: &mut [f32],
    ) -> Result<()> {
        if geometry.width_px() > self.max_width_px || geometry.height_px() > self.max_height_px {
            return Err(Status::FrameTooLarge.into());
        }
        let packed = packed.get(..geometry.frame_bytes()).ok_or(Status::FrameGeometry)?;
        if sample.len() != self.sample_len {
            return Err(Status::InvalidArgument.into());
        }
        let size = fit_region(geometry, &self.target);
        let planes = self.resize_region(geometry, packed, size);
        self.write_sample(geometry.orientation(), planes, size.map(|side| side.len_px), sample);
        Ok(())
    }

    /// Resizes the region, and writes the planes to `self.resized`. Returns the number of planes,
    /// which is 1 for a grey image.
    fn resize_region(&mut self, geometry: &Geometry, packed: &[u8], size: [Side; 2]) -> usize {
        let region = geometry.region();
        // Number of bytes in a pixel, and indices of the bytes that become planes, for formats that
        // the resizer can read directly.
        let in_place: Option<(usize, &[usize])> = match (geometry.format(), self.channels) {
            (PixelFormat::Gray8, _) => Some((1, &[0])),
            (PixelFormat::Rgb24, 3) => Some((3, &[0, 1, 2])),
            (PixelFormat::Bgr24, 3) => Some((3, &[2, 1, 0])),
            (PixelFormat::Rgba32, 3) => Some((4, &[0, 1, 2])),
            (PixelFormat::Bgra32, 3) => Some((4, &[2, 1, 0])),
            _ => None,
        };
        if let Some((pixel_bytes, channels)) = in_place {
            let picture =
                Image { bytes: packed, width_px: geometry.width_px() as usize, pixel_bytes };
            self.resizer.run(picture, region, channels, size, &mut self.resized);
            return channels.len();
        }
        let grey = |bytes, width_px| Image { bytes, width_px, pixel_bytes: 1 };
        if self.channels == 1 || geometry.format() == PixelFormat::Gray16Le {
            let width = region.width_px as usize;
            let target = &mut self.region[..width * region.height_px as usize];
            write_luma(geometry, packed, target);
            let cut = Region { x_px: 0, y_px: 0, ..region };
            self.resizer.run(grey(target, width), cut, &[0], size, &mut self.resized);
            return 1;
        }
        let pairs = yuv::Pairs::covering(&region);
        let bytes = pairs.width_px() * region.height_px as usize;
        self.yuv.convert(geometry, packed, &pairs, &mut self.region[..3 * bytes]);
        let cut = Region { x_px: region.x_px % 2, y_px: 0, ..region };
        let targets = self.resized.chunks_exact_mut(size[0].len_px * size[1].len_px);
        for (from, to) in self.region.chunks_exact(bytes).zip(targets).take(3) {
            self.resizer.run(grey(from, pairs.width_px()), cut, &[0], size, to);
        }
        3
    }

    /// Centres the resized region on a black background, flips the image to match the orientation
    /// of the training images, and normalises it. What does not fit is already cut off.
    fn write_sample(
        &self,
        shown: Orientation,
        planes: usize,
        [width, height]: [usize; 2],
        sample: &mut [f32],
    ) {
        let (full_width, full_height) = (self.target.width_px, self.target.height_px);
        let (left, top) = ((full_width - width) / 2, (full_height - height) / 2);
        let mirrored = shown.mirrored != self.orientation.mirrored;
        let upside_down = shown.upside_down != self.orientation.upside_down;
        // The image is mirrored after it is centred, so borders of unequal width are swapped, too.
        let left = if mirrored { full_width - width - left } else { left };
        for (channel, plane) in sample.chunks_exact_mut(full_width * full_height).enumerate() {
            let normalised = &self.normalised[channel];
            // The resized planes are red, green and blue. A grey frame has only one plane, which
            // every channel uses.
            let from = match self.channel_order {
                ChannelOrder::Rgb => channel.min(planes - 1),
                ChannelOrder::Bgr => (planes - 1).saturating_sub(channel),
            };
            let resized = &self.resized[from * width * height..];
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

/// Writes the luma of the region, one byte per pixel, from 0 (black) to 255 (white).
fn write_luma(geometry: &Geometry, packed: &[u8], target: &mut [u8]) {
    match geometry.format() {
        PixelFormat::Gray8 => map_pixels(geometry, packed, target, |[grey]| grey),
        PixelFormat::Gray16Le => map_pixels(geometry, packed, target, from_16_bits),
        PixelFormat::Rgb24 => {
            map_pixels(geometry, packed, target, |[r, g, b]| luma_of_rgb(r, g, b))
        }
        PixelFormat::Bgr24 => {
            map_pixels(geometry, packed, target, |[b, g, r]| luma_of_rgb(r, g, b))
        }
        PixelFormat::Rgba32 => {
            map_pixels(geometry, packed, target, |[r, g, b, _]| luma_of_rgb(r, g, b))
        }
        PixelFormat::Bgra32 => {
            map_pixels(geometry, packed, target, |[b, g, r, _]| luma_of_rgb(r, g, b))
        }
        PixelFormat::Yuyv => map_pixels(geometry, packed, target, |[y, _]| full_range(y)),
        PixelFormat::Uyvy => map_pixels(geometry, packed, target, |[_, y]| full_range(y)),
        // The Y plane comes first and has one byte per pixel.
        PixelFormat::Nv12 | PixelFormat::I420 => {
            map_pixels(geometry, packed, target, |[y]| full_range(y))
        }
    }
}

/// Calls `value` with the bytes of each pixel in the region, and writes the byte that `value`
/// returns. `IN` is the number of bytes per pixel in the first plane.
fn map_pixels<const IN: usize>(
    geometry: &Geometry,
    packed: &[u8],
    target: &mut [u8],
    value: impl Fn([u8; IN]) -> u8,
) {
    let region = geometry.region();
    let (left, width) = (region.x_px as usize, region.width_px as usize);
    let rows = packed.chunks_exact(geometry.width_px() as usize * IN).skip(region.y_px as usize);
    for (to, from) in target.chunks_exact_mut(width).zip(rows) {
        for (to, &from) in to.iter_mut().zip(&from.as_chunks::<IN>().0[left..left + width]) {
            *to = value(from);
        }
    }
}

/// Converts a 16-bit value to the nearest 8-bit value. White is 65535 in 16 bits and 255 in 8 bits,
/// so one step of the 8-bit value equals 257 steps of the 16-bit value.
fn from_16_bits(bytes: [u8; 2]) -> u8 {
    ((u32::from(u16::from_le_bytes(bytes)) + 128) / 257) as u8
}

/// Returns the rounded luma according to ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B. The weights are
/// integers in units of 1/65536, and their sum is 65536.
fn luma_of_rgb(red: u8, green: u8, blue: u8) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16)
        as u8
}

/// Converts video-range Y (16 is black, 235 is white) to the range 0 to 255: `255 / 219 * (Y -
/// 16)`, rounded and clamped.
fn full_range(y: u8) -> u8 {
    ((u16::from(y).saturating_sub(16) * 255 + 109) / 219).min(255) as u8
}

mod fit;
mod resize;
mod side;
mod yuv;

#[cfg(test)]
mod tests;
