//! Lowering of convolutions, including the choice of their form.

use super::conv_forms;
use super::lowering::Lowering;
use super::spatial_window::spatial_window;
use super::temporal_conv::{Form, TemporalConv};
use super::winograd::{add_winograd_conv, transpose_cost};
use crate::error::Result;
use crate::graph::{Node, Window};
use crate::lowered::LoweredId;
use crate::tensor::Tensor;
use ndarray::{ArrayView5, ArrayViewD, Axis, Ix4, Ix5};

pub(super) fn lower_conv(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
    group: usize,
) -> Result<LoweredId> {
    let graph = l.source.graph;
    let time = l.time_window(node, window);
    let Some(weights) =
        graph.constant(node.inputs[1]).and_then(Tensor::f32_view).and_then(to_five_axes)
    else {
        return l.fail(node, "the weights must be a constant with four or five axes");
    };
    let (Some(space), Ok(before)) = (spatial_window(window), usize::try_from(time.before)) else {
        return l.fail(node, "the window must have two spatial axes without negative pads");
    };
    let bias = node.inputs.get(2).filter(|_| !l.omits_constants(node));
    let conv = TemporalConv {
        weights,
        bias: bias.and_then(|&b| graph.constant_f32(b)).map(<[f32]>::to_vec),
        group,
        space,
        stride: time.stride,
        before,
        count: l.frames(node.output),
        is_streaming: l.is_streaming(node.inputs[0]),
    };
    match add_conv(l, x, &conv) {
        Some(id) => Ok(id),
        None => l.fail(node, "the weights do not fit the window"),
    }
}

/// Returns the weights with five axes. The weights of a 2-D convolution get a time axis of size 1.
fn to_five_axes(weights: ArrayViewD<'_, f32>) -> Option<ArrayView5<'_, f32>> {
    match weights.ndim() {
        4 => Some(weights.into_dimensionality::<Ix4>().ok()?.insert_axis(Axis(2))),
        _ => weights.into_dimensionality::<Ix5>().ok(),
    }
}

pub(super) fn add_conv(l: &mut Lowering, x: LoweredId, conv: &TemporalConv) -> Option<LoweredId> {
    if conv.kernel() == 1 {
        return add_spatial_conv(l, x, conv);
    }
    let shape = l.lowered.shape4(x);
    if let Some(axis_conv) = conv.along_frames()
        && let Some(tiling) = axis_conv.choose_tiling(shape, l.source.winograd)
    {
        return add_winograd_conv(l, x, &axis_conv, tiling);
    }
    match conv.choose_form(shape) {
        Form::StackedInputs => conv_forms::add_stacked_inputs(l, x, conv),
        Form::StackedInputPairs(reading) => {
            conv_forms::add_stacked_input_pairs(l, x, conv, reading)
        }
        Form::StackedOutputs if conv.is_streaming => {
            conv_forms::add_stacked_outputs_step(l, x, conv)
        }
        Form::StackedOutputs => conv_forms::add_stacked_outputs_clip(l, x, conv),
        Form::SeparateTaps => Some(conv_forms::add_separate_taps(l, x, conv)),
    }
}

/// Appends a convolution whose temporal kernel has size 1. This is a 2-D convolution on every
/// `stride`-th frame.
fn add_spatial_conv(l: &mut Lowering, x: LoweredId, conv: &TemporalConv) -> Option<LoweredId> {
    let total = (conv.count - 1) * conv.stride + 1;
    let all = l.add_look_back(x, conv.before, total, 0.0, conv.is_streaming);
    let frames = l.select_frames(all, 0, conv.stride, conv.count);
    if let Some(y) = add_winograd_rows(l, frames, conv) {
        return Some(y);
    }
    Some(l.lowered.add_conv(frames, conv.tap(0), conv.bias.clone(), conv.space, conv.group))
}

/// Appends a 2-D convolution in Winograd's form along the rows. A Transpose moves the rows to the
/// batch axis, and another moves them back. Returns `None` if the form does not apply or is not
/// faster.
fn add_winograd_rows(l: &mut Lowering, x: LoweredId, conv: &TemporalConv) -> Option<LoweredId> {
    let [frames, channels, height, width] = l.lowered.shape4(x);
    let ([kernel, _], [top, _, bottom, _]) = (conv.space.kernel, conv.space.pads);
    if conv.space.strides[0] != 1
        || conv.space.dilations != [1, 1]
        || top >= kernel
        || bottom >= kernel
    {
        return None;
    }
    let [out_height, out_width] = conv.space.output_size(height, width);
    let transposed = frames * (channels * height * width + conv.outputs() * out_height * out_width);
    let along_rows = conv.along_rows(out_height, transpose_cost(transposed))?;
    let tiling = along_rows.choose_tiling([height, channels, frames, width], l.source.winograd)?;
    let rows = l.lowered.add_transpose(x, &[2, 1, 0, 3]);
    let y = add_winograd_conv(l, rows, &along_rows, tiling)?;
    Some(l.lowered.add_transpose(y, &[2, 1, 0, 3]))
}
