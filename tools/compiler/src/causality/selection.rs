//! The timing of nodes that select or pad frames.

use super::Analysis;
use crate::graph::{Node, Op};
use crate::layout::AxisRole;
use crate::timing::Time;

impl Analysis<'_> {
    /// Analyses an operator that selects elements along `axis`.
    pub(super) fn analyse_selection(&mut self, node: &Node, axis: usize, time: Time) -> Time {
        if self.layout.role(node.inputs[0], axis) != AxisRole::Time {
            return time;
        }
        let Time::Frames { per_step, latest_samples } = time else { return time };
        let (start, step, count) = match node.op {
            Op::Slice { start, step, count, .. } => (start, step, count),
            Op::Gather { ref indices, .. } => {
                self.add_node_obstacle(node, "it selects frames that are not evenly spaced");
                let latest_samples =
                    indices.iter().filter_map(|&i| latest_samples.get(i).copied()).collect();
                return Time::Frames { per_step, latest_samples };
            }
            _ => return Time::Frames { per_step, latest_samples },
        };
        let frames = latest_samples.len();
        if count == 1 && start + 1 == frames && frames > 1 {
            if frames != self.pathways.fast_frames {
                self.add_node_obstacle(node, "it selects the newest of only a part of the frames");
            }
            if self.pathways.slow.is_some() || per_step != 1 {
                self.add_node_obstacle(
                    node,
                    "it selects the newest frame, which needs a network with one pathway and one \
                     frame for each sample",
                );
            }
            return Time::Newest;
        }
        if !per_step.is_multiple_of(step) {
            let reason = format!(
                "it keeps one frame in {step}, and {step} does not divide the {per_step} frames of a step; \
                 select the frames before the network"
            );
            self.add_node_obstacle(node, &reason);
        }
        if start >= step {
            self.add_node_obstacle(node, "it drops frames at the start of the clip");
        }
        let latest_samples =
            (0..count).filter_map(|i| latest_samples.get(start + i * step).copied()).collect();
        Time::Frames { per_step: (per_step / step).max(1), latest_samples }
    }

    pub(super) fn analyse_pad(&mut self, node: &Node, before: &[i64], time: Time) -> Time {
        let Some(axis) = self.layout.find_axis(node.inputs[0], AxisRole::Time) else { return time };
        let Time::Frames { per_step, latest_samples } = time else { return time };
        let shift = before.get(axis).copied().unwrap_or(0);
        if shift < 0 {
            self.add_node_obstacle(node, "it drops frames at the start of the clip");
        }
        let count = self.layout.frames(self.graph, node.output);
        let latest = |t: usize| self.latest_sample(&latest_samples, t as i64 - shift);
        let latest_samples = (0..count).map(latest).collect();
        Time::Frames { per_step, latest_samples }
    }
}
