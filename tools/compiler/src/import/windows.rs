//! Conversion of convolution, pooling and batch norm.

use super::failure::{NodeResult, fail};
use super::limits::{MAX_FOLDED_TOTAL, WINDOW_LIMIT};
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId, Window};
use crate::lowered::Function;
use crate::tensor::{Tensor, element_count};
use ndarray::{Axis, Slice};

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
    let mut window = read_window(node, Some(kernel))?;
    let out = infer_shape(node, &window, Some(outputs))?;
    let mut inputs = vec![node.x, spread_kernel(node, w, &mut window)?];
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

/// Replaces a dilated kernel along time by a longer kernel with zeros between the weights. Along
/// height and width, a convolution keeps its dilations. Returns the weights.
fn spread_kernel(
    node: &mut NodeContext,
    weights: ValueId,
    window: &mut Window,
) -> NodeResult<ValueId> {
    let rank = window.kernel.len();
    let dilation = match window.dilations.first() {
        Some(&dilation) if dilation > 1 && rank != 2 => dilation,
        _ => return Ok(weights),
    };
    let covered = covered_size(window, 0);
    let Some(constant) = node.constant(weights).and_then(Tensor::f32_view) else {
        return fail("the weights of a dilated convolution must be constant");
    };
    let mut shape = constant.shape().to_vec();
    if let Some(slot) = shape.get_mut(2) {
        *slot = covered;
    }
    if element_count(&shape).is_none_or(|n| n > MAX_FOLDED_TOTAL) {
        return fail(format!("the dilated kernel covers {covered} frames, which is too many"));
    }
    let mut spread = ndarray::ArrayD::<f32>::zeros(shape);
    spread.slice_axis_mut(Axis(2), Slice::new(0, None, dilation as isize)).assign(&constant);
    let tensor = Tensor::from(spread);
    if let (Some(kernel), Some(slot)) = (window.kernel.first_mut(), window.dilations.first_mut()) {
        (*kernel, *slot) = (covered, 1);
    }
    node.builder.add_folded_constant(node.proto, tensor)
}

/// Converts ONNX Runtime's FusedConv, a convolution followed by an activation.
pub(super) fn convert_fused_conv(node: &mut NodeContext) -> NodeResult<ValueId> {
    if node.optional_input(3).is_some() {
        return fail("a fused addition is not supported; compile the file before its optimisation");
    }
    let id = convert_conv(node)?;
    let parameters = node.attributes.get("activation_params").map(|a| a.floats.as_slice());
    match (node.attributes.text("activation"), parameters.unwrap_or_default()) {
        (b"", _) => Ok(id),
        (b"Relu", _) => node.unary(Op::Relu, id),
        (b"Sigmoid", _) => node.unary(Op::Sigmoid, id),
        (b"Tanh", _) => node.unary(Op::Function(Function::Tanh), id),
        (b"LeakyRelu", &[alpha]) => node.unary(Op::Function(Function::LeakyRelu(alpha.into())), id),
        (b"Clip", &[min, max]) => node.unary(Op::Clip { min, max }, id),
        (b"HardSigmoid", &[alpha, beta]) => node.unary(Op::HardSigmoid { alpha, beta }, id),
        (other, _) => fail(format!(
            "the fused activation {} is not supported; compile the file before its optimisation",
            other.escape_ascii()
        )),
    }
}

pub(super) fn convert_max_pool(node: &mut NodeContext) -> NodeResult<ValueId> {
    let window = read_window(node, None)?;
    let out = infer_shape(node, &window, None)?;
    node.add_node(Op::MaxPool { window }, vec![node.x], out)
}

pub(super) fn convert_average_pool(node: &mut NodeContext) -> NodeResult<ValueId> {
    let count_include_pad = node.attributes.flag("count_include_pad", false)?;
    let window = read_window(node, None)?;
    let out = infer_shape(node, &window, None)?;
    node.add_node(Op::AveragePool { window, count_include_pad }, vec![node.x], out)
}

pub(super) fn convert_batch_norm(node: &mut NodeContext) -> NodeResult<ValueId> {
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    if node.attributes.flag("training_mode", false)? {
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
    let spatial = spatial_axes(node)?;
    let rank = spatial.len();
    let attributes = &node.attributes;
    let dilations = attributes.sizes("dilations", rank, 1)?;
    if weights_kernel.is_none() && dilations.iter().any(|&d| d != 1) {
        return fail(format!("the dilations of a pool must be 1, got {dilations:?}"));
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
    let mut window =
        Window { kernel, strides, dilations, before: before.to_vec(), after: after.to_vec() };
    apply_auto_pad(attributes.text("auto_pad"), spatial, &mut window)?;
    if attributes.flag("ceil_mode", false)? {
        apply_ceil_mode(node, spatial, &mut window)?;
    }
    Ok(window)
}

/// Sets the pads of the window according to the attribute `auto_pad`.
fn apply_auto_pad(mode: &[u8], spatial: &[usize], window: &mut Window) -> NodeResult<()> {
    let is_upper = match mode {
        b"" | b"NOTSET" => return Ok(()),
        b"VALID" => {
            window.before.fill(0);
            window.after.fill(0);
            return Ok(());
        }
        b"SAME_UPPER" => true,
        b"SAME_LOWER" => false,
        other => {
            return fail(format!(
                "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got \"{}\"",
                other.escape_ascii()
            ));
        }
    };
    for (axis, &size) in spatial.iter().enumerate() {
        let (covered, stride) = (covered_size(window, axis), entry(&window.strides, axis));
        let positions = size.div_ceil(stride);
        let total = ((positions - 1) * stride + covered).saturating_sub(size) as i64;
        let (small, large) = (total / 2, total - total / 2);
        let (before, after) = if is_upper { (small, large) } else { (large, small) };
        if let (Some(slot_b), Some(slot_a)) =
            (window.before.get_mut(axis), window.after.get_mut(axis))
        {
            (*slot_b, *slot_a) = (before, after);
        }
    }
    Ok(())
}

/// Lengthens the padding at the end of each axis so that the window also covers the rest that
/// `ceil_mode` includes. A window that would lie in this padding alone does not count.
fn apply_ceil_mode(node: &NodeContext, spatial: &[usize], window: &mut Window) -> NodeResult<()> {
    for (axis, &size) in spatial.iter().enumerate() {
        let (covered, stride) = (covered_size(window, axis), entry(&window.strides, axis));
        let (before, after) = (pad(&window.before, axis), pad(&window.after, axis));
        let Some(room) = (size + before + after).checked_sub(covered) else { continue };
        let mut positions = room.div_ceil(stride) + 1;
        if (positions - 1) * stride >= size + before {
            positions -= 1;
        }
        let needed = ((positions - 1) * stride + covered).saturating_sub(size + before);
        let includes_pads = node.attributes.flag("count_include_pad", false)?;
        if needed > after && includes_pads && node.proto.op_type == "AveragePool" {
            return fail(
                "ceil_mode with count_include_pad is not supported where ceil_mode changes the \
                 result; export with one of them off",
            );
        }
        if needed > after
            && let Some(slot) = window.after.get_mut(axis)
        {
            *slot = needed as i64;
        }
    }
    Ok(())
}

fn entry(sizes: &[usize], axis: usize) -> usize {
    sizes.get(axis).copied().unwrap_or(1)
}

fn pad(pads: &[i64], axis: usize) -> usize {
    pads.get(axis).copied().unwrap_or(0).max(0) as usize
}

/// Returns the number of elements from the first to the last element of the kernel.
fn covered_size(window: &Window, axis: usize) -> usize {
    (entry(&window.kernel, axis) - 1)
        .saturating_mul(entry(&window.dilations, axis))
        .saturating_add(1)
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
    for (axis, &size) in spatial.iter().enumerate() {
        let covered = covered_size(window, axis);
        let padded =
            size.saturating_add(pad(&window.before, axis)).saturating_add(pad(&window.after, axis));
        let Some(room) = padded.checked_sub(covered) else {
            return fail(format!(
                "the kernel covers {covered} elements, but the padded axis has only {padded}"
            ));
        };
        out.push(room / entry(&window.strides, axis) + 1);
    }
    if let (Some(channels), Some(slot)) = (channels, out.get_mut(1)) {
        *slot = channels;
    }
    Ok(out)
}
