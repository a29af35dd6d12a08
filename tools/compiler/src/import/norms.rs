//! Conversion of normalisations whose mean and variance come from the input.
//!
//! They become means, products and a square root, so the later passes know which axes they combine.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId};
use crate::lowered::Function;
use crate::tensor::Tensor;
use ndarray::Array2;

pub(super) fn convert_layer_norm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let rank = node.shape(node.x).len();
    let first = super::shapes::resolve_axis(node.attributes.int("axis", -1)?, rank)?;
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    let axes: Vec<usize> = (first..rank).collect();
    let mut y = normalise(node, node.x, epsilon, |node, x| node.mean(x, &axes))?;
    let scale = node.input(1, "scale")?;
    y = node.binary(Op::Mul, y, scale)?;
    match node.optional_input(2) {
        Some(bias) => node.binary(Op::Add, y, bias),
        None => Ok(y),
    }
}

/// Converts InstanceNormalization. Exporters write a group norm as a Reshape to one channel for
/// each group, this operator, and a Reshape back. It is then converted as a group norm.
pub(super) fn convert_instance_norm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    let (scale, bias) = (constant_input(node, 1, "scale")?, constant_input(node, 2, "bias")?);
    let groups = shape.get(1).copied().unwrap_or(0);
    if scale.len() != groups || bias.len() != groups {
        return fail(format!("scale and bias must have {groups} elements, one for each channel"));
    }
    if let Some((source, channels)) = find_grouped_source(node, &shape) {
        let per_group = channels / groups;
        let spread = |values: &[f32]| -> Vec<f32> {
            values.iter().flat_map(|&v| std::iter::repeat_n(v, per_group)).collect()
        };
        let (scale, bias) = (spread(&scale), spread(&bias));
        let y = add_group_norm(node, source, groups, epsilon, &scale, &bias)?;
        return node.reshape(y, shape);
    }
    add_group_norm(node, node.x, groups, epsilon, &scale, &bias)
}

pub(super) fn convert_group_norm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let channels = node.shape(node.x).get(1).copied().unwrap_or(0);
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    let groups = usize::try_from(node.attributes.int("num_groups", 0)?).unwrap_or(0);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return fail(format!("num_groups must divide the {channels} channels, got {groups}"));
    }
    let read = |index, role| -> NodeResult<Vec<f32>> {
        let values = constant_input(node, index, role)?;
        // Before operator set 21, scale and bias have one number for each group.
        match values.len() {
            count if count == channels => Ok(values),
            count if count == groups => {
                Ok(values.iter().flat_map(|&v| std::iter::repeat_n(v, channels / groups)).collect())
            }
            count => fail(format!("the {role} must have {channels} elements, got {count}")),
        }
    };
    let (scale, bias) = (read(1, "scale")?, read(2, "bias")?);
    add_group_norm(node, node.x, groups, epsilon, &scale, &bias)
}

/// Returns the input of a Reshape that merges the channels of each group with the other axes, and
/// its number of channels. Returns `None` if the node's input is anything else.
fn find_grouped_source(node: &NodeContext, shape: &[usize]) -> Option<(ValueId, usize)> {
    let source = node.builder.reshape_source(node.x)?;
    let from = node.shape(source);
    let (&[batch, groups, merged], &[same_batch, channels, ref rest @ ..]) = (shape, from) else {
        return None;
    };
    let is_grouped = batch == same_batch
        && from.len() >= 3
        && channels.is_multiple_of(groups)
        && channels / groups * rest.iter().product::<usize>() == merged;
    is_grouped.then_some((source, channels))
}

fn constant_input(node: &NodeContext, index: usize, role: &str) -> NodeResult<Vec<f32>> {
    let id = node.input(index, role)?;
    match node.constant_f32(id) {
        Some(values) => Ok(values.to_vec()),
        None => fail(format!("the {role} must be a constant float tensor")),
    }
}

/// Appends a group norm of `x`, whose channels are axis 1, with one scale and bias for each
/// channel.
fn add_group_norm(
    node: &mut NodeContext,
    x: ValueId,
    groups: usize,
    epsilon: f32,
    scale: &[f32],
    bias: &[f32],
) -> NodeResult<ValueId> {
    let shape = node.shape(x).to_vec();
    let channels = shape.get(1).copied().unwrap_or(0);
    if shape.len() < 3 {
        return fail("the input must have at least one axis after batch and channels");
    }
    let axes: Vec<usize> = (2..shape.len()).collect();
    let y = normalise(node, x, epsilon, |node, x| {
        let mean = node.mean(x, &axes)?;
        if groups == channels { Ok(mean) } else { average_groups(node, mean, groups) }
    })?;
    let mut per_channel = vec![1; shape.len()];
    if let Some(slot) = per_channel.get_mut(1) {
        *slot = channels;
    }
    let scale = node.add_constant(&per_channel, scale.to_vec())?;
    let bias = node.add_constant(&per_channel, bias.to_vec())?;
    let scaled = node.binary(Op::Mul, y, scale)?;
    node.binary(Op::Add, scaled, bias)
}

/// Replaces each channel of `mean [N,C,1,..]` by the mean over its group. Two products with
/// constant matrices average the channels of each group and spread the result.
fn average_groups(node: &mut NodeContext, mean: ValueId, groups: usize) -> NodeResult<ValueId> {
    let shape = node.shape(mean).to_vec();
    let (batch, channels) =
        (shape.first().copied().unwrap_or(1), shape.get(1).copied().unwrap_or(1));
    let per_group = channels / groups;
    let average = Array2::from_shape_fn((channels, groups), |(channel, group)| {
        if channel / per_group == group { 1.0 / per_group as f32 } else { 0.0 }
    });
    let spread = Array2::from_shape_fn((groups, channels), |(group, channel)| {
        if channel / per_group == group { 1.0f32 } else { 0.0 }
    });
    let flat = node.reshape(mean, vec![batch, channels])?;
    let average = node.builder.add_folded_constant(node.proto, Tensor::from(average))?;
    let averaged = node.add_node(Op::MatMul, vec![flat, average], vec![batch, groups])?;
    let spread = node.builder.add_folded_constant(node.proto, Tensor::from(spread))?;
    let result = node.add_node(Op::MatMul, vec![averaged, spread], vec![batch, channels])?;
    node.reshape(result, shape)
}

/// Appends `(x - mean) / sqrt(variance + epsilon)`, where `average` appends the mean.
fn normalise(
    node: &mut NodeContext,
    x: ValueId,
    epsilon: f32,
    average: impl Fn(&mut NodeContext, ValueId) -> NodeResult<ValueId>,
) -> NodeResult<ValueId> {
    let mean = average(node, x)?;
    let centred = node.binary(Op::Sub, x, mean)?;
    let squares = node.binary(Op::Mul, centred, centred)?;
    let variance = average(node, squares)?;
    let shifted = node.shift(variance, epsilon)?;
    let deviation = node.unary(Op::Function(Function::Sqrt), shifted)?;
    node.binary(Op::Div, centred, deviation)
}
