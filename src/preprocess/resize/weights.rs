//! Weights along one side: how much each pixel of an image contributes to each pixel of the resized
//! image.

use crate::error::Result;
use crate::memory::reserve_values;
use crate::preprocess::side::Side;
use std::ops::Range;

/// Number of products that are computed at the same time along a row. Rows of weights are padded to
/// a multiple of this number.
pub(super) const LANES: usize = 8;

/// Maximum rounding term. White is 65408 in 16 bits, so a sum with this term is at most 65535.
const MAX_ROUNDING: usize = 127;

/// The weights along one side of an image, for the most recently set lengths.
pub(super) struct Weights {
    from: usize,
    to: Side,
    antialias: bool,
    /// Length of a row of `padded`.
    row: usize,
    /// Index of the first pixel and number of pixels, for each sum.
    sums: Vec<(usize, usize)>,
    /// Rows of weights, one per sum, in units of 1/65536 and padded with zeros.
    padded: Vec<u16>,
}

/// The pixels of one sum, with their weights.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) first: usize,
    pub(super) weights: &'a [u16],
    /// The weights, padded with zeros to a multiple of [`LANES`].
    pub(super) padded: &'a [u16],
    /// Term that is added to the products to make up for truncation, which takes half a unit from
    /// each product on average.
    pub(super) rounding: u16,
}

impl Weights {
    /// Allocates memory for resizing a side of at most `max_from` pixels, of which at most `max_to`
    /// pixels of the result are computed.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(max_from: usize, max_to: usize, antialias: bool) -> Result<Self> {
        let purpose = "the weights of the resizer";
        let sums = reserve_values(max_to, purpose)?;
        let padded = reserve_values(Self::padded_len(max_from, max_to), purpose)?;
        Ok(Self { from: 0, to: Side::default(), antialias, row: 0, sums, padded })
    }

    /// Returns the maximum length of all padded rows. A sum has at most `2 * from / to + 1` pixels
    /// if the image shrinks, and at most 3 otherwise. No more sums than `to` are computed, because
    /// `to` is the length of the whole side.
    fn padded_len(max_from: usize, max_to: usize) -> usize {
        2 * max_from + (3 + LANES) * max_to
    }

    /// Returns the size in bytes of the memory that [`Self::new`] allocates.
    pub(super) fn memory_bytes(max_from: usize, max_to: usize) -> usize {
        let padded = Self::padded_len(max_from, max_to) * size_of::<u16>();
        max_to * size_of::<(usize, usize)>() + padded
    }

    /// Computes the weights for these lengths, unless the last call set the same lengths.
    pub(super) fn set_lengths(&mut self, from: usize, to: Side) {
        if (self.from, self.to) == (from, to) {
            return;
        }
        (self.from, self.to) = (from, to);
        let scale = from as f64 / to.full_px as f64;
        let reach = if self.antialias { scale.max(1.0) } else { 1.0 };
        let centre = |x: usize| ((to.first_px + x) as f64 + 0.5) * scale;
        self.sums.clear();
        self.sums.extend((0..to.len_px).map(|x| {
            let first = (centre(x) - reach + 0.5).max(0.0) as usize;
            let end = ((centre(x) + reach + 0.5) as usize).min(from);
            (first, end - first)
        }));
        let longest = self.sums.iter().map(|sum| sum.1).max().unwrap_or(0);
        self.row = longest.next_multiple_of(LANES);
        self.padded.clear();
        self.padded.resize(self.row * to.len_px, 0);
        let rows = self.padded.chunks_exact_mut(self.row);
        for ((x, &(first, count)), weights) in self.sums.iter().enumerate().zip(rows) {
            let height = |i: usize| (1.0 - ((i as f64 + 0.5 - centre(x)) / reach).abs()).max(0.0);
            let area: f64 = (first..first + count).map(height).sum();
            // The running sum is rounded instead of each weight, so that the weights add up to
            // 65536 and a uniform image stays uniform.
            let (mut sum, mut assigned) = (0.0, 0);
            for (weight, i) in weights.iter_mut().zip(first..first + count) {
                sum += height(i);
                let rounded = (sum / area * 65536.0).round() as u32;
                *weight = (rounded - assigned).min(65535) as u16;
                assigned = rounded;
            }
        }
    }

    /// Returns the range of the pixels that have an influence on the sums.
    pub(super) fn pixels(&self) -> Range<usize> {
        let end = |&(first, count): &(usize, usize)| first + count;
        self.sums.first().map_or(0, |sum| sum.0)..self.sums.last().map_or(0, end)
    }

    /// Returns the pixels and weights of all sums, in order.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        let rows = self.padded.chunks_exact(self.row);
        self.sums.iter().zip(rows).map(|(&(first, count), row)| Span {
            first,
            weights: &row[..count],
            padded: &row[..count.next_multiple_of(LANES)],
            rounding: (count / 2).min(MAX_ROUNDING) as u16,
        })
    }
}
