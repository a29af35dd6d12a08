//! Conversion of one ONNX node to typed nodes, with shape inference.

use super::attributes::Attributes;
use super::builder::GraphBuilder;
use super::constant_folding::fold_node;
use super::external::ExternalData;
use super::failure::{NodeFailure, NodeResult, fail};
use super::initializer::decode_tensor;
use super::node_context::NodeContext;
use super::shapes::resolve_axis;
use super::{axes, elementwise, matrices, selection, windows};
use crate::graph::{Op, ValueId};
use crate::onnx::NodeProto;
use crate::tensor::Tensor;

/// Converts `proto` to typed nodes, appends them to the graph and returns the value of the first
/// output.
pub(super) fn convert_node(
    builder: &mut GraphBuilder,
    proto: &NodeProto,
    inputs: &[Option<ValueId>],
    external: &mut ExternalData,
) -> NodeResult<ValueId> {
    if !(proto.domain.is_empty() || proto.domain == "ai.onnx") {
        return fail(format!(
            "operators of the domain \"{}\" are not supported; export with standard ONNX operators",
            proto.domain
        ));
    }
    let attributes = Attributes::new(proto);
    if proto.op_type == "Constant" {
        let tensor = read_constant(&attributes, external)?;
        return Ok(builder.add_constant(proto, tensor));
    }
    let Some(&Some(x)) = inputs.first() else { return fail("input 0 is missing") };
    if proto.op_type == "Shape" {
        let tensor = read_shape(&attributes, builder.graph.shape(x))?;
        return Ok(builder.add_constant(proto, tensor));
    }
    let constants: Vec<&Tensor> =
        inputs.iter().flatten().filter_map(|&id| builder.graph.constant(id)).collect();
    if constants.len() == inputs.len()
        && let Some(tensor) = fold_node(proto, &constants)?
    {
        return builder.add_folded_constant(proto, tensor);
    }
    convert_operator(&mut NodeContext { builder, proto, attributes, inputs, x })
}

/// Returns the value of a Constant node.
fn read_constant(attributes: &Attributes, external: &mut ExternalData) -> NodeResult<Tensor> {
    if let Some(proto) = attributes.get("value").and_then(|a| a.t.as_ref()) {
        return decode_tensor(proto, external).map_err(NodeFailure::Error);
    }
    if let Some(ints) = attributes.ints("value_ints") {
        return Ok(Tensor::vector(ints.to_vec()));
    }
    if let Some(value) = attributes.get("value_int").and_then(|a| a.i) {
        return Ok(Tensor::from(ndarray::arr0(value)));
    }
    if let Some(value) = attributes.get("value_float").and_then(|a| a.f) {
        return Ok(Tensor::from(ndarray::arr0(value)));
    }
    match attributes.get("value_floats") {
        Some(a) => Ok(Tensor::from(ndarray::Array1::from_vec(a.floats.clone()))),
        None => {
            fail("the constant has none of the attributes value, value_int(s) and value_float(s)")
        }
    }
}

/// Returns the result of a Shape node, whose attributes `start` and `end` select axes.
fn read_shape(attributes: &Attributes, shape: &[usize]) -> NodeResult<Tensor> {
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let (start, end) = (clamp(attributes.int("start", 0)?), clamp(attributes.int("end", rank)?));
    let part = shape.get(start..end.max(start)).unwrap_or_default();
    Ok(Tensor::vector(part.iter().map(|&d| d as i64).collect()))
}

fn convert_operator(node: &mut NodeContext) -> NodeResult<ValueId> {
    let operator = node.proto.op_type.as_str();
    let takes_integers = matches!(
        operator,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Identity"
    );
    if !node.is_float(node.x) && !takes_integers {
        return fail(
            "integer inputs are supported only where the compiler can fold the node to a constant",
        );
    }
    match operator {
        "Identity" | "Dropout" => Ok(node.x),
        "Cast" => elementwise::convert_cast(node),
        "Conv" => windows::convert_conv(node),
        "BatchNormalization" => windows::convert_batch_norm(node),
        "Relu" => elementwise::convert_unary(node, Op::Relu),
        "Sigmoid" => elementwise::convert_unary(node, Op::Sigmoid),
        "HardSigmoid" => elementwise::convert_hard_sigmoid(node),
        "HardSwish" => elementwise::convert_hard_swish(node),
        "Swish" => elementwise::convert_swish(node),
        "Clip" => elementwise::convert_clip(node),
        "Add" => elementwise::convert_binary(node, Op::Add),
        "Sub" => elementwise::convert_binary(node, Op::Sub),
        "Mul" => elementwise::convert_binary(node, Op::Mul),
        "Div" => elementwise::convert_binary(node, Op::Div),
        "Max" if node.inputs.len() == 2 => elementwise::convert_binary(node, Op::Max),
        "Concat" => axes::convert_concat(node),
        "MaxPool" => windows::convert_max_pool(node),
        "AveragePool" => windows::convert_average_pool(node),
        "GlobalAveragePool" => axes::convert_global_average_pool(node),
        "ReduceMean" => axes::convert_reduce_mean(node),
        "Reshape" => axes::convert_reshape(node),
        "Flatten" => axes::convert_flatten(node),
        "Squeeze" => axes::convert_squeeze(node),
        "Unsqueeze" => axes::convert_unsqueeze(node),
        "Transpose" => axes::convert_transpose(node),
        "Slice" => selection::convert_slice(node),
        "Gather" => selection::convert_gather(node),
        "Pad" => selection::convert_pad(node),
        "Gemm" => matrices::convert_gemm(node),
        "MatMul" => matrices::convert_matmul(node),
        "Softmax" => {
            let axis = resolve_axis(node.attributes.int("axis", -1)?, node.shape(node.x).len())?;
            elementwise::convert_unary(node, Op::Softmax { axis })
        }
        "Max" => fail(format!("Max is supported with two inputs, got {}", node.inputs.len())),
        other => fail(format!(
            "the operator {other} is not supported; docs/model/compiler.md lists the operators"
        )),
    }
}
