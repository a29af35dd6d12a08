//! Conversion of video-range YUV with subsampled chroma to red, green and blue planes.

use crate::error::Result;
use crate::frame::{Geometry, PixelFormat, Region};
use crate::memory::fill_values;
use std::ops::Range;

/// A range of pairs of adjacent pixels. The two pixels of a pair share their chroma, so a region is
/// converted in whole pairs.
pub(super) struct Pairs(Range<usize>);

impl Pairs {
    /// Returns the pairs that cover the columns of a region. The region begins at pixel `x_px % 2`
    /// of the first pair.
    pub(super) fn covering(region: &Region) -> Self {
        let (first, end) = (region.x_px as usize, (region.x_px + region.width_px) as usize);
        Self(first / 2..end.div_ceil(2))
    }

    /// Returns the width of the converted region, which consists of whole pairs.
    pub(super) fn width_px(&self) -> usize {
        2 * self.0.len()
    }
}

/// A converter from YUV to red, green and blue. Its row buffers are allocated once, for the widest
/// frame.
pub(super) struct Converter {
    luma: Vec<[u8; 2]>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Converter {
    /// Allocates the row buffers.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(max_width_px: u32) -> Result<Self> {
        let pairs = max_width_px as usize / 2;
        let purpose = "a row of a frame";
        let luma = fill_values(pairs, [0; 2], purpose)?;
        let [u, v] = [fill_values(pairs, 0, purpose)?, fill_values(pairs, 0, purpose)?];
        Ok(Self { luma, u, v })
    }

    /// Returns the size of the row buffers in bytes.
    pub(super) fn memory_bytes(max_width_px: u32) -> usize {
        4 * (max_width_px as usize / 2)
    }

    /// Writes the red, green and blue planes of the region, widened to whole pairs, to `target`.
    /// Each pixel uses the chroma sample that covers it.
    pub(super) fn convert(
        &mut self,
        geometry: &Geometry,
        packed: &[u8],
        pairs: &Pairs,
        target: &mut [u8],
    ) {
        let plane = target.len() / 3;
        let (red, rest) = target.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let [red, green, blue] = [red, green, blue].map(|plane| plane.as_chunks_mut::<2>().0);
        let row = pairs.0.len();
        let rows = red
            .chunks_exact_mut(row)
            .zip(green.chunks_exact_mut(row))
            .zip(blue.chunks_exact_mut(row));
        for (y, ((red, green), blue)) in (geometry.region().y_px as usize..).zip(rows) {
            let (luma, u, v) = self.read_row(geometry, packed, pairs, y);
            convert_row(luma, u, v, red, green, blue);
        }
    }

    /// Returns the luma, U and V of each pair in a row. Each slice refers to the frame or, if its
    /// values are interleaved with others in the frame, to one of the converter's row buffers.
    fn read_row<'a>(
        &'a mut self,
        geometry: &Geometry,
        packed: &'a [u8],
        pairs: &Pairs,
        y: usize,
    ) -> (&'a [[u8; 2]], &'a [u8], &'a [u8]) {
        let (width, height) = (geometry.width_px() as usize, geometry.height_px() as usize);
        let (first, count) = (pairs.0.start, pairs.0.len());
        let (luma, u, v) = (&mut self.luma[..count], &mut self.u[..count], &mut self.v[..count]);
        if matches!(geometry.format(), PixelFormat::Yuyv | PixelFormat::Uyvy) {
            let from = &packed[y * 2 * width..][..2 * width].as_chunks::<4>().0[pairs.0.clone()];
            if geometry.format() == PixelFormat::Yuyv {
                split_packed(from, |&[y0, u, y1, v]| ([y0, y1], u, v), luma, u, v);
            } else {
                split_packed(from, |&[u, y0, v, y1]| ([y0, y1], u, v), luma, u, v);
            }
            return (luma, u, v);
        }
        let (whole, chroma) = packed.split_at(width * height);
        let whole = &whole[y * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
        if geometry.format() == PixelFormat::Nv12 {
            let from = &chroma[y / 2 * width..][..width].as_chunks::<2>().0[pairs.0.clone()];
            split_interleaved(from, u, v);
            return (whole, u, v);
        }
        let (u, v) = chroma.split_at(width * height / 4);
        let [u, v] = [u, v].map(|plane| &plane[y / 2 * (width / 2) + first..][..count]);
        (whole, u, v)
    }
}

/// Splits a row of interleaved U and V. For the reason given at [`convert_row`], the function is
/// not inlined.
#[inline(never)]
fn split_interleaved(from: &[[u8; 2]], u: &mut [u8], v: &mut [u8]) {
    for ((u, v), &from) in u.iter_mut().zip(v).zip(from) {
        let both = u16::from_le_bytes(from);
        (*u, *v) = (both as u8, (both >> 8) as u8);
    }
}

/// Splits a row of packed luma, U and V. For the reason given at [`convert_row`], the function is
/// not inlined.
#[inline(never)]
fn split_packed(
    from: &[[u8; 4]],
    parts: impl Fn(&[u8; 4]) -> ([u8; 2], u8, u8),
    luma: &mut [[u8; 2]],
    u: &mut [u8],
    v: &mut [u8],
) {
    for (((luma, u), v), from) in luma.iter_mut().zip(u).zip(v).zip(from) {
        (*luma, *u, *v) = parts(from);
    }
}

/// Converts one row. The function must not be inlined: the compiler uses vector instructions only
/// if it knows that the slices do not overlap, and it knows this only while they are arguments of a
/// function. Without vector instructions, a row takes three times as long.
#[inline(never)]
fn convert_row(
    luma: &[[u8; 2]],
    u: &[u8],
    v: &[u8],
    red: &mut [[u8; 2]],
    green: &mut [[u8; 2]],
    blue: &mut [[u8; 2]],
) {
    let to = red.iter_mut().zip(green).zip(blue);
    for (((red, green), blue), ((&luma, &u), &v)) in to.zip(luma.iter().zip(u).zip(v)) {
        let chroma = chroma_of(u, v);
        for pixel in 0..2 {
            let [r, g, b] = rgb_of(luma[pixel], chroma);
            (red[pixel], green[pixel], blue[pixel]) = (r, g, b);
        }
    }
}

/// Returns the contribution of U and V to red, green and blue, in units of 1/8192.
///
/// The equations follow ITU-R BT.601, in which U and V range from 16 to 240 and the value 128 is
/// neutral. With U and V relative to 128, the red term is 1.402 * 255/224 V, and the blue term is
/// 1.772 * 255/224 U. Green decreases by 0.299/0.587 of the red term and 0.114/0.587 of the blue
/// term. With 13 fractional bits, every factor fits into 16 bits, which halves the work on
/// processors without wide multipliers. Before rounding, no value differs from the exact one by
/// more than 0.02.
#[inline]
fn chroma_of(u: u8, v: u8) -> [i32; 3] {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [13_075 * v, -3_209 * u - 6_660 * v, 16_525 * u]
}

/// Returns red, green and blue, rounded and clamped. Each of them is `255 / 219 * (Y - 16)` plus
/// its entry in `chroma`.
#[inline]
fn rgb_of(y: u8, chroma: [i32; 3]) -> [u8; 3] {
    let luma = 9_539 * (i32::from(y) - 16) + (1 << 12);
    chroma.map(|chroma| ((luma + chroma) >> 13).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_yuv_value_follows_bt_601() {
        for (y, u, v) in (0..=255)
            .flat_map(|y| (0..=255).step_by(3).flat_map(move |u| (0..=255).map(move |v| (y, u, v))))
        {
            let luma = (f64::from(y) - 16.0) * 255.0 / 219.0;
            let (cb, cr) =
                ((f64::from(u) - 128.0) / 224.0 * 255.0, (f64::from(v) - 128.0) / 224.0 * 255.0);
            let green = (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587;
            let exact = [luma + 1.402 * cr, luma - green, luma + 1.772 * cb];
            for (got, exact) in rgb_of(y, chroma_of(u, v)).into_iter().zip(exact) {
                let apart = (f64::from(got) - exact.clamp(0.0, 255.0)).abs();
                assert!(apart < 0.53, "{y} {u} {v}: {got}, exactly {exact}");
            }
        }
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        let grey = |y| rgb_of(y, chroma_of(128, 128));
        assert_eq!([0, 16, 235, 255].map(grey), [[0; 3], [0; 3], [255; 3], [255; 3]]);
    }
}
