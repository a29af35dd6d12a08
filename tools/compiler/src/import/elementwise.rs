//! Conversion of elementwise operators.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use super::shapes::broadcast_shapes;
use crate::graph::{Op, ValueId};
use crate::onnx::data_type;

/// Converts an operator whose result has the shape of its only input.
pub(super) fn convert_unary(node: &mut NodeContext, op: Op) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    node.add_node(op, vec![node.x], shape)
}

/// Converts an operator on two values whose shapes can be broadcast.
pub(super) fn convert_binary(node: &mut NodeContext, op: Op) -> NodeResult<ValueId> {
    let y = node.input(1, "second operand")?;
    if !node.is_float(y) {
        return fail("the first operand is a float tensor and the second an integer tensor");
    }
    match broadcast_shapes(node.shape(node.x), node.shape(y)) {
        Some(shape) => node.add_node(op, vec![node.x, y], shape),
        None => fail("the input shapes do not broadcast"),
    }
}

/// Converts a Cast of an activation. The Cast needs no node, because the graph represents
/// activations of all float types as float32.
pub(super) fn convert_cast(node: &mut NodeContext) -> NodeResult<ValueId> {
    let to = node.attributes.int("to", 0)?;
    match [data_type::FLOAT, data_type::FLOAT16, data_type::DOUBLE].map(i64::from).contains(&to) {
        true => Ok(node.x),
        false => fail(format!(
            "an activation can be cast to float, float16 or double, got element type {to}"
        )),
    }
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
