//! Convolutions over time, exactly, with 2-D convolutions only.
//!
//! Four forms give the same numbers at different cost:
//! - **frames in**: the `k` frames of a window are joined along the channels, then one convolution. Moves
//!   `k * ci` input channels per output frame.
//! - **taps out**: one convolution gives all `k` taps of every frame; the taps are shifted and added. Moves
//!   `k * co` output channels per frame, and needs stride 1.
//! - **frames in pairs**: frames in, for two output frames at once, side by side in the channels. Each window holds one
//!   frame more, whose weights are zero for the other output: `(k+1)/k` of the multiply-adds, but channels that fill a
//!   kernel's block, and half the windows to move.
//! - **tap by tap**: `k` convolutions on shifted frames, added. The only form for grouped convolutions, whose groups
//!   must not mix.

use super::winograd::Along;
use super::{Lowering, pool};
use crate::error::Result;
use crate::graph::{Node, Window};
use crate::net::{NetId, NetOp, Window2};
use crate::tensor::Tensor;
use crate::time::time_window;

/// A convolution with its weights taken apart by temporal tap.
struct Taps {
    /// Weights `[co, ci/group, kh, kw]` per tap.
    taps: Vec<Vec<f32>>,
    outputs: usize,
    per_group: usize,
    group: usize,
    space: Window2,
    bias: Option<Vec<f32>>,
    stride: usize,
    before: usize,
    /// Frames that come out.
    count: usize,
    streams: bool,
}

/// Channels in one block of the widest CPU kernels (16 floats of AVX-512); fewer output channels waste the rest.
const BLOCK: usize = 16;

/// How a temporal convolution is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    FramesIn,
    FramesInPairs,
    TapsOut,
    TapByTap,
}

/// How the window of two output frames is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairs {
    /// All its frames side by side in the channels.
    Joined,
    /// Two frames at a time, one convolution for each, added.
    InParts,
}

impl Taps {
    fn kernel(&self) -> usize {
        self.taps.len()
    }

    /// The cheaper form for a convolution over `[frames, channels, height, width]`. Multiply-adds are equal, so
    /// what counts is the memory moved beside the convolution: the unfolded input of frames in against the taps
    /// of taps out.
    fn form(&self, [frames, channels, height, width]: [usize; 4]) -> Form {
        if self.group > 1 {
            return Form::TapByTap;
        }
        let [oh, ow] = self.space.extent(height, width);
        let (unfolded, taps) = (channels * height * width, self.outputs * oh * ow);
        let shifts = self.stride == 1 && self.count == frames && self.before < self.kernel();
        // A step's taps all lie in the past; a clip's may lie on both sides.
        let aligned = !self.streams || self.before + 1 == self.kernel();
        if self.pairs_fit(channels) == Some(Pairs::InParts) {
            Form::FramesInPairs
        } else if shifts && aligned && taps < unfolded {
            Form::TapsOut
        } else if self.pairs_fit(channels).is_some() {
            Form::FramesInPairs
        } else {
            Form::FramesIn
        }
    }

    /// Whether two output frames at once fill a block that one would leave half empty. ONNX Runtime's blocked kernels
    /// take fewer input channels than a block, or multiples of four; others fall to a slower kernel. A window of more
    /// channels is read two frames at a time where these are fewer than a block.
    fn pairs_fit(&self, channels: usize) -> Option<Pairs> {
        let inputs = (self.kernel() + 1) * channels;
        let shape = self.stride == 1 && self.count.is_multiple_of(2) && !self.kernel().is_multiple_of(2);
        if !shape || 2 * self.outputs > BLOCK {
            None
        } else if inputs < BLOCK {
            Some(Pairs::Joined)
        } else if 2 * channels < BLOCK {
            Some(Pairs::InParts)
        } else {
            inputs.is_multiple_of(4).then_some(Pairs::Joined)
        }
    }

    /// As a convolution along the frames, which a step has not all at once.
    fn along(&self) -> Option<Along<'_>> {
        let fits = self.group == 1 && self.stride == 1 && !self.streams;
        fits.then(|| Along {
            taps: &self.taps,
            outputs: self.outputs,
            bias: self.bias.as_deref(),
            space: self.space,
            before: self.before,
            count: self.count,
            around: 0,
        })
    }

    fn tensor(&self, data: Vec<f32>, outputs: usize, inputs: usize) -> Option<Tensor> {
        Tensor::f32(vec![outputs, inputs, self.space.kernel[0], self.space.kernel[1]], data)
    }

    fn tap(&self, index: usize) -> Option<Tensor> {
        self.tensor(self.taps[index].clone(), self.outputs, self.per_group)
    }

    /// All taps side by side along the input channels.
    fn joined_inputs(&self) -> Option<Tensor> {
        let per_output = self.taps[0].len() / self.outputs;
        let rows =
            (0..self.outputs).flat_map(|o| self.taps.iter().map(move |t| &t[o * per_output..][..per_output]));
        self.tensor(rows.flatten().copied().collect(), self.outputs, self.per_group * self.kernel())
    }

    /// Weights for two output frames from a window of `kernel + 1` input frames, both along the channels.
    fn paired(&self) -> Option<Tensor> {
        let per_tap = self.taps[0].len() / self.outputs;
        let frames = self.kernel() + 1;
        let mut data = vec![0.0; 2 * self.outputs * frames * per_tap];
        for second in 0..2 {
            for (tap, weights) in self.taps.iter().enumerate() {
                for output in 0..self.outputs {
                    let row = (second * self.outputs + output) * frames + tap + second;
                    data[row * per_tap..][..per_tap].copy_from_slice(&weights[output * per_tap..][..per_tap]);
                }
            }
        }
        self.tensor(data, 2 * self.outputs, self.per_group * frames)
    }

    /// `weights` of [`Self::paired`] as `count` tensors, each for two frames of the window.
    fn in_parts(&self, weights: &Tensor, count: usize) -> Option<Vec<Tensor>> {
        let per_part = 2 * self.taps[0].len() / self.outputs;
        let data = weights.as_f32()?;
        let part = |p: usize| data.chunks_exact(per_part).skip(p).step_by(count).flatten().copied().collect();
        (0..count).map(|p| self.tensor(part(p), 2 * self.outputs, 2 * self.per_group)).collect()
    }

    /// All taps one after another along the output channels.
    fn joined_outputs(&self) -> Option<Tensor> {
        self.tensor(self.taps.concat(), self.outputs * self.kernel(), self.per_group)
    }

    /// The bias for [`Self::joined_outputs`]: it belongs to one tap alone.
    fn joined_bias(&self, tap: usize) -> Option<Vec<f32>> {
        let bias = self.bias.as_ref()?;
        let mut joined = vec![0.0; self.outputs * self.kernel()];
        joined[tap * self.outputs..][..self.outputs].copy_from_slice(bias);
        Some(joined)
    }
}

/// Takes weights `[co, ci/group, kt, kh, kw]` apart along `kt`.
fn split_taps(weights: &Tensor) -> Option<Vec<Vec<f32>>> {
    let data = weights.as_f32()?;
    let (kernel, plane) = match *weights.shape {
        [_, _, kt, kh, kw] => (kt, kh * kw),
        [_, _, kh, kw] => (1, kh * kw),
        _ => return None,
    };
    let rows = data.len() / (kernel * plane);
    let tap =
        |t: usize| (0..rows).flat_map(|r| &data[(r * kernel + t) * plane..][..plane]).copied().collect();
    Some((0..kernel).map(tap).collect())
}

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Node, x: NetId, window: &Window, group: usize) -> Result<NetId> {
        let graph = self.source.graph;
        let time = time_window(graph, self.source.layout, node, window);
        let weights = graph.constant(node.inputs[1]);
        let (Some(weights), Some(space)) = (weights, pool::spatial(window)) else {
            return graph
                .node_error(node, "needs constant weights and two spatial axes without negative pads");
        };
        let (Some(taps), Ok(before)) = (split_taps(weights), usize::try_from(time.before)) else {
            return graph.node_error(node, "has weights or pads of an unsupported form");
        };
        let taps = Taps {
            taps,
            outputs: weights.shape[0],
            per_group: weights.shape[1],
            group,
            space,
            bias: node.inputs.get(2).and_then(|&b| graph.constant_f32(b)).map(<[f32]>::to_vec),
            stride: time.stride,
            before,
            count: self.frames(node.output),
            streams: self.streams(node.inputs[0]),
        };
        let Ok(shape) = <[usize; 4]>::try_from(self.net.shape(x)) else {
            return graph.node_error(node, "its input was lowered to another rank");
        };
        let lowered = if taps.kernel() == 1 {
            self.single(x, &taps)
        } else if let Some((along, tiling)) =
            taps.along().and_then(|along| Some((along, along.tiling(shape, self.source.products)?)))
        {
            self.winograd(x, &along, tiling)
        } else {
            match taps.form(shape) {
                Form::FramesIn => self.frames_in(x, &taps),
                Form::FramesInPairs => self.frames_in_pairs(x, &taps),
                Form::TapsOut if taps.streams => self.taps_out_step(x, &taps),
                Form::TapsOut => self.taps_out_clip(x, &taps),
                Form::TapByTap => self.tap_by_tap(x, &taps),
            }
        };
        match lowered {
            Some(id) => Ok(id),
            None => graph.node_error(node, "its weights do not fit its window"),
        }
    }

    /// Kernel 1 in time: a 2-D convolution, on every `stride`-th frame.
    fn single(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let all = self.timeline(x, c.before, (c.count - 1) * c.stride + 1, 0.0, c.streams);
        let frames = self.frames_at(all, 0, c.stride, c.count);
        if c.group == 1
            && let Some(y) = self.winograd_rows(frames, &c.taps[0], c.outputs, c.bias.as_deref(), c.space)
        {
            return Some(y);
        }
        Some(self.net.conv(frames, c.tap(0)?, c.bias.clone(), c.space, c.group))
    }

    fn frames_in(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let (kernel, weights) = (c.kernel(), c.joined_inputs()?);
        let (channels, height, width) = (self.net.shape(x)[1], self.net.shape(x)[2], self.net.shape(x)[3]);
        // Windows that overlap in whole strides: the frames of one stride are channels of one frame already, so the
        // input is joined a stride at a time.
        let groups = kernel.div_ceil(c.stride);
        let total = match c.streams {
            true => (c.count - 1) * c.stride + kernel,
            false => (c.count - 1 + groups) * c.stride,
        };
        let all = self.timeline(x, c.before, total, 0.0, c.streams);
        let unfolded = if c.count == 1 {
            if c.streams && 0 < c.before && c.before < kernel {
                return self.state_and_frames(x, all, c, &weights);
            }
            let frames = self.net.slice(all, 0, 0, kernel, 1);
            self.net.reshape(frames, vec![1, kernel * channels, height, width])
        } else if c.stride > 1 && self.net.shape(all)[0] >= (c.count - 1 + groups) * c.stride {
            let strides = c.count - 1 + groups;
            let frames = self.net.slice(all, 0, 0, strides * c.stride, 1);
            let grouped = self.net.reshape(frames, vec![strides, c.stride * channels, height, width]);
            let parts: Vec<NetId> = (0..groups)
                .map(|g| {
                    let taps = c.stride.min(kernel - g * c.stride);
                    let part = self.net.slice(grouped, 0, g, g + c.count, 1);
                    self.net.slice(part, 1, 0, taps * channels, 1)
                })
                .collect();
            self.net.concat(1, &parts)
        } else {
            let parts: Vec<NetId> =
                (0..kernel).map(|tap| self.frames_at(all, tap, c.stride, c.count)).collect();
            self.net.concat(1, &parts)
        };
        Some(self.net.conv(unfolded, weights, c.bias.clone(), c.space, 1))
    }

    /// One window of a step, `all` being its state and its frames `x` joined: one convolution over either, added, so
    /// that the join is never made.
    fn state_and_frames(&mut self, x: NetId, all: NetId, c: &Taps, weights: &Tensor) -> Option<NetId> {
        let [_, channels, height, width] = <[usize; 4]>::try_from(self.net.shape(x)).ok()?;
        let window = c.space.kernel.iter().product::<usize>() * channels;
        let mut bias = c.bias.clone();
        let mut sum = None;
        for (first, last) in [(0, c.before), (c.before, c.kernel())] {
            let frames = self.net.slice(all, 0, first, last, 1);
            let part = self.net.reshape(frames, vec![1, (last - first) * channels, height, width]);
            let rows = weights.as_f32()?.chunks_exact(c.kernel() * window);
            let rows = rows.flat_map(|row| &row[first * window..last * window]).copied().collect();
            let weights = c.tensor(rows, c.outputs, (last - first) * channels)?;
            let y = self.net.conv(part, weights, bias.take(), c.space, 1);
            sum = Some(match sum {
                Some(sum) => self.net.binary(NetOp::Add, y, sum),
                None => y,
            });
        }
        sum
    }

    fn frames_in_pairs(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let (channels, height, width) = (self.net.shape(x)[1], self.net.shape(x)[2], self.net.shape(x)[3]);
        let (pairs, window) = (c.count / 2, c.kernel().div_ceil(2));
        let all = self.timeline(x, c.before, c.count + c.kernel() - 1, 0.0, c.streams);
        // Cut before two frames become one, so that a part that is just the state or the input is no copy.
        let mut parts = Vec::new();
        for part in 0..window {
            let frames = self.net.slice(all, 0, 2 * part, 2 * part + c.count, 1);
            parts.push(self.net.reshape(frames, vec![pairs, 2 * channels, height, width]));
        }
        let (weights, mut bias) = (c.paired()?, c.bias.as_ref().map(|b| [b.as_slice(), b].concat()));
        let y = match c.pairs_fit(channels)? {
            Pairs::Joined if pairs == 1 => {
                let frames = self.net.slice(all, 0, 0, 2 * window, 1);
                let unfolded = self.net.reshape(frames, vec![1, 2 * window * channels, height, width]);
                self.net.conv(unfolded, weights, bias, c.space, 1)
            }
            Pairs::Joined => {
                let unfolded = self.net.concat(1, &parts);
                self.net.conv(unfolded, weights, bias, c.space, 1)
            }
            Pairs::InParts => {
                let weights = c.in_parts(&weights, window)?;
                let mut sum = None;
                for (part, weights) in parts.into_iter().zip(weights) {
                    let y = self.net.conv(part, weights, bias.take(), c.space, 1);
                    sum = Some(match sum {
                        Some(sum) => self.net.binary(NetOp::Add, y, sum),
                        None => y,
                    });
                }
                sum?
            }
        };
        let (oh, ow) = (self.net.shape(y)[2], self.net.shape(y)[3]);
        Some(self.net.reshape(y, vec![c.count, c.outputs, oh, ow]))
    }

    fn taps_out_clip(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        // The tap that lands on its own frame carries the bias.
        let own = c.before;
        let out = self.net.conv(x, c.joined_outputs()?, c.joined_bias(own), c.space, 1);
        let tap =
            |lowering: &mut Self, j: usize| lowering.net.slice(out, 1, j * c.outputs, (j + 1) * c.outputs, 1);
        let mut y = tap(self, own);
        for j in (0..c.kernel()).filter(|&j| j != own) {
            // A tap that lies further away than the clip is long reads padding only.
            if own.abs_diff(j) < c.count {
                let frames = tap(self, j);
                let shifted = self.net.shift_frames(frames, own as i64 - j as i64);
                y = self.net.binary(NetOp::Add, y, shifted);
            }
        }
        Some(y)
    }

    fn taps_out_step(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let newest = c.kernel() - 1;
        if c.count == 1 {
            return self.partial_sums(x, c);
        }
        let out = self.net.conv(x, c.joined_outputs()?, c.joined_bias(newest), c.space, 1);
        let mut y = self.net.slice(out, 1, newest * c.outputs, (newest + 1) * c.outputs, 1);
        for j in 0..newest {
            let frames = self.net.slice(out, 1, j * c.outputs, (j + 1) * c.outputs, 1);
            let delayed = self.timeline(frames, newest - j, 0, 0.0, true);
            let delayed = self.net.slice(delayed, 0, 0, c.count, 1);
            y = self.net.binary(NetOp::Add, y, delayed);
        }
        Some(y)
    }

    /// One frame per step: the state is what earlier frames will add to the outputs to come, so that each tap is
    /// one convolution and one addition, and nothing is copied.
    fn partial_sums(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let mut result = None;
        let mut waiting: Option<NetId> = None;
        for j in (0..c.kernel()).rev() {
            let bias = if j + 1 == c.kernel() { c.bias.clone() } else { None };
            let tap = self.net.conv(x, c.tap(j)?, bias, c.space, 1);
            let sum = if j > 0 {
                let shape = self.net.shape(tap).to_vec();
                let state = self.state(shape, 0.0);
                let sum = self.net.binary(NetOp::Add, tap, state);
                if let Some(waiting) = waiting.replace(state) {
                    self.set_next(waiting, sum);
                }
                sum
            } else {
                if let Some(waiting) = waiting {
                    self.set_next(waiting, tap);
                }
                tap
            };
            result.get_or_insert(sum);
        }
        result
    }

    fn tap_by_tap(&mut self, x: NetId, c: &Taps) -> Option<NetId> {
        let all = self.timeline(x, c.before, (c.count - 1) * c.stride + c.kernel(), 0.0, c.streams);
        let mut y: Option<NetId> = None;
        for j in 0..c.kernel() {
            let frames = self.frames_at(all, j, c.stride, c.count);
            let bias = if j == 0 { c.bias.clone() } else { None };
            let tap = self.net.conv(frames, c.tap(j)?, bias, c.space, c.group);
            y = Some(match y {
                Some(sum) => self.net.binary(NetOp::Add, sum, tap),
                None => tap,
            });
        }
        y
    }
}
