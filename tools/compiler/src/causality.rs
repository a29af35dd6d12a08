//! Pass 5: analyses how every value depends on time, and proves that the network is chunk-causal.
//!
//! For every frame of every value, the analysis computes the latest fast sample that the frame
//! depends on. The analysis starts at the inputs and follows the window positions that each node
//! actually reads. The attribute `pads` alone does not show what a node reads: frameworks write
//! symmetric pads, but the windows of a strided kernel may never reach the padding at the end.

mod combination;
mod selection;

use crate::error::{Result, fail_network};
use crate::graph::{Graph, Node, Op, Window};
use crate::layout::{AxisRole, Layout};
use crate::pathways::Pathways;
use crate::timing::{Time, TimeWindow, Timing};

/// Maximum number of frames in a clip.
const MAX_FRAMES: usize = 4096;
/// Maximum number of frames in a value. It is larger than [`MAX_FRAMES`], because padding may
/// lengthen a clip.
const MAX_PADDED_FRAMES: usize = 2 * MAX_FRAMES;
/// Maximum number of window positions that the analysis follows. SlowFast R101 has fewer than
/// 20,000 positions.
const MAX_TAPS: usize = 1 << 22;
/// Maximum size of a temporal kernel.
const MAX_KERNEL: usize = 255;

struct Analysis<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    pathways: &'a Pathways,
    /// Number of slow frames in a step.
    chunk: usize,
    timing: Timing,
    /// Whether `timing` already lists an operator that combines frames with a mean over time.
    has_inner_pool: bool,
    /// Number of window positions that the analysis may still follow.
    taps_left: usize,
}

/// Analyses the timing of all values for steps of `chunk` slow frames.
///
/// The result contains the first obstacle to streaming in execution order. If a node combines
/// frames with a mean over time, the result also contains that obstacle, because no change of the
/// padding can remove it.
pub(crate) fn analyse_timing(
    graph: &Graph,
    layout: &Layout,
    pathways: &Pathways,
    chunk: usize,
) -> Result<Timing> {
    let timing = Timing {
        times: vec![Time::Static; graph.values.len()],
        obstacles: Vec::new(),
        nonlinear_head: Vec::new(),
        pooled: Vec::new(),
    };
    let mut analysis = Analysis {
        graph,
        layout,
        pathways,
        chunk,
        timing,
        has_inner_pool: false,
        taps_left: MAX_TAPS,
    };
    analysis.analyse_inputs()?;
    for node in &graph.nodes {
        let frames = layout.frames(graph, node.output);
        if frames > MAX_PADDED_FRAMES {
            let reason =
                format!("the result must have at most {MAX_PADDED_FRAMES} frames, got {frames}");
            return graph.fail_node(node, reason);
        }
        let time = analysis.analyse_node(node)?;
        analysis.timing.times[node.output.0] = time;
    }
    if let Time::Frames { .. } = analysis.timing.time(graph.outputs[0]) {
        analysis.add_obstacle("the output has a time axis, but must be a mean over time".into());
    }
    Ok(analysis.timing)
}

impl Analysis<'_> {
    /// Records an obstacle to streaming, unless an earlier one is already recorded.
    fn add_obstacle(&mut self, reason: String) {
        if self.timing.obstacles.is_empty() {
            self.timing.obstacles.push(reason);
        }
    }

    fn add_node_obstacle(&mut self, node: &Node, reason: &str) {
        let is_recurrent = matches!(node.source_op.as_str(), "LSTM" | "GRU" | "RNN");
        let reason = if is_recurrent {
            "a recurrent layer streams forwards only, over one row of features for each frame; this \
             one runs backwards or over other values"
        } else {
            reason
        };
        self.add_obstacle(format!("{}: {reason}", self.graph.node_ref(node)));
    }

    fn analyse_inputs(&mut self) -> Result<()> {
        let Pathways { slow, fast, alpha, slow_frames, fast_frames, .. } = *self.pathways;
        let chunks = self.pathways.chunks();
        if fast_frames > MAX_FRAMES {
            return fail_network(format!(
                "a clip must have at most {MAX_FRAMES} frames, got {fast_frames}"
            ));
        }
        if !chunks.is_multiple_of(self.chunk) {
            self.add_obstacle(format!(
                "the clip has {chunks} slow frames, which is not a multiple of the {} slow frames of a step",
                self.chunk
            ));
        }
        let latest_samples = (0..fast_frames as i64).collect();
        self.timing.times[fast.0] = Time::Frames { per_step: alpha * self.chunk, latest_samples };
        if let Some(slow) = slow {
            // Slow frame `i` is the first fast sample of chunk `i`.
            let latest_samples = (0..slow_frames).map(|i| (i * alpha) as i64).collect();
            self.timing.times[slow.0] = Time::Frames { per_step: self.chunk, latest_samples };
        }
        Ok(())
    }

    fn analyse_node(&mut self, node: &Node) -> Result<Time> {
        if let Some(reason) = self.layout.plain_reason(node.output) {
            return Ok(self.analyse_plain(node, reason));
        }
        let first = self.timing.time(node.inputs[0]).clone();
        Ok(match &node.op {
            Op::Conv { window, .. } => self.analyse_window(node, window, first, true)?,
            Op::MaxPool { window } => self.analyse_window(node, window, first, false)?,
            Op::AveragePool { window, count_include_pad } => {
                self.analyse_average_pool(node, window, *count_include_pad, first)?
            }
            Op::ReduceMean { axes, .. } => {
                let is_over_time =
                    axes.iter().any(|&a| self.layout.role(node.inputs[0], a) == AxisRole::Time);
                match first {
                    Time::Frames { per_step, ref latest_samples } if is_over_time => {
                        self.analyse_mean(node, per_step, latest_samples)
                    }
                    other => other,
                }
            }
            Op::ReduceMax { axes, .. } => {
                let is_over_time =
                    axes.iter().any(|&a| self.layout.role(node.inputs[0], a) == AxisRole::Time);
                if is_over_time && matches!(first, Time::Frames { .. }) {
                    self.add_node_obstacle(
                        node,
                        "it takes a maximum over all frames; streaming needs a mean over time",
                    );
                    self.timing.pooled.push(node.output);
                    return Ok(Time::Pooled { is_linear: false });
                }
                self.analyse_nonlinear(node, first)
            }
            Op::Softmax { axis } | Op::LogSoftmax { axis } => {
                let is_over_time = self.layout.role(node.inputs[0], *axis) == AxisRole::Time;
                if is_over_time && matches!(first, Time::Frames { .. }) {
                    self.add_node_obstacle(
                        node,
                        "it normalises over all frames, so no chunk has a final result by itself",
                    );
                }
                self.analyse_nonlinear(node, first)
            }
            Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Function(_) => {
                self.analyse_nonlinear(node, first)
            }
            Op::Concat { axis } if self.layout.role(node.output, *axis) == AxisRole::Time => {
                self.add_node_obstacle(node, "it joins frames of several values");
                Time::Frames {
                    per_step: 1,
                    latest_samples: vec![0; self.layout.frames(self.graph, node.output)],
                }
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Min | Op::Concat { .. } => {
                self.analyse_combination(node)
            }
            Op::Slice { axis, .. } | Op::Gather { axis, .. } => {
                self.analyse_selection(node, *axis, first)
            }
            Op::Pad { before, .. } => self.analyse_pad(node, before, first),
            Op::Previous => match first {
                Time::Frames { per_step, latest_samples } => {
                    if per_step != 1 {
                        self.add_node_obstacle(node, "it needs steps of one frame");
                    }
                    let earlier = std::iter::once(-1).chain(latest_samples.iter().copied());
                    let latest_samples = earlier.take(latest_samples.len()).collect();
                    Time::Frames { per_step, latest_samples }
                }
                other => {
                    self.add_node_obstacle(node, "its input has no frames");
                    other
                }
            },
            Op::Reshape
            | Op::Transpose { .. }
            | Op::Gemm { .. }
            | Op::MatMul
            | Op::BatchNorm { .. }
            | Op::Kept(_) => first,
        })
    }

    /// Analyses a node with a plain result.
    fn analyse_plain(&mut self, node: &Node, reason: &str) -> Time {
        let times = node.inputs.iter().map(|&id| self.timing.time(id));
        if times.into_iter().any(|time| matches!(time, Time::Frames { .. })) {
            self.add_node_obstacle(node, reason);
            return Time::Pooled { is_linear: false };
        }
        if node.inputs.iter().any(|&id| *self.timing.time(id) == Time::Newest) {
            return Time::Newest;
        }
        self.analyse_nonlinear(node, Time::Pooled { is_linear: false })
    }

    /// Analyses a window that slides over time.
    fn analyse_window(
        &mut self,
        node: &Node,
        window: &Window,
        time: Time,
        is_linear: bool,
    ) -> Result<Time> {
        let w = TimeWindow::new(self.graph, self.layout, node, window);
        if w.kernel > MAX_KERNEL {
            let reason =
                format!("the temporal kernel must be at most {MAX_KERNEL}, got {}", w.kernel);
            return self.graph.fail_node(node, reason);
        }
        match w.kernel.checked_mul(w.count).and_then(|taps| self.taps_left.checked_sub(taps)) {
            Some(left) => self.taps_left = left,
            None => {
                return self.graph.fail_node(
                    node,
                    format!(
                        "the temporal windows of the network have more than {MAX_TAPS} positions"
                    ),
                );
            }
        }
        let (per_step, latest_samples) = match time {
            Time::Frames { per_step, latest_samples } => (per_step, latest_samples),
            // After the mean over time, a window no longer reads separate frames, so only the
            // linearity of the operator matters.
            other if is_linear => return Ok(other),
            other => return Ok(self.analyse_nonlinear(node, other)),
        };
        if !per_step.is_multiple_of(w.stride) {
            let reason = format!(
                "its temporal stride of {} does not divide the {per_step} frames of a step, so some steps \
                 would have no result; remove the stride over time",
                w.stride
            );
            self.add_node_obstacle(node, &reason);
        }
        // The last window of a step reads up to `kernel - before - 1` frames after its position.
        // The next step begins one stride after that position, so the window must end before it.
        if w.kernel as i64 - w.before > w.stride as i64 {
            self.add_node_obstacle(
                node,
                "it reads later frames; streaming needs causal padding in time",
            );
        }
        let latest = |t: usize| {
            let start = (t * w.stride) as i64 - w.before;
            let window = start..start + w.kernel as i64;
            window.map(|i| self.latest_sample(&latest_samples, i)).max().unwrap_or(-1)
        };
        let latest_samples = (0..w.count).map(latest).collect();
        Ok(Time::Frames { per_step: (per_step / w.stride).max(1), latest_samples })
    }

    /// Returns the latest sample on which frame `at` depends. Padding before the first frame
    /// depends on no sample. After the last frame, a stream has later frames instead of padding, or
    /// the frames that the network drops.
    fn latest_sample(&self, latest_samples: &[i64], at: i64) -> i64 {
        match usize::try_from(at) {
            Err(_) => -1,
            Ok(at) => latest_samples.get(at).copied().unwrap_or(self.pathways.fast_frames as i64),
        }
    }

    fn analyse_average_pool(
        &mut self,
        node: &Node,
        window: &Window,
        count_include_pad: bool,
        first: Time,
    ) -> Result<Time> {
        let w = TimeWindow::new(self.graph, self.layout, node, window);
        let frames = self.layout.frames(self.graph, node.inputs[0]);
        let is_temporal = window.kernel.len() == 3;
        let is_whole_clip = is_temporal && w.count == 1 && w.kernel == frames && w.before == 0;
        if let (Time::Frames { per_step, latest_samples }, true) = (&first, is_whole_clip) {
            return Ok(self.analyse_mean(node, *per_step, latest_samples));
        }
        if is_temporal && (w.before > 0 || window.after[0] > 0) && !count_include_pad {
            self.add_node_obstacle(
                node,
                "its average counts fewer frames at the start of the clip",
            );
        }
        self.analyse_window(node, window, first, true)
    }

    /// Analyses a mean over the whole clip. The network can stream only if no frame of the mean's
    /// input depends on a sample after the end of the frame's chunk.
    fn analyse_mean(&mut self, node: &Node, per_step: usize, latest_samples: &[i64]) -> Time {
        let samples_per_step = self.pathways.alpha * self.chunk;
        let (frames, chunks) = (latest_samples.len(), self.pathways.chunks());
        if frames * self.chunk != chunks * per_step {
            let reason = format!(
                "it averages {frames} frames, but must average exactly the frames of {chunks} whole chunks"
            );
            self.add_node_obstacle(node, &reason);
        }
        let mut late = latest_samples
            .iter()
            .enumerate()
            .filter(|(t, latest)| **latest >= ((t / per_step + 1) * samples_per_step) as i64);
        if let Some((t, latest)) = late.next() {
            let reason = format!(
                "frame {t} depends on sample {latest}, which is after the end of the frame's chunk; streaming \
                 needs causal padding in time"
            );
            self.add_node_obstacle(node, &reason);
        }
        self.timing.pooled.push(node.output);
        Time::Pooled { is_linear: true }
    }

    /// Analyses an operator that is not linear in its input.
    fn analyse_nonlinear(&mut self, node: &Node, time: Time) -> Time {
        match time {
            Time::Pooled { .. } => {
                self.timing.nonlinear_head.push(format!("{} ({})", node.name, node.source_op));
                Time::Pooled { is_linear: false }
            }
            other => other,
        }
    }
}
