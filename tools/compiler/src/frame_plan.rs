//! Pass 5, continued: plans frame steps, which run the fast pathway once for each sample and the
//! slow pathway once for each chunk.
//!
//! The fast part of the network consists of the values with one frame for each sample, and the slow
//! part of the values with one frame for each chunk. The slow part reads frames of the fast part
//! only through nodes with a temporal stride of `alpha`: the lateral connections. The plan proves
//! how many samples of a chunk the slow part needs.

use crate::graph::{Graph, Node, Op, ValueId};
use crate::head::Head;
use crate::layout::{AxisRole, Layout};
use crate::pathways::Pathways;
use crate::timing::{Time, TimeWindow, Timing};

/// The part of the network that a run executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The run for one sample.
    Fast,
    /// The run for one chunk.
    Slow,
}

/// The frames that a node of the slow part reads from a value of the fast part. Positions are
/// relative to the first sample of the chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LateralReading {
    first: i64,
    last: i64,
    /// Value of the frames before the first sample of a segment.
    initial: f32,
}

/// The newest frames of a value of the fast part, which the slow part reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LateralWindow {
    /// The value of the fast part.
    pub(crate) value: ValueId,
    /// Value of the frames before the first sample of a segment.
    pub(crate) initial: f32,
    /// Number of frames.
    pub(crate) frames: usize,
}

/// The division of a network into a fast and a slow part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FramePlan {
    alpha: usize,
    /// Position in a chunk of the last sample that the slow part needs.
    pub(crate) reach: usize,
    /// Windows of the lateral connections.
    pub(crate) windows: Vec<LateralWindow>,
    /// Whether the network has a slow part.
    pub(crate) has_slow_part: bool,
    /// The head, if it is not linear.
    pub(crate) head: Option<Head>,
    /// Whether the clip graph is the step, because the clip has one frame.
    pub(crate) is_clip: bool,
}

impl FramePlan {
    /// Returns the plan of a network whose clip has one frame and one pathway.
    pub(crate) fn of_one_frame() -> Self {
        Self {
            alpha: 1,
            reach: 0,
            windows: Vec::new(),
            has_slow_part: false,
            head: None,
            is_clip: true,
        }
    }
}

/// Plans frame steps for a network that can stream, or returns the reason why it must have chunk
/// steps.
pub(crate) fn plan_frames(
    graph: &Graph,
    layout: &Layout,
    pathways: &Pathways,
    timing: &Timing,
    chunk: usize,
) -> Result<FramePlan, String> {
    if chunk != 1 {
        return Err(format!("a step has {chunk} chunks"));
    }
    let alpha = pathways.alpha;
    let has_slow_part = pathways.slow.is_some();
    let head = Head::find(graph, timing)?;
    if head.as_ref().is_some_and(|head| head.features.is_empty()) {
        return Err("the head that is not linear reads no mean over the frames".into());
    }
    let mut plan =
        FramePlan { alpha, reach: 0, windows: Vec::new(), has_slow_part, head, is_clip: false };
    let mut readings = Vec::new();
    for node in &graph.nodes {
        let Time::Frames { per_step, latest_samples } = timing.time(node.output) else { continue };
        if !matches!(*per_step, 1) && *per_step != alpha {
            return Err(format!(
                "{}: its result has {per_step} frames for each chunk, but must have {alpha} or 1",
                graph.node_ref(node)
            ));
        }
        if let Some(reading) = plan.find_reading(graph, layout, timing, node)? {
            if reading.last >= alpha as i64 {
                return Err(format!("{}: it reads the next chunk", graph.node_ref(node)));
            }
            plan.reach = plan.reach.max(usize::try_from(reading.last).unwrap_or(0));
            readings.push((node.inputs[0], reading));
        }
        if plan.part(timing, node.output) == Some(Part::Fast) {
            check_latest(graph, node, latest_samples, 1, 0)?;
        }
    }
    // The samples on which the slow part depends bound the reach a second time, independently of
    // the positions that its nodes read.
    for node in &graph.nodes {
        if plan.part(timing, node.output) == Some(Part::Slow)
            && let Time::Frames { latest_samples, .. } = timing.time(node.output)
        {
            check_latest(graph, node, latest_samples, alpha, plan.reach)?;
        }
    }
    for (value, reading) in readings {
        plan.add_window(value, reading);
    }
    if has_slow_part {
        for part in [Part::Fast, Part::Slow] {
            plan.check_features(graph, timing, part)?;
        }
    }
    Ok(plan)
}

/// Returns an error if frame `t` of the node's result depends on a sample after
/// `t * stride + reach`.
fn check_latest(
    graph: &Graph,
    node: &Node,
    latest_samples: &[i64],
    stride: usize,
    reach: usize,
) -> Result<(), String> {
    let limits = (0..).map(|t| (t * stride + reach) as i64);
    match latest_samples.iter().zip(limits).find(|(latest, limit)| *latest > limit) {
        None => Ok(()),
        Some((latest, limit)) => Err(format!(
            "{}: its result must depend on no sample after sample {limit}, got sample {latest}",
            graph.node_ref(node)
        )),
    }
}

impl FramePlan {
    /// Returns whether a node belongs to a head that is not linear.
    pub(crate) fn is_in_head(&self, node: &Node) -> bool {
        self.head.as_ref().is_some_and(|head| head.contains(node))
    }

    /// Returns the names of the states that contain the lateral windows, in the order of
    /// [`Self::windows`].
    pub(crate) fn window_names(&self) -> impl Iterator<Item = String> {
        (0..self.windows.len()).map(|index| format!("lateral{index}"))
    }

    /// Returns the part to which a value with a time axis belongs, or `None` for any other value.
    pub(crate) fn part(&self, timing: &Timing, value: ValueId) -> Option<Part> {
        match timing.time(value) {
            Time::Frames { per_step, .. } if *per_step == self.alpha => Some(Part::Fast),
            Time::Frames { .. } => Some(Part::Slow),
            _ => None,
        }
    }

    /// Returns the part that computes a mean over time.
    pub(crate) fn pooled_part(&self, timing: &Timing, node: &Node) -> Option<Part> {
        node.inputs.iter().find_map(|&id| self.part(timing, id))
    }

    /// Returns whether the node belongs to the slow part and reads a value of the fast part.
    pub(crate) fn is_lateral(&self, timing: &Timing, node: &Node) -> bool {
        self.part(timing, node.output) == Some(Part::Slow)
            && self.part(timing, node.inputs[0]) == Some(Part::Fast)
    }

    /// Returns the index of the window that a lateral connection reads and the range of its frames,
    /// or `None` if the node is not one.
    pub(crate) fn find_window(
        &self,
        graph: &Graph,
        layout: &Layout,
        timing: &Timing,
        node: &Node,
    ) -> Option<(usize, std::ops::Range<usize>)> {
        let reading = self.find_reading(graph, layout, timing, node).ok().flatten()?;
        let is_read = |window: &LateralWindow| {
            window.value == node.inputs[0] && window.initial.to_bits() == reading.initial.to_bits()
        };
        let index = self.windows.iter().position(is_read)?;
        // The newest frame of the window is that of the sample at the reach.
        let oldest = self.reach as i64 + 1 - self.windows[index].frames as i64;
        let first = usize::try_from(reading.first - oldest).ok()?;
        let last = usize::try_from(reading.last - oldest).ok()?;
        Some((index, first..last + 1))
    }

    /// Returns the frames that a lateral connection reads, or `None` if the node is not one.
    fn find_reading(
        &self,
        graph: &Graph,
        layout: &Layout,
        timing: &Timing,
        node: &Node,
    ) -> Result<Option<LateralReading>, String> {
        if !self.is_lateral(timing, node) {
            return Ok(None);
        }
        let (window, initial) = match &node.op {
            Op::Conv { window, .. } | Op::AveragePool { window, .. } => (window, 0.0),
            Op::MaxPool { window } => (window, f32::MIN),
            Op::Slice { axis, start, .. }
                if layout.role(node.inputs[0], *axis) == AxisRole::Time =>
            {
                let position = *start as i64;
                return Ok(Some(LateralReading { first: position, last: position, initial: 0.0 }));
            }
            _ => {
                let node = graph.node_ref(node);
                return Err(format!("{node}: it cannot read frames of the fast pathway"));
            }
        };
        let time = TimeWindow::new(graph, layout, node, window);
        let last = time.kernel as i64 - 1 - time.before;
        Ok(Some(LateralReading { first: -time.before, last, initial }))
    }

    /// Adds a window, or extends the window that has the same value and the same initial value.
    fn add_window(&mut self, value: ValueId, reading: LateralReading) {
        let frames = usize::try_from(self.reach as i64 + 1 - reading.first).unwrap_or(1);
        let same = self.windows.iter_mut().find(|window| {
            window.value == value && window.initial.to_bits() == reading.initial.to_bits()
        });
        match same {
            Some(window) => window.frames = window.frames.max(frames),
            None => {
                let initial = reading.initial;
                self.windows.push(LateralWindow { value, initial, frames });
            }
        }
    }

    /// Checks that a part computes features for the head.
    fn check_features(&self, graph: &Graph, timing: &Timing, part: Part) -> Result<(), String> {
        let mut pooled = graph.nodes.iter().filter(|node| timing.pooled.contains(&node.output));
        if pooled.any(|node| self.pooled_part(timing, node) == Some(part)) {
            return Ok(());
        }
        let pathway = match part {
            Part::Fast => "fast",
            Part::Slow => "slow",
        };
        Err(format!("the head reads no features of the {pathway} pathway"))
    }
}
