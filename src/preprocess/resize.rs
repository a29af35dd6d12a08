//! The antialiased triangle filter (Pillow's `BILINEAR`), down the columns first and then along the rows.
//!
//! Between the 8-bit pixels everything is 16 bits wide, which leaves the compiler's vectors as full as they can be: a
//! product of 16 bits whose upper half is kept is one instruction of every processor. A pixel is in the upper byte, with a
//! half below it, so that the upper byte of the last sum is the rounded pixel. Pillow rounds between the passes too, so
//! one pixel in fifteen of noise is one of 255 away from it.

use crate::frame::Region;
use weights::{Span, Weights};

mod weights;

/// Columns whose sums are in registers at once.
const COLUMNS: usize = 64;

/// Products along a row at once; rows of weights are padded to a multiple of it.
const LANES: usize = 8;

/// Most bytes of a pixel: red, green, blue and alpha.
const PIXEL_BYTES: usize = 4;

/// Pixels of 8-bit values in rows without padding.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) width_px: usize,
    pub(super) pixel_bytes: usize,
}

/// Resizes regions of pictures. The weights of the last sizes are kept; nothing is allocated after `new`.
pub(super) struct Resize {
    horizontal: Weights,
    vertical: Weights,
    /// A row of the region after the pass down the columns, as its pixels lie.
    row: Vec<u16>,
    /// One channel of it.
    channel: Vec<u16>,
}

impl Resize {
    /// For regions of at most `from` and results of at most `to`, width and height.
    pub(super) fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        Self {
            horizontal: Weights::new(from[0], to[0]),
            vertical: Weights::new(from[1], to[1]),
            // The padding of the last weights is multiplied with what lies behind the row, by 0.
            row: vec![0; from[0] * PIXEL_BYTES + LANES],
            channel: vec![0; from[0] + LANES],
        }
    }

    /// Resizes the region, and nothing beside it, where scanners write patient data. The byte `channels[i]` of a pixel
    /// becomes a value of the plane `i` of `planes`, each of `to[0]` x `to[1]`.
    pub(super) fn run(
        &mut self,
        from: Picture,
        region: Region,
        channels: &[usize],
        to: [usize; 2],
        planes: &mut [u8],
    ) {
        let [left, top, width, height] =
            [region.x_px, region.y_px, region.width_px, region.height_px].map(|side| side as usize);
        self.horizontal.set(width, to[0]);
        self.vertical.set(height, to[1]);
        let (step, pitch) = (from.pixel_bytes, from.width_px * from.pixel_bytes);
        let region = &from.bytes[top * pitch + left * step..];
        for (y, down) in self.vertical.spans().enumerate() {
            add_rows(&region[down.first * pitch..], pitch, down, &mut self.row[..width * step]);
            for (&channel, plane) in channels.iter().zip(planes.chunks_exact_mut(to[0] * to[1])) {
                let target = &mut plane[y * to[0]..][..to[0]];
                if step == 1 {
                    add_along(&self.row, &self.horizontal, target);
                } else {
                    pick(&self.row[..width * step], step, channel, &mut self.channel);
                    add_along(&self.channel, &self.horizontal, target);
                }
            }
        }
    }
}

/// A value times a weight of 65536ths: the upper half of the product.
#[inline]
fn product(value: u16, weight: u16) -> u16 {
    ((u32::from(value) * u32::from(weight)) >> 16) as u16
}

/// The weighted sums of rows, column by column, rows `pitch` bytes apart. Not inlined: see `convert` in `yuv.rs`.
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

/// The same for columns in blocks, whose width the compiler knows.
#[inline]
fn add_blocks<const N: usize>(rows: &[u8], pitch: usize, span: Span, blocks: &mut [[u16; N]]) {
    for (index, sums) in blocks.iter_mut().enumerate() {
        let mut block = [span.rounding; N];
        for (row, &weight) in rows[index * N..].chunks(pitch).zip(span.weights) {
            let Some(pixels) = row.first_chunk::<N>() else { continue };
            for i in 0..N {
                // Or-ed and not multiplied: the compiler would multiply the weight instead, beyond 16 bits.
                block[i] += product((u16::from(pixels[i]) << 8) | 128, weight);
            }
        }
        *sums = block;
    }
}

/// The weighted sums along the row, as pixels.
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

/// One channel of a row.
#[inline(never)]
fn pick(row: &[u16], step: usize, channel: usize, values: &mut [u16]) {
    for (value, pixel) in values.iter_mut().zip(row.chunks_exact(step)) {
        *value = pixel[channel];
    }
}

#[cfg(test)]
mod tests;
