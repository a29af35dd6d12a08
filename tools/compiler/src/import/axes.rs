//! Conversion of operators that reduce, join or rearrange axes.

use super::failure::{NodeResult, fail};
use super::limits::MAX_RANK;
use super::node_context::NodeContext;
use super::shapes::{reduce_shape, resolve_axes, resolve_axis};
use crate::graph::ValueId;
use crate::tensor::element_count;

pub(super) fn convert_flatten(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x);
    let axis = node.attributes.int("axis", 1)?;
    let axis =
        if axis == shape.len() as i64 { shape.len() } else { resolve_axis(axis, shape.len())? };
    let (left, right) = shape.split_at(axis);
    let out = vec![element_count(left).unwrap_or(0), element_count(right).unwrap_or(0)];
    add_reshape(node, out)
}

pub(super) fn convert_squeeze(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x);
    let axes = match node.axes_input()? {
        Some(axes) => resolve_axes(&axes, shape.len())?,
        None => shape.iter().enumerate().filter(|(_, d)| **d == 1).map(|(i, _)| i).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&a| shape.get(a) != Some(&1)) {
        return fail(format!("axis {axis} cannot be squeezed, because its size is not 1"));
    }
    let out = reduce_shape(shape, &axes, false);
    add_reshape(node, out)
}

pub(super) fn convert_unsqueeze(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x);
    let axes = node.axes_input()?.unwrap_or_default();
    let rank = shape.len() + axes.len();
    if rank > MAX_RANK {
        return fail(format!("the result must have at most {MAX_RANK} axes, got {rank}"));
    }
    let axes = resolve_axes(&axes, rank)?;
    let mut sizes = shape.iter();
    let out = (0..rank)
        .filter_map(|i| if axes.contains(&i) { Some(1) } else { sizes.next().copied() })
        .collect();
    add_reshape(node, out)
}

/// Returns the target shape of a Reshape. Actual sizes replace the special sizes 0 and -1.
pub(super) fn reshape_target(node: &NodeContext) -> NodeResult<Vec<usize>> {
    let shape = node.shape(node.x);
    let Some(target) = node.int_input(1, "shape")? else {
        return fail("input 1 (shape) is missing");
    };
    if target.len() > MAX_RANK {
        return fail(format!("the result must have at most {MAX_RANK} axes, got {}", target.len()));
    }
    if node.attributes.flag("allowzero", false)? && target.contains(&0) {
        return fail(format!("the target shape {target:?} is empty"));
    }
    let mut out = Vec::new();
    let mut inferred = None;
    for (i, &size) in target.iter().enumerate() {
        out.push(match (size, usize::try_from(size)) {
            (0, _) => shape.get(i).copied().unwrap_or(0),
            (-1, _) if inferred.is_none() => {
                inferred = Some(i);
                1
            }
            (_, Ok(size)) => size,
            _ => {
                return fail(format!(
                    "the target shape must have positive sizes and at most one -1, got {target:?}"
                ));
            }
        });
    }
    if let Some(slot) = inferred.and_then(|i| out.get(i).is_some().then_some(i)) {
        let known = element_count(&out).unwrap_or(0);
        let rest = element_count(shape).and_then(|n| n.checked_div(known)).unwrap_or(0);
        if let Some(size) = out.get_mut(slot) {
            *size = rest;
        }
    }
    Ok(out)
}

/// Reshapes the input to `out`. The result is a constant if the input is one.
pub(super) fn add_reshape(node: &mut NodeContext, out: Vec<usize>) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    if element_count(&out) != element_count(&shape) {
        return fail(format!(
            "the target shape {out:?} does not have the same number of elements as the input"
        ));
    }
    match node.constant(node.x).map(|constant| constant.reshape(&out)) {
        None => node.reshape(node.x, out),
        Some(Some(tensor)) => Ok(node.builder.add_constant(node.proto, tensor)),
        Some(None) => fail(format!("the constant cannot be reshaped to {out:?}")),
    }
}

pub(super) fn convert_transpose(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let perm = match node.attributes.ints("perm") {
        Some(perm) => {
            perm.iter().map(|&a| resolve_axis(a, shape.len())).collect::<NodeResult<Vec<_>>>()?
        }
        None => (0..shape.len()).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted != (0..shape.len()).collect::<Vec<_>>() {
        return fail(format!(
            "attribute perm must be a permutation of {} axes, got {perm:?}",
            shape.len()
        ));
    }
    match node.constant(node.x).map(|constant| constant.transpose(&perm)) {
        None => node.transpose(node.x, perm),
        Some(Some(tensor)) => node.builder.add_folded_constant(node.proto, tensor),
        Some(None) => fail("the constant cannot be transposed"),
    }
}

pub(super) fn convert_concat(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let axis = resolve_axis(node.attributes.int("axis", 0)?, shape.len())?;
    let mut inputs = vec![node.x];
    for index in 1..node.inputs.len() {
        let id = node.input(index, "operand")?;
        let other = node.shape(id);
        let fits = other.len() == shape.len()
            && other.iter().zip(&shape).enumerate().all(|(i, (a, b))| i == axis || a == b)
            && node.is_float(id);
        if !fits {
            return fail(format!(
                "the inputs must be floats whose shapes differ only in axis {axis}; input {index} does not fit"
            ));
        }
        inputs.push(id);
    }
    if inputs.len() > 1 {
        inputs.retain(|&id| !node.shape(id).contains(&0));
    }
    node.concat(&inputs, axis)
}
