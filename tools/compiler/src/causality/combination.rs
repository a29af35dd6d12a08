//! The timing of nodes that combine several values.

use super::Analysis;
use crate::graph::{Node, Op, ValueId};
use crate::layout::AxisRole;
use crate::timing::Time;

impl Analysis<'_> {
    /// Analyses an operator that combines several values.
    pub(super) fn analyse_combination(&mut self, node: &Node) -> Time {
        let times: Vec<Time> = node
            .inputs
            .iter()
            .map(|&id| self.timing.time(id).clone())
            .filter(|time| *time != Time::Static)
            .collect();
        let mut combined: Option<(usize, Vec<i64>)> = None;
        let (mut has_pooled, mut has_newest) = (false, false);
        for time in &times {
            match (time, &mut combined) {
                (Time::Frames { per_step, latest_samples }, Some((rate, merged))) => {
                    if rate != per_step || merged.len() != latest_samples.len() {
                        self.add_node_obstacle(node, "its inputs have different frame rates");
                    }
                    merged.iter_mut().zip(latest_samples).for_each(|(m, r)| *m = (*m).max(*r));
                }
                (Time::Frames { per_step, latest_samples }, slot) => {
                    *slot = Some((*per_step, latest_samples.clone()));
                }
                (Time::Newest, _) => has_newest = true,
                _ => has_pooled = true,
            }
        }
        if has_newest && (has_pooled || combined.is_some()) {
            self.add_node_obstacle(node, "it combines the newest frame with other frames");
        }
        if has_newest {
            return Time::Newest;
        }
        if let Some((per_step, latest_samples)) = combined {
            if node.inputs.iter().any(|&id| self.varies_over_time(node, id)) {
                self.add_node_obstacle(node, "its constant differs from frame to frame");
            }
            if has_pooled && !self.has_inner_pool {
                self.has_inner_pool = true;
                self.timing.obstacles.push(format!(
                    "{}: it combines frames with a mean over the whole clip, so no chunk has a final result by \
                     itself",
                    self.graph.node_ref(node)
                ));
            }
            return Time::Frames { per_step, latest_samples };
        }
        let is_linear = times.iter().all(|time| matches!(time, Time::Pooled { is_linear: true }));
        let is_nonlinear = matches!(node.op, Op::Max | Op::Min)
            || matches!(node.op, Op::Mul) && times.len() > 1
            || matches!(node.op, Op::Div) && *self.timing.time(node.inputs[1]) != Time::Static;
        let pooled = Time::Pooled { is_linear };
        if is_nonlinear { self.analyse_nonlinear(node, pooled) } else { pooled }
    }

    /// Returns whether an input is a constant with more than one element along the time axis of the
    /// node's result.
    fn varies_over_time(&self, node: &Node, input: ValueId) -> bool {
        let Some(constant) = self.graph.constant(input) else { return false };
        // Broadcasting aligns the last axes, so a constant may lack leading axes.
        let missing = self.graph.shape(node.output).len() - constant.shape().len();
        let time_axis = self.layout.find_axis(node.output, AxisRole::Time);
        time_axis
            .and_then(|axis| axis.checked_sub(missing))
            .is_some_and(|axis| constant.shape()[axis] != 1)
    }
}
