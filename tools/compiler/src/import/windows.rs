//! Conversion of convolution, pooling and batch norm.

use super::failure::{NodeResult, fail};
use super::limits::WINDOW_LIMIT;
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId, Window};

pub(super) fn convert_conv(node: &mut NodeContext) -> NodeResult<ValueId> {
    let w = node.input(1, "weights")?;
    let weights = node.shape(w).to_vec();
    // A package computes some weights in the graph, so `inspect` must accept weights that are not
    // constant. `compile` refuses such weights when it lowers the node.
    if !node.is_float(w) {
        return fail("the weights must be floats");
    }
    let (Some(&outputs), Some(&per_group), Some(kernel)) =
        (weights.first(), weights.get(1), weights.get(2..))
    else {
        return fail(format!("the weights must have at least two axes, got the shape {weights:?}"));
    };
    let group = usize::try_from(node.attributes.int("group", 1)?).unwrap_or(0);
    let channels = node.shape(node.x).get(1).copied().unwrap_or(0);
    if group == 0
        || per_group.checked_mul(group) != Some(channels)
        || !outputs.is_multiple_of(group)
    {
        return fail(format!(
            "weights of shape {weights:?} in {group} groups do not fit {channels} input channels"
        ));
    }
    let window = read_window(node, Some(kernel))?;
    let out = infer_shape(node, &window, Some(outputs))?;
    let mut inputs = vec![node.x, w];
    if let Some(b) = node.optional_input(2) {
        if node.constant_f32(b).map(<[f32]>::len) != Some(outputs) {
            return fail(format!(
                "the bias must be a constant with {outputs} elements, one for each output"
            ));
        }
        inputs.push(b);
    }
    node.add_node(Op::Conv { window, group }, inputs, out)
}

pub(super) fn convert_max_pool(node: &mut NodeContext) -> NodeResult<ValueId> {
    let window = read_window(node, None)?;
    let out = infer_shape(node, &window, None)?;
    node.add_node(Op::MaxPool { window }, vec![node.x], out)
}

pub(super) fn convert_average_pool(node: &mut NodeContext) -> NodeResult<ValueId> {
    let count_include_pad = node.attributes.int("count_include_pad", 0)? != 0;
    let window = read_window(node, None)?;
    let out = infer_shape(node, &window, None)?;
    node.add_node(Op::AveragePool { window, count_include_pad }, vec![node.x], out)
}

pub(super) fn convert_batch_norm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    if node.attributes.int("training_mode", 0)? != 0 {
        return fail("batch norm is in training mode; export the model in evaluation mode");
    }
    let shape = node.shape(node.x).to_vec();
    let channels = shape.get(1).copied().unwrap_or(0);
    let mut inputs = vec![node.x];
    for (index, role) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
        let id = node.input(index, role)?;
        if node.constant_f32(id).map(<[f32]>::len) != Some(channels) {
            return fail(format!(
                "the {role} must be a constant with {channels} elements, one for each channel"
            ));
        }
        inputs.push(id);
    }
    node.add_node(Op::BatchNorm { epsilon }, inputs, shape)
}

/// Reads the window of a pool, or of a Conv whose weights have the spatial shape `weights_kernel`.
fn read_window(node: &NodeContext, weights_kernel: Option<&[usize]>) -> NodeResult<Window> {
    let rank = spatial_axes(node)?.len();
    let attributes = &node.attributes;
    if !matches!(attributes.text("auto_pad"), b"" | b"NOTSET" | b"VALID") {
        return fail("auto_pad is not supported; export with explicit pads");
    }
    let dilations = attributes.sizes("dilations", rank, 1)?;
    if dilations.iter().any(|&d| d != 1) {
        return fail(format!("dilations must be 1, got {dilations:?}"));
    }
    let kernel = match weights_kernel {
        Some(kernel) => kernel.to_vec(),
        None => attributes.sizes("kernel_shape", rank, 0)?,
    };
    if kernel.len() != rank || kernel.contains(&0) {
        return fail(format!("the kernel must have {rank} positive sizes, got {kernel:?}"));
    }
    let strides = attributes.sizes("strides", rank, 1)?;
    let pads = attributes.ints("pads").map_or_else(|| vec![0; 2 * rank], <[i64]>::to_vec);
    if pads.len() != 2 * rank || pads.iter().any(|p| !(0..WINDOW_LIMIT).contains(p)) {
        return fail(format!(
            "attribute pads must have {} numbers from 0 to {}, got {pads:?}",
            2 * rank,
            WINDOW_LIMIT - 1
        ));
    }
    let (before, after) = pads.split_at(rank);
    Ok(Window { kernel, strides, before: before.to_vec(), after: after.to_vec() })
}

/// Returns the sizes of the axes that follow batch and channels.
fn spatial_axes<'a>(node: &'a NodeContext) -> NodeResult<&'a [usize]> {
    match node.shape(node.x).get(2..) {
        Some(axes) if (1..=3).contains(&axes.len()) => Ok(axes),
        _ => fail("the input must have one to three axes after batch and channels"),
    }
}

/// Returns the result shape of a convolution or pool with this window. If `channels` is `None`, the
/// result has as many channels as the input.
fn infer_shape(
    node: &NodeContext,
    window: &Window,
    channels: Option<usize>,
) -> NodeResult<Vec<usize>> {
    let spatial = spatial_axes(node)?;
    let mut out = node.shape(node.x).get(..2).unwrap_or_default().to_vec();
    let ceil = node.attributes.int("ceil_mode", 0)? != 0;
    for axis in 0..spatial.len() {
        out.push(count_positions(spatial, window, axis, ceil)?);
    }
    if let (Some(channels), Some(slot)) = (channels, out.get_mut(1)) {
        *slot = channels;
    }
    Ok(out)
}

/// Returns the number of positions of the window along one axis.
fn count_positions(
    spatial: &[usize],
    window: &Window,
    axis: usize,
    ceil: bool,
) -> NodeResult<usize> {
    let size = |v: &[usize]| v.get(axis).copied().unwrap_or(1);
    let pad = |v: &[i64]| v.get(axis).copied().unwrap_or(0).max(0) as usize;
    let (kernel, stride) = (size(&window.kernel), size(&window.strides));
    let padded =
        size(spatial).saturating_add(pad(&window.before)).saturating_add(pad(&window.after));
    let Some(room) = padded.checked_sub(kernel) else {
        return fail(format!("the kernel of {kernel} is larger than the padded axis of {padded}"));
    };
    if ceil && !room.is_multiple_of(stride) {
        return fail(
            "ceil_mode is not supported where it changes the result; export with ceil_mode off",
        );
    }
    Ok(room / stride + 1)
}
