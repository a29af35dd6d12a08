//! Conversion of operators that reduce axes to one value.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use super::shapes::{reduce_shape, resolve_axes};
use crate::graph::{Op, ValueId};
use crate::lowered::Function;

/// The value that a reduction computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
    /// Sum of the absolute values.
    L1,
    /// Square root of the sum of squares.
    L2,
    SumSquare,
    /// Logarithm of the sum of exponentials.
    LogSumExp,
}

pub(super) fn convert_reduce(node: &mut NodeContext, kind: Reduction) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let axes = resolve_axes(&node.axes_input()?.unwrap_or_default(), shape.len())?;
    let keepdims = node.attributes.flag("keepdims", true)?;
    let axes = match (axes.is_empty(), node.attributes.flag("noop_with_empty_axes", false)?) {
        (true, false) => (0..shape.len()).collect(),
        (true, true) => return Ok(node.x),
        (false, _) => axes,
    };
    let result = add_reduction(node, kind, node.x, &axes)?;
    let out = reduce_shape(&shape, &axes, keepdims);
    node.reshape(result, out)
}

/// Converts a pool over all axes after batch and channels.
pub(super) fn convert_global_pool(node: &mut NodeContext, kind: Reduction) -> NodeResult<ValueId> {
    let axes: Vec<usize> = (2..node.shape(node.x).len()).collect();
    if axes.is_empty() {
        return fail("the input must have at least one axis after batch and channels");
    }
    add_reduction(node, kind, node.x, &axes)
}

/// Appends a reduction over `axes`, which remain in the shape with size 1.
fn add_reduction(
    node: &mut NodeContext,
    kind: Reduction,
    x: ValueId,
    axes: &[usize],
) -> NodeResult<ValueId> {
    match kind {
        Reduction::Mean => node.mean(x, axes),
        Reduction::Max => node.max(x, axes),
        Reduction::Min => {
            let negated = node.scale(x, -1.0)?;
            let max = node.max(negated, axes)?;
            node.scale(max, -1.0)
        }
        Reduction::Sum => {
            let count: usize =
                axes.iter().filter_map(|&axis| node.shape(x).get(axis).copied()).product();
            let mean = node.mean(x, axes)?;
            node.scale(mean, count as f32)
        }
        Reduction::L1 => {
            let sizes = node.unary(Op::Function(Function::Abs), x)?;
            add_reduction(node, Reduction::Sum, sizes, axes)
        }
        Reduction::SumSquare => {
            let squares = node.binary(Op::Mul, x, x)?;
            add_reduction(node, Reduction::Sum, squares, axes)
        }
        Reduction::L2 => {
            let sum = add_reduction(node, Reduction::SumSquare, x, axes)?;
            node.unary(Op::Function(Function::Sqrt), sum)
        }
        // The largest value is subtracted first, so that no exponential overflows.
        Reduction::LogSumExp => {
            let max = node.max(x, axes)?;
            let shifted = node.binary(Op::Sub, x, max)?;
            let exponentials = node.unary(Op::Function(Function::Exp), shifted)?;
            let sum = add_reduction(node, Reduction::Sum, exponentials, axes)?;
            let log = node.unary(Op::Function(Function::Log), sum)?;
            node.binary(Op::Add, log, max)
        }
    }
}
