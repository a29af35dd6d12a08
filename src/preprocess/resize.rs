//! Resizing with the triangle filter (`BILINEAR` in Pillow), with or without antialiasing, first
//! down the columns and then along the rows.
//!
//! All intermediate values have 16 bits, so that a vector register holds as many values as
//! possible. Computing the upper half of the product of two 16-bit values takes only a few vector
//! instructions. The upper byte of a value contains the pixel. The lower byte is initially 128,
//! which is half a step of the upper byte, so dropping the lower byte of the last sum rounds to the
//! nearest pixel value. Unlike this code, Pillow also rounds between the two passes. In an image of
//! noise, about one pixel in fifteen therefore differs from Pillow's result by 1, on the scale from
//! 0 to 255.

use crate::error::Result;
use crate::frame::Region;
use crate::memory::fill_values;
use crate::preprocess::side::Side;
use weights::{LANES, Span, Weights};

mod weights;

/// Number of columns whose sums are kept in registers at the same time.
const COLUMNS: usize = 64;

/// Maximum number of bytes in a pixel: red, green, blue and alpha.
const PIXEL_BYTES: usize = 4;

/// An image of 8-bit values with packed rows.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) width_px: usize,
    pub(super) pixel_bytes: usize,
}

/// A resizer of image regions. It keeps the weights for the most recent sizes, and allocates
/// nothing after `new`.
pub(super) struct Resizer {
    horizontal: Weights,
    vertical: Weights,
    /// A row of the region after the pass down the columns, with interleaved channels.
    row: Vec<u16>,
    /// One channel of `row`.
    channel: Vec<u16>,
}

impl Resizer {
    /// Allocates buffers for regions of at most the size `from`, of whose resized images at most
    /// `to` pixels are computed. Both sizes are `[width, height]` in pixels.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(from: [usize; 2], to: [usize; 2], antialias: bool) -> Result<Self> {
        Ok(Self {
            horizontal: Weights::new(from[0], to[0], antialias)?,
            vertical: Weights::new(from[1], to[1], antialias)?,
            // The weights of each sum are padded with zeros. At the end of a row, the padding is
            // multiplied by values beyond the row, so both buffers have `LANES` additional values.
            row: fill_values(from[0] * PIXEL_BYTES + LANES, 0, "a row of a frame")?,
            channel: fill_values(from[0] + LANES, 0, "a row of a frame")?,
        })
    }

    /// Returns the size in bytes of the buffers that [`Self::new`] allocates for these sizes.
    pub(super) fn memory_bytes(from: [usize; 2], to: [usize; 2]) -> usize {
        let rows = from[0] * (PIXEL_BYTES + 1) + 2 * LANES;
        let weights = Weights::memory_bytes(from[0], to[0]) + Weights::memory_bytes(from[1], to[1]);
        rows * size_of::<u16>() + weights
    }

    /// Resizes a region to the width `to[0]` and the height `to[1]`. Pixels outside the region,
    /// where scanners write patient data, have no influence on the result. Plane `i` of `planes`
    /// receives byte `channels[i]` of each pixel. Each plane has `to[0].len_px` x `to[1].len_px`
    /// values.
    pub(super) fn run(
        &mut self,
        from: Image,
        region: Region,
        channels: &[usize],
        to: [Side; 2],
        planes: &mut [u8],
    ) {
        let [left, top, width, height] =
            [region.x_px, region.y_px, region.width_px, region.height_px].map(|side| side as usize);
        self.horizontal.set_lengths(width, to[0]);
        self.vertical.set_lengths(height, to[1]);
        let (step, pitch) = (from.pixel_bytes, from.width_px * from.pixel_bytes);
        // Only these columns of the region have an influence on the columns that are computed.
        let columns = self.horizontal.pixels();
        let (first, last) = (columns.start * step, columns.end * step);
        let region = &from.bytes[top * pitch + left * step + first..];
        let [to_width, to_height] = to.map(|side| side.len_px);
        for (y, down) in self.vertical.spans().enumerate() {
            add_rows(&region[down.first * pitch..], pitch, down, &mut self.row[first..last]);
            for (&channel, plane) in
                channels.iter().zip(planes.chunks_exact_mut(to_width * to_height))
            {
                let target = &mut plane[y * to_width..][..to_width];
                if step == 1 {
                    add_along(&self.row, &self.horizontal, target);
                } else {
                    copy_channel(&self.row[..width * step], step, channel, &mut self.channel);
                    add_along(&self.channel, &self.horizontal, target);
                }
            }
        }
    }
}

/// Multiplies a value by a weight in units of 1/65536, and returns the upper half of the product.
#[inline]
fn product(value: u16, weight: u16) -> u16 {
    ((u32::from(value) * u32::from(weight)) >> 16) as u16
}

/// Writes the weighted sum of each column over rows that are `pitch` bytes apart. For the reason
/// given at `convert_row` in `yuv.rs`, the function is not inlined.
#[inline(never)]
fn add_rows(rows: &[u8], pitch: usize, span: Span, sums: &mut [u16]) {
    let (blocks, rest) = sums.as_chunks_mut::<COLUMNS>();
    let done = blocks.len() * COLUMNS;
    add_blocks(rows, pitch, span, blocks);
    let (blocks, rest) = rest.as_chunks_mut::<LANES>();
    add_blocks(&rows[done..], pitch, span, blocks);
    let done = done + blocks.len() * LANES;
    add_blocks(&rows[done..], pitch, span, rest.as_chunks_mut::<1>().0);
}

/// Writes the weighted sums of columns in blocks of `N` columns. `N` is known at compile time, so
/// the compiler can keep the sums of a block in registers.
#[inline]
fn add_blocks<const N: usize>(rows: &[u8], pitch: usize, span: Span, blocks: &mut [[u16; N]]) {
    for (index, sums) in blocks.iter_mut().enumerate() {
        let mut block = [span.rounding; N];
        for (row, &weight) in rows[index * N..].chunks(pitch).zip(span.weights) {
            let Some(pixels) = row.first_chunk::<N>() else { continue };
            for i in 0..N {
                // If a multiplication replaced the shift and the OR, the compiler would fold the
                // factor into the weight, which would then have more than 16 bits.
                block[i] += product((u16::from(pixels[i]) << 8) | 128, weight);
            }
        }
        *sums = block;
    }
}

/// Writes the weighted sums along a row as pixels.
#[inline(never)]
fn add_along(row: &[u16], weights: &Weights, pixels: &mut [u8]) {
    for (pixel, span) in pixels.iter_mut().zip(weights.spans()) {
        let mut sums = [0; LANES];
        let values = row[span.first..].as_chunks::<LANES>().0;
        for (values, weights) in values.iter().zip(span.padded.as_chunks::<LANES>().0) {
            for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
                *sum += product(value, weight);
            }
        }
        let sum = u32::from(span.rounding) + sums.map(u32::from).iter().sum::<u32>();
        *pixel = (sum >> 8) as u8;
    }
}

/// Copies one channel of a row with interleaved channels.
#[inline(never)]
fn copy_channel(row: &[u16], step: usize, channel: usize, values: &mut [u16]) {
    for (value, pixel) in values.iter_mut().zip(row.chunks_exact(step)) {
        *value = pixel[channel];
    }
}

#[cfg(test)]
mod tests;
