//! Conversion of ScatterND, with which exporters write an assignment to a part of a tensor.

use super::failure::{NodeResult, fail};
use super::limits::MAX_FOLDED;
use super::node_context::NodeContext;
use super::shapes::resolve_index;
use crate::graph::{Op, ValueId};
use crate::tensor::{Tensor, element_count};
use ndarray::{ArrayD, Dimension};

/// Converts ScatterND that replaces a box of the data. The result is the data with zeros in the
/// box, plus the updates with zeros around them.
pub(super) fn convert_scatter(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    if !matches!(node.attributes.text("reduction"), b"" | b"none") {
        return fail("the reduction must be none");
    }
    let (index_id, updates) = (node.input(1, "indices")?, node.input(2, "updates")?);
    let index_shape = node.shape(index_id).to_vec();
    let Some(indices) = node.int_input(1, "indices")? else {
        return fail("input 1 (indices) is missing");
    };
    let depth = index_shape.last().copied().unwrap_or(0);
    let Some((first, sizes)) = find_box(&indices, depth, &shape) else {
        return fail("the indices must be all positions of a box, in order");
    };
    let mut box_shape = sizes.clone();
    box_shape.extend(shape.get(depth..).unwrap_or_default());
    if element_count(node.shape(updates)) != element_count(&box_shape) {
        return fail(format!("the updates must have the shape {box_shape:?}"));
    }
    let updates = node.reshape(updates, box_shape.clone())?;
    let mut before = vec![0i64; shape.len()];
    let mut after = vec![0i64; shape.len()];
    for (axis, (&start, &length)) in first.iter().zip(&sizes).enumerate() {
        let rest = shape.get(axis).map_or(0, |&size| size - start - length);
        if let (Some(slot_b), Some(slot_a)) = (before.get_mut(axis), after.get_mut(axis)) {
            (*slot_b, *slot_a) = (start as i64, rest as i64);
        }
    }
    let padded = if box_shape == shape { updates } else { node.pad(updates, before, after, 0.0)? };
    let is_zero = |values: &[f32]| values.iter().all(|&v| v == 0.0);
    if box_shape == shape || node.constant_f32(node.x).is_some_and(is_zero) {
        return Ok(padded);
    }
    // The mask has size 1 along every axis that the box covers completely.
    let mask_shape: Vec<usize> = shape
        .iter()
        .zip(&box_shape)
        .map(|(&size, &covered)| if size == covered { 1 } else { size })
        .collect();
    if element_count(&mask_shape).is_none_or(|n| n > MAX_FOLDED) {
        return fail("the box is too large");
    }
    let mask = ArrayD::from_shape_fn(mask_shape.clone(), |position| {
        let is_inside = (0..mask_shape.len()).all(|axis| {
            let at = position.slice().get(axis).copied().unwrap_or(0);
            mask_shape.get(axis) == Some(&1)
                || first
                    .get(axis)
                    .zip(sizes.get(axis))
                    .is_none_or(|(&start, &length)| (start..start + length).contains(&at))
        });
        if is_inside { 0.0f32 } else { 1.0 }
    });
    let mask = node.builder.add_folded_constant(node.proto, Tensor::from(mask))?;
    let kept = node.binary(Op::Mul, node.x, mask)?;
    node.binary(Op::Add, kept, padded)
}

/// Returns the first position and the sizes of the box whose positions `indices` lists, with
/// `depth` numbers for each position. Returns `None` if they are anything else.
fn find_box(indices: &[i64], depth: usize, shape: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    if depth == 0 || depth > shape.len() || indices.is_empty() {
        return None;
    }
    let position = |tuple: &[i64]| -> Option<Vec<usize>> {
        let resolve = |(&index, &size): (&i64, &usize)| resolve_index(index, size);
        tuple.iter().zip(shape).map(resolve).collect()
    };
    let tuples: Vec<Vec<usize>> = indices.chunks(depth).map(position).collect::<Option<_>>()?;
    let (first, last) = (tuples.first()?.clone(), tuples.last()?);
    let sizes: Vec<usize> = first
        .iter()
        .zip(last)
        .map(|(&from, &to)| to.checked_sub(from).map(|size| size + 1))
        .collect::<Option<_>>()?;
    if element_count(&sizes) != Some(tuples.len()) {
        return None;
    }
    let is_in_order = tuples.iter().enumerate().all(|(at, tuple)| {
        let mut rest = at;
        let mut expected = vec![0; depth];
        for axis in (0..depth).rev() {
            let (Some(slot), Some(&size), Some(&start)) =
                (expected.get_mut(axis), sizes.get(axis), first.get(axis))
            else {
                return false;
            };
            *slot = start + rest % size;
            rest /= size;
        }
        expected == *tuple
    });
    is_in_order.then_some((first, sizes))
}
