//! How much of each pixel goes into each pixel of the resized picture, along one side.

use super::LANES;

/// White is 65408, and with this no sum goes over 65535.
const MOST_ROUNDING: usize = 127;

/// The weights of one side of a picture, for the sizes set last.
pub(super) struct Weights {
    from: usize,
    to: usize,
    /// Length of a row of `padded`.
    row: usize,
    /// First pixel and count of pixels of each sum.
    sums: Vec<(usize, usize)>,
    /// A row of weights for each sum, in 65536ths, with zeros behind.
    padded: Vec<u16>,
}

/// The pixels that one sum is made of.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) first: usize,
    pub(super) weights: &'a [u16],
    /// The same with zeros behind, up to a multiple of [`LANES`].
    pub(super) padded: &'a [u16],
    /// What to add to the products: each loses half a unit on average when its lower half is cut off.
    pub(super) rounding: u16,
}

impl Weights {
    /// Takes the memory for sides of at most these lengths.
    pub(super) fn new(most_from: usize, most_to: usize) -> Self {
        // A sum has at most 2 * from / to + 1 pixels where the picture becomes smaller, at most 3 where it does not.
        let most = 2 * most_from + (3 + LANES) * most_to;
        Self { from: 0, to: 0, row: 0, sums: Vec::with_capacity(most_to), padded: Vec::with_capacity(most) }
    }

    /// Makes the weights for these lengths, if they are not those of the last call.
    pub(super) fn set(&mut self, from: usize, to: usize) {
        if (self.from, self.to) == (from, to) {
            return;
        }
        (self.from, self.to) = (from, to);
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        let centre = |x: usize| (x as f64 + 0.5) * scale;
        self.sums.clear();
        self.sums.extend((0..to).map(|x| {
            let first = (centre(x) - reach + 0.5).max(0.0) as usize;
            let end = ((centre(x) + reach + 0.5) as usize).min(from);
            (first, end - first)
        }));
        let longest = self.sums.iter().map(|sum| sum.1).max().unwrap_or(0);
        self.row = longest.next_multiple_of(LANES);
        self.padded.clear();
        self.padded.resize(self.row * to, 0);
        for ((x, &(first, count)), weights) in
            self.sums.iter().enumerate().zip(self.padded.chunks_exact_mut(self.row))
        {
            let height = |i: usize| (1.0 - ((i as f64 + 0.5 - centre(x)) / reach).abs()).max(0.0);
            let area: f64 = (first..first + count).map(height).sum();
            // The sum so far is rounded, not each weight: so they are 65536 together, and grey stays grey.
            let (mut sum, mut given) = (0.0, 0);
            for (weight, i) in weights.iter_mut().zip(first..first + count) {
                sum += height(i);
                let rounded = (sum / area * 65536.0).round() as u32;
                *weight = (rounded - given).min(65535) as u16;
                given = rounded;
            }
        }
    }

    /// The sums in order.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        self.sums.iter().zip(self.padded.chunks_exact(self.row)).map(|(&(first, count), row)| Span {
            first,
            weights: &row[..count],
            padded: &row[..count.next_multiple_of(LANES)],
            rounding: (count / 2).min(MOST_ROUNDING) as u16,
        })
    }
}
