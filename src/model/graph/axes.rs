//! Rules of the operators that select, move or combine values along axes.

use super::computed::check_computed_indices;
use super::context::{Context, Inferred, count_output};
use super::shape::{Ruled, broadcast, count_values, multiply, resolve_axes, resolve_axis};
use crate::model::limits;

fn set_side(shape: &mut [usize], axis: usize, side: usize) {
    if let Some(slot) = shape.get_mut(axis) {
        *slot = side;
    }
}

fn side(shape: &[usize], axis: usize) -> usize {
    shape.get(axis).copied().unwrap_or(1)
}

pub(super) fn infer_concat(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    let count = ctx.inputs.len();
    ctx.check_inputs(1.max(count), count)?;
    let first = ctx.data(0)?;
    let axis = resolve_axis(ctx.integer_attribute("axis", i64::MAX), first.shape.len())?;
    let mut total = 0usize;
    for index in 0..count {
        let mut shape = ctx.data(index)?.shape.clone();
        // A side is at most 2^27, and a node has at most 1024 inputs.
        total += side(&shape, axis);
        set_side(&mut shape, axis, side(&first.shape, axis));
        if shape != first.shape {
            return Err(format!("the input {index} must fit to the input 0"));
        }
    }
    let mut shape = first.shape.clone();
    set_side(&mut shape, axis, total);
    Inferred::one(first.element, shape)
}

pub(super) fn infer_slice(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(3, 5)?;
    let input = ctx.movable(0)?;
    let (starts, ends) = (ctx.required_integers(1)?, ctx.required_integers(2)?);
    let count = starts.len();
    let axes = ctx.integers(3)?.unwrap_or_else(|| (0..).take(count).collect());
    let steps = ctx.integers(4)?.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&len| len != count) {
        return Err("starts, ends, axes and steps must have the same length".into());
    }
    let axes = resolve_axes(&axes, input.shape.len())?;
    let mut shape = input.shape.clone();
    for (axis, ((start, end), step)) in
        axes.into_iter().zip(starts.into_iter().zip(ends).zip(steps))
    {
        if step < 1 || step > i64::from(i32::MAX) {
            return Err(format!("steps must be 1 to {}, got {step}", i32::MAX));
        }
        let size = i64::try_from(side(&shape, axis)).unwrap_or(i64::MAX);
        let resolve = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
        let length = resolve(end) - resolve(start);
        if length < 1 {
            return Err(format!("the slice {start}..{end} of {size} values is empty"));
        }
        let kept = (length - 1) / step + 1;
        set_side(&mut shape, axis, usize::try_from(kept).unwrap_or_default());
    }
    Ok(Inferred::one(input.element, shape)?.with_bounds(input.bounds))
}

pub(super) fn infer_gather(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let input = ctx.movable(0)?;
    let axis = resolve_axis(ctx.integer_attribute("axis", 0), input.shape.len())?;
    let computed = ctx.optional(1).filter(|value| value.tensor.is_none());
    match computed {
        Some(_) => check_computed_indices(ctx, 1, side(&input.shape, axis))?,
        None => {
            let size = i64::try_from(side(&input.shape, axis)).unwrap_or_default();
            let indices = ctx.required_integers(1)?;
            if let Some(index) = indices.iter().find(|&&index| !(-size..size).contains(&index)) {
                return Err(format!(
                    "the index {index} does not exist on an axis of {size} values"
                ));
            }
        }
    }
    let (before, after) = input.shape.split_at_checked(axis).unwrap_or_default();
    let indices = ctx.optional(1).map(|value| &value.shape[..]).unwrap_or_default();
    let shape = [before, indices, after.get(1..).unwrap_or_default()].concat();
    Ok(Inferred::one(input.element, shape)?.with_bounds(input.bounds))
}

pub(super) fn infer_pad(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 3)?;
    ctx.check_text("mode", "constant")?;
    ctx.float(2)?;
    let input = ctx.data(0)?;
    let pads = ctx.required_integers(1)?;
    let rank = input.shape.len();
    if pads.len() != 2 * rank {
        return Err(format!("pads must have {} numbers, got {}", 2 * rank, pads.len()));
    }
    let mut shape = input.shape.clone();
    for (at, &pad) in pads.iter().enumerate() {
        let max = limits::MAX_WINDOW;
        let size = usize::try_from(pad).ok().filter(|_| pad <= max);
        let size = size.ok_or_else(|| format!("pads must be 0 to {max}, got {pad}"))?;
        let axis = at % rank;
        let padded = side(&shape, axis) + size;
        set_side(&mut shape, axis, padded);
    }
    Inferred::one(input.element, shape)
}

pub(super) fn infer_reshape(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    ctx.check_attribute("allowzero", 0)?;
    let input = ctx.movable(0)?;
    let len = count_values(&input.shape).unwrap_or_default();
    let mut shape = Vec::new();
    let mut unknown = None;
    for (axis, &dim) in ctx.required_integers(1)?.iter().enumerate() {
        shape.push(match dim {
            -1 if unknown.replace(axis).is_none() => 1,
            0 => *input.shape.get(axis).ok_or("a 0 in the shape must copy an axis")?,
            1.. => usize::try_from(dim).unwrap_or(usize::MAX),
            _ => return Err("the shape must have positive numbers, and -1 at most once".into()),
        });
    }
    let known = count_values(&shape).ok_or("the shape has too many values")?;
    if let Some(axis) = unknown {
        set_side(&mut shape, axis, len / known);
    }
    if count_values(&shape) != Some(len) {
        return Err(format!("the shape {shape:?} must have {len} values"));
    }
    Ok(Inferred::one(input.element, shape)?.with_bounds(input.bounds))
}

pub(super) fn infer_expand(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let input = ctx.movable(0)?;
    let side = |&dim: &i64| usize::try_from(dim).ok().filter(|&side| side > 0);
    let shape: Option<Vec<usize>> = ctx.required_integers(1)?.iter().map(side).collect();
    let shape = shape.ok_or("the shape must have positive numbers")?;
    Ok(Inferred::one(input.element, broadcast(&input.shape, &shape)?)?.with_bounds(input.bounds))
}

pub(super) fn infer_transpose(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    let input = ctx.movable(0)?;
    let rank = input.shape.len();
    let perm = match ctx.integers_attribute("perm") {
        None => (0..rank).rev().collect(),
        Some(perm) if perm.len() == rank && perm.iter().all(|&axis| axis >= 0) => {
            resolve_axes(perm, rank)?
        }
        Some(perm) => return Err(format!("perm must order the {rank} axes, got {perm:?}")),
    };
    let shape = perm.into_iter().map(|axis| side(&input.shape, axis)).collect();
    Ok(Inferred::one(input.element, shape)?.with_bounds(input.bounds))
}

pub(super) fn infer_reduce_mean(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    infer_reduce(ctx, 18)
}

pub(super) fn infer_reduce_sum(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    infer_reduce(ctx, 13)
}

/// Rule of a reduction. From the operator set `since` on, the axes are an input.
fn infer_reduce(ctx: &Context<'_, '_>, since: i64) -> Ruled<Inferred> {
    ctx.check_inputs(1, 2)?;
    ctx.check_attribute("noop_with_empty_axes", 0)?;
    let input = ctx.data(0)?;
    let rank = input.shape.len();
    let axes = match ctx.attribute_or_input("axes", 1, since)? {
        Some(axes) if axes.is_empty() => return Err("axes must not be empty".into()),
        Some(axes) => resolve_axes(&axes, rank)?,
        None => (0..rank).collect(),
    };
    let keep = ctx.flag("keepdims", true)?;
    let reduce = |(axis, &side): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(side),
        (true, true) => Some(1),
        (true, false) => None,
    };
    let shape = input.shape.iter().enumerate().filter_map(reduce).collect();
    Inferred::with_work(input.element, shape, multiply(&input.shape))
}

pub(super) fn infer_flatten(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    let input = ctx.data(0)?;
    let rank = input.shape.len();
    let axis = match usize::try_from(ctx.integer_attribute("axis", 1)) {
        Ok(axis) if axis <= rank => axis,
        _ => return Err(format!("axis must be 0 to {rank}")),
    };
    let (before, after) = input.shape.split_at_checked(axis).unwrap_or_default();
    let shape = [before, after].map(|sides| sides.iter().product()).to_vec();
    Inferred::one(input.element, shape)
}

pub(super) fn infer_squeeze(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let input = ctx.movable(0)?;
    let axes = resolve_axes(&ctx.required_integers(1)?, input.shape.len())?;
    if axes.iter().any(|&axis| side(&input.shape, axis) != 1) {
        return Err("the axes must have the size 1".into());
    }
    let sides = input.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(Inferred::one(input.element, sides.map(|(_, &side)| side).collect())?
        .with_bounds(input.bounds))
}

pub(super) fn infer_unsqueeze(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let input = ctx.movable(0)?;
    let added = ctx.required_integers(1)?;
    if added.len() > limits::MAX_RANK {
        return Err(format!("axes must have at most {} entries", limits::MAX_RANK));
    }
    let rank = input.shape.len() + added.len();
    let axes = resolve_axes(&added, rank)?;
    let mut sides = input.shape.iter().copied();
    let shape =
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { sides.next().unwrap_or(1) });
    Ok(Inferred::one(input.element, shape.collect())?.with_bounds(input.bounds))
}

pub(super) fn infer_split(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 2)?;
    let input = ctx.data(0)?;
    let axis = resolve_axis(ctx.integer_attribute("axis", 0), input.shape.len())?;
    let (size, count) = (side(&input.shape, axis), ctx.node.outputs.len());
    let parts = match ctx.integers(1)? {
        Some(parts) => parts.into_iter().map(|part| usize::try_from(part).unwrap_or(0)).collect(),
        None if size.is_multiple_of(count) => vec![size / count; count],
        None => return Err(format!("{count} outputs cannot share {size} values equally")),
    };
    let total = parts.iter().try_fold(0usize, |total, &part| total.checked_add(part));
    if parts.len() != count || parts.contains(&0) || total != Some(size) {
        return Err(format!("split must divide {size} values among {count} outputs"));
    }
    let outputs = parts.into_iter().map(|part| {
        let mut shape = input.shape.clone();
        set_side(&mut shape, axis, part);
        (input.element, shape)
    });
    Ok(Inferred { outputs: outputs.collect(), work: count_output(&input.shape)?, bounds: None })
}
