//! A convolution over time and space, and the arrangement of its weights in each form.

use super::winograd::AxisConv;
use crate::lowered::Window2d;
use crate::tensor::Tensor;
use ndarray::{Array5, ArrayView5, Axis, Slice};

/// Number of output channels that one block of the widest CPU kernels computes (16 floats in
/// AVX-512). If there are fewer output channels, the rest of the block is unused.
const BLOCK: usize = 16;

/// A convolution over time and space.
pub(super) struct TemporalConv<'a> {
    /// Weights `[outputs, inputs/group, kernel, height, width]`.
    pub(super) weights: ArrayView5<'a, f32>,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) group: usize,
    /// The window over height and width.
    pub(super) space: Window2d,
    /// Stride in frames.
    pub(super) stride: usize,
    /// Number of frames that precede the input: zero frames in a clip, look-back frames in a step.
    pub(super) before: usize,
    /// Number of output frames.
    pub(super) count: usize,
    /// Whether the `before` frames come from a state.
    pub(super) is_streaming: bool,
}

/// The form to which a temporal convolution is lowered. The module `conv_forms` describes the
/// forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    StackedInputs,
    StackedInputPairs(PairReading),
    StackedOutputs,
    SeparateTaps,
}

/// The way in which [`Form::StackedInputPairs`] reads the window of two output frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairReading {
    /// One convolution reads all frames of the window, stacked along the channels.
    Whole,
    /// The window is read two frames at a time, with one convolution for every two frames, and the
    /// results are added.
    TwoFrames,
}

impl TemporalConv<'_> {
    /// Returns the number of taps, which is the size of the temporal kernel.
    pub(super) fn kernel(&self) -> usize {
        self.weights.len_of(Axis(2))
    }

    /// Returns the number of output channels.
    pub(super) fn outputs(&self) -> usize {
        self.weights.len_of(Axis(0))
    }

    fn inputs(&self) -> usize {
        self.weights.len_of(Axis(1))
    }

    /// Chooses the form for an input `[frames, channels, height, width]`.
    ///
    /// All forms except stacked input pairs need the same number of multiply-adds. The choice
    /// therefore depends on whether stacking the inputs or stacking the outputs moves less data.
    pub(super) fn choose_form(&self, [frames, channels, height, width]: [usize; 4]) -> Form {
        if self.group > 1 {
            return Form::SeparateTaps;
        }
        let pairs = self.choose_pair_reading(channels);
        if pairs == Some(PairReading::TwoFrames) {
            return Form::StackedInputPairs(PairReading::TwoFrames);
        }
        let [out_height, out_width] = self.space.output_size(height, width);
        let (input_size, output_size) =
            (channels * height * width, self.outputs() * out_height * out_width);
        let can_shift = self.stride == 1 && self.count == frames && self.before < self.kernel();
        // Taps may read later frames in a clip, but not in a step.
        let is_aligned = !self.is_streaming || self.before + 1 == self.kernel();
        if can_shift && is_aligned && output_size < input_size {
            return Form::StackedOutputs;
        }
        pairs.map_or(Form::StackedInputs, Form::StackedInputPairs)
    }

    /// Returns the way in which stacked input pairs read the window, or `None` if the output frames
    /// are not paired. Two frames are paired only if one block holds the output channels of both.
    ///
    /// The blocked kernels of ONNX Runtime require the number of input channels to be a multiple of
    /// four or smaller than a block. In any other case, ONNX Runtime falls back to a slower kernel.
    /// If the frames can be paired, the function therefore returns the first of these that applies:
    /// - the whole window, if it has fewer channels than a block;
    /// - two frames at a time, if two frames together have fewer channels than a block;
    /// - the whole window, if its number of channels is a multiple of four;
    /// - `None` in any other case.
    fn choose_pair_reading(&self, channels: usize) -> Option<PairReading> {
        let window_channels = (self.kernel() + 1) * channels;
        let can_pair =
            self.stride == 1 && self.count.is_multiple_of(2) && !self.kernel().is_multiple_of(2);
        if !can_pair || 2 * self.outputs() > BLOCK {
            None
        } else if window_channels < BLOCK {
            Some(PairReading::Whole)
        } else if 2 * channels < BLOCK {
            Some(PairReading::TwoFrames)
        } else {
            window_channels.is_multiple_of(4).then_some(PairReading::Whole)
        }
    }

    /// Returns this convolution as a convolution along the frames. Returns `None` if it has groups
    /// or a temporal stride, or if it belongs to a step, in which not all frames of the clip are
    /// available.
    pub(super) fn along_frames(&self) -> Option<AxisConv<'_>> {
        if self.group > 1 || self.stride > 1 || self.is_streaming {
            return None;
        }
        Some(AxisConv {
            taps: self.weights.view().permuted_axes([2, 0, 1, 3, 4]),
            bias: self.bias.as_deref(),
            space: self.space,
            before: self.before,
            count: self.count,
            extra_cost: 0,
        })
    }

    /// Returns this convolution, whose temporal kernel must be 1, as a convolution along the rows.
    /// `extra_cost` is the cost of the transposes around the convolution. Returns `None` if the
    /// convolution has groups.
    pub(super) fn along_rows(&self, rows: usize, extra_cost: i128) -> Option<AxisConv<'_>> {
        if self.group > 1 {
            return None;
        }
        let ([_, width], [top, left, _, right]) = (self.space.kernel, self.space.pads);
        Some(AxisConv {
            taps: self.weights.view().permuted_axes([3, 0, 1, 2, 4]),
            bias: self.bias.as_deref(),
            space: Window2d {
                kernel: [1, width],
                strides: [1, self.space.strides[1]],
                dilations: [1, 1],
                pads: [0, left, 0, right],
            },
            before: top,
            count: rows,
            extra_cost,
        })
    }

    /// Copies the weights in `view` to a tensor for a 2-D convolution. Returns `None` if the number
    /// of weights does not match the shape of the tensor.
    fn to_weights(&self, view: ArrayView5<f32>, outputs: usize, inputs: usize) -> Option<Tensor> {
        let [height, width] = self.space.kernel;
        Tensor::new(&[outputs, inputs, height, width], view.iter().copied().collect())
    }

    /// Returns the weights of one tap, `[outputs, inputs/group, height, width]`.
    pub(super) fn tap(&self, tap: usize) -> Tensor {
        Tensor::from(self.weights.index_axis(Axis(2), tap).as_standard_layout().into_owned())
    }

    /// Returns the taps `first..last`, stacked along the input channels.
    pub(super) fn stacked_inputs(&self, first: usize, last: usize) -> Option<Tensor> {
        let taps = self.weights.slice_axis(Axis(2), Slice::from(first..last));
        self.to_weights(
            taps.permuted_axes([0, 2, 1, 3, 4]),
            self.outputs(),
            self.inputs() * (last - first),
        )
    }

    /// Returns all taps, stacked along the output channels.
    pub(super) fn stacked_outputs(&self) -> Option<Tensor> {
        let taps = self.weights.view().permuted_axes([2, 0, 1, 3, 4]);
        self.to_weights(taps, self.outputs() * self.kernel(), self.inputs())
    }

    /// Returns all taps, stacked along the output channels, beginning with the tap that reads the
    /// newest frame.
    pub(super) fn stacked_outputs_newest_first(&self) -> Option<Tensor> {
        let mut taps = self.weights.view().permuted_axes([2, 0, 1, 3, 4]);
        taps.invert_axis(Axis(0));
        self.to_weights(taps, self.outputs() * self.kernel(), self.inputs())
    }

    /// Returns the bias for [`Self::stacked_outputs`]. It is zero for every tap except `tap`.
    pub(super) fn stacked_bias(&self, tap: usize) -> Option<Vec<f32>> {
        let bias = self.bias.as_ref()?;
        let mut stacked = vec![0.0; self.outputs() * self.kernel()];
        stacked[tap * self.outputs()..][..self.outputs()].copy_from_slice(bias);
        Some(stacked)
    }

    /// Returns the weights that compute two output frames from a window of `kernel + 1` input
    /// frames. Each returned tensor contains the weights for `frames` input frames. The output
    /// frames are stacked along the output channels, and the input frames along the input channels.
    pub(super) fn pair_weights(&self, frames: usize) -> Option<Vec<Tensor>> {
        let (outputs, inputs, kernel) = (self.outputs(), self.inputs(), self.kernel());
        let [height, width] = self.space.kernel;
        let mut weights = Array5::zeros([2 * outputs, kernel + 1, inputs, height, width]);
        let taps = self.weights.view().permuted_axes([0, 2, 1, 3, 4]);
        for second in 0..2 {
            let rows = second * outputs..(second + 1) * outputs;
            let mut frames = weights.slice_axis_mut(Axis(0), Slice::from(rows));
            frames.slice_axis_inplace(Axis(1), Slice::from(second..second + kernel));
            frames.assign(&taps);
        }
        weights
            .axis_chunks_iter(Axis(1), frames)
            .map(|part| self.to_weights(part, 2 * outputs, inputs * frames))
            .collect()
    }
}
