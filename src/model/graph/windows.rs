//! Rules of the operators that move a window over their input, and of matrix products.

use super::context::{Context, Inferred};
use super::shape::{Ruled, broadcast, multiply};
use crate::model::limits;

/// A window over the spatial axes of a node's first input.
struct Window {
    /// Size of the kernel along each axis.
    kernel: Vec<usize>,
    /// Size of the output along each axis.
    output: Vec<usize>,
}

/// Returns a list attribute with one number per spatial axis, or `default` for each axis.
fn read_list(
    ctx: &Context<'_, '_>,
    name: &str,
    len: usize,
    range: std::ops::RangeInclusive<i64>,
    default: i64,
) -> Ruled<Vec<usize>> {
    let values = ctx.integers_attribute(name).map_or_else(|| vec![default; len], <[i64]>::to_vec);
    if values.len() != len {
        return Err(format!("{name} must have {len} numbers, got {}", values.len()));
    }
    let (first, last) = (*range.start(), *range.end());
    let checked = |value: i64| match usize::try_from(value) {
        Ok(size) if range.contains(&value) => Ok(size),
        _ => Err(format!("{name} must be {first} to {last}, got {value}")),
    };
    values.into_iter().map(checked).collect()
}

/// Reads the window of a node. `weights` is the kernel's shape if the node has weights, which then
/// have the same size as `kernel_shape`.
fn read_window(
    ctx: &Context<'_, '_>,
    spatial: &[usize],
    weights: Option<&[usize]>,
) -> Ruled<Window> {
    ctx.check_text("auto_pad", "NOTSET")?;
    let (axes, max) = (spatial.len(), limits::MAX_WINDOW);
    if axes == 0 {
        return Err("the input must have spatial axes".into());
    }
    let kernel = match (ctx.integers_attribute("kernel_shape"), weights) {
        (None, Some(weights)) => weights.to_vec(),
        (None, None) => return Err("kernel_shape is missing".into()),
        (Some(_), _) => read_list(ctx, "kernel_shape", axes, 1..=max, 1)?,
    };
    if weights.is_some_and(|weights| weights != kernel) {
        return Err("kernel_shape must be the shape of the weights".into());
    }
    let strides = read_list(ctx, "strides", axes, 1..=max, 1)?;
    let dilations = read_list(ctx, "dilations", axes, 1..=max, 1)?;
    let pads = read_list(ctx, "pads", 2 * axes, 0..=max, 0)?;
    let (before, after) = pads.split_at_checked(axes).unwrap_or_default();
    let mut output = Vec::new();
    let sizes = spatial.iter().zip(&kernel).zip(strides.iter().zip(&dilations));
    for (((&size, &kernel), (&stride, &dilation)), (&before, &after)) in
        sizes.zip(before.iter().zip(after))
    {
        // Every number is at most 2^27, so nothing here overflows.
        let (padded, covered) = (size + before + after, dilation * (kernel - 1) + 1);
        if weights.is_none() && before.max(after) >= kernel {
            return Err(format!("pads must be less than the kernel's size {kernel}"));
        }
        let Some(room) = padded.checked_sub(covered) else {
            return Err(format!("the kernel covers {covered} values of {padded}"));
        };
        output.push(room / stride + 1);
    }
    Ok(Window { kernel, output })
}

pub(super) fn infer_conv(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 3)?;
    let (input, weights) = (ctx.data(0)?, ctx.data(1)?);
    let ([batch, channels, spatial @ ..], [outputs, group_channels, kernel @ ..]) =
        (&input.shape[..], &weights.shape[..])
    else {
        return Err("the input and the weights must have a batch and channels".into());
    };
    if spatial.len() != kernel.len() {
        return Err("the weights must have as many axes as the input".into());
    }
    let group = usize::try_from(ctx.integer_attribute("group", 1)).unwrap_or(0);
    let fits = group > 0
        && group <= *channels
        && group_channels.checked_mul(group) == Some(*channels)
        && outputs.is_multiple_of(group);
    if !fits {
        return Err(format!(
            "group must divide the {channels} input channels into groups of {group_channels}, \
             and the {outputs} output channels"
        ));
    }
    if ctx.optional(2).is_some() && ctx.data(2)?.shape != [*outputs] {
        return Err("the bias must have one number per output channel".into());
    }
    let window = read_window(ctx, spatial, Some(kernel))?;
    let shape = [&[*batch, *outputs], &window.output[..]].concat();
    let factors = [&shape[..], &[*group_channels], &window.kernel].concat();
    Inferred::with_work(input.element, shape, multiply(&factors))
}

pub(super) fn infer_pool(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    ctx.check_attribute("ceil_mode", 0)?;
    ctx.check_attribute("storage_order", 0)?;
    ctx.flag("count_include_pad", false)?;
    if ctx
        .integers_attribute("dilations")
        .is_some_and(|dilations| dilations.iter().any(|&d| d != 1))
    {
        return Err("dilations must be 1".into());
    }
    let input = ctx.data(0)?;
    let [batch, channels, spatial @ ..] = &input.shape[..] else {
        return Err("the input must have a batch and channels".into());
    };
    let window = read_window(ctx, spatial, None)?;
    let shape = [&[*batch, *channels], &window.output[..]].concat();
    let work = multiply(&[&shape[..], &window.kernel].concat());
    Inferred::with_work(input.element, shape, work)
}

pub(super) fn infer_global_pool(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(1, 1)?;
    let input = ctx.data(0)?;
    let [batch, channels, spatial @ ..] = &input.shape[..] else {
        return Err("the input must have a batch and channels".into());
    };
    if spatial.is_empty() {
        return Err("the input must have spatial axes".into());
    }
    let shape = [&[*batch, *channels], &vec![1; spatial.len()][..]].concat();
    Inferred::with_work(input.element, shape, multiply(&input.shape))
}

pub(super) fn infer_gemm(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 3)?;
    let side = |index: usize, transposed: bool| match (&ctx.data(index)?.shape[..], transposed) {
        (&[rows, columns], false) | (&[columns, rows], true) => Ok((rows, columns)),
        _ => Err(format!("the input {index} must have 2 dimensions")),
    };
    let (rows, inner) = side(0, ctx.flag("transA", false)?)?;
    let (inner_b, columns) = side(1, ctx.flag("transB", false)?)?;
    if inner != inner_b {
        return Err(format!("the matrices have {inner} columns and {inner_b} rows"));
    }
    let shape = vec![rows, columns];
    if ctx.optional(2).is_some() && broadcast(&ctx.data(2)?.shape, &shape)? != shape {
        return Err("the third input must fit into the product".into());
    }
    Inferred::with_work(ctx.data(0)?.element, shape, multiply(&[rows, columns, inner]))
}

pub(super) fn infer_matmul(ctx: &Context<'_, '_>) -> Ruled<Inferred> {
    ctx.check_inputs(2, 2)?;
    let (a, b) = (ctx.data(0)?, ctx.data(1)?);
    let ([batch_a @ .., rows, inner], [batch_b @ .., inner_b, columns]) =
        (&a.shape[..], &b.shape[..])
    else {
        return Err("the inputs must have at least 2 dimensions".into());
    };
    if inner != inner_b {
        return Err(format!("the matrices have {inner} columns and {inner_b} rows"));
    }
    let mut shape = broadcast(batch_a, batch_b)?;
    shape.extend([*rows, *columns]);
    let work = multiply(&[&shape[..], &[*inner]].concat());
    Inferred::with_work(a.element, shape, work)
}
