//! Pass 6, continued: finds the rule by which the label of a stream follows from the outputs.
//!
//! A network that averages the probabilities of its frames gives the logits of each frame in a
//! stream, and the library averages their probabilities (docs/stream-contract.md#label).

use crate::graph::{Graph, Node, Op, ValueId};
use crate::layout::{AxisRole, Layout};
use crate::output::replace_value;
use crate::timing::{Time, Timing};

/// The rule by which the label of a stream follows from the outputs of its chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LabelRule {
    /// The label follows from the mean of the logits.
    #[default]
    MeanLogits,
    /// The label follows from the mean of the probabilities.
    MeanProbabilities,
    /// The label follows from the newest output.
    Newest,
}

impl LabelRule {
    /// Returns the value of the metadata key `label_rule`, or `None` for the rule of a package
    /// without this key.
    pub(crate) fn key(self) -> Option<&'static str> {
        match self {
            Self::MeanLogits => None,
            Self::MeanProbabilities => Some("mean_probabilities"),
            Self::Newest => Some("newest"),
        }
    }
}

/// A mean over the frames of a softmax over the labels, at the end of a network.
pub(crate) struct MeanOfProbabilities {
    /// Result and operand of the softmax.
    softmax: (ValueId, ValueId),
    /// Results and operands of products with a positive number after the mean.
    factors: Vec<(ValueId, ValueId)>,
}

impl MeanOfProbabilities {
    /// Finds the mean from which the output of the network follows, if there is one.
    pub(crate) fn find(graph: &Graph, layout: &Layout, timing: &Timing) -> Option<Self> {
        let producer = |id: ValueId| graph.nodes.iter().find(|node| node.output == id);
        let mut factors = Vec::new();
        let mut id = graph.outputs[0];
        loop {
            let node = producer(id)?;
            match &node.op {
                Op::Reshape | Op::Transpose { .. } => id = node.inputs[0],
                Op::Mul | Op::Div => {
                    id = scaled_operand(graph, node)?;
                    factors.push((node.output, id));
                }
                _ if averages_frames(graph, layout, timing, node) => {
                    id = node.inputs[0];
                    break;
                }
                Op::ReduceMean { axes, .. }
                    if axes.iter().all(|&axis| graph.shape(node.inputs[0])[axis] == 1) =>
                {
                    id = node.inputs[0];
                }
                _ => return None,
            }
        }
        loop {
            let node = producer(id)?;
            match node.op {
                Op::Reshape | Op::Transpose { .. } => id = node.inputs[0],
                Op::Softmax { axis } if layout.role(id, axis) == AxisRole::Channel => {
                    return Some(Self { softmax: (node.output, node.inputs[0]), factors });
                }
                _ => return None,
            }
        }
    }

    /// Returns the value that contains the logits of the frames.
    pub(crate) fn logits(&self) -> ValueId {
        self.softmax.1
    }

    /// Makes the network average the logits instead of their probabilities.
    pub(crate) fn remove(self, graph: &mut Graph) {
        for (from, to) in std::iter::once(self.softmax).chain(self.factors) {
            replace_value(graph, from, to);
        }
        graph.remove_dead_nodes();
    }
}

/// Returns the operand of a product with a positive number, or of a quotient by one.
fn scaled_operand(graph: &Graph, node: &Node) -> Option<ValueId> {
    let is_number = |id: ValueId| matches!(graph.constant_f32(id), Some([number]) if *number > 0.0);
    match *node.inputs.as_slice() {
        [x, factor] if is_number(factor) => Some(x),
        [factor, x] if is_number(factor) && node.op == Op::Mul => Some(x),
        _ => None,
    }
}

/// Returns whether a node averages over all frames and over nothing else.
fn averages_frames(graph: &Graph, layout: &Layout, timing: &Timing, node: &Node) -> bool {
    let input = node.inputs[0];
    let Time::Frames { latest_samples, .. } = timing.time(input) else { return false };
    let size = |id: ValueId| graph.shape(id).iter().product::<usize>();
    let is_mean = match &node.op {
        Op::ReduceMean { axes, .. } => {
            axes.iter().any(|&axis| layout.role(input, axis) == AxisRole::Time)
        }
        Op::AveragePool { .. } => matches!(timing.time(node.output), Time::Pooled { .. }),
        _ => false,
    };
    is_mean && size(node.output) * latest_samples.len() == size(input)
}
