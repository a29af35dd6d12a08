//! Lowering of nodes with plain results, which have the shape of the source's values.

use super::convolution::add_conv;
use super::elementwise::lower_unary;
use super::lowering::{Lowering, Mode};
use super::pool::{average_over_time, combine_over_time};
use super::spatial_window::spatial_window;
use super::temporal_conv::TemporalConv;
use crate::error::Result;
use crate::graph::{Node, Op, ValueId, Window};
use crate::layout::AxisRole;
use crate::lowered::{LoweredId, LoweredOp};
use crate::tensor::{DType, Tensor};
use crate::timing::TimeWindow;
use ndarray::Ix5;

pub(super) fn lower_plain(l: &mut Lowering, node: &Node) -> Result<LoweredId> {
    let rank = l.source.graph.shape(node.output).len();
    match &node.op {
        Op::Add => return lower_binary(l, node, LoweredOp::Add, rank),
        Op::Sub => return lower_binary(l, node, LoweredOp::Sub, rank),
        Op::Mul => return lower_binary(l, node, LoweredOp::Mul, rank),
        Op::Div => return lower_binary(l, node, LoweredOp::Div, rank),
        Op::Max => return lower_binary(l, node, LoweredOp::Max, rank),
        Op::Min => return lower_binary(l, node, LoweredOp::Min, rank),
        Op::Kept(kept) => {
            let operands =
                (0..node.inputs.len()).map(|i| operand(l, node, i)).collect::<Result<Vec<_>>>()?;
            let shape = l.source.graph.shape(node.output).to_vec();
            return Ok(l.lowered.add_node(
                LoweredOp::Kept(kept.clone()),
                operands,
                shape,
                kept.dtype,
            ));
        }
        _ => {}
    }
    let x = operand(l, node, 0)?;
    let shape = l.source.graph.shape(node.output).to_vec();
    match &node.op {
        Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Function(_) => {
            lower_unary(l, node, x)
        }
        Op::Softmax { axis } => Ok(l.lowered.add_unary(LoweredOp::Softmax(*axis), x)),
        Op::LogSoftmax { axis } => Ok(l.lowered.add_unary(LoweredOp::LogSoftmax(*axis), x)),
        Op::Concat { axis } => {
            let operands =
                (0..node.inputs.len()).map(|i| operand(l, node, i)).collect::<Result<Vec<_>>>()?;
            Ok(l.lowered.add_concat(*axis, &operands))
        }
        Op::ReduceMean { axes, .. } => {
            let mean = l.lowered.add_mean(x, axes);
            Ok(l.lowered.add_reshape(mean, shape))
        }
        Op::ReduceMax { axes, .. } => {
            let max = l.lowered.add_maximum(x, axes);
            Ok(l.lowered.add_reshape(max, shape))
        }
        Op::Reshape => Ok(l.lowered.add_reshape(x, shape)),
        Op::Transpose { perm } => Ok(l.lowered.add_transpose(x, perm)),
        Op::Slice { axis, start, step, count } => {
            Ok(l.lowered.add_slice(x, *axis, *start, start + (count - 1) * step + 1, *step))
        }
        Op::Gather { axis, indices } => Ok(l.lowered.add_gather(x, *axis, indices.clone())),
        Op::Pad { before, after, value } => lower_pad(l, node, x, before, after, *value),
        Op::Gemm { alpha, beta, trans_b } => lower_gemm(l, node, x, [*alpha, *beta], *trans_b),
        Op::MatMul => {
            let weights = operand(l, node, 1)?;
            Ok(l.lowered.add_product(x, weights, shape))
        }
        Op::Conv { window, group } => lower_batch(l, node, x, &shape, |l, x, shape| {
            lower_conv(l, node, x, window, *group, shape)
        }),
        Op::MaxPool { window } => lower_batch(l, node, x, &shape, |l, x, shape| {
            lower_pool(l, node, x, window, None, shape)
        }),
        Op::AveragePool { window, count_include_pad } => {
            let counts_pads = Some(*count_include_pad);
            lower_batch(l, node, x, &shape, |l, x, shape| {
                lower_pool(l, node, x, window, counts_pads, shape)
            })
        }
        Op::BatchNorm { .. }
        | Op::Previous
        | Op::Kept(_)
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Max
        | Op::Min => l.fail(node, "the operator has no lowering rule"),
    }
}

/// Returns an input of the node with the shape that it has in the source.
fn operand(l: &mut Lowering, node: &Node, index: usize) -> Result<LoweredId> {
    match node.inputs.get(index) {
        Some(&id) => plain_value(l, node, id),
        None => l.fail(node, format!("input {index} is missing")),
    }
}

/// Returns a value with the shape that it has in the source.
fn plain_value(l: &mut Lowering, node: &Node, id: ValueId) -> Result<LoweredId> {
    let (graph, layout) = (l.source.graph, l.source.layout);
    if let Some(constant) = graph.constant(id) {
        let takes_integers =
            matches!(node.op, Op::Kept(_)) || graph.value(node.output).dtype == DType::I64;
        if constant.dtype() != DType::F32 && !takes_integers {
            return l.fail(node, "an integer constant is not supported here");
        }
        return Ok(l.shared_constant(id, constant));
    }
    let Some(lowered) = l.find_lowered(id) else {
        return l.fail(node, "an input has not been lowered");
    };
    if layout.plain_reason(id).is_some() {
        return Ok(lowered);
    }
    // The axes of the lowered value are moved to the order that they have in the source.
    let mut perm: Vec<usize> =
        layout.roles(id).iter().filter_map(|role: &AxisRole| role.lowered_axis()).collect();
    let missing: Vec<usize> = (0..4).filter(|axis| !perm.contains(axis)).collect();
    perm.extend(missing);
    let moved = l.lowered.add_transpose(lowered, &perm);
    Ok(l.lowered.add_reshape(moved, graph.shape(id).to_vec()))
}

fn lower_binary(l: &mut Lowering, node: &Node, op: LoweredOp, rank: usize) -> Result<LoweredId> {
    let mut operands = Vec::new();
    for index in 0..2 {
        let id = operand(l, node, index)?;
        // Broadcasting aligns the last axes.
        let shape = l.lowered.shape(id).to_vec();
        let mut aligned = vec![1; rank - shape.len()];
        aligned.extend(shape);
        operands.push(match l.lowered.constant(id).map(|c| c.reshape(&aligned)) {
            Some(Some(constant)) if l.lowered.shape(id) != aligned => {
                l.lowered.add_constant(constant)
            }
            Some(_) => id,
            None => l.lowered.add_reshape(id, aligned),
        });
    }
    Ok(l.lowered.add_binary(op, operands[0], operands[1]))
}

fn lower_pad(
    l: &mut Lowering,
    node: &Node,
    mut x: LoweredId,
    before: &[i64],
    after: &[i64],
    value: f32,
) -> Result<LoweredId> {
    for axis in 0..before.len() {
        let size = l.lowered.shape(x)[axis] as i64;
        let (start, end) = ((-before[axis]).max(0), size + after[axis].min(0));
        if end <= start {
            return l.fail(node, "negative pads remove all elements of an axis");
        }
        x = l.lowered.add_slice(x, axis, start as usize, end as usize, 1);
    }
    let positive = |pads: &[i64]| pads.iter().map(|&pad| pad.max(0)).collect::<Vec<_>>();
    Ok(l.lowered.add_pad(x, &positive(before), &positive(after), value))
}

fn lower_gemm(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    [alpha, beta]: [f32; 2],
    trans_b: bool,
) -> Result<LoweredId> {
    let graph = l.source.graph;
    let Some(weights) = graph.constant(node.inputs[1]).and_then(Tensor::f32_view) else {
        return l.fail(node, "the weights must be a constant float matrix");
    };
    let weights = if trans_b { weights.reversed_axes() } else { weights }.mapv(|w| w * alpha);
    let columns = weights.shape()[1];
    let bias = match node.inputs.get(2).and_then(|&id| graph.constant_f32(id)) {
        Some(bias) => bias.iter().map(|b| b * beta).collect(),
        None => vec![0.0; columns],
    };
    Ok(l.lowered.add_gemm(x, Tensor::from(weights), bias))
}

/// Largest batch of clips over which a window slides, such as the heads of an attention.
const MAX_BATCH: usize = 64;

/// Applies a window over three axes to each clip of a batch.
fn lower_batch(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    shape: &[usize],
    lower: impl Fn(&mut Lowering, LoweredId, &[usize]) -> Result<LoweredId>,
) -> Result<LoweredId> {
    let batch = shape[0];
    if shape.len() != 5 || batch == 1 {
        return lower(l, x, shape);
    }
    if batch > MAX_BATCH {
        return l.fail(node, format!("the batch must be at most {MAX_BATCH}, got {batch}"));
    }
    let one = [&[1], &shape[1..]].concat();
    let mut results = Vec::new();
    for at in 0..batch {
        let clip = l.lowered.add_slice(x, 0, at, at + 1, 1);
        results.push(lower(l, clip, &one)?);
    }
    Ok(l.lowered.add_concat(0, &results))
}

/// Returns the operand of a window as `[T,C,H,W]`. A window over one axis slides over the width,
/// and one over three axes needs a batch of 1.
fn to_frames(l: &mut Lowering, node: &Node, x: LoweredId) -> Result<LoweredId> {
    match *l.lowered.shape(x) {
        [batch, channels, length] => Ok(l.lowered.add_reshape(x, vec![batch, channels, 1, length])),
        [_, _, _, _] => Ok(x),
        [1, channels, frames, height, width] => {
            let moved = l.lowered.add_transpose(x, &[0, 2, 1, 3, 4]);
            Ok(l.lowered.add_reshape(moved, vec![frames, channels, height, width]))
        }
        _ => l.fail(node, "a window over three axes needs a batch of 1"),
    }
}

/// Returns `[T,C,H,W]` with the shape of the source.
fn from_frames(l: &mut Lowering, y: LoweredId, shape: &[usize]) -> LoweredId {
    if shape.len() != 5 {
        return l.lowered.add_reshape(y, shape.to_vec());
    }
    let moved = l.lowered.add_transpose(y, &[1, 0, 2, 3]);
    l.lowered.add_reshape(moved, shape.to_vec())
}

fn lower_conv(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
    group: usize,
    shape: &[usize],
) -> Result<LoweredId> {
    let graph = l.source.graph;
    let Some(weights) = graph.constant(node.inputs[1]) else {
        return lower_computed_conv(l, node, x, window, group, shape);
    };
    let mut sizes = weights.shape().to_vec();
    while sizes.len() < 5 {
        sizes.insert(2, 1);
    }
    let weights = weights.reshape(&sizes);
    let weights = weights.as_ref().and_then(Tensor::f32_view);
    let weights = weights.and_then(|view| view.into_dimensionality::<Ix5>().ok());
    let (time, space) = match window.kernel.len() {
        1 => ((1, 0), widen(window).as_ref().and_then(spatial_window)),
        2 => ((1, 0), spatial_window(window)),
        _ => ((window.strides[0], window.before[0]), spatial_window(window)),
    };
    let (Some(weights), Some(space), Ok(before)) = (weights, space, usize::try_from(time.1)) else {
        return l.fail(node, "the window must not have negative pads");
    };
    let frames = to_frames(l, node, x)?;
    let count = if shape.len() == 5 { shape[2] } else { l.lowered.shape(frames)[0] };
    let conv = TemporalConv {
        weights,
        bias: node.inputs.get(2).and_then(|&b| graph.constant_f32(b)).map(<[f32]>::to_vec),
        group,
        space,
        stride: time.0,
        before,
        count,
        is_streaming: false,
    };
    match add_conv(l, frames, &conv) {
        Some(y) => Ok(from_frames(l, y, shape)),
        None => l.fail(node, "the weights do not fit the window"),
    }
}

/// Lowers a convolution whose weights are computed from the frames, as networks do that adapt their
/// weights to the input.
fn lower_computed_conv(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
    group: usize,
    shape: &[usize],
) -> Result<LoweredId> {
    let space = match window.kernel.len() {
        1 => widen(window).as_ref().and_then(spatial_window),
        2 => spatial_window(window),
        _ => return l.fail(node, "a convolution over three axes must have constant weights"),
    };
    let Some(space) = space else {
        return l.fail(node, "the window must not have negative pads");
    };
    let frames = to_frames(l, node, x)?;
    let mut weights = operand(l, node, 1)?;
    if let [outputs, inputs, length] = *l.lowered.shape(weights) {
        weights = l.lowered.add_reshape(weights, vec![outputs, inputs, 1, length]);
    }
    let bias = node.inputs.get(2).and_then(|&b| l.source.graph.constant_f32(b));
    let y = l.lowered.add_conv_with(frames, weights, bias.map(<[f32]>::to_vec), space, group);
    Ok(from_frames(l, y, shape))
}

/// Returns a window over one axis as a window over height and width.
fn widen(window: &Window) -> Option<Window> {
    let wide = |sizes: &[usize]| Some(vec![1, *sizes.first()?]);
    let pads = |pads: &[i64]| Some(vec![0, *pads.first()?]);
    Some(Window {
        kernel: wide(&window.kernel)?,
        strides: wide(&window.strides)?,
        dilations: wide(&window.dilations)?,
        before: pads(&window.before)?,
        after: pads(&window.after)?,
    })
}

/// Lowers a max pool, or an average pool if `counts_pads` is not `None`.
fn lower_pool(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
    counts_pads: Option<bool>,
    shape: &[usize],
) -> Result<LoweredId> {
    let space = match window.kernel.len() {
        1 => widen(window).as_ref().and_then(spatial_window),
        _ => spatial_window(window),
    };
    let Some(space) = space else {
        return l.fail(node, "the window must not have negative pads");
    };
    debug_assert_eq!(l.mode, Mode::Clip, "a plain value does not stream");
    let frames = to_frames(l, node, x)?;
    let op = match counts_pads {
        None => LoweredOp::MaxPool(space),
        Some(count_include_pad) => LoweredOp::AveragePool { window: space, count_include_pad },
    };
    let pooled = if space.is_point() { frames } else { l.lowered.add_pool(op, space, frames) };
    if window.kernel.len() != 3 {
        return Ok(from_frames(l, pooled, shape));
    }
    let time = TimeWindow {
        kernel: window.kernel[0],
        stride: window.strides[0],
        before: window.before[0],
        count: shape.get(2).copied().unwrap_or(1),
    };
    let y = match counts_pads {
        None => combine_over_time(l, pooled, &time, &LoweredOp::Max, f32::MIN, false),
        Some(counts_pads) => {
            let clip_frames = (!counts_pads).then(|| l.lowered.shape(frames)[0]);
            average_over_time(l, node, pooled, &time, clip_frames, false)?
        }
    };
    Ok(from_frames(l, y, shape))
}
