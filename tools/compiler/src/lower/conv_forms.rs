//! Convolutions over time, expressed as 2-D convolutions.
//!
//! There are four forms. They give the same result up to rounding but differ in cost. Below, `k` is
//! the size of the temporal kernel, and a tap is the part of the kernel for one frame.
//! - **Stacked inputs**: the `k` frames of a window are stacked along the channels, and one
//!   convolution reads them. This copies `k` input frames for each output frame.
//! - **Stacked input pairs**: one convolution computes two output frames from stacked inputs. The
//!   two output frames are stacked along the output channels. The window has `k + 1` frames. Each
//!   output frame uses `k` of them, and its weights for the remaining frame are zero. This form
//!   needs `(k+1)/k` times as many multiply-adds, but fills the output blocks of the CPU kernels
//!   better and copies fewer frames.
//! - **Stacked outputs**: one convolution computes the products of every frame with all `k` taps,
//!   stacked along the output channels. The products of each tap are then shifted in time and
//!   added to those of the other taps. This copies `k` output frames for each input frame and
//!   requires a temporal stride of 1.
//! - **Separate taps**: `k` convolutions read shifted frames, and their results are added. This is
//!   the only form for grouped convolutions, because stacking would mix the groups.

use super::lowering::Lowering;
use super::temporal_conv::{PairReading, TemporalConv};
use crate::lowered::{LoweredId, LoweredOp};
use crate::options::Winograd;

/// Appends a convolution in the form "stacked inputs". Returns `None` if the shape of the
/// weights does not match the window.
pub(super) fn add_stacked_inputs(
    l: &mut Lowering,
    x: LoweredId,
    conv: &TemporalConv,
) -> Option<LoweredId> {
    let [_, channels, height, width] = l.lowered.shape4(x);
    let (kernel, stride, count) = (conv.kernel(), conv.stride, conv.count);
    // If the stride is larger than 1, a Reshape first divides the input into groups of `stride`
    // frames. The Reshape copies nothing, and each window then consists of `groups` slices instead
    // of `kernel` slices.
    let groups = kernel.div_ceil(stride);
    let total = match conv.is_streaming {
        true => (count - 1) * stride + kernel,
        false => (count - 1 + groups) * stride,
    };
    let all = l.add_look_back(x, conv.before, total, 0.0, conv.is_streaming);
    let stacked = if count == 1 {
        if conv.is_streaming && 0 < conv.before && conv.before < kernel {
            return add_state_and_frames(l, x, all, conv);
        }
        let frames = l.lowered.add_slice(all, 0, 0, kernel, 1);
        l.lowered.add_reshape(frames, vec![1, kernel * channels, height, width])
    } else if stride > 1 && l.lowered.shape(all)[0] >= (count - 1 + groups) * stride {
        let strides = count - 1 + groups;
        let frames = l.lowered.add_slice(all, 0, 0, strides * stride, 1);
        let grouped =
            l.lowered.add_reshape(frames, vec![strides, stride * channels, height, width]);
        let parts: Vec<LoweredId> = (0..groups)
            .map(|group| {
                let taps = stride.min(kernel - group * stride);
                let part = l.lowered.add_slice(grouped, 0, group, group + count, 1);
                l.lowered.add_slice(part, 1, 0, taps * channels, 1)
            })
            .collect();
        l.lowered.add_concat(1, &parts)
    } else {
        let parts: Vec<LoweredId> =
            (0..kernel).map(|tap| l.select_frames(all, tap, stride, count)).collect();
        l.lowered.add_concat(1, &parts)
    };
    let weights = conv.stacked_inputs(0, kernel)?;
    Some(l.lowered.add_conv(stacked, weights, conv.bias.clone(), conv.space, 1))
}

/// Appends a convolution that computes one output frame in a step. `all` is the concatenation of
/// the state and the frames `x`. One convolution reads the state, another reads `x`, and their
/// results are added. Both convolutions read their frames in place, without a copy of the
/// concatenation.
fn add_state_and_frames(
    l: &mut Lowering,
    x: LoweredId,
    all: LoweredId,
    conv: &TemporalConv,
) -> Option<LoweredId> {
    let [_, channels, height, width] = l.lowered.shape4(x);
    let mut bias = conv.bias.clone();
    let mut sum = None;
    for (first, last) in [(0, conv.before), (conv.before, conv.kernel())] {
        let frames = l.lowered.add_slice(all, 0, first, last, 1);
        let part = l.lowered.add_reshape(frames, vec![1, (last - first) * channels, height, width]);
        let weights = conv.stacked_inputs(first, last)?;
        let y = l.lowered.add_conv(part, weights, bias.take(), conv.space, 1);
        sum = Some(add_to_sum(l, sum, y));
    }
    sum
}

/// Appends a convolution in the form "stacked input pairs". Returns `None` if the weights do not
/// fit the window.
pub(super) fn add_stacked_input_pairs(
    l: &mut Lowering,
    x: LoweredId,
    conv: &TemporalConv,
    reading: PairReading,
) -> Option<LoweredId> {
    let [_, channels, height, width] = l.lowered.shape4(x);
    let (pairs, frame_pairs) = (conv.count / 2, conv.kernel().div_ceil(2));
    let all =
        l.add_look_back(x, conv.before, conv.count + conv.kernel() - 1, 0.0, conv.is_streaming);
    // The frames are sliced before a Reshape joins them in pairs, because a slice that is exactly
    // the state or the input needs no copy.
    let mut parts = Vec::new();
    for part in 0..frame_pairs {
        let frames = l.lowered.add_slice(all, 0, 2 * part, 2 * part + conv.count, 1);
        parts.push(l.lowered.add_reshape(frames, vec![pairs, 2 * channels, height, width]));
    }
    let mut bias = conv.bias.as_ref().map(|bias| [bias.as_slice(), bias].concat());
    let inputs = match reading {
        PairReading::TwoFrames => parts,
        PairReading::Whole if pairs == 1 => {
            let frames = l.lowered.add_slice(all, 0, 0, 2 * frame_pairs, 1);
            let shape = vec![1, 2 * frame_pairs * channels, height, width];
            vec![l.lowered.add_reshape(frames, shape)]
        }
        PairReading::Whole => vec![l.lowered.add_concat(1, &parts)],
    };
    let weights = conv.pair_weights(2 * frame_pairs / inputs.len())?;
    let mut sum = None;
    for (input, weights) in inputs.into_iter().zip(weights) {
        let y = l.lowered.add_conv(input, weights, bias.take(), conv.space, 1);
        sum = Some(add_to_sum(l, sum, y));
    }
    let y = sum?;
    let [_, _, out_height, out_width] = l.lowered.shape4(y);
    Some(l.lowered.add_reshape(y, vec![conv.count, conv.outputs(), out_height, out_width]))
}

/// Returns `y` plus `sum`, or `y` alone if there is no sum yet.
fn add_to_sum(l: &mut Lowering, sum: Option<LoweredId>, y: LoweredId) -> LoweredId {
    match sum {
        Some(sum) => l.lowered.add_binary(LoweredOp::Add, y, sum),
        None => y,
    }
}

/// Appends a convolution for a clip in the form "stacked outputs". Returns `None` if the weights do
/// not fit the window.
pub(super) fn add_stacked_outputs_clip(
    l: &mut Lowering,
    x: LoweredId,
    conv: &TemporalConv,
) -> Option<LoweredId> {
    // The tap that reads the frame at the output's position carries the bias, because this tap is
    // never shifted.
    let own = conv.before;
    let out = l.lowered.add_conv(x, conv.stacked_outputs()?, conv.stacked_bias(own), conv.space, 1);
    let mut y = slice_tap(l, out, conv, own);
    for tap in (0..conv.kernel()).filter(|&tap| tap != own) {
        // A tap that is shifted by the length of the clip or more reads only padding.
        if own.abs_diff(tap) < conv.count {
            let frames = slice_tap(l, out, conv, tap);
            let shifted = l.lowered.shift_frames(frames, own as i64 - tap as i64);
            y = l.lowered.add_binary(LoweredOp::Add, y, shifted);
        }
    }
    Some(y)
}

/// Appends, for a step, a convolution in the form "stacked outputs". Returns `None` if the weights
/// do not fit the window.
pub(super) fn add_stacked_outputs_step(
    l: &mut Lowering,
    x: LoweredId,
    conv: &TemporalConv,
) -> Option<LoweredId> {
    // Plain products are meant for runtimes for GPUs, which fuse a convolution with an addition.
    if conv.count == 1 && l.part.is_some() && l.source.winograd != Winograd::Never {
        return add_stacked_partial_sums(l, x, conv);
    }
    if conv.count == 1 {
        return add_partial_sums(l, x, conv);
    }
    let newest = conv.kernel() - 1;
    let out =
        l.lowered.add_conv(x, conv.stacked_outputs()?, conv.stacked_bias(newest), conv.space, 1);
    let mut y = slice_tap(l, out, conv, newest);
    for tap in 0..newest {
        let frames = slice_tap(l, out, conv, tap);
        let delayed = l.add_look_back(frames, newest - tap, 0, 0.0, true);
        let delayed = l.lowered.add_slice(delayed, 0, 0, conv.count, 1);
        y = l.lowered.add_binary(LoweredOp::Add, y, delayed);
    }
    Some(y)
}

/// Returns the products of one tap from the stacked outputs.
fn slice_tap(l: &mut Lowering, out: LoweredId, conv: &TemporalConv, tap: usize) -> LoweredId {
    let outputs = conv.outputs();
    l.lowered.add_slice(out, 1, tap * outputs, (tap + 1) * outputs, 1)
}

/// Appends a convolution for a run of one frame. Each state is the sum of the contributions of
/// earlier frames to a later output. Each tap needs one convolution and at most one addition, and
/// nothing is copied.
fn add_partial_sums(l: &mut Lowering, x: LoweredId, conv: &TemporalConv) -> Option<LoweredId> {
    let mut result = None;
    // The state that the previous iteration added. Its next value is the sum that the current
    // iteration computes.
    let mut open_state: Option<LoweredId> = None;
    for tap in (0..conv.kernel()).rev() {
        let bias = if tap + 1 == conv.kernel() { conv.bias.clone() } else { None };
        let product = l.lowered.add_conv(x, conv.tap(tap), bias, conv.space, 1);
        let (state, sum) = if tap > 0 {
            let shape = l.lowered.shape(product).to_vec();
            let state = l.add_state(shape, 0.0);
            (Some(state), l.lowered.add_binary(LoweredOp::Add, product, state))
        } else {
            (None, product)
        };
        if let Some(open) = std::mem::replace(&mut open_state, state) {
            l.set_next_state(open, sum);
        }
        result.get_or_insert(sum);
    }
    result
}

/// Appends a convolution for a run of one frame in frame steps on a CPU. The state holds, for each
/// of the next `kernel - 1` outputs, the sum of the contributions of earlier frames. One
/// convolution computes the products of the frame with all taps, the newest tap first, so one
/// addition gives the output and the next value of the state. This copies the state, but reads the
/// frame only once and fills the output blocks of the CPU kernels better than one convolution for
/// each tap.
fn add_stacked_partial_sums(
    l: &mut Lowering,
    x: LoweredId,
    conv: &TemporalConv,
) -> Option<LoweredId> {
    let (outputs, kernel) = (conv.outputs(), conv.kernel());
    let weights = conv.stacked_outputs_newest_first()?;
    let products = l.lowered.add_conv(x, weights, conv.stacked_bias(0), conv.space, 1);
    let [_, channels, height, width] = l.lowered.shape4(products);
    let state = l.add_state(vec![1, channels - outputs, height, width], 0.0);
    let padded = l.lowered.add_pad(state, &[0; 4], &[0, outputs as i64, 0, 0], 0.0);
    let sums = l.lowered.add_binary(LoweredOp::Add, products, padded);
    let next = l.lowered.add_slice(sums, 1, outputs, kernel * outputs, 1);
    l.set_next_state(state, next);
    Some(l.lowered.add_slice(sums, 1, 0, outputs, 1))
}

/// Appends a convolution in the form "separate taps".
pub(super) fn add_separate_taps(l: &mut Lowering, x: LoweredId, conv: &TemporalConv) -> LoweredId {
    let total = (conv.count - 1) * conv.stride + conv.kernel();
    let all = l.add_look_back(x, conv.before, total, 0.0, conv.is_streaming);
    let frames = l.select_frames(all, 0, conv.stride, conv.count);
    let mut sum =
        l.lowered.add_conv(frames, conv.tap(0), conv.bias.clone(), conv.space, conv.group);
    for tap in 1..conv.kernel() {
        let frames = l.select_frames(all, tap, conv.stride, conv.count);
        let y = l.lowered.add_conv(frames, conv.tap(tap), None, conv.space, conv.group);
        sum = l.lowered.add_binary(LoweredOp::Add, sum, y);
    }
    sum
}
