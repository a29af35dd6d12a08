//! Pools over time and space. Both kinds are separable: first space, with the runtime's 2-D pool, then time.

use super::{Lowering, Mode};
use crate::error::Result;
use crate::graph::{Node, Window};
use crate::net::{NetId, NetOp, Window2};
use crate::tensor::Tensor;
use crate::time::{TimeWindow, time_window};

/// The spatial part of a window; `None` where a pad is negative.
pub(super) fn spatial(window: &Window) -> Option<Window2> {
    let first = window.kernel.len().checked_sub(2)?;
    let pad = |v: &[i64], i: usize| usize::try_from(v[first + i]).ok();
    Some(Window2 {
        kernel: [window.kernel[first], window.kernel[first + 1]],
        strides: [window.strides[first], window.strides[first + 1]],
        pads: [
            pad(&window.before, 0)?,
            pad(&window.before, 1)?,
            pad(&window.after, 0)?,
            pad(&window.after, 1)?,
        ],
    })
}

impl Lowering<'_> {
    pub(super) fn max_pool(&mut self, node: &Node, x: NetId, window: &Window) -> Result<NetId> {
        let (space, time) = self.parts(node, window)?;
        let y = if space.is_point() { x } else { self.net.pool(NetOp::MaxPool(space), space, x) };
        // Nothing is smaller than the lowest float: what lies before the first frame must never win.
        Ok(self.over_time(node, y, &time, NetOp::Max, f32::MIN))
    }

    pub(super) fn average_pool(
        &mut self,
        node: &Node,
        x: NetId,
        window: &Window,
        count_include_pad: bool,
    ) -> Result<NetId> {
        let (space, time) = self.parts(node, window)?;
        let [t, _, h, w] = self.source.layout.lowered_shape(self.source.graph, node.inputs[0]);
        let whole_map = space.kernel == [h, w] && space.pads == [0; 4];
        let op = NetOp::AveragePool { window: space, count_include_pad };
        let y = match (space.is_point(), whole_map) {
            (true, _) => x,
            (_, true) => self.net.mean(x, &[2, 3]),
            _ => self.net.pool(op, space, x),
        };
        if time.count == 1 && time.kernel == t && time.before == 0 {
            return Ok(self.net.mean(y, &[0]));
        }
        let sum = self.over_time(node, y, &time, NetOp::Add, 0.0);
        if time.kernel == 1 {
            return Ok(sum);
        }
        let frames = self.net.shape(sum)[0];
        let counted = |out: usize| match (count_include_pad, self.mode) {
            (false, Mode::Clip) => {
                let start = (out * time.stride) as i64 - time.before;
                (start..start + time.kernel as i64).filter(|i| (0..t as i64).contains(i)).count().max(1)
            }
            _ => time.kernel,
        };
        let counts: Vec<usize> = (0..frames).map(counted).collect();
        let uniform = counts.windows(2).all(|pair| pair[0] == pair[1]);
        let counts = if uniform { &counts[..1] } else { &counts[..] };
        let scale = counts.iter().map(|&n| 1.0 / n as f32).collect();
        match Tensor::f32(vec![counts.len(), 1, 1, 1], scale) {
            Some(scale) => {
                let scale = self.net.tensor(scale);
                Ok(self.net.binary(NetOp::Mul, sum, scale))
            }
            None => self.source.graph.node_error(node, "averages over no frames"),
        }
    }

    fn parts(&self, node: &Node, window: &Window) -> Result<(Window2, TimeWindow)> {
        match spatial(window) {
            Some(space) => Ok((space, time_window(self.source.graph, self.source.layout, node, window))),
            None => self.source.graph.node_error(node, "needs two spatial axes without negative pads"),
        }
    }

    /// Joins the frames of every window over time with `op`.
    fn over_time(&mut self, node: &Node, x: NetId, time: &TimeWindow, op: NetOp, fill: f32) -> NetId {
        if time.kernel == 1 && time.stride == 1 && time.before == 0 {
            return x;
        }
        let count = self.frames(node.output);
        let before = time.before.max(0) as usize;
        let total = (count - 1) * time.stride + time.kernel;
        let streams = self.streams(node.inputs[0]);
        let all = self.timeline(x, before, total, fill, streams);
        let mut result = self.frames_at(all, 0, time.stride, count);
        for tap in 1..time.kernel {
            let frames = self.frames_at(all, tap, time.stride, count);
            result = self.net.binary(op.clone(), result, frames);
        }
        result
    }
}
