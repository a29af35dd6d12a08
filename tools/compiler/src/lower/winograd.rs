//! Convolutions of kernel 3 along one axis with fewer multiply-adds (Winograd, Toom-Cook).
//!
//! `m` outputs of a kernel of three take `3 m` products; evaluated as polynomials they take `m + 2`. The axis is the
//! batch of the lowered graph: frames for a temporal kernel, and rows, after a Transpose, for a spatial one. Then the
//! whole transform is one MatMul with a small constant matrix, which also stands for the padding, the products are one
//! convolution with `m + 2` groups, and a second MatMul gives the outputs:
//!
//! ```text
//! [N, ci*H*W] --MatMul--> [tiles, (m+2)*ci, H, W] --grouped Conv--> [tiles, (m+2)*co, H, W] --MatMul--> [N, co*H*W]
//! ```
//!
//! Sums in another order round differently: `m` is at most 7, where a layer's rounding error is about ten times that
//! of the plain sum (2e-6 of its size against 2e-7).
//!
//! Source: A. L. Toom and S. A. Cook's multiplication in the form of S. Winograd, "Arithmetic Complexity of
//! Computations" (1980); the matrices are computed here from their points.

use super::Lowering;
use crate::net::{NetId, Window2};
use crate::options::Products;
use crate::tensor::Tensor;

/// Taps along the axis.
const TAPS: usize = 3;
/// Outputs per tile that are tried.
const TILES: [usize; 4] = [2, 4, 7, 8];
/// Where the polynomials of up to 7 outputs are evaluated, besides infinity, and those of 8. Of all sets of small binary
/// fractions, which keep every entry exact, these rounded least. The second must be 1: there every output takes the
/// product once, so it carries the bias.
const POINTS: [f64; 8] = [0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 4.0];
const POINTS_OF_8: [f64; 9] = [0.0, 1.0, -1.0, 0.375, -0.375, 1.25, -1.25, 2.5, -2.5];
/// Longest axis; the matrices grow with its square.
const MAX_AXIS: usize = 256;

/// Costs in multiply-adds, measured in ONNX Runtime on one core of a Zen 4 (`docs/compiler.md`): moving one activation
/// into the transform and from there to the kernels' layout, copying one more, reading one more weight, and one node.
const PER_MOVED: i128 = 40;
const PER_COPIED: i128 = 15;
const PER_WEIGHT: i128 = 28;
const PER_NODE: i128 = 250_000;
/// The same for turning rows into the batch and back, within the core's own cache and beyond it.
const PER_TRANSPOSED: i128 = 10;
const PER_TRANSPOSED_FAR: i128 = 50;
/// Activations that stay in that cache.
const NEAR: usize = 1 << 18;

/// Tiles of `m` outputs, in this many blocks of rows with a transform each: the matrices of a long axis are mostly
/// zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    m: usize,
    blocks: usize,
}

/// Most blocks that are tried.
const MAX_BLOCKS: usize = 4;

/// A convolution whose batch is convolved too.
#[derive(Clone, Copy)]
pub(super) struct Along<'a> {
    /// Weights `[co, ci, kh, kw]` of each of the three taps.
    pub(super) taps: &'a [Vec<f32>],
    pub(super) outputs: usize,
    pub(super) bias: Option<&'a [f32]>,
    /// The other two axes.
    pub(super) space: Window2,
    /// Padding in front of the batch, and how many come out.
    pub(super) before: usize,
    pub(super) count: usize,
    /// What the nodes around it cost.
    pub(super) around: i128,
}

/// One tile's matrices: outputs `at [m, m+2]` of products of `g [m+2, 3]` on the weights and `bt [m+2, m+2]` on the
/// data.
struct Tile {
    m: usize,
    at: Vec<Vec<f64>>,
    g: Vec<[f64; TAPS]>,
    bt: Vec<Vec<f64>>,
}

impl Tile {
    fn new(m: usize) -> Self {
        let points = if m == 8 { &POINTS_OF_8[..] } else { &POINTS[..m + 1] };
        let others = |i: usize| points.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, &p)| p);
        let mut bt: Vec<Vec<f64>> = (0..=m).map(|i| polynomial(others(i), m + 2)).collect();
        bt.push(polynomial(points.iter().copied(), m + 2));
        let mut g: Vec<[f64; TAPS]> = (0..=m)
            .map(|i| {
                let scale: f64 = others(i).map(|p| points[i] - p).product();
                [1.0, points[i], points[i] * points[i]].map(|v| v / scale)
            })
            .collect();
        g.push([0.0, 0.0, 1.0]);
        let at = (0..m)
            .map(|row| {
                let last = if row + 1 == m { 1.0 } else { 0.0 };
                points.iter().map(|p| p.powi(row as i32)).chain([last]).collect()
            })
            .collect();
        Self { m, at, g, bt }
    }

    fn products(&self) -> usize {
        self.m + 2
    }

    fn weights(&self) -> Option<Tensor> {
        let data = self.g.iter().flatten().map(|&v| v as f32).collect();
        Tensor::f32(vec![self.products(), TAPS], data)
    }
}

/// Coefficients, lowest first and `length` of them, of the polynomial with these roots.
fn polynomial(roots: impl Iterator<Item = f64>, length: usize) -> Vec<f64> {
    let mut coefficients = vec![0.0; length];
    coefficients[0] = 1.0;
    for root in roots {
        for i in (0..length).rev() {
            let lower = if i > 0 { coefficients[i - 1] } else { 0.0 };
            coefficients[i] = lower - root * coefficients[i];
        }
    }
    coefficients
}

impl Along<'_> {
    /// The tiling that pays most for an input of `[batch, channels, height, width]`; `None` where none pays.
    pub(super) fn tiling(&self, shape: [usize; 4], products: Products) -> Option<Tiling> {
        let fits = self.taps.len() == TAPS && self.count > 1 && self.count.max(shape[0]) <= MAX_AXIS;
        if !fits || products == Products::Plain {
            return None;
        }
        let all = TILES.into_iter().flat_map(|m| (1..=MAX_BLOCKS).map(move |blocks| Tiling { m, blocks }));
        let tiles = |t: &Tiling| self.count.div_ceil(t.m);
        let even = all.filter(|t| t.blocks == 1 || tiles(t).is_multiple_of(t.blocks));
        let best = even.max_by_key(|t| self.gain(*t, shape))?;
        (products == Products::Fewest || self.gain(best, shape) > 0).then_some(best)
    }

    /// What a tiling saves, in multiply-adds.
    fn gain(&self, t: Tiling, [batch, channels, height, width]: [usize; 4]) -> i128 {
        let [oh, ow] = self.space.extent(height, width);
        let big = |v: usize| v as i128;
        let (inputs, outputs) = (big(channels * height * width), big(self.outputs * oh * ow));
        let kernel = big(channels * self.outputs * self.space.kernel[0] * self.space.kernel[1]);
        let rows = big(self.count.div_ceil(t.m) * (t.m + 2));
        let saved = (big(TAPS * self.count) - rows) * kernel * big(oh * ow);
        let (batch, count, blocks) = (big(batch), big(self.count), big(t.blocks));
        let transforms = rows * (batch * inputs + count * outputs) / blocks;
        let moved = PER_MOVED * ((batch + rows) * inputs + (count + rows) * outputs);
        let copied = if t.blocks > 1 { PER_COPIED * (batch * inputs + count * outputs) } else { 0 };
        let weights = PER_WEIGHT * big(t.m + 2 - TAPS) * kernel;
        saved - transforms - moved - copied - weights - PER_NODE * 8 * blocks - self.around
    }

    /// The bias, at the product of point 1.
    fn bias(&self, tile: &Tile) -> Option<Vec<f32>> {
        let bias = self.bias?;
        let mut all = vec![0.0; tile.products() * self.outputs];
        all[self.outputs..][..self.outputs].copy_from_slice(bias);
        Some(all)
    }

    /// From the batch to the data of every tile: `[tiles*(m+2), batch]`. What lies outside the batch is zero, so it
    /// has no column.
    fn data_matrix(&self, tile: &Tile, batch: usize) -> Option<Tensor> {
        let rows = self.count.div_ceil(tile.m) * tile.products();
        let mut data = vec![0.0; rows * batch];
        for row in 0..rows {
            let (first, product) = (row / tile.products() * tile.m, row % tile.products());
            for (offset, &v) in tile.bt[product].iter().enumerate() {
                if let Some(at) = (first + offset).checked_sub(self.before).filter(|&at| at < batch) {
                    data[row * batch + at] = v as f32;
                }
            }
        }
        Tensor::f32(vec![rows, batch], data)
    }

    /// From the products of every tile to the outputs: `[count, tiles*(m+2)]`.
    fn output_matrix(&self, tile: &Tile) -> Option<Tensor> {
        let columns = self.count.div_ceil(tile.m) * tile.products();
        let mut data = vec![0.0; self.count * columns];
        for out in 0..self.count {
            let start = out * columns + out / tile.m * tile.products();
            let row = tile.at[out % tile.m].iter().map(|&v| v as f32);
            data[start..][..tile.products()].iter_mut().zip(row).for_each(|(slot, v)| *slot = v);
        }
        Tensor::f32(vec![self.count, columns], data)
    }
}

impl Lowering<'_> {
    /// The convolution `c` of `x`, in tiles along the batch.
    pub(super) fn winograd(&mut self, x: NetId, c: &Along, t: Tiling) -> Option<NetId> {
        let tile = Tile::new(t.m);
        let weights = self.transformed(c, &tile)?;
        let batch = self.net.shape(x)[0];
        let per_block = c.count.div_ceil(t.m) / t.blocks * t.m;
        let mut blocks = Vec::new();
        for block in 0..t.blocks {
            let start = block * per_block;
            let count = if block + 1 == t.blocks { c.count - start } else { per_block };
            // What a block reads, and how much padding is left in front of it.
            let (first, last) = (start.saturating_sub(c.before), start + count + TAPS - 1);
            let rows = self.net.slice(x, 0, first, last.saturating_sub(c.before).clamp(first + 1, batch), 1);
            let before = c.before.saturating_sub(start);
            blocks.push(self.block(rows, &Along { before, count, ..*c }, &tile, weights)?);
        }
        Some(self.net.concat(0, &blocks))
    }

    fn block(&mut self, x: NetId, c: &Along, tile: &Tile, weights: NetId) -> Option<NetId> {
        let [batch, channels, height, width] = <[usize; 4]>::try_from(self.net.shape(x)).ok()?;
        let [oh, ow] = c.space.extent(height, width);
        let (tiles, products) = (c.count.div_ceil(tile.m), tile.products());
        let flat = self.net.reshape(x, vec![batch, channels * height * width]);
        let data = self.net.matmul(c.data_matrix(tile, batch)?, flat);
        let data = self.net.reshape(data, vec![tiles, products * channels, height, width]);
        let y = self.net.conv_by(data, weights, c.bias(tile), c.space, products);
        let flat = self.net.reshape(y, vec![tiles * products, c.outputs * oh * ow]);
        let y = self.net.matmul(c.output_matrix(tile)?, flat);
        Some(self.net.reshape(y, vec![c.count, c.outputs, oh, ow]))
    }

    /// Weights of all products, one group each: `[(m+2)*co, ci, kh, kw]`. The file holds the plain weights, which are
    /// fewer; runtimes transform them once, when they load it.
    fn transformed(&mut self, c: &Along, tile: &Tile) -> Option<NetId> {
        let per_tap = c.taps[0].len();
        let taps = self.net.tensor(Tensor::f32(vec![TAPS, per_tap], c.taps.concat())?);
        let weights = self.net.matmul(tile.weights()?, taps);
        let [kh, kw] = c.space.kernel;
        let inputs = per_tap / (c.outputs * kh * kw).max(1);
        Some(self.net.reshape(weights, vec![tile.products() * c.outputs, inputs, kh, kw]))
    }

    /// A 2-D convolution with three rows in its kernel, in tiles along the rows; `None` where it does not pay.
    pub(super) fn winograd_rows(
        &mut self,
        x: NetId,
        weights: &[f32],
        outputs: usize,
        bias: Option<&[f32]>,
        space: Window2,
    ) -> Option<NetId> {
        let [frames, channels, height, width] = <[usize; 4]>::try_from(self.net.shape(x)).ok()?;
        let ([kh, kw], [top, left, bottom, right]) = (space.kernel, space.pads);
        if (kh, space.strides[0]) != (TAPS, 1) || top >= TAPS || bottom >= TAPS {
            return None;
        }
        let row =
            |r: usize| weights.chunks_exact(kw).skip(r).step_by(kh).flatten().copied().collect::<Vec<_>>();
        let taps: Vec<Vec<f32>> = (0..kh).map(row).collect();
        let [count, _] = space.extent(height, width);
        let transposed =
            frames * (channels * height * width + outputs * count * space.extent(height, width)[1]);
        let each = if transposed > 2 * NEAR { PER_TRANSPOSED_FAR } else { PER_TRANSPOSED };
        let around = each * transposed as i128;
        let space = Window2 { kernel: [1, kw], strides: [1, space.strides[1]], pads: [0, left, 0, right] };
        let along = Along { taps: &taps, outputs, bias, space, before: top, count, around };
        let tiling = along.tiling([height, channels, frames, width], self.source.products)?;
        let rows = self.net.transpose(x, [2, 1, 0, 3]);
        let y = self.winograd(rows, &along, tiling)?;
        Some(self.net.transpose(y, [2, 1, 0, 3]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_every_size_give_the_plain_sum_over_an_axis_with_any_padding() {
        let data: Vec<f64> = (0..11).map(|i| f64::from((i * 7 + 3) % 5) - 2.0).collect();
        let kernel = [0.75, -0.5, 1.25];
        let taps: Vec<Vec<f32>> = kernel.iter().map(|&v| vec![v as f32]).collect();
        for m in TILES {
            for before in 0..3 {
                for count in [2, 7, 9, 11] {
                    let space = Window2::POINT;
                    let c = Along { taps: &taps, outputs: 1, bias: None, space, before, count, around: 0 };
                    let tile = Tile::new(m);
                    let into = c.data_matrix(&tile, data.len()).unwrap();
                    let out = c.output_matrix(&tile).unwrap();
                    let weights = tile.weights().unwrap();
                    let times = |matrix: &Tensor, v: &[f64]| -> Vec<f64> {
                        let rows = matrix.as_f32().unwrap().chunks_exact(v.len());
                        rows.map(|r| r.iter().zip(v).map(|(&a, b)| f64::from(a) * b).sum()).collect()
                    };
                    let mut products = times(&into, &data);
                    let weights = times(&weights, &kernel);
                    products.iter_mut().enumerate().for_each(|(i, p)| *p *= weights[i % (m + 2)]);
                    for (i, actual) in times(&out, &products).into_iter().enumerate() {
                        let at = |tap: usize| (i + tap).checked_sub(before).and_then(|at| data.get(at));
                        let expected: f64 =
                            (0..TAPS).map(|tap| kernel[tap] * at(tap).copied().unwrap_or(0.0)).sum();
                        assert!(
                            (actual - expected).abs() < 1e-5,
                            "m {m} before {before}: {actual} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_bias_reaches_every_output_once() {
        for m in TILES {
            assert!(Tile::new(m).at.iter().all(|row| row[1] == 1.0));
        }
    }
}
