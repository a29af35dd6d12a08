//! Conversion of elementwise operators.

use super::failure::{NodeResult, fail};
use super::kept::keep_cast;
use super::limits::SOFTMAX_OPSET;
use super::node_context::NodeContext;
use super::shapes::resolve_axis;
use crate::graph::{Op, ValueId};

/// Converts an operator whose result has the shape of its only input.
pub(super) fn convert_unary(node: &mut NodeContext, op: Op) -> NodeResult<ValueId> {
    node.unary(op, node.x)
}

/// Converts an operator on two values whose shapes can be broadcast.
pub(super) fn convert_binary(node: &mut NodeContext, op: Op) -> NodeResult<ValueId> {
    let y = node.input(1, "second operand")?;
    node.binary(op, node.x, y)
}

/// Converts a Cast of an activation. A Cast between float types needs no node, because the graph
/// represents activations of all float types as float32.
pub(super) fn convert_cast(node: &mut NodeContext) -> NodeResult<ValueId> {
    let to = node.attributes.int("to", 0)?;
    keep_cast(node, to)
}

pub(super) fn convert_clip(node: &mut NodeContext) -> NodeResult<ValueId> {
    let (min, max) = (node.float_input(1, "min", f32::MIN)?, node.float_input(2, "max", f32::MAX)?);
    convert_unary(node, Op::Clip { min, max })
}

pub(super) fn convert_hard_sigmoid(node: &mut NodeContext) -> NodeResult<ValueId> {
    let (alpha, beta) = (node.attributes.float("alpha", 0.2)?, node.attributes.float("beta", 0.5)?);
    convert_unary(node, Op::HardSigmoid { alpha, beta })
}

/// Converts HardSwish to `x * HardSigmoid(x)`. The constants 1/6 and 0.5 come from the definition
/// of the ONNX operator.
pub(super) fn convert_hard_swish(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let gate = convert_unary(node, Op::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })?;
    node.add_node(Op::Mul, vec![node.x, gate], shape)
}

/// Converts Swish to `x * Sigmoid(alpha * x)`.
pub(super) fn convert_swish(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let scaled = match node.attributes.float("alpha", 1.0)? {
        1.0 => node.x,
        alpha => {
            let alpha = node.add_scalar(alpha);
            node.add_node(Op::Mul, vec![node.x, alpha], shape.clone())?
        }
    };
    let gate = node.add_node(Op::Sigmoid, vec![scaled], shape.clone())?;
    node.add_node(Op::Mul, vec![node.x, gate], shape)
}

/// Converts Softmax and LogSoftmax. Before operator set 13, they normalise all axes from `axis` on.
pub(super) fn convert_softmax(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let is_old = node.builder.opset < SOFTMAX_OPSET;
    let default = if is_old { 1 } else { -1 };
    let axis = resolve_axis(node.attributes.int("axis", default)?, shape.len())?;
    if is_old && shape.iter().skip(axis + 1).any(|&size| size != 1) {
        return fail(format!(
            "the softmax normalises several axes, from axis {axis} on; export with operator set \
             {SOFTMAX_OPSET} or later"
        ));
    }
    match node.proto.op_type.as_str() {
        "Softmax" => node.unary(Op::Softmax { axis }, node.x),
        _ => node.unary(Op::LogSoftmax { axis }, node.x),
    }
}
