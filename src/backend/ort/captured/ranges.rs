//! Positions of the tensors of a part in its buffers.

use crate::model::StateSpec;
use crate::model::part::PartSpec;
use crate::sys::gpu::Layout;
use std::ops::Range;

/// Positions of the tensors in the buffers, in floats. The input buffer contains the samples, the
/// lateral windows and the states, and the output buffer contains the logits and the states. The
/// windows and the states are laid out in the same way wherever they are stored, so each of them is
/// copied as one block.
pub(super) struct Ranges {
    pub(super) slow: Range<usize>,
    pub(super) fast: Range<usize>,
    /// Total length of the samples.
    pub(super) samples_len: usize,
    /// Lateral windows that the part reads, relative to the first.
    pub(super) windows: Vec<Range<usize>>,
    /// Total length of these windows.
    pub(super) windows_len: usize,
    /// States, relative to the first.
    pub(super) states: Vec<Range<usize>>,
    /// Total length of the states.
    pub(super) states_len: usize,
    /// Start of the states in the output buffer.
    first_output: usize,
    /// Lateral windows that the part writes: the range in the states, and the range in a copy of
    /// all windows.
    pub(super) written_windows: Vec<(Range<usize>, Range<usize>)>,
    /// Total length of such a copy.
    pub(super) written_len: usize,
}

/// Returns the ranges of all tensors of a layout, and its length.
fn list_ranges(layout: &Layout) -> (Vec<Range<usize>>, usize) {
    let ranges = layout.tensors.iter().map(|&(start, len)| start..start + len);
    (ranges.collect(), layout.len)
}

impl Ranges {
    /// Computes the positions from the layouts of the inputs and the outputs.
    pub(super) fn new((inputs, outputs): (&Layout, &Layout), spec: &PartSpec) -> Self {
        let layout = |states: &[StateSpec]| Layout::new(states.iter().map(|state| &state.shape));
        let (windows, windows_len) = list_ranges(&layout(&spec.windows));
        let (states, states_len) = list_ranges(&layout(&spec.states));
        let samples_len = inputs.start_of(inputs.tensors.len() - windows.len() - states.len());
        let samples =
            |shape: [usize; 4], start: usize| start..start + shape.iter().product::<usize>();
        let has_both = spec.slow[0] > 0 && spec.fast[0] > 0;
        let written = spec.written_windows.iter().filter_map(|&index| spec.states.get(index));
        let written: Vec<StateSpec> = written.cloned().collect();
        let (copied, written_len) = list_ranges(&layout(&written));
        let from = spec.written_windows.iter().filter_map(|&index| states.get(index).cloned());
        Self {
            slow: samples(spec.slow, 0),
            fast: if spec.fast[0] > 0 {
                samples(spec.fast, if has_both { inputs.start_of(1) } else { 0 })
            } else {
                samples_len..samples_len
            },
            samples_len,
            written_windows: from.zip(copied).collect(),
            written_len,
            windows,
            windows_len,
            states,
            states_len,
            first_output: outputs.start_of(1),
        }
    }

    /// Returns the range of the lateral windows in the input buffer.
    pub(super) fn windows_in_inputs(&self) -> Range<usize> {
        self.samples_len..self.samples_len + self.windows_len
    }

    /// Returns the range of the states in the input buffer.
    pub(super) fn states_in_inputs(&self) -> Range<usize> {
        let start = self.samples_len + self.windows_len;
        start..start + self.states_len
    }

    /// Returns the range of the states in the output buffer.
    pub(super) fn states_in_outputs(&self) -> Range<usize> {
        self.first_output..self.first_output + self.states_len
    }
}
