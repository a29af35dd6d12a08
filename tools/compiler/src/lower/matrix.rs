//! Lowering of Gemm and MatMul.

use super::lowering::Lowering;
use crate::error::Result;
use crate::graph::Node;
use crate::lowered::{LoweredId, Window2d};
use crate::tensor::Tensor;
use ndarray::Ix2;

/// Lowers the product `alpha * x * weights + beta * bias` along the channels. If `trans_b` is true,
/// the source stores the weights transposed.
pub(super) fn lower_product(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    alpha: f32,
    beta: f32,
    trans_b: bool,
) -> Result<LoweredId> {
    let graph = l.source.graph;
    let weights = graph.constant(node.inputs[1]).and_then(Tensor::f32_view);
    let Some(weights) = weights.and_then(|w| w.into_dimensionality::<Ix2>().ok()) else {
        return l.fail(node, "the weights must be a constant float matrix");
    };
    let weights = if trans_b { weights.reversed_axes() } else { weights }.mapv(|w| w * alpha);
    let columns = weights.ncols();
    let bias = node.inputs.get(2).filter(|_| !l.omits_constants(node));
    let bias = match bias.and_then(|&c| graph.constant_f32(c)) {
        Some(bias) => bias.iter().map(|b| b * beta).collect(),
        None => vec![0.0; columns],
    };
    let [frames, channels, height, width] = l.lowered.shape4(x);
    if height * width == 1 {
        let flat = l.lowered.add_reshape(x, vec![frames, channels]);
        let y = l.lowered.add_gemm(flat, Tensor::from(weights), bias);
        return Ok(l.lowered.add_reshape(y, vec![frames, columns, 1, 1]));
    }
    // If height or width is larger than 1, the product becomes a 1x1 convolution.
    match Tensor::from(weights.reversed_axes()).reshape(&[columns, channels, 1, 1]) {
        Some(kernels) => Ok(l.lowered.add_conv(x, kernels, Some(bias), Window2d::POINT, 1)),
        None => {
            l.fail(node, format!("the weights must have {channels} rows, one for each channel"))
        }
    }
}
