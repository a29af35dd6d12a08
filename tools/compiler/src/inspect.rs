//! What a model file holds, for `tteview inspect`.

use crate::error::Result;
use crate::graph::{Graph, Op, ValueId};
use crate::import::{ExternalData, import};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// A named tensor at the border of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Static shape.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Size in bytes as float32, which all tensors at the border are.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

/// Summary of a model file, package or source network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Inputs without states.
    pub inputs: Vec<TensorInfo>,
    /// Outputs without next states.
    pub outputs: Vec<TensorInfo>,
    /// States of a step graph.
    pub states: Vec<TensorInfo>,
    /// Multiply-adds of one run: a clip, or a step.
    pub multiply_adds: u64,
    /// Numbers in the weights.
    pub parameters: u64,
    /// How many nodes of each operator.
    pub operators: BTreeMap<String, usize>,
    /// Operator set.
    pub opset: i64,
    /// The `tteview.` metadata, without the prefix; empty for a source network.
    pub metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct StateName {
    name: String,
}

/// Reads a model file and sums up what is in it.
///
/// # Errors
/// As [`crate::compile`] gives for files it cannot read.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    inspect_in(bytes, None)
}

/// As [`inspect`], for a model whose weights may lie in files beside it in `folder`.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_in(bytes: &[u8], folder: Option<&Path>) -> Result<Inspection> {
    let imported = import(&Bytes::copy_from_slice(bytes), &mut ExternalData::new(folder))?;
    let graph = &imported.graph;
    let metadata: BTreeMap<String, String> = imported
        .metadata
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("tteview.")?.to_owned(), value.clone())))
        .collect();
    let names: Vec<StateName> =
        metadata.get("states").and_then(|s| serde_json::from_str(s).ok()).unwrap_or_default();
    let names: BTreeSet<String> = names.into_iter().map(|s| s.name).collect();
    let info =
        |id: &ValueId, name: &str| TensorInfo { name: name.to_owned(), shape: graph.shape(*id).to_vec() };
    let all: Vec<TensorInfo> = graph.inputs.iter().map(|id| info(id, &graph.value(*id).name)).collect();
    let (states, inputs) = all.into_iter().partition(|t| names.contains(&t.name));
    let is_next = |name: &str| name.strip_suffix("_next").is_some_and(|n| names.contains(n));
    let outputs = graph
        .outputs
        .iter()
        .zip(&imported.output_names)
        .filter(|(_, name)| !is_next(name))
        .map(|(id, name)| info(id, name))
        .collect();
    let mut operators = BTreeMap::new();
    for node in &graph.nodes {
        *operators.entry(node.source_op.clone()).or_insert(0) += 1;
    }
    Ok(Inspection {
        inputs,
        outputs,
        states,
        multiply_adds: graph.nodes.iter().map(|n| multiply_adds(graph, n)).sum(),
        parameters: parameters(graph),
        operators,
        opset: imported.opset,
        metadata,
    })
}

fn multiply_adds(graph: &Graph, node: &crate::graph::Node) -> u64 {
    let out: u64 = graph.shape(node.output).iter().map(|&d| d as u64).product();
    if node.inputs.iter().all(|&id| graph.constant(id).is_some()) {
        // Done once, when a runtime loads the graph.
        return 0;
    }
    let weights = node.inputs.get(1).map(|&id| graph.shape(id)).unwrap_or_default();
    let per_output: u64 = match &node.op {
        Op::Conv { .. } => weights.iter().skip(1).map(|&d| d as u64).product(),
        Op::Gemm { trans_b: true, .. } => weights.last().copied().unwrap_or(0) as u64,
        Op::Gemm { .. } | Op::MatMul => weights.first().copied().unwrap_or(0) as u64,
        _ => 0,
    };
    out.saturating_mul(per_output)
}

fn parameters(graph: &Graph) -> u64 {
    let used: BTreeSet<ValueId> = graph.nodes.iter().flat_map(|n| n.inputs.iter().copied()).collect();
    used.into_iter().filter_map(|id| graph.constant_f32(id)).map(|data| data.len() as u64).sum()
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tensors) in [("input", &self.inputs), ("output", &self.outputs)] {
            for tensor in tensors {
                writeln!(f, "{kind:<14} {} {:?}", tensor.name, tensor.shape)?;
            }
        }
        let bytes: usize = self.states.iter().map(TensorInfo::bytes).sum();
        writeln!(f, "{:<14} {} of {:.2} MB in all", "states", self.states.len(), bytes as f64 / 1e6)?;
        for state in &self.states {
            writeln!(f, "  {:<12} {:?} {} bytes", state.name, state.shape, state.bytes())?;
        }
        let run = if self.states.is_empty() { "clip" } else { "step" };
        writeln!(f, "{:<14} {:.3} G per {run}", "multiply-adds", self.multiply_adds as f64 / 1e9)?;
        writeln!(f, "{:<14} {:.3} M", "parameters", self.parameters as f64 / 1e6)?;
        let operators: Vec<String> = self.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
        writeln!(f, "{:<14} opset {}: {}", "operators", self.opset, operators.join(", "))?;
        for (key, value) in &self.metadata {
            if key != "states" {
                writeln!(f, "{key:<18} {value}")?;
            }
        }
        Ok(())
    }
}
