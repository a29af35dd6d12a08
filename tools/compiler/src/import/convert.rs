//! Conversion of one ONNX node to typed nodes, with shape inference.

use super::attributes::Attributes;
use super::builder::GraphBuilder;
use super::constant_folding::{fold_clip, fold_eye_like, fold_node};
use super::external::ExternalData;
use super::failure::{NodeFailure, NodeResult, fail};
use super::initializer::decode_tensor;
use super::node_context::NodeContext;
use super::recurrence::Cell;
use super::reductions::Reduction;
use super::{
    axes, einsum, elementwise, functions, kept, matrices, norms, rearrange, recurrence, reductions,
    resize, scatter, selection, space_to_depth, windows,
};
use crate::graph::{Op, ValueId};
use crate::lowered::Function;
use crate::onnx::{NodeProto, attribute_type};
use crate::tensor::{Tensor, element_count};

/// Converts `proto` to typed nodes, appends them to the graph and returns the values of its
/// outputs. The list is shorter than that of the node if the compiler does not support its last
/// outputs.
pub(super) fn convert_node(
    builder: &mut GraphBuilder,
    proto: &NodeProto,
    inputs: &[Option<ValueId>],
    external: &mut ExternalData,
) -> NodeResult<Vec<ValueId>> {
    if proto.domain == "com.microsoft" && proto.op_type == "FusedConv" {
        let mut node = open_node(builder, proto, inputs)?;
        return windows::convert_fused_conv(&mut node).map(|id| vec![id]);
    }
    if !(proto.domain.is_empty() || proto.domain == "ai.onnx") {
        return fail(format!(
            "operators of the domain \"{}\" are not supported; compile the file that the training \
             framework exported, not one that an optimiser or a quantiser has rewritten",
            proto.domain
        ));
    }
    let attributes = Attributes::new(proto);
    if proto.op_type == "Constant" {
        let tensor = read_constant(&attributes, external)?;
        return Ok(vec![builder.add_constant(proto, tensor)]);
    }
    if let ("Shape", Some(&Some(x))) = (proto.op_type.as_str(), inputs.first()) {
        let tensor = read_shape(&attributes, builder.graph.shape(x))?;
        return Ok(vec![builder.add_constant(proto, tensor)]);
    }
    if let ("Size", Some(&Some(x))) = (proto.op_type.as_str(), inputs.first()) {
        let count = element_count(builder.graph.shape(x)).and_then(|n| i64::try_from(n).ok());
        let Some(count) = count else { return fail("the input has too many elements") };
        return Ok(vec![builder.add_constant(proto, Tensor::from(ndarray::arr0(count)))]);
    }
    if let ("EyeLike", Some(&Some(x))) = (proto.op_type.as_str(), inputs.first()) {
        let value = builder.graph.value(x);
        let matrix = fold_eye_like(&attributes, &value.shape, value.dtype)?;
        return builder.add_folded_constant(proto, matrix).map(|id| vec![id]);
    }
    let constants: Vec<&Tensor> =
        inputs.iter().flatten().filter_map(|&id| builder.graph.constant(id)).collect();
    let folded = match proto.op_type.as_str() {
        // One of the bounds may be missing.
        "Clip" if constants.len() == inputs.iter().flatten().count() => {
            let constant = |input: usize| builder.graph.constant((*inputs.get(input)?)?);
            fold_clip(&attributes, [constant(0), constant(1), constant(2)])?
        }
        "MatMul" | "Gemm" if !builder.is_source => None,
        _ if constants.len() == inputs.len() => fold_node(proto, &constants)?,
        _ => None,
    };
    if let Some(tensor) = folded {
        return builder.add_folded_constant(proto, tensor).map(|id| vec![id]);
    }
    let mut node = open_node(builder, proto, inputs)?;
    let first = convert_operator(&mut node)?;
    let mut outputs = vec![first];
    outputs.append(&mut node.more_outputs);
    Ok(outputs)
}

/// Returns the context in which a node is converted.
fn open_node<'a>(
    builder: &'a mut GraphBuilder,
    proto: &'a NodeProto,
    inputs: &'a [Option<ValueId>],
) -> NodeResult<NodeContext<'a>> {
    let Some(&Some(x)) = inputs.first() else {
        return match inputs.is_empty() {
            true => fail(explain_operator(&proto.op_type)),
            false => fail("input 0 is missing"),
        };
    };
    let attributes = Attributes::new(proto);
    Ok(NodeContext { builder, proto, attributes, inputs, x, more_outputs: Vec::new() })
}

/// Returns the value of a Constant node.
fn read_constant(attributes: &Attributes, external: &mut ExternalData) -> NodeResult<Tensor> {
    if let Some(attribute) = attributes.get("value")
        && let Some(proto) = &attribute.t
    {
        // A runtime reads the field that belongs to the type.
        if !matches!(attribute.r#type, 0 | attribute_type::TENSOR) {
            let found = attribute.r#type;
            return fail(format!("attribute value must be a tensor, got type {found}"));
        }
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
    if let Some(result) = kept::convert_kept(node) {
        return result;
    }
    let takes_integers = matches!(
        operator,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Identity"
    );
    let is_computed = node.inputs.iter().flatten().any(|&id| node.constant(id).is_none());
    let takes_indices = is_computed
        && matches!(
            operator,
            "Add" | "Sub" | "Mul" | "Cast" | "Expand" | "Gather" | "Split" | "Tile"
        );
    if !node.is_float(node.x) && !takes_integers && !takes_indices && operator != "Where" {
        return fail(format!(
            "{operator} on integers is supported only where the compiler can compute the result; \
             simplify the file with onnxsim"
        ));
    }
    match operator {
        "Identity" | "Dropout" => Ok(node.x),
        "Cast" => elementwise::convert_cast(node),
        "Conv" => windows::convert_conv(node),
        "BatchNormalization" => windows::convert_batch_norm(node),
        "LayerNormalization" => norms::convert_layer_norm(node),
        "InstanceNormalization" => norms::convert_instance_norm(node),
        "GroupNormalization" => norms::convert_group_norm(node),
        "Concat" => axes::convert_concat(node),
        "MaxPool" => windows::convert_max_pool(node),
        "AveragePool" => windows::convert_average_pool(node),
        "Reshape" => rearrange::convert_reshape(node),
        "Flatten" => axes::convert_flatten(node),
        "Squeeze" => axes::convert_squeeze(node),
        "Unsqueeze" => axes::convert_unsqueeze(node),
        "Transpose" => axes::convert_transpose(node),
        "Slice" => selection::convert_slice(node),
        "Gather" => selection::convert_gather(node),
        "GatherND" => selection::convert_gather_nd(node),
        "Pad" => selection::convert_pad(node),
        "Split" => rearrange::convert_split(node),
        "Expand" => rearrange::convert_expand(node),
        "Tile" => rearrange::convert_tile(node),
        "ScatterND" => scatter::convert_scatter(node),
        "SpaceToDepth" => space_to_depth::convert_space_to_depth(node),
        "DepthToSpace" => space_to_depth::convert_depth_to_space(node),
        "Resize" | "Upsample" => resize::convert_resize(node),
        "Gemm" => matrices::convert_gemm(node),
        "MatMul" => matrices::convert_matmul(node),
        "Einsum" => einsum::convert_einsum(node),
        "LSTM" => recurrence::convert_recurrence(node, Cell::Lstm),
        "GRU" => recurrence::convert_recurrence(node, Cell::Gru),
        "RNN" => recurrence::convert_recurrence(node, Cell::Rnn),
        "Softmax" | "LogSoftmax" => elementwise::convert_softmax(node),
        _ => convert_arithmetic(node, operator),
    }
}

/// Converts reductions and the operators that compute each element from one position.
fn convert_arithmetic(node: &mut NodeContext, operator: &str) -> NodeResult<ValueId> {
    match operator {
        "Relu" => node.unary(Op::Relu, node.x),
        "Sigmoid" => node.unary(Op::Sigmoid, node.x),
        "HardSigmoid" => elementwise::convert_hard_sigmoid(node),
        "HardSwish" => elementwise::convert_hard_swish(node),
        "Swish" => elementwise::convert_swish(node),
        "Clip" => elementwise::convert_clip(node),
        "Add" => elementwise::convert_binary(node, Op::Add),
        "Sub" => elementwise::convert_binary(node, Op::Sub),
        "Mul" => elementwise::convert_binary(node, Op::Mul),
        "Div" => elementwise::convert_binary(node, Op::Div),
        "Max" => functions::convert_variadic(node, Op::Max),
        "Min" => functions::convert_variadic(node, Op::Min),
        "Sum" | "Mean" => functions::convert_variadic(node, Op::Add),
        "Abs" => functions::convert_function(node, Function::Abs),
        "Erf" => functions::convert_function(node, Function::Erf),
        "Exp" => functions::convert_function(node, Function::Exp),
        "Log" => functions::convert_function(node, Function::Log),
        "Softplus" => functions::convert_function(node, Function::Softplus),
        "Sqrt" => functions::convert_function(node, Function::Sqrt),
        "Tanh" => functions::convert_function(node, Function::Tanh),
        "Elu" => functions::convert_elu(node),
        "Celu" => functions::convert_celu(node),
        "Selu" => functions::convert_selu(node),
        "Gelu" => functions::convert_gelu(node),
        "LeakyRelu" => functions::convert_leaky_relu(node),
        "PRelu" => functions::convert_prelu(node),
        "Mish" => functions::convert_mish(node),
        "Softsign" => functions::convert_softsign(node),
        "Neg" => functions::convert_neg(node),
        "Reciprocal" => functions::convert_reciprocal(node),
        "Pow" => functions::convert_pow(node),
        "Where" => functions::convert_where(node),
        "GlobalAveragePool" => reductions::convert_global_pool(node, Reduction::Mean),
        "GlobalMaxPool" => reductions::convert_global_pool(node, Reduction::Max),
        "ReduceMean" => reductions::convert_reduce(node, Reduction::Mean),
        "ReduceSum" => reductions::convert_reduce(node, Reduction::Sum),
        "ReduceMax" => reductions::convert_reduce(node, Reduction::Max),
        "ReduceMin" => reductions::convert_reduce(node, Reduction::Min),
        "ReduceL1" => reductions::convert_reduce(node, Reduction::L1),
        "ReduceL2" => reductions::convert_reduce(node, Reduction::L2),
        "ReduceSumSquare" => reductions::convert_reduce(node, Reduction::SumSquare),
        "ReduceLogSumExp" => reductions::convert_reduce(node, Reduction::LogSumExp),
        other => fail(explain_operator(other)),
    }
}

/// Returns the reason why an operator is not supported, and a remedy.
fn explain_operator(operator: &str) -> String {
    let remedy = match operator {
        "Hardmax" | "NonMaxSuppression" => {
            "name the value that contains the logits with --logits, or export the network without \
             this node"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "ConvInteger"
        | "MatMulInteger"
        | "QLinearConv"
        | "QLinearMatMul" => "compile the float network before its quantisation",
        "If" | "Loop" | "Scan" => {
            "its condition must not depend on the frames; simplify the file with onnxsim, or export \
             with torch.onnx.export(..., dynamo=True)"
        }
        // The exporter of TorchScript writes these operators for lists and `split` in functions
        // that it compiles, for example in the MViT of torchvision.
        "SequenceAt" | "SequenceConstruct" | "SequenceEmpty" | "SequenceInsert"
        | "SplitToSequence" | "ConcatFromSequence" => {
            "export the network with torch.onnx.export(..., dynamo=True), which writes no lists of \
             tensors, or simplify the file with onnxsim"
        }
        "ConvTranspose" => "replace it with Resize and Conv",
        _ => {
            "replace it with operators that docs/model/compiler.md lists, or simplify the file with onnxsim"
        }
    };
    format!("the operator {operator} is not supported; {remedy}")
}
