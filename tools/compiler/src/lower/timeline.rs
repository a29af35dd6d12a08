//! Frames before the first: padding in a clip, a state in a step.

use super::{Lowering, State};
use crate::net::NetId;

impl Lowering<'_> {
    /// A new state tensor; `next` becomes its value for the following step through [`Self::set_next`].
    pub(super) fn state(&mut self, shape: Vec<usize>, initial: f32) -> NetId {
        let name = format!("state{}", self.states.len());
        let id = self.net.input(&name, shape.clone());
        self.states.push((State { name, shape, initial }, id));
        id
    }

    /// Sets what `state` will be in the next step.
    pub(super) fn set_next(&mut self, state: NetId, next: NetId) {
        let name = &self.net.values[state.0].name;
        if let Some((_, slot)) = self.states.iter_mut().find(|(s, _)| s.name == *name) {
            *slot = next;
        }
    }

    /// The frames of `x` with `before` frames in front and at least `total` in all. In a stream the front is what
    /// came last (`fill` at the start of a segment); in a clip it is `fill`.
    pub(super) fn timeline(
        &mut self,
        x: NetId,
        before: usize,
        total: usize,
        fill: f32,
        streams: bool,
    ) -> NetId {
        let shape = self.net.shape(x).to_vec();
        if streams {
            if before == 0 {
                return x;
            }
            let mut state_shape = shape.clone();
            state_shape[0] = before;
            let state = self.state(state_shape, fill);
            let all = self.net.concat(0, &[state, x]);
            let next = self.net.slice(all, 0, shape[0], shape[0] + before, 1);
            self.set_next(state, next);
            return all;
        }
        let after = total.saturating_sub(before + shape[0]);
        self.net.pad(x, [before as i64, 0, 0, 0], [after as i64, 0, 0, 0], fill)
    }

    /// Every `stride`-th frame of `x` from `start`, `count` of them.
    pub(super) fn frames_at(&mut self, x: NetId, start: usize, stride: usize, count: usize) -> NetId {
        self.net.slice(x, 0, start, start + (count - 1) * stride + 1, stride)
    }
}
