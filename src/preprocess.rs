//! From the bytes of a frame to the normalised sample that the network takes.
//!
//! The steps and their order are those of `docs/model-package.md`, "From a frame to a sample". All pixel work is
//! on 8-bit values, as the networks were trained on; the last step looks every value up in a table.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::frame::{Geometry, Orientation, PixelFormat};
use crate::model::ModelSpec;
use crate::{Error, Result, Status};

/// Turns frames into samples. One per stream; its buffers are made once, for the largest frame.
pub(crate) struct Preprocess {
    width_px: u32,
    height_px: u32,
    max_width_px: u32,
    max_height_px: u32,
    channels: usize,
    orientation: Orientation,
    /// Normalised value of each pixel value, per channel.
    normalised: Vec<[f32; 256]>,
    /// The region as luma or RGB, where the frame's own bytes are not that already.
    region: Vec<u8>,
    /// The region at its size in the sample.
    resized: Vec<u8>,
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
            orientation: spec.orientation,
            normalised: spec.mean.iter().zip(&spec.std).map(table).collect(),
            region: vec![0; max_width_px as usize * max_height_px as usize * spec.channels],
            resized: vec![0; spec.sample_len()],
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
        if sample.len() != self.resized.len() {
            return Err(Status::InvalidArgument.into());
        }
        let (width, height) = fitted(geometry, self.width_px, self.height_px);
        self.resize(geometry, packed, width, height)?;
        self.place(geometry.orientation, width as usize, height as usize, sample);
        Ok(())
    }

    /// Resizes the region into `self.resized`, `width` x `height` interleaved pixels.
    fn resize(&mut self, geometry: &Geometry, packed: &[u8], width: u32, height: u32) -> Result<()> {
        let region = geometry.region;
        let kind = if self.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
        // Where the frame's bytes already are what is wanted they are read in place.
        let in_place =
            matches!((self.channels, geometry.format), (1, PixelFormat::Gray8) | (3, PixelFormat::Rgb24));
        let (source, frame_width, frame_height, left, top) = if in_place {
            (packed, geometry.width_px, geometry.height_px, region.x_px, region.y_px)
        } else {
            let bytes = region.width_px as usize * region.height_px as usize * self.channels;
            let target = &mut self.region[..bytes];
            if self.channels == 1 {
                luma(geometry, packed, target)
            } else {
                rgb(geometry, packed, target)
            }
            (&*target, region.width_px, region.height_px, 0, 0)
        };
        let source = ImageRef::new(frame_width, frame_height, source, kind).map_err(internal)?;
        // Cropped as a view and not by the resizer's own option: that one lets the filter reach over the edge of
        // the region, into patient data that scanners write beside the image.
        let source =
            CroppedImage::new(&source, left, top, region.width_px, region.height_px).map_err(internal)?;
        let bytes = width as usize * height as usize * self.channels;
        let mut target =
            Image::from_slice_u8(width, height, &mut self.resized[..bytes], kind).map_err(internal)?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer.resize(&source, &mut target, &options).map_err(internal)
    }

    /// Centres the resized region on black, turns it, normalises it.
    fn place(&self, shown: Orientation, width: usize, height: usize, sample: &mut [f32]) {
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
                let from = &self.resized[y * width * self.channels..][..width * self.channels];
                let values =
                    from.iter().skip(channel).step_by(self.channels).map(|&v| normalised[v as usize]);
                if mirrored {
                    to.iter_mut().rev().zip(values).for_each(|(to, value)| *to = value);
                } else {
                    to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
                }
            }
        }
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
        PixelFormat::Gray8 => map(geometry, packed, target, |p: [u8; 1]| p),
        PixelFormat::Gray16Le => map(geometry, packed, target, |p| [from_16_bits(p)]),
        PixelFormat::Rgb24 => map(geometry, packed, target, |[r, g, b]| [luma_of(r, g, b)]),
        PixelFormat::Bgr24 => map(geometry, packed, target, |[b, g, r]| [luma_of(r, g, b)]),
        PixelFormat::Rgba32 => map(geometry, packed, target, |[r, g, b, _]| [luma_of(r, g, b)]),
        PixelFormat::Bgra32 => map(geometry, packed, target, |[b, g, r, _]| [luma_of(r, g, b)]),
        PixelFormat::Yuyv => map(geometry, packed, target, |[y, _]| [full_range(y)]),
        PixelFormat::Uyvy => map(geometry, packed, target, |[_, y]| [full_range(y)]),
        // The plane of Y comes first and has one byte a pixel.
        PixelFormat::Nv12 | PixelFormat::I420 => map(geometry, packed, target, |[y]| [full_range(y)]),
    }
}

/// RGB of the region, three bytes a pixel. Subsampled chroma is taken from the sample that covers the pixel.
fn rgb(geometry: &Geometry, packed: &[u8], target: &mut [u8]) {
    let (width, height) = (geometry.width_px as usize, geometry.height_px as usize);
    // For the planar formats; the first plane is Y.
    let (luma, chroma) = packed.split_at(width * height);
    let pair = |x, y| &packed[2 * width * y + x / 2 * 4..][..4];
    match geometry.format {
        PixelFormat::Gray8 => map(geometry, packed, target, |[grey]| [grey; 3]),
        PixelFormat::Gray16Le => map(geometry, packed, target, |p| [from_16_bits(p); 3]),
        PixelFormat::Rgb24 => map(geometry, packed, target, |p: [u8; 3]| p),
        PixelFormat::Bgr24 => map(geometry, packed, target, |[b, g, r]| [r, g, b]),
        PixelFormat::Rgba32 => map(geometry, packed, target, |[r, g, b, _]| [r, g, b]),
        PixelFormat::Bgra32 => map(geometry, packed, target, |[b, g, r, _]| [r, g, b]),
        PixelFormat::Yuyv => map_yuv(geometry, target, |x, y| {
            let pair = pair(x, y);
            [pair[x % 2 * 2], pair[1], pair[3]]
        }),
        PixelFormat::Uyvy => map_yuv(geometry, target, |x, y| {
            let pair = pair(x, y);
            [pair[x % 2 * 2 + 1], pair[0], pair[2]]
        }),
        PixelFormat::Nv12 => map_yuv(geometry, target, |x, y| {
            let at = y / 2 * width + x / 2 * 2;
            [luma[y * width + x], chroma[at], chroma[at + 1]]
        }),
        PixelFormat::I420 => {
            let (u, v) = chroma.split_at(width * height / 4);
            map_yuv(geometry, target, |x, y| {
                let at = y / 2 * (width / 2) + x / 2;
                [luma[y * width + x], u[at], v[at]]
            });
        }
    }
}

/// Writes `value` of each pixel of the region. The first plane of the frame has `IN` bytes a pixel.
fn map<const IN: usize, const OUT: usize>(
    geometry: &Geometry,
    packed: &[u8],
    target: &mut [u8],
    value: impl Fn([u8; IN]) -> [u8; OUT],
) {
    let region = geometry.region;
    let (left, width) = (region.x_px as usize, region.width_px as usize);
    let rows = packed.chunks_exact(geometry.width_px as usize * IN).skip(region.y_px as usize);
    for (to, from) in target.as_chunks_mut::<OUT>().0.chunks_exact_mut(width).zip(rows) {
        for (to, &from) in to.iter_mut().zip(&from.as_chunks::<IN>().0[left..left + width]) {
            *to = value(from);
        }
    }
}

/// Writes the RGB of each pixel of the region. `yuv` gives Y, U and V at a column and a row of the frame.
fn map_yuv(geometry: &Geometry, target: &mut [u8], yuv: impl Fn(usize, usize) -> [u8; 3]) {
    let region = geometry.region;
    let rows = target.as_chunks_mut::<3>().0.chunks_exact_mut(region.width_px as usize);
    for (y, to) in (region.y_px as usize..).zip(rows) {
        for (x, to) in (region.x_px as usize..).zip(to) {
            *to = rgb_of(yuv(x, y));
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
    ((u32::from(y).saturating_sub(16) * 255 + 109) / 219).min(255) as u8
}

/// RGB of video-range Y, U, V by ITU-R BT.601 (Y 16 to 235, U and V 16 to 240 around 128), rounded, clamped.
/// The factors 255/219, 1.402 * 255/224, ... are in 1/65536.
fn rgb_of([y, u, v]: [u8; 3]) -> [u8; 3] {
    let luma = 76_309 * (i32::from(y) - 16) + 0x8000;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [luma + 104_597 * v, luma - 25_675 * u - 53_279 * v, luma + 132_201 * u]
        .map(|value| (value >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests;
