//! Conversion of operators that select elements along axes or pad axes.

use super::failure::{NodeResult, fail};
use super::kept::keep_gather;
use super::limits::{MAX_GATHER, MAX_SLICE, WINDOW_LIMIT};
use super::node_context::NodeContext;
use super::shapes::{resolve_axes, resolve_axis, resolve_index};
use crate::graph::{Op, ValueId};
use crate::tensor::{DType, Tensor};

pub(super) fn convert_slice(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let (Some(starts), Some(ends)) = (node.int_input(1, "starts")?, node.int_input(2, "ends")?)
    else {
        return fail("input 1 (starts) or input 2 (ends) is missing");
    };
    let axes = node.int_input(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = node.int_input(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return fail(format!(
            "starts, ends, axes and steps must have the same length, got {}, {}, {} and {}",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        ));
    }
    resolve_axes(&axes, shape.len())?;
    let mut id = node.x;
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = resolve_axis(axis, shape.len())?;
        let size = shape.get(axis).copied().unwrap_or(0) as i64;
        if step < 0 {
            let indices = reversed_indices(start, end, step, size)?;
            id = select(node, id, axis, &indices)?;
            continue;
        }
        let clamp = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
        let (start, end) = (clamp(start), clamp(end));
        if step == 0 {
            return fail("the steps must not be 0");
        }
        if (start, end, step) == (0, size, 1) {
            continue;
        }
        let count = ((end - start).max(0) as u64).div_ceil(step as u64) as usize;
        if count > MAX_SLICE {
            return fail(format!(
                "a slice must keep at most {MAX_SLICE} elements of an axis, got {count}"
            ));
        }
        let (start, step) = (start as usize, step as usize);
        let indices: Vec<usize> =
            (0..count).map(|i| start.saturating_add(i.saturating_mul(step))).collect();
        id = select(node, id, axis, &indices)?;
    }
    Ok(id)
}

/// Returns the indices that a slice with a negative step selects.
fn reversed_indices(start: i64, end: i64, step: i64, size: i64) -> NodeResult<Vec<usize>> {
    let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
    let first = from_end(start).clamp(-1, size - 1);
    let last = from_end(end).clamp(-1, size - 1);
    let count = (first - last).max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    if count == 0 || count > MAX_GATHER as u64 {
        return fail(format!(
            "a slice with a negative step must keep 1 to {MAX_GATHER} elements, got {count}"
        ));
    }
    let index = |i: u64| usize::try_from(first + (i as i64).saturating_mul(step)).unwrap_or(0);
    Ok((0..count).map(index).collect())
}

pub(super) fn convert_gather(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let axis = resolve_axis(node.attributes.int("axis", 0)?, shape.len())?;
    let size = shape.get(axis).copied().unwrap_or(0);
    let index_id = node.input(1, "indices")?;
    let index_shape = node.shape(index_id).to_vec();
    if node.constant(index_id).is_none() {
        return keep_gather(node, axis);
    }
    let Some(indices) = node.int_input(1, "indices")? else {
        return fail("input 1 (indices) is missing");
    };
    if indices.len() > MAX_GATHER {
        return fail(format!(
            "a Gather must select at most {MAX_GATHER} elements, got {}",
            indices.len()
        ));
    }
    let resolve = |&i: &i64| match resolve_index(i, size) {
        Some(index) => Ok(index),
        None => fail(format!("index {i} does not exist in an axis of {size} elements")),
    };
    let indices = indices.iter().map(resolve).collect::<NodeResult<Vec<_>>>()?;
    let selected = select(node, node.x, axis, &indices)?;
    if index_shape.len() == 1 {
        return Ok(selected);
    }
    // The axes of the indices replace the axis from which the elements are selected.
    let (front, back) = (shape.get(..axis), shape.get(axis + 1..));
    let out = [front.unwrap_or_default(), &index_shape, back.unwrap_or_default()].concat();
    node.reshape(selected, out)
}

/// Converts GatherND whose indices have one number each, which selects along the first axis.
pub(super) fn convert_gather_nd(node: &mut NodeContext) -> NodeResult<ValueId> {
    let index_id = node.input(1, "indices")?;
    let index_shape = node.shape(index_id).to_vec();
    let batch = node.attributes.int("batch_dims", 0)?;
    if batch != 0 || index_shape.last() != Some(&1) {
        return fail("GatherND is supported along one axis only; simplify the file with onnxsim");
    }
    let shape = node.shape(node.x).to_vec();
    let size = shape.first().copied().unwrap_or(0);
    let Some(indices) = node.int_input(1, "indices")? else {
        return fail("input 1 (indices) is missing");
    };
    let indices: Option<Vec<usize>> = indices.iter().map(|&i| resolve_index(i, size)).collect();
    let Some(indices) = indices.filter(|indices| indices.len() <= MAX_GATHER) else {
        return fail(format!("GatherND must select at most {MAX_GATHER} elements that exist"));
    };
    let selected = select(node, node.x, 0, &indices)?;
    let front = index_shape.split_last().map(|(_, front)| front).unwrap_or_default();
    let out = [front, shape.get(1..).unwrap_or_default()].concat();
    node.reshape(selected, out)
}

/// Selects the elements at `indices` along `axis`. The caller must have checked that the indices
/// exist.
pub(super) fn select(
    node: &mut NodeContext,
    id: ValueId,
    axis: usize,
    indices: &[usize],
) -> NodeResult<ValueId> {
    let mut shape = node.shape(id).to_vec();
    let size = shape.get(axis).copied().unwrap_or(0);
    if indices.iter().copied().eq(0..size) {
        return Ok(id);
    }
    // A roll by zero elements joins an empty slice with the whole value.
    let is_empty = indices.is_empty() || shape.contains(&0);
    if is_empty && node.is_float(id) {
        if let Some(slot) = shape.get_mut(axis) {
            *slot = indices.len();
        }
        return node.add_constant(&shape, Vec::new());
    }
    if let Some(constant) = node.constant(id) {
        // Shape arithmetic also selects no elements at all.
        if indices.is_empty() && shape.len() == 1 && constant.dtype() == DType::I64 {
            return Ok(node.builder.add_constant(node.proto, Tensor::vector(Vec::new())));
        }
        return match constant.select(axis, indices) {
            Some(tensor) => node.builder.add_folded_constant(node.proto, tensor),
            None => fail("the selection from the constant is empty"),
        };
    }
    if let Some(slot) = shape.get_mut(axis) {
        *slot = indices.len();
    }
    let start = indices.first().copied().unwrap_or(0);
    let step = indices
        .get(1)
        .and_then(|&second| second.checked_sub(start))
        .filter(|&s| s > 0)
        .unwrap_or(1);
    let is_even =
        indices.iter().enumerate().all(|(i, &v)| v == start.saturating_add(i.saturating_mul(step)));
    let op = match is_even {
        true => Op::Slice { axis, start, step, count: indices.len() },
        false => Op::Gather { axis, indices: indices.to_vec() },
    };
    node.add_node(op, vec![id], shape)
}

pub(super) fn convert_pad(node: &mut NodeContext) -> NodeResult<ValueId> {
    let shape = node.shape(node.x).to_vec();
    let mode = node.attributes.text("mode").to_vec();
    let Some(pads) = node.int_input(1, "pads")? else { return fail("input 1 (pads) is missing") };
    let value = node.float_input(2, "value", 0.0)?;
    let axes = match node.int_input(3, "axes")? {
        Some(axes) => {
            axes.iter().map(|&a| resolve_axis(a, shape.len())).collect::<NodeResult<Vec<_>>>()?
        }
        None => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.unsigned_abs() >= WINDOW_LIMIT as u64)
    {
        return fail(format!(
            "pads must have {} numbers from -{1} to {1}, got {pads:?}",
            2 * axes.len(),
            WINDOW_LIMIT - 1
        ));
    }
    let (mut before, mut after) = (vec![0i64; shape.len()], vec![0i64; shape.len()]);
    let (first, last) = pads.split_at(axes.len());
    for ((&axis, &b), &a) in axes.iter().zip(first).zip(last) {
        if let (Some(slot_b), Some(slot_a)) = (before.get_mut(axis), after.get_mut(axis)) {
            (*slot_b, *slot_a) = (b, a);
        }
    }
    if before.iter().chain(&after).all(|&p| p == 0) {
        return Ok(node.x);
    }
    match mode.as_slice() {
        b"" | b"constant" => node.pad(node.x, before, after, value),
        b"edge" | b"reflect" | b"wrap" => copy_pads(node, &before, &after, &mode),
        other => fail(format!(
            "the padding mode must be constant, edge, reflect or wrap, got \"{}\"",
            other.escape_ascii()
        )),
    }
}

/// Pads with copies of elements, which is a selection along each axis.
fn copy_pads(
    node: &mut NodeContext,
    before: &[i64],
    after: &[i64],
    mode: &[u8],
) -> NodeResult<ValueId> {
    let mut id = node.x;
    for (axis, (&front, &back)) in before.iter().zip(after).enumerate() {
        let size = node.shape(id).get(axis).copied().unwrap_or(1) as i64;
        if (front, back) == (0, 0) {
            continue;
        }
        if front.max(back) >= size && mode != b"edge" {
            return fail(format!("the pads must be less than {size}, the size of axis {axis}"));
        }
        let place = |at: i64| match mode {
            b"edge" => at.clamp(0, size - 1),
            b"wrap" => at.rem_euclid(size),
            _ if at < 0 => -at,
            _ if at >= size => 2 * (size - 1) - at,
            _ => at,
        };
        let indices: Vec<usize> =
            (-front..size + back).map(|at| usize::try_from(place(at)).unwrap_or(0)).collect();
        if indices.is_empty() || indices.len() > MAX_GATHER {
            return fail(format!(
                "a padded axis must have 1 to {MAX_GATHER} elements, got {}",
                indices.len()
            ));
        }
        id = select(node, id, axis, &indices)?;
    }
    Ok(id)
}
