//! What a graph costs.

use super::proto::Graph;
use std::collections::HashMap;

/// What a runtime needs to load a graph and to run it once. A value takes 4 bytes, because a
/// runtime may convert float16 to float32.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Number of multiply-adds.
    pub(crate) work: u64,
    /// Size of the tensors that exist at the same time, if the nodes run in the order of the file.
    pub(crate) tensor_bytes: u64,
    /// Size of each value, by its name. A runtime that chooses its own order, or fuses nodes,
    /// computes the size of its tensors from these sizes.
    pub(crate) value_bytes: HashMap<String, u64>,
    /// Largest memory that a node needs while it runs, in addition to the values.
    pub(crate) scratch_bytes: u64,
    /// Size of the constants: those of the file, those that a runtime computes while it loads the
    /// graph, and copies of the kernels into which it folds a batch normalization.
    pub(crate) constant_bytes: u64,
    /// Number of nodes, inputs and outputs of nodes, attributes, initializers and descriptions. A
    /// runtime keeps a structure for each of them.
    pub(crate) part_count: u64,
    /// Number of nodes on the longest path.
    pub(crate) depth: usize,
    /// First operator that only ONNX Runtime runs.
    pub(crate) runtime_operator: Option<&'static str>,
}

/// Returns [`Cost::part_count`] of a graph.
pub(super) fn count_parts(graph: &Graph<'_>) -> u64 {
    let described = [&graph.inputs, &graph.outputs, &graph.values].map(Vec::len);
    let of_nodes = graph
        .nodes
        .iter()
        .map(|node| 1 + (node.inputs.len() + node.outputs.len() + node.attributes.len()) as u64);
    let of_graph = graph.initializers.len() + described.into_iter().sum::<usize>();
    of_nodes.sum::<u64>() + of_graph as u64
}
