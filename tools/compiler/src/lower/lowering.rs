//! A lowering in progress, with methods that the rules of all operators share.

use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::layout::Layout;
use crate::lowered::{LoweredGraph, LoweredId, State};
use crate::options::Winograd;
use crate::pathways::Pathways;
use crate::timing::{Time, Timing};

/// The source graph and the results of the passes that analyse it.
#[derive(Clone, Copy)]
pub(crate) struct SourceNetwork<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) layout: &'a Layout,
    pub(crate) pathways: &'a Pathways,
    pub(crate) timing: &'a Timing,
    pub(crate) winograd: Winograd,
}

/// The kind of graph that a lowering builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A graph over all frames of a clip.
    Clip,
    /// A graph over the frames of one step, with states.
    Step,
}

/// A lowering in progress.
pub(super) struct Lowering<'a> {
    pub(super) source: SourceNetwork<'a>,
    pub(super) mode: Mode,
    /// The lowered graph under construction.
    pub(super) lowered: LoweredGraph,
    /// The lowered value of each source value that has one.
    map: Vec<Option<LoweredId>>,
    /// The states, each with its value in the next step.
    states: Vec<(State, LoweredId)>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(source: SourceNetwork<'a>, mode: Mode) -> Self {
        let map = vec![None; source.graph.values.len()];
        Self { source, mode, lowered: LoweredGraph::default(), map, states: Vec::new() }
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
            (Mode::Step, Time::Frames { per_step, .. }) => *per_step,
            _ => self.clip_shape(id)[0],
        }
    }

    /// Returns whether a temporal window over a source value reads a state.
    pub(super) fn is_streaming(&self, id: ValueId) -> bool {
        self.mode == Mode::Step && matches!(self.source.timing.time(id), Time::Frames { .. })
    }

    /// Adds a state. The caller must set its next value with [`Self::set_next_state`].
    pub(super) fn add_state(&mut self, shape: Vec<usize>, initial: f32) -> LoweredId {
        let name = format!("state{}", self.states.len());
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
                [before as i64, 0, 0, 0],
                [after as i64, 0, 0, 0],
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
