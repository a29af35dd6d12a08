//! Conversion of operators that the package contains as they are in the source.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use super::shapes::{broadcast_shapes, reduce_shape, resolve_axis};
use crate::graph::{Op, ValueId};
use crate::kept::KeptOp;
use crate::onnx::data_type;
use crate::tensor::DType;

/// Operators that are always kept.
const OPERATORS: [&str; 20] = [
    "And",
    "ArgMax",
    "ArgMin",
    "Ceil",
    "Cos",
    "CumSum",
    "Equal",
    "Floor",
    "GatherElements",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "Less",
    "LessOrEqual",
    "Not",
    "Or",
    "Round",
    "Sign",
    "Sin",
    "Xor",
];

/// Converts a node to a kept one. Returns `None` if the operator is not kept.
pub(super) fn convert_kept(node: &mut NodeContext) -> Option<NodeResult<ValueId>> {
    if node.proto.op_type == "TopK" {
        return Some(convert_top_k(node));
    }
    let operator = *OPERATORS.iter().find(|operator| **operator == node.proto.op_type)?;
    Some(match operator {
        "And" | "Not" | "Or" | "Xor" => convert_logic(node, operator),
        "ArgMax" | "ArgMin" => convert_arg(node, operator),
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            convert_comparison(node, operator)
        }
        "CumSum" => convert_cum_sum(node),
        "GatherElements" => convert_gather_elements(node),
        "GridSample" => convert_grid_sample(node),
        _ => convert_function(node, operator),
    })
}

/// Appends a kept node.
fn add(
    node: &mut NodeContext,
    op: KeptOp,
    inputs: Vec<ValueId>,
    shape: Vec<usize>,
) -> NodeResult<ValueId> {
    node.add_node(Op::Kept(op), inputs, shape)
}

fn is_computed(node: &NodeContext, id: ValueId) -> bool {
    node.constant(id).is_none()
}

fn check_float(node: &NodeContext, id: ValueId) -> NodeResult<()> {
    match node.is_float(id) {
        true => Ok(()),
        false => fail(format!("{} is supported on floats only", node.proto.op_type)),
    }
}

fn convert_function(node: &mut NodeContext, operator: &'static str) -> NodeResult<ValueId> {
    check_float(node, node.x)?;
    let shape = node.shape(node.x).to_vec();
    add(node, KeptOp::new(operator, DType::F32), vec![node.x], shape)
}

fn broadcast(node: &NodeContext, a: ValueId, b: ValueId) -> NodeResult<Vec<usize>> {
    match broadcast_shapes(node.shape(a), node.shape(b)) {
        Some(shape) => Ok(shape),
        None => fail("the input shapes do not broadcast"),
    }
}

fn convert_comparison(node: &mut NodeContext, operator: &'static str) -> NodeResult<ValueId> {
    let y = node.input(1, "second operand")?;
    let types = [node.x, y].map(|id| node.dtype(id));
    if types[0] != types[1] || types[0] == DType::Bool {
        return fail("the operands must be two float tensors or two integer tensors");
    }
    let shape = broadcast(node, node.x, y)?;
    add(node, KeptOp::new(operator, DType::Bool), vec![node.x, y], shape)
}

fn convert_logic(node: &mut NodeContext, operator: &'static str) -> NodeResult<ValueId> {
    let mut inputs = vec![node.x];
    if operator != "Not" {
        inputs.push(node.input(1, "second operand")?);
    }
    if inputs.iter().any(|&id| node.dtype(id) != DType::Bool) {
        return fail("the operands must be results of comparisons of values that are no constants");
    }
    let last = inputs.last().copied().unwrap_or(node.x);
    let shape = broadcast(node, node.x, last)?;
    add(node, KeptOp::new(operator, DType::Bool), inputs, shape)
}

/// Converts Where whose condition depends on the frames.
pub(super) fn keep_where(node: &mut NodeContext) -> NodeResult<ValueId> {
    let (yes, no) = (node.input(1, "true operand")?, node.input(2, "false operand")?);
    let dtype = node.dtype(yes);
    if node.dtype(node.x) != DType::Bool || dtype != node.dtype(no) {
        return fail("the condition must be a comparison, and the operands must have one type");
    }
    let shape = broadcast(node, yes, no)?;
    let Some(shape) = broadcast_shapes(node.shape(node.x), &shape) else {
        return fail("the input shapes do not broadcast");
    };
    add(node, KeptOp::new("Where", dtype), vec![node.x, yes, no], shape)
}

/// Converts Pow whose exponent depends on the frames.
pub(super) fn keep_pow(node: &mut NodeContext) -> NodeResult<ValueId> {
    let exponent = node.input(1, "exponent")?;
    check_float(node, exponent)?;
    let shape = broadcast(node, node.x, exponent)?;
    add(node, KeptOp::new("Pow", DType::F32), vec![node.x, exponent], shape)
}

/// Converts a Cast from or to integers or truth values.
pub(super) fn keep_cast(node: &mut NodeContext, to: i64) -> NodeResult<ValueId> {
    let (dtype, element) = match i32::try_from(to) {
        Ok(data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE | data_type::BFLOAT16) => {
            (DType::F32, data_type::FLOAT)
        }
        Ok(data_type::INT64 | data_type::INT32) => (DType::I64, data_type::INT64),
        Ok(data_type::BOOL) => (DType::Bool, data_type::BOOL),
        _ => {
            return fail(format!(
                "an activation can be cast to a float type, int32, int64 or bool, got element type \
                 {to}"
            ));
        }
    };
    if dtype == node.dtype(node.x) {
        return Ok(node.x);
    }
    let shape = node.shape(node.x).to_vec();
    let op = KeptOp::new("Cast", dtype).integer("to", element.into());
    add(node, op, vec![node.x], shape)
}

/// Returns the axis of the attribute `axis`.
fn read_axis(node: &NodeContext, default: i64) -> NodeResult<usize> {
    resolve_axis(node.attributes.int("axis", default)?, node.shape(node.x).len())
}

fn convert_arg(node: &mut NodeContext, operator: &'static str) -> NodeResult<ValueId> {
    check_float(node, node.x)?;
    let axis = read_axis(node, 0)?;
    let keepdims = node.attributes.flag("keepdims", true)?;
    let last = node.attributes.flag("select_last_index", false)?;
    let shape = reduce_shape(node.shape(node.x), &[axis], keepdims);
    let op = KeptOp::new(operator, DType::I64)
        .integer("axis", axis as i64)
        .integer("keepdims", keepdims.into())
        .integer("select_last_index", last.into());
    add(node, op, vec![node.x], shape)
}

fn convert_top_k(node: &mut NodeContext) -> NodeResult<ValueId> {
    check_float(node, node.x)?;
    let axis = read_axis(node, -1)?;
    let (largest, sorted) =
        (node.attributes.flag("largest", true)?, node.attributes.flag("sorted", true)?);
    let mut shape = node.shape(node.x).to_vec();
    let size = shape.get(axis).copied().unwrap_or(0);
    let count = match node.int_input(1, "k")?.as_deref() {
        Some(&[k]) => usize::try_from(k).ok().filter(|k| (1..=size).contains(k)),
        _ => None,
    };
    let Some(count) = count else {
        return fail(format!("k must be one constant number from 1 to {size}"));
    };
    if let Some(side) = shape.get_mut(axis) {
        *side = count;
    }
    let k = node.input(1, "k")?;
    let op = KeptOp { outputs: 2, ..KeptOp::new("TopK", DType::F32) }
        .integer("axis", axis as i64)
        .integer("largest", largest.into())
        .integer("sorted", sorted.into());
    let indices = KeptOp { output: 1, dtype: DType::I64, ..op.clone() };
    let values = add(node, op, vec![node.x, k], shape.clone())?;
    let indices = add(node, indices, vec![node.x, k], shape)?;
    if let Some(name) = node.proto.output.get(1) {
        node.builder.rename(indices, name);
    }
    node.more_outputs.push(indices);
    Ok(values)
}

fn convert_cum_sum(node: &mut NodeContext) -> NodeResult<ValueId> {
    check_float(node, node.x)?;
    let shape = node.shape(node.x).to_vec();
    let axis = match node.int_input(1, "axis")?.as_deref() {
        Some(&[axis]) => resolve_axis(axis, shape.len())?,
        _ => return fail("the axis must be one constant number"),
    };
    let flags = ["exclusive", "reverse"].map(|name| node.attributes.int(name, 0));
    let [exclusive, reverse] = flags;
    let op = KeptOp::new("CumSum", DType::F32)
        .integer("exclusive", exclusive?)
        .integer("reverse", reverse?);
    let axis = node
        .builder
        .graph
        .add_constant(String::new(), crate::tensor::Tensor::from(ndarray::arr0(axis as i64)));
    add(node, op, vec![node.x, axis], shape)
}

/// Checks that a value with indices contains integers.
fn indices(node: &NodeContext) -> NodeResult<ValueId> {
    let indices = node.input(1, "indices")?;
    match node.dtype(indices) {
        DType::I64 => Ok(indices),
        _ => fail("input 1 (indices) must contain integers"),
    }
}

/// Converts Gather whose indices depend on the frames.
pub(super) fn keep_gather(node: &mut NodeContext, axis: usize) -> NodeResult<ValueId> {
    let indices = indices(node)?;
    if !node.is_float(node.x) && !is_computed(node, node.x) {
        return fail("a selection from constant integers must have constant indices");
    }
    let shape = node.shape(node.x);
    let (front, back) = (shape.get(..axis), shape.get(axis + 1..));
    let out = [front.unwrap_or_default(), node.shape(indices), back.unwrap_or_default()].concat();
    let op = KeptOp::new("Gather", node.dtype(node.x)).integer("axis", axis as i64);
    add(node, op, vec![node.x, indices], out)
}

fn convert_gather_elements(node: &mut NodeContext) -> NodeResult<ValueId> {
    let (axis, indices) = (read_axis(node, 0)?, indices(node)?);
    if !node.is_float(node.x) && !is_computed(node, node.x) {
        return fail("the data must not be constant integers");
    }
    let shape = node.shape(indices).to_vec();
    let fits = shape.len() == node.shape(node.x).len()
        && (shape.iter().zip(node.shape(node.x)).enumerate())
            .all(|(at, (count, side))| at == axis || count <= side);
    if !fits {
        return fail("the indices do not fit into the data");
    }
    let op = KeptOp::new("GatherElements", node.dtype(node.x)).integer("axis", axis as i64);
    add(node, op, vec![node.x, indices], shape)
}

fn convert_grid_sample(node: &mut NodeContext) -> NodeResult<ValueId> {
    let grid = node.input(1, "grid")?;
    check_float(node, node.x)?;
    check_float(node, grid)?;
    // The runtime that computes the self-test has no other modes.
    if !matches!(node.attributes.text("mode"), b"" | b"bilinear" | b"linear") {
        return fail("the mode must be bilinear");
    }
    if !matches!(node.attributes.text("padding_mode"), b"" | b"zeros") {
        return fail("the padding mode must be zeros");
    }
    let corners = node.attributes.flag("align_corners", false)?;
    let shape = match (node.shape(node.x), node.shape(grid)) {
        (&[batch, channels, _, _], &[count, height, width, 2]) if batch == count => {
            vec![batch, channels, height, width]
        }
        _ => return fail("the input must be [N,C,H,W] and the grid [N,height,width,2]"),
    };
    let op = KeptOp::new("GridSample", DType::F32)
        .integer("align_corners", corners.into())
        .text("mode", "bilinear")
        .text("padding_mode", "zeros");
    add(node, op, vec![node.x, grid], shape)
}
