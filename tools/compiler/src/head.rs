//! Pass 6, continued: finds the head of a network that is not linear in the features, and the
//! features that the runs before the head give.

use crate::graph::{Graph, Node, ValueId};
use crate::timing::{Time, Timing};
use std::collections::BTreeSet;

/// Largest number of features that the library accepts.
pub(crate) const MAX_FEATURES: usize = 16_384;

/// A head that is not linear, and what it reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    /// The features, in the order in which they are concatenated.
    pub(crate) features: Vec<ValueId>,
    /// Results of the nodes of the head.
    nodes: BTreeSet<ValueId>,
}

impl Head {
    /// Finds the head of a network that can stream. Returns `None` if it is linear.
    ///
    /// The features are the means over time, or the values that the nonlinear nodes read, if these
    /// are fewer.
    ///
    /// # Errors
    /// Returns the reason if the network has too many features.
    pub(crate) fn find(graph: &Graph, timing: &Timing) -> Result<Option<Self>, String> {
        if timing.nonlinear_head.is_empty() {
            return Ok(None);
        }
        let count = |features: &[ValueId]| -> usize {
            features.iter().map(|&id| graph.shape(id).iter().product::<usize>()).sum()
        };
        let is_linear = |id: ValueId| *timing.time(id) == Time::Pooled { is_linear: true };
        let is_nonlinear =
            |node: &&Node| *timing.time(node.output) == Time::Pooled { is_linear: false };
        let mut read: Vec<ValueId> = Vec::new();
        for id in graph.nodes.iter().filter(is_nonlinear).flat_map(|node| &node.inputs) {
            if is_linear(*id) && !read.contains(id) {
                read.push(*id);
            }
        }
        let pooled = &timing.pooled;
        let features = if count(&read) < count(pooled) { read } else { pooled.clone() };
        let found = count(&features);
        if found > MAX_FEATURES {
            return Err(format!(
                "the head must read at most {MAX_FEATURES} features, got {found}; average over height and \
                 width before it"
            ));
        }
        let mut nodes = BTreeSet::new();
        let mut wanted: BTreeSet<ValueId> = graph.outputs.iter().copied().collect();
        for node in graph.nodes.iter().rev() {
            if wanted.contains(&node.output) && !features.contains(&node.output) {
                nodes.insert(node.output);
                wanted.extend(&node.inputs);
            }
        }
        Ok(Some(Self { features, nodes }))
    }

    /// Returns whether a node belongs to the head.
    pub(crate) fn contains(&self, node: &Node) -> bool {
        self.nodes.contains(&node.output)
    }
}
