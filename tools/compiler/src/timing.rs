//! The timing of a network's values. The module `causality` computes it, and `lower` uses it.

use crate::graph::{Graph, Node, ValueId, Window};
use crate::layout::Layout;

/// The dependence of a value on time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Time {
    /// The value is a constant.
    Static,
    /// The value has a time axis.
    Frames {
        /// Number of frames in one step.
        per_step: usize,
        /// For each frame of the clip, the index of the latest fast sample on which the frame
        /// depends, or -1 if the frame depends only on padding.
        latest_samples: Vec<i64>,
    },
    /// The value belongs to the newest frame.
    Newest,
    /// The value comes after a mean over time.
    Pooled {
        /// Whether the value is linear in the pooled features.
        is_linear: bool,
    },
}

/// The timing of all values, and the obstacles to streaming.
pub(crate) struct Timing {
    /// One entry for each value of the graph.
    pub(crate) times: Vec<Time>,
    /// The reasons why the network cannot stream, or an empty list if it can.
    pub(crate) obstacles: Vec<String>,
    /// Nonlinear nodes after the mean over time, in execution order. If there are any, a step
    /// outputs the pooled features instead of logits.
    pub(crate) nonlinear_head: Vec<String>,
    /// The results of the means over time.
    pub(crate) pooled: Vec<ValueId>,
}

impl Timing {
    /// Returns the timing of a value.
    pub(crate) fn time(&self, id: ValueId) -> &Time {
        &self.times[id.0]
    }

    /// Returns whether the network can stream and therefore has a step graph.
    pub(crate) fn can_stream(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// The temporal part of a node's window, in frames.
pub(crate) struct TimeWindow {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Padding before the first frame. A negative number crops that many frames.
    pub(crate) before: i64,
    /// Number of output frames in a clip.
    pub(crate) count: usize,
}

impl TimeWindow {
    /// Returns the temporal part of `window`. A window over two axes covers only space, so its
    /// temporal kernel and stride are 1.
    pub(crate) fn new(graph: &Graph, layout: &Layout, node: &Node, window: &Window) -> Self {
        let count = layout.frames(graph, node.output);
        match window.kernel.len() {
            3 => Self {
                kernel: window.kernel[0],
                stride: window.strides[0],
                before: window.before[0],
                count,
            },
            _ => Self { kernel: 1, stride: 1, before: 0, count },
        }
    }
}
