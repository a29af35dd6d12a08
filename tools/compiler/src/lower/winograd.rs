//! Convolutions in Winograd's form (Toom-Cook), for kernels of size 3 along one axis.
//!
//! A direct convolution with a kernel of size 3 needs `3 m` multiplications for `m` outputs.
//! Winograd's form is derived from a method that multiplies polynomials by evaluating them at
//! `m + 2` points and multiplying their values. The form transforms the kernel and the data with
//! matrices that depend on these points, multiplies the results, and computes the outputs as
//! weighted sums of these `m + 2` products.
//!
//! The kernel must lie along the batch axis of the lowered graph. This axis contains the frames for
//! a temporal kernel or, after a Transpose, the rows for a spatial kernel. One MatMul with a small
//! constant matrix then transforms the data and also accounts for the padding. One convolution with
//! `m + 2` groups computes the products, and a second MatMul computes the outputs:
//!
//! ```text
//! [N, ci*H*W] --MatMul--> [tiles, (m+2)*ci, H, W] --grouped Conv--> [tiles, (m+2)*co, H, W]
//!             --MatMul--> [N, co*H*W]
//! ```
//!
//! Winograd's form rounds differently from the direct convolution. For `m = 7`, the rounding error
//! of a layer is about ten times larger: 2e-6 of the largest output instead of 2e-7.
//!
//! The method is described in S. Winograd, "Arithmetic Complexity of Computations" (1980), which
//! builds on the multiplication algorithm of A. L. Toom and S. A. Cook. This module computes the
//! matrices from the evaluation points.

use super::lowering::Lowering;
use crate::lowered::{LoweredId, Window2d};
use crate::options::Winograd;
use crate::tensor::Tensor;
use ndarray::{Array2, ArrayView5, Axis};

/// Number of kernel taps along the batch axis.
const TAPS: usize = 3;
/// Tile sizes, in outputs, from which the cost model chooses.
const TILE_OUTPUTS: [usize; 4] = [2, 4, 7, 8];
/// Maximum number of blocks into which the batch axis is cut.
const MAX_BLOCKS: usize = 4;
/// Points at which the polynomials for up to 7 outputs are evaluated, in addition to infinity. They
/// are small binary fractions, which makes the data and output matrices exact in float32. Among
/// sets of such fractions, this set has the smallest rounding error. The second point must be 1,
/// because the product at this point enters every output with the factor 1 and therefore carries
/// the bias.
const POINTS: [f64; 8] = [0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 4.0];
/// The evaluation points for 8 outputs.
const POINTS_OF_8: [f64; 9] = [0.0, 1.0, -1.0, 0.375, -0.375, 1.25, -1.25, 2.5, -2.5];
/// Index of the point 1 in both lists.
const POINT_ONE: usize = 1;
/// Maximum length of the batch axis. The size of the matrices grows with the square of this length.
const MAX_AXIS: usize = 256;

// The unit of the cost model is the multiply-add. The costs were measured in ONNX Runtime on one
// core of an AMD Zen 4 CPU; see `docs/notes/compiler-experiments.md`.

/// Cost of moving one element into a transform and then into the memory layout that the runtime's
/// convolution uses.
const COST_PER_MOVED: i128 = 40;
/// Cost of an additional copy of one element.
const COST_PER_COPIED: i128 = 15;
/// Cost of reading one additional weight.
const COST_PER_WEIGHT: i128 = 28;
/// Cost of running one node.
const COST_PER_NODE: i128 = 250_000;
/// Number of nodes in one block.
const NODES_PER_BLOCK: i128 = 8;
/// Cost of transposing one element that stays in the core's private cache.
const COST_PER_TRANSPOSED_NEAR: i128 = 10;
/// Cost of transposing one element that does not stay in the core's private cache.
const COST_PER_TRANSPOSED_FAR: i128 = 50;
/// Number of elements that fit into the core's private cache.
const CACHED_ACTIVATIONS: usize = 1 << 18;

/// Returns the cost of the two transposes around a convolution along the rows. Together they move
/// `activations` elements.
pub(super) fn transpose_cost(activations: usize) -> i128 {
    let is_far = activations > 2 * CACHED_ACTIVATIONS;
    let cost = if is_far { COST_PER_TRANSPOSED_FAR } else { COST_PER_TRANSPOSED_NEAR };
    cost * activations as i128
}

/// The number of outputs in a tile, and the number of blocks into which the batch axis is cut. Each
/// block has its own transforms, because the matrices for one long axis would consist mostly of
/// zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    outputs: usize,
    blocks: usize,
}

/// A convolution along the batch axis and over height and width.
#[derive(Clone, Copy)]
pub(super) struct AxisConv<'a> {
    /// Weights `[taps, outputs, inputs, height, width]`.
    pub(super) taps: ArrayView5<'a, f32>,
    pub(super) bias: Option<&'a [f32]>,
    /// The window over height and width.
    pub(super) space: Window2d,
    /// Number of zeros before the first element of the batch axis.
    pub(super) before: usize,
    /// Number of outputs along the batch axis.
    pub(super) count: usize,
    /// Cost of the additional nodes that Winograd's form needs around the convolution.
    pub(super) extra_cost: i128,
}

/// The matrices of a tile with `m` outputs.
struct TileTransform {
    m: usize,
    /// The matrix `[m, m+2]` that maps products to outputs.
    output: Array2<f64>,
    /// The matrix `[m+2, 3]` that maps taps to factors of the products.
    weights: Array2<f64>,
    /// The matrix `[m+2, m+2]` that maps data to factors of the products.
    data: Array2<f64>,
}

impl TileTransform {
    fn new(m: usize) -> Self {
        let points = if m == 8 { &POINTS_OF_8[..] } else { &POINTS[..m + 1] };
        let others =
            |i: usize| points.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, &p)| p);
        let products = m + 2;
        // The last product belongs to the point at infinity.
        let infinity = m + 1;
        let mut data = Array2::zeros((products, products));
        for (i, mut row) in data.outer_iter_mut().enumerate() {
            let roots: Vec<f64> = if i == infinity { points.to_vec() } else { others(i).collect() };
            row.assign(&ndarray::Array1::from_vec(expand_polynomial(&roots, products)));
        }
        let weights =
            Array2::from_shape_fn((products, TAPS), |(i, tap)| match (i == infinity, tap) {
                (true, _) => f64::from(u8::from(tap + 1 == TAPS)),
                (false, _) => {
                    let scale: f64 = others(i).map(|p| points[i] - p).product();
                    [1.0, points[i], points[i] * points[i]][tap] / scale
                }
            });
        let output = Array2::from_shape_fn((m, products), |(row, i)| match i == infinity {
            true => f64::from(u8::from(row + 1 == m)),
            false => points[i].powi(row as i32),
        });
        Self { m, output, weights, data }
    }

    fn products(&self) -> usize {
        self.m + 2
    }
}

/// Returns the first `length` coefficients of the polynomial with these roots, in order of
/// increasing degree.
fn expand_polynomial(roots: &[f64], length: usize) -> Vec<f64> {
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

impl AxisConv<'_> {
    fn outputs(&self) -> usize {
        self.taps.len_of(Axis(1))
    }

    /// Chooses the tiling that saves the most for an input `[batch, channels, height, width]`.
    /// Returns `None` if Winograd's form does not apply to the convolution, if `winograd` is
    /// `Never`, or if `winograd` is `WhereFaster` and no tiling saves time.
    pub(super) fn choose_tiling(&self, shape: [usize; 4], winograd: Winograd) -> Option<Tiling> {
        let fits = self.taps.len_of(Axis(0)) == TAPS
            && self.count > 1
            && self.count.max(shape[0]) <= MAX_AXIS;
        if !fits || winograd == Winograd::Never {
            return None;
        }
        let candidates = TILE_OUTPUTS
            .into_iter()
            .flat_map(|outputs| (1..=MAX_BLOCKS).map(move |blocks| Tiling { outputs, blocks }))
            .filter(|t| t.blocks == 1 || self.count.div_ceil(t.outputs).is_multiple_of(t.blocks));
        let best = candidates.max_by_key(|&tiling| self.saving(tiling, shape))?;
        (winograd == Winograd::Always || self.saving(best, shape) > 0).then_some(best)
    }

    /// Returns the cost that a tiling saves, in multiply-adds. The result is negative if the tiling
    /// costs more than a direct convolution.
    fn saving(&self, tiling: Tiling, [batch, channels, height, width]: [usize; 4]) -> i128 {
        let [out_height, out_width] = self.space.output_size(height, width);
        let int = |v: usize| v as i128;
        let plane = int(out_height * out_width);
        let (inputs, outputs) = (int(channels * height * width), int(self.outputs()) * plane);
        let kernel = int(channels * self.outputs() * self.space.kernel[0] * self.space.kernel[1]);
        let products = tiling.outputs + 2;
        let rows = int(self.count.div_ceil(tiling.outputs) * products);
        let (batch, count, blocks) = (int(batch), int(self.count), int(tiling.blocks));
        let saved = (int(TAPS) * count - rows) * kernel * plane;
        let transforms = rows * (batch * inputs + count * outputs) / blocks;
        let moved = COST_PER_MOVED * ((batch + rows) * inputs + (count + rows) * outputs);
        let copied = if tiling.blocks > 1 {
            COST_PER_COPIED * (batch * inputs + count * outputs)
        } else {
            0
        };
        let weights = COST_PER_WEIGHT * int(products - TAPS) * kernel;
        let nodes = COST_PER_NODE * NODES_PER_BLOCK * blocks;
        saved - transforms - moved - copied - weights - nodes - self.extra_cost
    }

    /// Returns the biases of all products. Only the biases of the product at the point 1 can differ
    /// from zero.
    fn product_bias(&self, tile: &TileTransform) -> Option<Vec<f32>> {
        let bias = self.bias?;
        let mut products = vec![0.0; tile.products() * self.outputs()];
        products[POINT_ONE * self.outputs()..][..self.outputs()].copy_from_slice(bias);
        Some(products)
    }

    /// Returns the matrix `[tiles*(m+2), batch]` that maps the batch axis to the transformed data
    /// of all tiles. The matrix has no columns for the padding, because the padding is zero.
    fn data_matrix(&self, tile: &TileTransform, batch: usize) -> Array2<f32> {
        let rows = self.count.div_ceil(tile.m) * tile.products();
        let mut matrix = Array2::zeros((rows, batch));
        for (row, mut elements) in matrix.outer_iter_mut().enumerate() {
            let (first, product) = (row / tile.products() * tile.m, row % tile.products());
            for (offset, &v) in tile.data.row(product).iter().enumerate() {
                if let Some(at) = (first + offset).checked_sub(self.before).filter(|&at| at < batch)
                {
                    elements[at] = v as f32;
                }
            }
        }
        matrix
    }

    /// Returns the matrix `[count, tiles*(m+2)]` that maps the products of all tiles to the
    /// outputs.
    fn output_matrix(&self, tile: &TileTransform) -> Array2<f32> {
        let products = tile.products();
        let columns = self.count.div_ceil(tile.m) * products;
        let mut matrix = Array2::zeros((self.count, columns));
        for (out, mut elements) in matrix.outer_iter_mut().enumerate() {
            for (i, &v) in tile.output.row(out % tile.m).iter().enumerate() {
                elements[out / tile.m * products + i] = v as f32;
            }
        }
        matrix
    }
}

/// Appends the convolution `conv`, which reads `x`, in tiles along the batch axis.
pub(super) fn add_winograd_conv(
    l: &mut Lowering,
    x: LoweredId,
    conv: &AxisConv,
    tiling: Tiling,
) -> Option<LoweredId> {
    let tile = TileTransform::new(tiling.outputs);
    let weights = add_product_weights(l, conv, &tile)?;
    let batch = l.lowered.shape(x)[0];
    let per_block = conv.count.div_ceil(tile.m) / tiling.blocks * tile.m;
    let mut blocks = Vec::new();
    for block in 0..tiling.blocks {
        let start = block * per_block;
        let count = if block + 1 == tiling.blocks { conv.count - start } else { per_block };
        // The block reads the rows `first..end`. `before` is the number of padding rows that
        // precede them.
        let first = start.saturating_sub(conv.before);
        let end = (start + count + TAPS - 1).saturating_sub(conv.before).clamp(first + 1, batch);
        let rows = l.lowered.add_slice(x, 0, first, end, 1);
        let before = conv.before.saturating_sub(start);
        blocks.push(add_block(l, rows, &AxisConv { before, count, ..*conv }, &tile, weights));
    }
    Some(l.lowered.add_concat(0, &blocks))
}

fn add_block(
    l: &mut Lowering,
    x: LoweredId,
    conv: &AxisConv,
    tile: &TileTransform,
    weights: LoweredId,
) -> LoweredId {
    let [batch, channels, height, width] = l.lowered.shape4(x);
    let [out_height, out_width] = conv.space.output_size(height, width);
    let (tiles, products) = (conv.count.div_ceil(tile.m), tile.products());
    let flat = l.lowered.add_reshape(x, vec![batch, channels * height * width]);
    let data = l.lowered.add_matmul(conv.data_matrix(tile, batch).into(), flat);
    let data = l.lowered.add_reshape(data, vec![tiles, products * channels, height, width]);
    let y = l.lowered.add_conv_with(data, weights, conv.product_bias(tile), conv.space, products);
    let flat =
        l.lowered.add_reshape(y, vec![tiles * products, conv.outputs() * out_height * out_width]);
    let y = l.lowered.add_matmul(conv.output_matrix(tile).into(), flat);
    l.lowered.add_reshape(y, vec![conv.count, conv.outputs(), out_height, out_width])
}

/// Appends nodes that compute the weights of all products, with one group for each product. Their
/// shape is `[(m+2)*outputs, inputs, height, width]`. The file contains the untransformed weights,
/// because there are more transformed weights than untransformed ones. A runtime transforms them
/// once, when it loads the graph.
fn add_product_weights(
    l: &mut Lowering,
    conv: &AxisConv,
    tile: &TileTransform,
) -> Option<LoweredId> {
    let (_, outputs, inputs, height, width) = conv.taps.dim();
    let taps = Tensor::new(
        &[TAPS, outputs * inputs * height * width],
        conv.taps.iter().copied().collect(),
    )?;
    let taps = l.lowered.add_constant(taps);
    let weights = l.lowered.add_matmul(tile.weights.mapv(|v| v as f32).into(), taps);
    Some(l.lowered.add_reshape(weights, vec![tile.products() * outputs, inputs, height, width]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array5};

    #[test]
    fn every_tile_gives_the_plain_sum_with_any_padding() {
        let data = Array1::from_iter((0..11).map(|i| f64::from((i * 7 + 3) % 5) - 2.0));
        let kernel = Array1::from_vec(vec![0.75, -0.5, 1.25]);
        let taps = Array5::from_shape_fn((TAPS, 1, 1, 1, 1), |(tap, ..)| kernel[tap] as f32);
        for m in TILE_OUTPUTS {
            let tile = TileTransform::new(m);
            for (before, count) in
                (0..3).flat_map(|before| [2, 7, 9, 11].map(|count| (before, count)))
            {
                let conv = AxisConv {
                    taps: taps.view(),
                    bias: None,
                    space: Window2d::POINT,
                    before,
                    count,
                    extra_cost: 0,
                };
                let mut products = conv.data_matrix(&tile, data.len()).mapv(f64::from).dot(&data);
                let weights = tile.weights.dot(&kernel);
                products.iter_mut().enumerate().for_each(|(i, p)| *p *= weights[i % (m + 2)]);
                let outputs = conv.output_matrix(&tile).mapv(f64::from).dot(&products);
                for (i, actual) in outputs.iter().enumerate() {
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

    #[test]
    fn bias_reaches_every_output_once() {
        for m in TILE_OUTPUTS {
            assert!(TileTransform::new(m).output.column(POINT_ONE).iter().all(|&v| v == 1.0));
        }
    }
}
