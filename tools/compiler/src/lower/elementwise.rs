//! Lowering of elementwise operators on one value, or on two values of which one may be a constant.

use super::lowering::Lowering;
use crate::error::Result;
use crate::graph::{Node, Op};
use crate::layout::AxisRole;
use crate::lowered::{LoweredId, LoweredOp};
use crate::tensor::{DType, Tensor};

pub(super) fn lower_binary(l: &mut Lowering, node: &Node, op: LoweredOp) -> Result<LoweredId> {
    let is_sum = matches!(op, LoweredOp::Add | LoweredOp::Sub);
    let mut operands = Vec::new();
    for &id in &node.inputs {
        operands.push(match (l.find_lowered(id), l.source.graph.constant(id)) {
            (Some(lowered), _) => lowered,
            (None, Some(constant)) => {
                let tensor = lower_constant(l, node, constant)?;
                if is_sum && l.omits_constants(node) {
                    l.lowered.add_zeros(tensor.shape())
                } else {
                    l.lowered.add_constant(tensor)
                }
            }
            (None, None) => l.fail(node, "an input has not been lowered")?,
        });
    }
    Ok(l.lowered.add_binary(op, operands[0], operands[1]))
}

/// Converts a constant operand to `[T,C,H,W]` according to the roles of the result's axes.
pub(super) fn lower_constant(l: &Lowering, node: &Node, constant: &Tensor) -> Result<Tensor> {
    let rank = l.source.layout.roles(node.output).len();
    let shape = constant.shape();
    // Broadcasting aligns the last axes, so a constant may lack leading axes.
    let missing = rank - shape.len();
    let axis_of =
        |role| l.source.layout.find_axis(node.output, role).and_then(|a| a.checked_sub(missing));
    let axes = [AxisRole::Time, AxisRole::Channel, AxisRole::Height, AxisRole::Width].map(axis_of);
    // All axes without a role have size 1.
    let lowered_shape = axes.map(|axis| axis.map_or(1, |axis| shape[axis]));
    let mut permutation: Vec<usize> = axes.iter().flatten().copied().collect();
    permutation.extend((0..shape.len()).filter(|axis| !axes.contains(&Some(*axis))));
    match constant.transpose(&permutation).and_then(|t| t.reshape(&lowered_shape)) {
        Some(tensor) if tensor.dtype() == DType::F32 => Ok(tensor),
        _ => l.fail(node, format!("a constant of shape {shape:?} is not supported here")),
    }
}

/// Lowers an operator that changes each element by itself, in whatever form the value is.
pub(super) fn lower_unary(l: &mut Lowering, node: &Node, x: LoweredId) -> Result<LoweredId> {
    let op = match &node.op {
        Op::Relu => LoweredOp::Relu,
        Op::Sigmoid => LoweredOp::Sigmoid,
        Op::HardSigmoid { alpha, beta } => {
            LoweredOp::HardSigmoid { alpha: (*alpha).into(), beta: (*beta).into() }
        }
        Op::Clip { min, max } => LoweredOp::Clip { min: (*min).into(), max: (*max).into() },
        Op::Function(function) => LoweredOp::Function(*function),
        _ => return l.fail(node, "the operator has no lowering rule"),
    };
    Ok(l.lowered.add_unary(op, x))
}
