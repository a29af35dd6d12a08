//! From the bytes of a frame to the normalised sample that the network takes.
//!
//! The steps and their order are those of `docs/model-package.md`, "From a frame to a sample". All pixel work is
//! on 8-bit values, as the networks were trained on; the last step looks every value up in a table.

// A frame has exactly the bytes that its geometry asks for: `frame.rs` checked it. An index out of range here is a
// mistake of ours, and the border turns its panic into a poisoned stream.
#![cfg_attr(not(test), expect(clippy::indexing_slicing))]

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::frame::{Geometry, Orientation, PixelFormat, Region};
use crate::model::ModelSpec;
use crate::{Error, Result, Status};

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
    /// The region at its size in the sample.
    resized: Vec<u8>,
    yuv: yuv::Converter,
    resizer: Resizer,
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
            resized: vec![0; spec.width_px * spec.height_px * MOST_BYTES],
            yuv: yuv::Converter::new(max_width_px),
            resizer: Resizer::new(),
        }
    }

    /// Writes the sample `[channels, height, width]` of one frame.
    ///
    /// `packed` holds the frame as [`FrameView::copy_packed`](crate::frame::FrameView) lays it: rows without
    /// padding, planes one after the other. The buffers of `self` never grow; the resizer keeps its image buffer
    /// from frame to frame but makes its small coefficient tables anew for each one that is not copied 1:1.
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
        let (width, height) = fitted(geometry, self.width_px, self.height_px);
        let layout = self.resize(geometry, packed, width, height)?;
        self.place(geometry.orientation, layout, width as usize, height as usize, sample);
        Ok(())
    }

    /// Resizes the region into `self.resized`, `width` x `height`, and says how its values lie there.
    fn resize(&mut self, geometry: &Geometry, packed: &[u8], width: u32, height: u32) -> Result<Layout> {
        let region = geometry.region;
        let whole = (geometry.width_px, geometry.height_px);
        let scale = &mut Scale { resizer: &mut self.resizer, width, height };
        // Where the resizer can read the frame's bytes they are read in place; the order of the channels and a
        // channel too many are put right in the sample.
        let in_place = match (geometry.format, self.channels) {
            (PixelFormat::Gray8, _) => {
                Some((scale.run::<U8>(packed, whole, region, &mut self.resized), Layout::GREY))
            }
            (PixelFormat::Rgb24 | PixelFormat::Bgr24, 3) => Some((
                scale.run::<U8x3>(packed, whole, region, &mut self.resized),
                Layout::three(3, geometry),
            )),
            (PixelFormat::Rgba32 | PixelFormat::Bgra32, 3) => Some((
                scale.run::<U8x4>(packed, whole, region, &mut self.resized),
                Layout::three(4, geometry),
            )),
            _ => None,
        };
        if let Some((resized, layout)) = in_place {
            return resized.map(|()| layout);
        }
        if self.channels == 1 || geometry.format == PixelFormat::Gray16Le {
            let target = &mut self.region[..region.width_px as usize * region.height_px as usize];
            luma(geometry, packed, target);
            let cut = Region { x_px: 0, y_px: 0, ..region };
            let size = (region.width_px, region.height_px);
            scale.run::<U8>(target, size, cut, &mut self.resized)?;
            return Ok(Layout::GREY);
        }
        let pairs = yuv::Pairs::of(&region);
        let plane = pairs.width_px() * region.height_px as usize;
        self.yuv.planes(geometry, packed, &pairs, &mut self.region[..3 * plane]);
        let cut = Region { x_px: region.x_px % 2, y_px: 0, ..region };
        let size = (pairs.width_px() as u32, region.height_px);
        let resized_plane = width as usize * height as usize;
        let planes = self.region.chunks_exact(plane).zip(self.resized.chunks_exact_mut(resized_plane));
        for (from, to) in planes.take(3) {
            scale.run::<U8>(from, size, cut, to)?;
        }
        Ok(Layout { step: 1, first: [0, resized_plane, 2 * resized_plane] })
    }

    /// Centres the resized region on black, turns it, normalises it.
    fn place(&self, shown: Orientation, layout: Layout, width: usize, height: usize, sample: &mut [f32]) {
        let (full_width, full_height) = (self.width_px as usize, self.height_px as usize);
        let (left, top) = ((full_width - width) / 2, (full_height - height) / 2);
        let mirrored = shown.mirrored != self.orientation.mirrored;
        let upside_down = shown.upside_down != self.orientation.upside_down;
        // Turning comes after centring, so an odd border turns too.
        let left = if mirrored { full_width - width - left } else { left };
        for (channel, plane) in sample.chunks_exact_mut(full_width * full_height).enumerate() {
            let normalised = &self.normalised[channel];
            plane.fill(normalised[0]);
            for y in 0..height {
                let row = if upside_down { full_height - 1 - (top + y) } else { top + y };
                let to = &mut plane[row * full_width + left..][..width];
                let from = &self.resized[layout.first[channel] + y * width * layout.step..];
                let values = from.iter().step_by(layout.step).take(width).map(|&v| normalised[v as usize]);
                if mirrored {
                    to.iter_mut().rev().zip(values).for_each(|(to, value)| *to = value);
                } else {
                    to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
                }
            }
        }
    }
}

/// Most bytes of a resized pixel: red, green, blue and alpha.
const MOST_BYTES: usize = 4;

/// Where the values of a resized picture lie.
#[derive(Clone, Copy)]
struct Layout {
    /// From one pixel to the next.
    step: usize,
    /// The first value of each channel of the sample.
    first: [usize; 3],
}

impl Layout {
    /// One value a pixel, for however many channels.
    const GREY: Self = Self { step: 1, first: [0; 3] };

    /// Red, green and blue of pixels of `step` bytes, in the order of the frame's format.
    fn three(step: usize, geometry: &Geometry) -> Self {
        let blue_first = matches!(geometry.format, PixelFormat::Bgr24 | PixelFormat::Bgra32);
        Self { step, first: if blue_first { [2, 1, 0] } else { [0, 1, 2] } }
    }
}

/// Resizes to `width` x `height`.
struct Scale<'a> {
    resizer: &'a mut Resizer,
    width: u32,
    height: u32,
}

impl Scale<'_> {
    /// Resizes a part of a picture of the given width and height, whose pixels are `P`. Generic, and not by the
    /// resizer's own choice at run time: that one links the code for every kind of pixel there is, 2 MB of it.
    fn run<P: PixelTrait + Default>(
        &mut self,
        from: &[u8],
        (width, height): (u32, u32),
        part: Region,
        to: &mut [u8],
    ) -> Result<()> {
        let source = TypedImageRef::<P>::from_buffer(width, height, from).map_err(internal)?;
        // Cropped as a view and not by the resizer's own option: that one lets the filter reach over the edge of
        // the region, into patient data that scanners write beside the image.
        let source = TypedCroppedImage::new(source, part.x_px, part.y_px, part.width_px, part.height_px)
            .map_err(internal)?;
        let to = &mut to[..self.width as usize * self.height as usize * P::size()];
        let mut target = TypedImage::<P>::from_buffer(self.width, self.height, to).map_err(internal)?;
        // The fourth channel is no alpha to the resizer: it is thrown away, whatever the host left in it.
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        self.resizer.resize_typed(&source, &mut target, &options).map_err(internal)
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Status::Internal, error.to_string())
}

/// Width and height of the region in the sample: as large as fits, in the aspect it has with square pixels,
/// rounded to whole pixels, at least one.
fn fitted(geometry: &Geometry, width_px: u32, height_px: u32) -> (u32, u32) {
    let region_width = f64::from(geometry.region.width_px);
    let region_height = f64::from(geometry.region.height_px) * f64::from(geometry.pixel_aspect);
    let scale = (f64::from(width_px) / region_width).min(f64::from(height_px) / region_height);
    let side = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    (side(region_width, width_px), side(region_height, height_px))
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

mod yuv;

#[cfg(test)]
mod tests;
