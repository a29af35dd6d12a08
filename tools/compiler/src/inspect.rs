//! The summary of a model file, for `tteview inspect`.

use crate::error::Result;
use crate::graph::{Graph, Node, Op, ValueId};
use crate::import::{ExternalData, import_model};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Static shape.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Returns the size of the tensor in bytes, with elements in float32.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

/// The summary of a model file, which may be a package or a source network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Inputs other than states.
    pub inputs: Vec<TensorInfo>,
    /// Outputs other than the next values of states.
    pub outputs: Vec<TensorInfo>,
    /// States of a step graph.
    pub states: Vec<TensorInfo>,
    /// Number of multiply-adds for one clip or one step.
    pub multiply_adds: u64,
    /// Number of elements in the float constants that nodes read.
    pub parameters: u64,
    /// Number of nodes for each operator.
    pub operators: BTreeMap<String, usize>,
    /// Version of the ONNX operator set.
    pub opset: i64,
    /// The metadata entries whose keys begin with `tteview.`. The map omits this prefix and is
    /// empty for a source network.
    pub metadata: BTreeMap<String, String>,
}

/// The name of a state in the metadata.
#[derive(Deserialize)]
struct StateName {
    name: String,
}

/// Summarises the model in `bytes`, which is the content of a model file. A model with external
/// weights is refused.
///
/// # Errors
/// Returns [`CompileError::File`](crate::CompileError::File) or
/// [`CompileError::Node`](crate::CompileError::Node) if the model cannot be read.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    inspect_in(bytes, None)
}

/// Summarises a model that may have external weights in `folder`.
///
/// # Errors
/// Returns the same errors as [`inspect`].
pub fn inspect_in(bytes: &[u8], folder: Option<&Path>) -> Result<Inspection> {
    let model = import_model(&Bytes::copy_from_slice(bytes), &mut ExternalData::new(folder))?;
    let graph = &model.graph;
    let metadata: BTreeMap<String, String> = model
        .metadata
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("tteview.")?.to_owned(), value.clone())))
        .collect();
    let states: Vec<StateName> =
        metadata.get("states").and_then(|s| serde_json::from_str(s).ok()).unwrap_or_default();
    let state_names: BTreeSet<String> = states.into_iter().map(|s| s.name).collect();
    let info = |id: ValueId, name: &str| TensorInfo {
        name: name.to_owned(),
        shape: graph.shape(id).to_vec(),
    };
    let inputs = graph.inputs.iter().map(|&id| info(id, &graph.value(id).name));
    let (states, inputs) = inputs.partition(|t| state_names.contains(&t.name));
    let is_next = |name: &str| name.strip_suffix("_next").is_some_and(|n| state_names.contains(n));
    let outputs = graph
        .outputs
        .iter()
        .zip(&model.output_names)
        .filter(|(_, name)| !is_next(name))
        .map(|(&id, name)| info(id, name))
        .collect();
    let mut operators = BTreeMap::new();
    for node in &graph.nodes {
        *operators.entry(node.source_op.clone()).or_insert(0) += 1;
    }
    Ok(Inspection {
        inputs,
        outputs,
        states,
        multiply_adds: graph
            .nodes
            .iter()
            .fold(0, |sum: u64, node| sum.saturating_add(count_multiply_adds(graph, node))),
        parameters: count_parameters(graph),
        operators,
        opset: model.opset,
        metadata,
    })
}

/// Returns the number of multiply-adds in a convolution or matrix product, and 0 for any other
/// node.
fn count_multiply_adds(graph: &Graph, node: &Node) -> u64 {
    // A node that reads only constants does not count, because a runtime evaluates such a node only
    // once, while loading the graph.
    if node.inputs.iter().all(|&id| graph.constant(id).is_some()) {
        return 0;
    }
    let outputs: u64 = graph.shape(node.output).iter().map(|&d| d as u64).product();
    let weights = node.inputs.get(1).map(|&id| graph.shape(id)).unwrap_or_default();
    let per_output: u64 = match &node.op {
        Op::Conv { .. } => weights.iter().skip(1).map(|&d| d as u64).product(),
        Op::Gemm { trans_b: true, .. } => weights.last().copied().unwrap_or(0) as u64,
        Op::Gemm { .. } | Op::MatMul => weights.first().copied().unwrap_or(0) as u64,
        _ => 0,
    };
    outputs.saturating_mul(per_output)
}

fn count_parameters(graph: &Graph) -> u64 {
    let used: BTreeSet<ValueId> =
        graph.nodes.iter().flat_map(|n| n.inputs.iter().copied()).collect();
    used.into_iter()
        .filter_map(|id| graph.constant_f32(id))
        .map(|elements| elements.len() as u64)
        .sum()
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tensors) in [("input", &self.inputs), ("output", &self.outputs)] {
            for tensor in tensors {
                writeln!(f, "{kind:<14} {} {:?}", tensor.name, tensor.shape)?;
            }
        }
        let bytes: usize = self.states.iter().map(TensorInfo::bytes).sum();
        writeln!(
            f,
            "{:<14} {}, {:.2} MB in total",
            "states",
            self.states.len(),
            bytes as f64 / 1e6
        )?;
        for state in &self.states {
            writeln!(f, "  {:<12} {:?} {} bytes", state.name, state.shape, state.bytes())?;
        }
        let run = if self.states.is_empty() { "clip" } else { "step" };
        writeln!(f, "{:<14} {:.3} G per {run}", "multiply-adds", self.multiply_adds as f64 / 1e9)?;
        writeln!(f, "{:<14} {:.3} M", "parameters", self.parameters as f64 / 1e6)?;
        let operators: Vec<String> =
            self.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
        writeln!(f, "{:<14} opset {}: {}", "operators", self.opset, operators.join(", "))?;
        for (key, value) in &self.metadata {
            if key != "states" {
                writeln!(f, "{key:<18} {value}")?;
            }
        }
        Ok(())
    }
}
