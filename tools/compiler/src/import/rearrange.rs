//! Conversion of operators that repeat, split or rearrange elements.

use super::axes::reshape_target;
use super::failure::{NodeResult, fail};
use super::limits::{MAX_GATHER, MAX_RANK};
use super::node_context::NodeContext;
use super::selection::select;
use super::shapes::{broadcast_shapes, resolve_axis};
use super::space_to_depth::{add_space_to_depth, find_space_to_depth};
use crate::graph::ValueId;

/// Converts Split to one slice for each output.
pub(super) fn convert_split(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let axis = resolve_axis(node.attributes.int("axis", 0)?, shape.len())?;
    let size = shape.get(axis).copied().unwrap_or(0);
    let outputs = node.proto.output.len().max(1);
    let given = match node.int_input(1, "split")? {
        Some(sizes) => Some(sizes),
        None => node.attributes.ints("split").map(<[i64]>::to_vec),
    };
    let sizes: Vec<usize> = match given {
        Some(sizes) => sizes.iter().map(|&s| usize::try_from(s).unwrap_or(0)).collect(),
        None => {
            let part = size.div_ceil(outputs);
            (0..outputs).map(|i| size.saturating_sub(i * part).min(part)).collect()
        }
    };
    let total = sizes.iter().try_fold(0usize, |total, &part| total.checked_add(part));
    if sizes.len() != outputs || total != Some(size) || sizes.contains(&0) {
        return fail(format!(
            "the parts must be {outputs} positive sizes whose sum is {size}, got {sizes:?}"
        ));
    }
    let mut start = 0;
    let mut parts = Vec::new();
    for part in sizes {
        let indices: Vec<usize> = (start..start + part).collect();
        parts.push(select(node, node.x, axis, &indices)?);
        start += part;
    }
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap_or(node.x);
    node.more_outputs.extend(parts);
    Ok(first)
}

/// Converts Expand to a repetition of each axis of size 1 that grows.
pub(super) fn convert_expand(node: &mut NodeContext) -> NodeResult<ValueId> {
    let Some(target) = node.int_input(1, "shape")? else {
        return fail("input 1 (shape) is missing");
    };
    let target: Vec<usize> = target.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    let shape = node.shape(node.x).to_vec();
    if target.len() > MAX_RANK {
        return fail(format!("the shape must have at most {MAX_RANK} axes, got {}", target.len()));
    }
    let Some(out) = broadcast_shapes(&shape, &target).filter(|out| !out.contains(&0)) else {
        return fail(format!("the shape {shape:?} cannot be expanded to {target:?}"));
    };
    let mut aligned = vec![1; out.len() - shape.len()];
    aligned.extend(&shape);
    let mut id = node.reshape(node.x, aligned.clone())?;
    for (axis, (&from, &to)) in aligned.iter().zip(&out).enumerate() {
        if from != to {
            id = repeat(node, id, axis, to, from)?;
        }
    }
    Ok(id)
}

pub(super) fn convert_tile(node: &mut NodeContext) -> NodeResult<ValueId> {
    let Some(repeats) = node.int_input(1, "repeats")? else {
        return fail("input 1 (repeats) is missing");
    };
    let shape = node.shape(node.x).to_vec();
    if repeats.len() != shape.len() || repeats.iter().any(|&r| r < 1) {
        return fail(format!("repeats must be {} positive numbers, got {repeats:?}", shape.len()));
    }
    let mut id = node.x;
    for (axis, (&size, &count)) in shape.iter().zip(&repeats).enumerate() {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > 1 {
            id = repeat(node, id, axis, size.saturating_mul(count), size)?;
        }
    }
    Ok(id)
}

/// Repeats an axis of `size` elements until it has `length` elements.
fn repeat(
    node: &mut NodeContext,
    id: ValueId,
    axis: usize,
    length: usize,
    size: usize,
) -> NodeResult<ValueId> {
    if length > MAX_GATHER {
        return fail(format!("an axis can be expanded to at most {MAX_GATHER}, got {length}"));
    }
    let indices: Vec<usize> = (0..length).map(|i| i % size.max(1)).collect();
    select(node, id, axis, &indices)
}

/// Converts a Reshape. A Reshape that ends a shuffle of one axis becomes a Gather, and one that
/// ends a space-to-depth becomes a convolution.
pub(super) fn convert_reshape(node: &mut NodeContext) -> NodeResult<ValueId> {
    let out = reshape_target(node)?;
    if let Some(shuffle) = find_shuffle(node, &out) {
        return select(node, shuffle.source, shuffle.axis, &shuffle.indices);
    }
    if let Some((source, block, order)) = find_space_to_depth(node, &out) {
        return add_space_to_depth(node, source, block, &order, out);
    }
    super::axes::add_reshape(node, out)
}

/// A permutation of the elements of one axis.
struct Shuffle {
    source: ValueId,
    axis: usize,
    indices: Vec<usize>,
}

/// Finds a Reshape, a Transpose and a Reshape that together permute one axis: a channel shuffle.
fn find_shuffle(node: &NodeContext, out: &[usize]) -> Option<Shuffle> {
    let (source, split, perm) = node.builder.find_transposed(node.x)?;
    let shape = node.shape(source);
    if shape != out || split.len() != shape.len() + 1 {
        return None;
    }
    let axis = (0..shape.len()).find(|&axis| {
        split.get(..axis) == shape.get(..axis) && split.get(axis + 2..) == shape.get(axis + 1..)
    });
    // Axes of size 1 leave a choice of the axis, so the one that the Transpose moves counts.
    let swaps = |axis: usize| {
        perm.iter().enumerate().all(|(at, &from)| {
            from == match at {
                _ if at == axis => axis + 1,
                _ if at == axis + 1 => axis,
                _ => at,
            }
        })
    };
    let axis = axis.filter(|&axis| swaps(axis))?;
    let (outer, inner) = (*split.get(axis)?, *split.get(axis + 1)?);
    if outer.checked_mul(inner) != shape.get(axis).copied() || outer * inner > MAX_GATHER {
        return None;
    }
    let indices = (0..inner).flat_map(|i| (0..outer).map(move |o| o * inner + i)).collect();
    Some(Shuffle { source, axis, indices })
}
