//! Rules of the operators that compute each value of the result from the values at one position.

use super::computed::{has_computed_integers, infer_integers};
use super::context::{Context, Inferred};
use super::shape::{Ruled, broadcast, multiply, resolve_axis};
use super::tensor::Element;

pub(super) fn infer_unary(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    let input = ctx.data(0)?;
    Inferred::one(input.element, input.shape.clone())
}

pub(super) fn infer_softmax(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    resolve_axis(ctx.integer_attribute("axis", -1), ctx.data(0)?.shape.len())?;
    infer_unary(ctx)
}

pub(super) fn infer_binary(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    infer_variadic(ctx)
}

/// Rule of Add, Sub and Mul, which also compute indices.
pub(super) fn infer_arithmetic(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    if has_computed_integers(ctx) { infer_integers(ctx) } else { infer_binary(ctx) }
}

pub(super) fn infer_variadic(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    let count = ctx.inputs.len();
    ctx.check_inputs(1.max(count), count)?;
    let mut shape = ctx.data(0)?.shape.clone();
    for index in 1..count {
        shape = broadcast(&shape, &ctx.data(index)?.shape)?;
    }
    let work = multiply(&shape).saturating_mul(count as u64);
    Inferred::with_work(ctx.data(0)?.element, shape, work)
}

/// The bounds must be constants in the right order, because the runtimes differ in what they do
/// otherwise, and one of them panics.
pub(super) fn infer_clip(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 3)?;
    let (min, max) = (ctx.float(1)?, ctx.float(2)?);
    let (min, max) = (min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY));
    if !matches!(min.partial_cmp(&max), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal))
    {
        return Err(format!("min must be at most max, got {min} and {max}"));
    }
    let input = ctx.data(0)?;
    Inferred::one(input.element, input.shape.clone())
}

pub(super) fn infer_cast(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    let input = ctx.movable(0)?;
    let element = match ctx.integer_attribute("to", 0) {
        1 => Element::Float32,
        7 => Element::Int64,
        9 => Element::Bool,
        10 => Element::Float16,
        other => {
            return Err(format!(
                "to must be float32 (1), float16 (10), int64 (7) or bool (9), got {other}"
            ));
        }
    };
    let bounds = match (input.element, element) {
        (Element::Bool, Element::Int64) => Some((0, 1)),
        (Element::Int32 | Element::Int64, Element::Int64) => input.bounds,
        _ => None,
    };
    Ok(Inferred::one(element, input.shape.clone())?.with_bounds(bounds))
}

pub(super) fn infer_batch_norm(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(5, 5)?;
    ctx.check_attribute("training_mode", 0)?;
    let input = ctx.data(0)?;
    let channels = input.shape.get(1).copied().unwrap_or(1);
    for index in 1..5 {
        if ctx.data(index)?.shape != [channels] {
            return Err(format!("the input {index} must have one number per channel"));
        }
    }
    Inferred::one(input.element, input.shape.clone())
}

pub(super) fn infer_constant(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(0, 0)?;
    let tensor = ctx.tensor_attribute("value").ok_or("value is missing")?;
    Inferred::one(tensor.element, tensor.shape.clone())
}
