//! Lowering of pools. A pool over time and space is separable, so it becomes a 2-D pool over space
//! and elementwise operators that combine the frames.

use super::lowering::{Lowering, Mode};
use super::spatial_window::spatial_window;
use crate::error::Result;
use crate::graph::{Node, Window};
use crate::lowered::{LoweredId, LoweredOp, Window2d};
use crate::tensor::Tensor;
use crate::timing::TimeWindow;
use ndarray::Array1;

pub(super) fn lower_max_pool(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
) -> Result<LoweredId> {
    let (space, time) = split_window(l, node, window)?;
    let y =
        if space.is_point() { x } else { l.lowered.add_pool(LoweredOp::MaxPool(space), space, x) };
    // The padding before the first frame contains the lowest float, so it does not change a
    // maximum.
    let is_streaming = l.is_streaming(node.inputs[0]);
    let time = TimeWindow { count: l.frames(node.output), ..time };
    Ok(combine_over_time(l, y, &time, &LoweredOp::Max, f32::MIN, is_streaming))
}

pub(super) fn lower_average_pool(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    window: &Window,
    count_include_pad: bool,
) -> Result<LoweredId> {
    let (space, time) = split_window(l, node, window)?;
    let [clip_frames, _, height, width] = l.clip_shape(node.inputs[0]);
    let covers_map = space.kernel == [height, width] && space.pads == [0; 4];
    let y = if space.is_point() {
        x
    } else if covers_map {
        l.lowered.add_mean(x, &[2, 3])
    } else {
        l.lowered.add_pool(LoweredOp::AveragePool { window: space, count_include_pad }, space, x)
    };
    if time.count == 1 && time.kernel == clip_frames && time.before == 0 {
        return Ok(l.lowered.add_mean(y, &[0]));
    }
    let is_streaming = l.is_streaming(node.inputs[0]);
    let time = TimeWindow { count: l.frames(node.output), ..time };
    let counted = match (count_include_pad, l.mode) {
        (false, Mode::Clip) => Some(clip_frames),
        _ => None,
    };
    average_over_time(l, node, y, &time, counted, is_streaming)
}

/// Averages the frames of every temporal window. `clip_frames` is the number of frames of the clip
/// if the padding does not count.
pub(super) fn average_over_time(
    l: &mut Lowering,
    node: &Node,
    x: LoweredId,
    time: &TimeWindow,
    clip_frames: Option<usize>,
    is_streaming: bool,
) -> Result<LoweredId> {
    let sum = combine_over_time(l, x, time, &LoweredOp::Add, 0.0, is_streaming);
    if time.kernel == 1 {
        return Ok(sum);
    }
    let count_frames = |out: usize| match clip_frames {
        Some(frames) => {
            let start = (out * time.stride) as i64 - time.before;
            let window = start..start + time.kernel as i64;
            window.filter(|i| (0..frames as i64).contains(i)).count().max(1)
        }
        None => time.kernel,
    };
    let counts: Vec<usize> = (0..l.lowered.shape(sum)[0]).map(count_frames).collect();
    let is_uniform = counts.windows(2).all(|pair| pair[0] == pair[1]);
    let counts = if is_uniform { &counts[..1] } else { &counts[..] };
    let scale = Array1::from_iter(counts.iter().map(|&n| 1.0 / n as f32));
    let Some(scale) = Tensor::from(scale).reshape(&[counts.len(), 1, 1, 1]) else {
        return l.fail(node, "the pool has no output frames");
    };
    let scale = l.lowered.add_constant(scale);
    Ok(l.lowered.add_binary(LoweredOp::Mul, sum, scale))
}

/// Splits a window into its spatial and temporal parts.
fn split_window(l: &Lowering, node: &Node, window: &Window) -> Result<(Window2d, TimeWindow)> {
    match spatial_window(window) {
        Some(space) => Ok((space, l.time_window(node, window))),
        None => l.fail(node, "the window must have two spatial axes without negative pads"),
    }
}

/// Combines the frames of every temporal window with `op`. At the start of a clip or segment, the
/// look-back contains `fill`.
pub(super) fn combine_over_time(
    l: &mut Lowering,
    x: LoweredId,
    time: &TimeWindow,
    op: &LoweredOp,
    fill: f32,
    is_streaming: bool,
) -> LoweredId {
    if time.kernel == 1 && time.stride == 1 && time.before == 0 {
        return x;
    }
    let count = time.count;
    let before = time.before.max(0) as usize;
    let total = (count - 1) * time.stride + time.kernel;
    let all = l.add_look_back(x, before, total, fill, is_streaming);
    let mut result = l.select_frames(all, 0, time.stride, count);
    for tap in 1..time.kernel {
        let frames = l.select_frames(all, tap, time.stride, count);
        result = l.lowered.add_binary(op.clone(), result, frames);
    }
    result
}
