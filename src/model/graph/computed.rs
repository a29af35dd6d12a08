//! Rules of the operators that only ONNX Runtime runs. Many of them read or compute integers and
//! truth values.
//!
//! An index that a node computes must lie within its axis whatever the frames contain, because some
//! kernels do not check their indices. The rules therefore follow the bounds of all integers.

use super::context::{Bounds, Context, Inferred, Value};
use super::shape::{Ruled, broadcast, multiply, resolve_axis};
use super::tensor::Element;
use crate::model::limits;

/// Returns whether a node reads integers that another node has computed.
pub(super) fn has_computed_integers(ctx: &Context<'_, '_>) -> bool {
    ctx.inputs.iter().flatten().any(|value| value.element == Element::Int64 && is_computed(value))
}

/// Returns whether a node reads or computes integers or truth values that are no constants.
pub(super) fn has_integers(ctx: &Context<'_, '_>, outputs: &[(Element, Vec<usize>)]) -> bool {
    let reads = |value: &&Value<'_>| is_computed(value) && !value.element.is_float();
    ctx.inputs.iter().flatten().copied().any(|value| reads(&value))
        || (ctx.node.operator != "Constant"
            && outputs.iter().any(|(element, _)| !element.is_float()))
}

fn is_computed(value: &Value<'_>) -> bool {
    value.tensor.is_none()
}

/// Returns an input of the node, whatever its elements are.
fn input<'n, 't>(ctx: &Context<'n, 't>, index: usize) -> Ruled<&'n Value<'t>> {
    ctx.optional(index).ok_or_else(|| format!("the input {index} must be present"))
}

/// Returns the shape of an elementwise result of two inputs, whose elements must have one type.
fn pair(ctx: &Context<'_, '_>, first: usize) -> Ruled<(Element, Vec<usize>)> {
    let (a, b) = (input(ctx, first)?, input(ctx, first + 1)?);
    if a.element != b.element {
        let (a, b) = (a.element, b.element);
        return Err(format!("the operands must have elements of one type, got {a:?} and {b:?}"));
    }
    Ok((a.element, broadcast(&a.shape, &b.shape)?))
}

/// Checks that computed indices are integers within an axis of `size` values.
pub(super) fn check_computed_indices(
    ctx: &Context<'_, '_>,
    index: usize,
    size: usize,
) -> Ruled<()> {
    if input(ctx, index)?.element != Element::Int64 {
        return Err("computed indices must be int64".into());
    }
    let size = i64::try_from(size).unwrap_or_default();
    match ctx.bounds(index)? {
        Some((first, last)) if first >= -size && last < size => Ok(()),
        Some((first, last)) => Err(format!(
            "the computed indices are {first} to {last}, but the axis has {size} values"
        )),
        None => Err(format!(
            "the computed indices must be known to lie within the axis of {size} values"
        )),
    }
}

/// Rule of Add, Sub and Mul of integers. A division could be by zero, which ends the process.
pub(super) fn infer_integers(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let (element, shape) = pair(ctx, 0)?;
    let bounds = ctx.bounds(0)?.zip(ctx.bounds(1)?).and_then(|((a, b), (c, d))| {
        let results = match ctx.node.operator {
            "Add" => [a.checked_add(c), b.checked_add(d), None, None],
            "Sub" => [a.checked_sub(d), b.checked_sub(c), None, None],
            _ => [a.checked_mul(c), a.checked_mul(d), b.checked_mul(c), b.checked_mul(d)],
        };
        let count = if ctx.node.operator == "Mul" { 4 } else { 2 };
        let results: Option<Vec<i64>> = results.into_iter().take(count).collect();
        let results = results?;
        results.iter().min().copied().zip(results.iter().max().copied())
    });
    Ok(Inferred::one(element, shape)?.with_bounds(bounds))
}

pub(super) fn infer_comparison(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let (element, shape) = pair(ctx, 0)?;
    if element == Element::Bool {
        return Err("truth values cannot be compared".into());
    }
    Inferred::one(Element::Bool, shape)
}

/// Rule of And, Not, Or and Xor.
pub(super) fn infer_logic(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    let count = if ctx.node.operator == "Not" { 1 } else { 2 };
    ctx.check_inputs(count, count)?;
    let mut shape = Vec::new();
    for index in 0..count {
        let value = input(ctx, index)?;
        if value.element != Element::Bool {
            return Err(format!("the input {index} must have truth values"));
        }
        shape = broadcast(&shape, &value.shape)?;
    }
    Inferred::one(Element::Bool, shape)
}

pub(super) fn infer_where(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(3, 3)?;
    let condition = input(ctx, 0)?;
    if condition.element != Element::Bool {
        return Err("the condition must have truth values".into());
    }
    let (element, shape) = pair(ctx, 1)?;
    let bounds = match element {
        Element::Int64 => ctx.bounds(1)?.zip(ctx.bounds(2)?),
        _ => None,
    };
    let bounds = bounds.map(|((a, b), (c, d)): (Bounds, Bounds)| (a.min(c), b.max(d)));
    let shape = broadcast(&condition.shape, &shape)?;
    Ok(Inferred::one(element, shape)?.with_bounds(bounds))
}

/// Returns the axis of the attribute `axis` and its size.
fn read_axis(ctx: &Context<'_, '_>, shape: &[usize], default: i64) -> Ruled<(usize, usize)> {
    let axis = resolve_axis(ctx.integer_attribute("axis", default), shape.len())?;
    Ok((axis, shape.get(axis).copied().unwrap_or(1)))
}

/// Returns the bounds of the indices of an axis with `size` values.
fn index_bounds(size: usize) -> Option<Bounds> {
    Some((0, i64::try_from(size).ok()?.checked_sub(1)?))
}

/// Rule of ArgMax and ArgMin.
pub(super) fn infer_arg(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    ctx.flag("select_last_index", false)?;
    let data = ctx.data(0)?;
    let (axis, size) = read_axis(ctx, &data.shape, 0)?;
    let mut shape = data.shape.clone();
    if ctx.flag("keepdims", true)? {
        shape.iter_mut().skip(axis).take(1).for_each(|side| *side = 1);
    } else {
        shape.remove(axis);
    }
    let work = multiply(&data.shape);
    Ok(Inferred::with_work(Element::Int64, shape, work)?.with_bounds(index_bounds(size)))
}

pub(super) fn infer_top_k(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    ctx.flag("largest", true)?;
    ctx.flag("sorted", true)?;
    let data = ctx.data(0)?;
    let (axis, size) = read_axis(ctx, &data.shape, -1)?;
    let count = match ctx.required_integers(1)?[..] {
        [count] => usize::try_from(count).ok().filter(|count| (1..=size).contains(count)),
        _ => None,
    };
    let count = count.ok_or_else(|| format!("k must be one number from 1 to {size}"))?;
    let mut shape = data.shape.clone();
    shape.iter_mut().skip(axis).take(1).for_each(|side| *side = count);
    let levels = u64::from(usize::BITS - size.leading_zeros());
    let work = multiply(&data.shape).saturating_mul(levels);
    let indices = (Element::Int64, shape.clone());
    let mut inferred = Inferred::with_work(data.element, shape, work)?;
    inferred.outputs.push(indices);
    Ok(inferred.with_bounds(index_bounds(size)))
}

pub(super) fn infer_cum_sum(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    ctx.flag("exclusive", false)?;
    ctx.flag("reverse", false)?;
    let data = ctx.data(0)?;
    match ctx.required_integers(1)?[..] {
        [axis] => resolve_axis(axis, data.shape.len())?,
        _ => return Err("axis must be one number".into()),
    };
    Inferred::one(data.element, data.shape.clone())
}

pub(super) fn infer_gather_elements(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let (data, indices) = (ctx.movable(0)?, input(ctx, 1)?);
    let (axis, size) = read_axis(ctx, &data.shape, 0)?;
    check_computed_indices(ctx, 1, size)?;
    let fits = data.shape.len() == indices.shape.len()
        && (data.shape.iter().zip(&indices.shape).enumerate())
            .all(|(at, (side, count))| at == axis || count <= side);
    if !fits {
        let (data, indices) = (&data.shape, &indices.shape);
        return Err(format!("the indices {indices:?} do not fit into the data {data:?}"));
    }
    Ok(Inferred::one(data.element, indices.shape.clone())?.with_bounds(data.bounds))
}

pub(super) fn infer_grid_sample(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    ctx.flag("align_corners", false)?;
    let mode = ctx.text_attribute("mode").unwrap_or("bilinear");
    if !matches!(mode, "bilinear" | "nearest" | "linear") {
        let mode = limits::shorten(mode);
        return Err(format!("mode must be bilinear, linear or nearest, got {mode:?}"));
    }
    // With `reflection`, a kernel converts coordinates of any size to indices without a check.
    let padding = ctx.text_attribute("padding_mode").unwrap_or("zeros");
    if !matches!(padding, "zeros" | "border") {
        let padding = limits::shorten(padding);
        return Err(format!("padding_mode must be zeros or border, got {padding:?}"));
    }
    let (data, grid) = (ctx.data(0)?, ctx.data(1)?);
    match (&data.shape[..], &grid.shape[..]) {
        (&[batch, channels, _, _], &[count, height, width, 2]) if batch == count => {
            let shape = vec![batch, channels, height, width];
            let work = multiply(&shape).saturating_mul(8);
            Inferred::with_work(data.element, shape, work)
        }
        (data, grid) => Err(format!(
            "the input must be [N,C,H,W] and the grid [N,height,width,2], got {data:?} and {grid:?}"
        )),
    }
}
