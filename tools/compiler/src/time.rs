//! Pass 5: what every value knows of time, and whether the network can stream.
//!
//! Causality is proved by reach: for every frame of every value, the latest fast sample it depends on is followed
//! from the inputs through the windows that are really read. Pad attributes say nothing here, because frameworks
//! write symmetric pads whose right side a strided kernel never touches.

use crate::error::Result;
use crate::graph::{Graph, Node, Op, ValueId, Window};
use crate::layout::{Lane, Layout};
use crate::pathways::Pathways;

/// Most frames of a clip; reach is followed frame by frame.
const MAX_FRAMES: usize = 4096;
/// Most window taps followed in all; R101 has under 20,000.
const MAX_TAPS: usize = 1 << 22;
/// Largest temporal kernel.
const MAX_KERNEL: usize = 255;

/// Why squeeze-excite over time cannot stream.
const POOLS_INSIDE: &str = "the network pools over time inside, so no chunk is final by itself";

/// How a value lies in time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Time {
    /// A constant, or not computed.
    Static,
    /// One entry per frame of the clip: the latest fast sample it depends on.
    Frames { per_chunk: usize, reach: Vec<i64> },
    /// Time has been averaged away. `linear`: still linear in the pooled features.
    Pooled { linear: bool },
}

/// Result of the analysis.
pub(crate) struct Timing {
    times: Vec<Time>,
    /// Why the network cannot stream; empty when it can. The first reason, and the first pool over time inside, which
    /// no change of padding would cure.
    pub(crate) obstacles: Vec<String>,
    /// Nodes after the temporal mean that are not linear, in order; with any, the step gives features.
    pub(crate) nonlinear_head: Vec<String>,
    /// The values in which time was just averaged away.
    pub(crate) pooled: Vec<ValueId>,
}

impl Timing {
    pub(crate) fn of(&self, id: ValueId) -> &Time {
        &self.times[id.0]
    }

    /// Frames of the value in one step, 1 after the temporal mean.
    /// Whether there is a step graph.
    pub(crate) fn streams(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// The temporal part of a node's window, as kernel, stride, pad before.
pub(crate) struct TimeWindow {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) before: i64,
    /// Frames that come out over a clip.
    pub(crate) count: usize,
}

/// The window along time of a five-axis node; windows over four axes do not touch time.
pub(crate) fn time_window(graph: &Graph, layout: &Layout, node: &Node, window: &Window) -> TimeWindow {
    let count = layout.frames(graph, node.output);
    match window.kernel.len() {
        3 => TimeWindow {
            kernel: window.kernel[0],
            stride: window.strides[0],
            before: window.before[0],
            count,
        },
        _ => TimeWindow { kernel: 1, stride: 1, before: 0, count },
    }
}

struct Analysis<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    pathways: &'a Pathways,
    chunk: usize,
    timing: Timing,
    /// Window taps that may still be followed.
    taps_left: usize,
}

/// Follows time through the graph. `chunk` is the number of slow frames per step.
pub(crate) fn analyse(graph: &Graph, layout: &Layout, pathways: &Pathways, chunk: usize) -> Result<Timing> {
    let timing = Timing {
        times: vec![Time::Static; graph.values.len()],
        obstacles: Vec::new(),
        nonlinear_head: Vec::new(),
        pooled: Vec::new(),
    };
    let mut analysis = Analysis { graph, layout, pathways, chunk, timing, taps_left: MAX_TAPS };
    analysis.inputs()?;
    for node in &graph.nodes {
        if layout.frames(graph, node.output) > 2 * MAX_FRAMES {
            return graph.node_error(node, format!("gives more than {} frames", 2 * MAX_FRAMES));
        }
        let time = analysis.node(node)?;
        analysis.timing.times[node.output.0] = time;
    }
    let output = graph.outputs[0];
    if let Time::Frames { .. } = analysis.timing.of(output) {
        analysis.obstruct("the output still has a time axis: it is not a mean over time".into());
    }
    Ok(analysis.timing)
}

impl Analysis<'_> {
    /// Notes the first reason against streaming.
    fn obstruct(&mut self, reason: String) {
        if self.timing.obstacles.is_empty() {
            self.timing.obstacles.push(reason);
        }
    }

    fn obstruct_node(&mut self, node: &Node, reason: &str) {
        self.obstruct(self.described(node, reason));
    }

    fn described(&self, node: &Node, reason: &str) -> String {
        let shapes: Vec<_> = node.inputs.iter().map(|&id| self.graph.shape(id)).collect();
        format!("node \"{}\" ({}) with input shapes {shapes:?}: {reason}", node.name, node.source_op)
    }

    fn inputs(&mut self) -> Result<()> {
        let p = self.pathways;
        let chunks = p.chunks();
        if p.fast_frames > MAX_FRAMES {
            let reason = format!("{} frames; at most {MAX_FRAMES} are supported", p.fast_frames);
            return Err(crate::error::CompileError::Network(reason));
        }
        if !chunks.is_multiple_of(self.chunk) {
            self.obstruct(format!("a clip of {chunks} slow frames is no multiple of --chunk {}", self.chunk));
        }
        let fast =
            Time::Frames { per_chunk: p.alpha * self.chunk, reach: (0..p.fast_frames as i64).collect() };
        self.timing.times[p.fast.0] = fast;
        if let Some(slow) = p.slow {
            // The slow sample of a chunk is its first fast sample.
            let reach = (0..p.slow_frames).map(|i| (i * p.alpha) as i64).collect();
            self.timing.times[slow.0] = Time::Frames { per_chunk: self.chunk, reach };
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<Time> {
        let first = self.timing.of(node.inputs[0]).clone();
        Ok(match &node.op {
            Op::Conv { window, .. } => self.window(node, window, first, true)?,
            Op::MaxPool { window } => self.window(node, window, first, false)?,
            Op::AveragePool { window, count_include_pad } => {
                let time = time_window(self.graph, self.layout, node, window);
                let frames = self.layout.frames(self.graph, node.inputs[0]);
                let whole = time.count == 1 && time.kernel == frames && time.before == 0;
                match first {
                    Time::Frames { per_chunk, ref reach } if whole && window.kernel.len() == 3 => {
                        self.mean(node, per_chunk, reach)
                    }
                    _ => {
                        let padded = window.kernel.len() == 3 && (time.before > 0 || window.after[0] > 0);
                        if padded && !count_include_pad {
                            self.obstruct_node(node, "its average counts fewer frames at the start of time");
                        }
                        self.window(node, window, first, true)?
                    }
                }
            }
            Op::ReduceMean { axes, .. } => {
                let lanes = self.layout.lanes(node.inputs[0]);
                let over_time = axes.iter().any(|&a| lanes.get(a) == Some(&Lane::Time));
                match first {
                    Time::Frames { per_chunk, ref reach } if over_time => self.mean(node, per_chunk, reach),
                    other => other,
                }
            }
            Op::Relu | Op::Sigmoid | Op::HardSigmoid { .. } | Op::Clip { .. } | Op::Softmax { .. } => {
                self.nonlinear(node, first)
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Concat { .. } => self.combine(node),
            Op::Slice { axis, .. } | Op::Gather { axis, .. } => self.pick(node, *axis, first),
            Op::Pad { before, .. } => self.pad(node, before, first),
            Op::Reshape | Op::Transpose { .. } | Op::Gemm { .. } | Op::MatMul | Op::BatchNorm { .. } => first,
        })
    }

    /// A window sliding over time.
    fn window(&mut self, node: &Node, window: &Window, time: Time, linear: bool) -> Result<Time> {
        let w = time_window(self.graph, self.layout, node, window);
        if w.kernel > MAX_KERNEL {
            return self
                .graph
                .node_error(node, format!("a temporal kernel over {MAX_KERNEL} is not supported"));
        }
        match w.kernel.checked_mul(w.count).and_then(|taps| self.taps_left.checked_sub(taps)) {
            Some(left) => self.taps_left = left,
            None => return self.graph.node_error(node, "the network has too many windows over time"),
        }
        let (per_chunk, reach) = match time {
            Time::Frames { per_chunk, reach } => (per_chunk, reach),
            // After the mean a padded temporal kernel sees one frame and zeros: still linear.
            pooled if linear => return Ok(pooled),
            pooled => return Ok(self.nonlinear(node, pooled)),
        };
        if !per_chunk.is_multiple_of(w.stride) {
            let reason =
                format!("strides over {per_chunk} frames per step by {}; try another --chunk", w.stride);
            self.obstruct_node(node, &reason);
        }
        // The last frame of a step reads up to kernel - before - 1 past its first tap, and a stride later the next
        // step begins.
        if w.kernel as i64 - w.before > w.stride as i64 {
            self.obstruct_node(node, "it looks ahead in time; streaming needs causal padding");
        }
        let seen = |t: usize| {
            let start = (t * w.stride) as i64 - w.before;
            let taps = (start..start + w.kernel as i64).filter_map(|i| reach.get(usize::try_from(i).ok()?));
            // A frame that reads padding only depends on nothing.
            taps.max().copied().unwrap_or(-1)
        };
        let reach = (0..w.count).map(seen).collect();
        Ok(Time::Frames { per_chunk: (per_chunk / w.stride).max(1), reach })
    }

    /// The mean over all of time: here the reach of every frame is judged.
    fn mean(&mut self, node: &Node, per_chunk: usize, reach: &[i64]) -> Time {
        let samples = (self.pathways.alpha * self.chunk) as i64;
        if reach.len() * self.chunk != self.pathways.chunks() * per_chunk {
            let reason = format!("it averages {} frames, not those of whole chunks", reach.len());
            self.obstruct_node(node, &reason);
        }
        let late = reach.iter().enumerate().find(|(t, r)| **r >= (*t / per_chunk + 1) as i64 * samples);
        if let Some((t, r)) = late {
            let reason = format!(
                "frame {t} depends on sample {r}, past the end of its chunk; streaming needs causal padding"
            );
            self.obstruct_node(node, &reason);
        }
        self.timing.pooled.push(node.output);
        Time::Pooled { linear: true }
    }

    fn nonlinear(&mut self, node: &Node, time: Time) -> Time {
        match time {
            Time::Pooled { .. } => {
                self.timing.nonlinear_head.push(format!("{} ({})", node.name, node.source_op));
                Time::Pooled { linear: false }
            }
            other => other,
        }
    }

    fn combine(&mut self, node: &Node) -> Time {
        let times: Vec<Time> =
            node.inputs.iter().map(|&id| self.timing.of(id).clone()).filter(|t| *t != Time::Static).collect();
        let mut frames: Option<(usize, Vec<i64>)> = None;
        let mut pooled = 0;
        for time in &times {
            match (time, &mut frames) {
                (Time::Frames { per_chunk, reach }, Some((rate, merged))) => {
                    if rate != per_chunk || merged.len() != reach.len() {
                        self.obstruct_node(node, "it joins values of different frame rates");
                    }
                    merged.iter_mut().zip(reach).for_each(|(m, r)| *m = (*m).max(*r));
                }
                (Time::Frames { per_chunk, reach }, slot) => *slot = Some((*per_chunk, reach.clone())),
                _ => pooled += 1,
            }
        }
        match frames {
            Some((per_chunk, reach)) => {
                if pooled > 0 && !self.timing.obstacles.iter().any(|o| o.contains(POOLS_INSIDE)) {
                    let reason = self.described(node, POOLS_INSIDE);
                    self.timing.obstacles.push(reason);
                }
                Time::Frames { per_chunk, reach }
            }
            None => {
                let linear = times.iter().all(|t| matches!(t, Time::Pooled { linear: true }));
                let product = matches!(node.op, Op::Max)
                    || matches!(node.op, Op::Mul) && times.len() > 1
                    || matches!(node.op, Op::Div) && *self.timing.of(node.inputs[1]) != Time::Static;
                let pooled = Time::Pooled { linear };
                if product { self.nonlinear(node, pooled) } else { pooled }
            }
        }
    }

    fn pick(&mut self, node: &Node, axis: usize, time: Time) -> Time {
        if self.layout.lanes(node.inputs[0]).get(axis) != Some(&Lane::Time) {
            return time;
        }
        let Time::Frames { per_chunk, reach } = time else { return time };
        let (start, step, count) = match node.op {
            Op::Slice { start, step, count, .. } => (start, step, count),
            Op::Gather { ref indices, .. } => {
                self.obstruct_node(node, "it picks frames at uneven distances");
                let reach: Vec<i64> = indices.iter().filter_map(|&i| reach.get(i).copied()).collect();
                return Time::Frames { per_chunk, reach };
            }
            _ => return Time::Frames { per_chunk, reach },
        };
        if !per_chunk.is_multiple_of(step) {
            self.obstruct_node(node, "it picks frames at a distance that does not divide a step");
        }
        if start >= step {
            self.obstruct_node(node, "it drops frames at the start of time");
        }
        let reach = (0..count).filter_map(|i| reach.get(start + i * step).copied()).collect();
        Time::Frames { per_chunk: (per_chunk / step).max(1), reach }
    }

    fn pad(&mut self, node: &Node, before: &[i64], time: Time) -> Time {
        let Some(axis) = self.layout.lanes(node.inputs[0]).iter().position(|&l| l == Lane::Time) else {
            return time;
        };
        let Time::Frames { per_chunk, reach } = time else { return time };
        let shift = before.get(axis).copied().unwrap_or(0);
        if shift < 0 {
            self.obstruct_node(node, "it drops frames at the start of time");
        }
        let count = self.layout.frames(self.graph, node.output);
        let at = |t: usize| reach.get(usize::try_from(t as i64 - shift).ok()?).copied();
        Time::Frames { per_chunk, reach: (0..count).map(|t| at(t).unwrap_or(-1)).collect() }
    }
}
