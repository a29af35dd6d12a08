//! A lowering in progress, with methods that the rules of all operators share.

use crate::error::Result;
use crate::frame_plan::{FramePlan, Part};
use crate::graph::{Graph, Node, ValueId, Window};
use crate::layout::Layout;
use crate::lowered::{LoweredGraph, LoweredId, State};
use crate::options::Winograd;
use crate::pathways::Pathways;
use crate::tensor::Tensor;
use crate::timing::{Time, TimeWindow, Timing};
use std::collections::BTreeMap;

/// The source graph and the results of the passes that analyse it.
#[derive(Clone, Copy)]
pub(crate) struct SourceNetwork<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) layout: &'a Layout,
    pub(crate) pathways: &'a Pathways,
    pub(crate) timing: &'a Timing,
    pub(crate) winograd: Winograd,
}

impl<'a> SourceNetwork<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        layout: &'a Layout,
        pathways: &'a Pathways,
        timing: &'a Timing,
        winograd: Winograd,
    ) -> Self {
        Self { graph, layout, pathways, timing, winograd }
    }
}

/// The kind of graph that a lowering builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A graph over all frames of a clip.
    Clip,
    /// A graph over the frames of one run, with states.
    Step,
}

/// The part of a network that a lowering builds.
#[derive(Clone, Copy)]
pub(super) struct PlannedPart<'a> {
    pub(super) plan: &'a FramePlan,
    pub(super) part: Part,
}

/// A lowering in progress.
pub(super) struct Lowering<'a> {
    pub(super) source: SourceNetwork<'a>,
    pub(super) mode: Mode,
    /// The part that the graph computes, or `None` for a graph that computes the whole network.
    pub(super) part: Option<PlannedPart<'a>>,
    /// The lowered graph under construction.
    pub(super) lowered: LoweredGraph,
    /// The lowered value of each source value that has one.
    map: Vec<Option<LoweredId>>,
    /// The constants that several nodes may read.
    constants: BTreeMap<ValueId, LoweredId>,
    /// The states, each with its value in the next step.
    states: Vec<(State, LoweredId)>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(source: SourceNetwork<'a>, mode: Mode) -> Self {
        let map = vec![None; source.graph.values.len()];
        let lowered = LoweredGraph::default();
        Self {
            source,
            mode,
            part: None,
            lowered,
            map,
            constants: BTreeMap::new(),
            states: Vec::new(),
        }
    }

    /// Starts the lowering of one part of the network.
    pub(super) fn new_part(source: SourceNetwork<'a>, plan: &'a FramePlan, part: Part) -> Self {
        Self { part: Some(PlannedPart { plan, part }), ..Self::new(source, Mode::Step) }
    }

    /// Fails with [`CompileError::Node`](crate::CompileError::Node) for `node`.
    pub(super) fn fail<T>(&self, node: &Node, reason: impl Into<String>) -> Result<T> {
        self.source.graph.fail_node(node, reason)
    }

    /// Returns the lowered value of a source value, or `None` if the source value is a constant or
    /// has not been lowered yet.
    pub(super) fn find_lowered(&self, id: ValueId) -> Option<LoweredId> {
        self.map[id.0]
    }

    /// Sets the lowered value of a source value.
    pub(super) fn set_lowered(&mut self, id: ValueId, lowered: LoweredId) {
        self.map[id.0] = Some(lowered);
    }

    /// Returns a constant of the source, which is added once for all nodes that read it.
    pub(super) fn shared_constant(&mut self, id: ValueId, constant: &Tensor) -> LoweredId {
        match self.constants.get(&id) {
            Some(&lowered) => lowered,
            None => {
                let lowered = self.lowered.add_constant(constant.clone());
                self.constants.insert(id, lowered);
                lowered
            }
        }
    }

    /// Returns the lowered value of input `index` of the node, which must not be a constant.
    pub(super) fn activation(&self, node: &Node, index: usize) -> Result<LoweredId> {
        match node.inputs.get(index).and_then(|&id| self.find_lowered(id)) {
            Some(id) => Ok(id),
            None => self.fail(node, format!("input {index} must not be a constant")),
        }
    }

    /// Returns the shape `[T,C,H,W]` of a source value in a whole clip.
    pub(super) fn clip_shape(&self, id: ValueId) -> [usize; 4] {
        self.source.layout.lowered_shape(self.source.graph, id)
    }

    /// Returns the number of frames of a source value in the graph under construction.
    pub(super) fn frames(&self, id: ValueId) -> usize {
        match (self.mode, self.source.timing.time(id)) {
            // A run of either part computes one frame of each of its values.
            (Mode::Step, Time::Frames { .. }) if self.part.is_some() => 1,
            (Mode::Step, Time::Frames { per_step, .. }) => *per_step,
            _ => self.clip_shape(id)[0],
        }
    }

    /// Returns whether a temporal window over a source value reads a state. A lateral connection
    /// reads a window of the fast part instead.
    pub(super) fn is_streaming(&self, id: ValueId) -> bool {
        let timing = self.source.timing;
        let has_frames = matches!(timing.time(id), Time::Frames { .. });
        let is_foreign =
            |p: PlannedPart| p.plan.part(timing, id).is_some_and(|part| part != p.part);
        self.mode == Mode::Step && has_frames && !self.part.is_some_and(is_foreign)
    }

    /// Returns whether a source value belongs to the newest frame.
    pub(super) fn is_newest(&self, id: ValueId) -> bool {
        *self.source.timing.time(id) == Time::Newest
    }

    /// Returns whether the node is a lateral connection in the graph of the slow part. Its operand
    /// then consists of exactly the frames that it reads.
    pub(super) fn is_lateral(&self, node: &Node) -> bool {
        self.part.is_some_and(|p| p.plan.is_lateral(self.source.timing, node))
    }

    /// Returns the temporal part of a window of the node.
    pub(super) fn time_window(&self, node: &Node, window: &Window) -> TimeWindow {
        let time = TimeWindow::new(self.source.graph, self.source.layout, node, window);
        if self.is_lateral(node) { TimeWindow { before: 0, ..time } } else { time }
    }

    /// Returns whether the node must not add constants. The head adds its constants only once for
    /// each chunk, in the slow part.
    pub(super) fn omits_constants(&self, node: &Node) -> bool {
        let adds_constants_elsewhere =
            self.part.is_some_and(|p| p.part == Part::Fast && p.plan.has_slow_part);
        adds_constants_elsewhere
            && matches!(self.source.timing.time(node.output), Time::Pooled { .. })
    }

    /// Adds a state. The caller must set its next value with [`Self::set_next_state`].
    pub(super) fn add_state(&mut self, shape: Vec<usize>, initial: f32) -> LoweredId {
        let prefix = match self.part.map(|p| p.part) {
            None => "",
            Some(Part::Fast) => "fast_",
            Some(Part::Slow) => "slow_",
        };
        self.add_named_state(format!("{prefix}state{}", self.states.len()), shape, initial)
    }

    /// Adds a state with a name. The caller must set its next value with [`Self::set_next_state`].
    pub(super) fn add_named_state(
        &mut self,
        name: String,
        shape: Vec<usize>,
        initial: f32,
    ) -> LoweredId {
        let id = self.lowered.add_input(&name, shape.clone());
        self.states.push((State { name, shape, initial }, id));
        id
    }

    /// Sets the value that `state` has in the next step.
    pub(super) fn set_next_state(&mut self, state: LoweredId, next: LoweredId) {
        let name = &self.lowered.values[state.0].name;
        if let Some((_, slot)) = self.states.iter_mut().find(|(s, _)| s.name == *name) {
            *slot = next;
        }
    }

    /// Adds a state that contains a value of the frame before, with the shape of `x`. Its next
    /// value is set by [`Self::connect_states`].
    pub(super) fn add_previous(&mut self, x: LoweredId, columns: usize) -> LoweredId {
        let mut shape = self.lowered.shape(x).to_vec();
        shape[1] = columns;
        self.add_state(shape, 0.0)
    }

    /// Sets the next values of the states of recurrent layers, which have been lowered.
    pub(super) fn connect_states(&mut self) {
        for state in &self.source.graph.states {
            if let (Some(previous), Some(next)) =
                (self.find_lowered(state.previous), self.find_lowered(state.next))
            {
                self.set_next_state(previous, next);
            }
        }
    }

    /// Returns the frames of `x` with a look-back of `before` frames in front of them.
    ///
    /// In a step, the look-back is a state that contains the last frames of the previous steps, or
    /// `fill` at the start of a segment. In a clip, the look-back consists of frames filled with
    /// `fill`. Further such frames are added at the end if the result would otherwise have fewer
    /// than `total` frames.
    pub(super) fn add_look_back(
        &mut self,
        x: LoweredId,
        before: usize,
        total: usize,
        fill: f32,
        is_streaming: bool,
    ) -> LoweredId {
        let shape = self.lowered.shape(x).to_vec();
        let frames = shape[0];
        if !is_streaming {
            let after = total.saturating_sub(before + frames);
            return self.lowered.add_pad(
                x,
                &[before as i64, 0, 0, 0],
                &[after as i64, 0, 0, 0],
                fill,
            );
        }
        if before == 0 {
            return x;
        }
        let mut state_shape = shape;
        state_shape[0] = before;
        let state = self.add_state(state_shape, fill);
        let all = self.lowered.add_concat(0, &[state, x]);
        let next = self.lowered.add_slice(all, 0, frames, frames + before, 1);
        self.set_next_state(state, next);
        all
    }

    /// Returns `count` frames of `x`. The first is frame `start`, and they are `stride` frames
    /// apart.
    pub(super) fn select_frames(
        &mut self,
        x: LoweredId,
        start: usize,
        stride: usize,
        count: usize,
    ) -> LoweredId {
        self.lowered.add_slice(x, 0, start, start + (count - 1) * stride + 1, stride)
    }

    /// Adds the outputs of the states, removes unused nodes, splits concatenations and returns the
    /// graph.
    pub(super) fn finish(mut self) -> LoweredGraph {
        for (state, next) in &self.states {
            self.lowered.add_output(&format!("{}_next", state.name), *next);
        }
        self.lowered.remove_dead_nodes();
        self.lowered.split_concats();
        self.lowered.states = self.states.into_iter().map(|(state, _)| state).collect();
        self.lowered
    }
}
