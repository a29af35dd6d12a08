//! The summary of a model file, for `tteview inspect`.

use crate::error::Result;
use crate::graph::{Graph, Node, Op, ValueId};
use crate::import::{ExternalData, ImportForm, import_model};
use crate::parts::{Division, StateEntry, split_parts};
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
    /// Number of multiply-adds for one clip or one chunk.
    pub multiply_adds: u64,
    /// The runs of a package with frame steps.
    pub frame_steps: Option<FrameInspection>,
    /// Number of elements in the float constants that nodes read.
    pub parameters: u64,
    /// Number of nodes for each operator.
    pub operators: BTreeMap<String, usize>,
    /// First operator that only ONNX Runtime runs. It is `None` if every provider runs the graph.
    pub runtime_operator: Option<&'static str>,
    /// Version of the ONNX operator set.
    pub opset: i64,
    /// The metadata entries whose keys begin with `tteview.`. The map omits this prefix and is
    /// empty for a source network.
    pub metadata: BTreeMap<String, String>,
}

/// The runs of a package with frame steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInspection {
    /// Number of fast samples for each slow sample.
    pub alpha: usize,
    /// Position in a chunk of the sample after which the slow run is due.
    pub lateral_reach: usize,
    /// Number of multiply-adds for one sample.
    pub fast_multiply_adds: u64,
    /// Number of multiply-adds of the run for one chunk; 0 in a network with one pathway.
    pub slow_multiply_adds: u64,
    /// Number of multiply-adds of a head that is not linear, which runs for each label; `None` for
    /// a linear head.
    pub head_multiply_adds: Option<u64>,
    /// Number of multiply-adds of all runs of a clip, with one run of the head.
    pub clip_multiply_adds: u64,
    /// Number of states of the fast part.
    pub fast_states: usize,
    /// Size of the states of the fast part in bytes.
    pub fast_state_bytes: usize,
    /// Number of states of the slow part.
    pub slow_states: usize,
    /// Size of the states of the slow part in bytes.
    pub slow_state_bytes: usize,
}

impl FrameInspection {
    /// Returns the number of multiply-adds after the last frame if the acquisition ends with a
    /// whole chunk whose slow run has finished: those of one fast run, and of a head that is not
    /// linear.
    #[must_use]
    pub fn least_left(&self) -> u64 {
        self.fast_multiply_adds.saturating_add(self.head_multiply_adds.unwrap_or(0))
    }

    /// Returns the number of multiply-adds after the last frame if the acquisition has only one
    /// sample: the sample is repeated up to the lateral reach, and the slow run follows.
    #[must_use]
    pub fn most_left(&self) -> u64 {
        let runs = self.lateral_reach as u64 + 1;
        let runs = self.fast_multiply_adds.saturating_mul(runs);
        let head = self.head_multiply_adds.unwrap_or(0);
        runs.saturating_add(self.slow_multiply_adds).saturating_add(head)
    }

    /// Returns the number of multiply-adds of all runs of a chunk.
    #[must_use]
    pub fn chunk_multiply_adds(&self) -> u64 {
        let fast = self.fast_multiply_adds.saturating_mul(self.alpha as u64);
        fast.saturating_add(self.slow_multiply_adds)
    }

    /// Returns a number of multiply-adds as a share of those of a clip.
    #[must_use]
    pub fn share_of_clip(&self, multiply_adds: u64) -> f64 {
        multiply_adds as f64 / self.clip_multiply_adds.max(1) as f64
    }
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
    let model = import_model(
        &Bytes::copy_from_slice(bytes),
        &mut ExternalData::new(folder),
        ImportForm::PACKAGE,
    )?;
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
    let runtime_operator = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Kept(kept) => Some(kept.operator),
        _ => None,
    });
    let frame_steps = match Division::read(&metadata)? {
        Some(division) => Some(inspect_parts(bytes, &metadata, &division)?),
        None => None,
    };
    let multiply_adds = match &frame_steps {
        Some(frame_steps) => frame_steps.chunk_multiply_adds(),
        None => sum_multiply_adds(graph),
    };
    Ok(Inspection {
        inputs,
        outputs,
        states,
        multiply_adds,
        frame_steps,
        parameters: count_parameters(graph),
        operators,
        runtime_operator,
        opset: model.opset,
        metadata,
    })
}

/// Summarises the runs of a package with frame steps.
fn inspect_parts(
    bytes: &[u8],
    metadata: &BTreeMap<String, String>,
    division: &Division,
) -> Result<FrameInspection> {
    let parts = split_parts(bytes, division)?;
    let multiply_adds = |model: Vec<u8>| -> Result<u64> {
        let model =
            import_model(&Bytes::from(model), &mut ExternalData::new(None), ImportForm::PACKAGE)?;
        Ok(sum_multiply_adds(&model.graph))
    };
    let fast_multiply_adds = multiply_adds(parts.fast)?;
    let slow_multiply_adds = parts.slow.map_or(Ok(0), multiply_adds)?;
    let head_multiply_adds = parts.head.map(multiply_adds).transpose()?;
    let samples = metadata.get("clip_samples").and_then(|text| text.parse().ok()).unwrap_or(0u64);
    let chunks = samples / division.alpha.max(1) as u64;
    let bytes_of = |states: &[StateEntry]| {
        let sizes = states.iter().map(|state| {
            state.shape.iter().fold(size_of::<f32>(), |bytes, &side| bytes.saturating_mul(side))
        });
        sizes.fold(0, usize::saturating_add)
    };
    Ok(FrameInspection {
        alpha: division.alpha,
        lateral_reach: division.lateral_reach,
        fast_multiply_adds,
        slow_multiply_adds,
        head_multiply_adds,
        clip_multiply_adds: fast_multiply_adds
            .saturating_mul(samples)
            .saturating_add(slow_multiply_adds.saturating_mul(chunks))
            .saturating_add(head_multiply_adds.unwrap_or(0)),
        fast_states: division.fast_states.len(),
        fast_state_bytes: bytes_of(&division.fast_states),
        slow_states: division.slow_states.len(),
        slow_state_bytes: bytes_of(&division.slow_states),
    })
}

/// Returns the number of multiply-adds of a run of the graph.
fn sum_multiply_adds(graph: &Graph) -> u64 {
    let counts = graph.nodes.iter().map(|node| count_multiply_adds(graph, node));
    counts.fold(0, u64::saturating_add)
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
        Op::Gemm { .. } => weights.first().copied().unwrap_or(0) as u64,
        Op::MatMul => weights.iter().rev().nth(1).copied().unwrap_or(0) as u64,
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

impl fmt::Display for FrameInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut write = |title: &str, multiply_adds: u64, rest: &str| {
            let (billions, share) = (multiply_adds as f64 / 1e9, self.share_of_clip(multiply_adds));
            writeln!(f, "{title:<14} {billions:.3} G multiply-adds, {share:.4} of a clip{rest}")
        };
        let states = |count: usize, bytes: usize| {
            format!("; {count} states of {:.2} MB", bytes as f64 / 1e6)
        };
        let fast_states = states(self.fast_states, self.fast_state_bytes);
        write("fast run", self.fast_multiply_adds, &fast_states)?;
        if self.slow_multiply_adds > 0 {
            let reach = format!(", due after sample {} of its chunk", self.lateral_reach);
            let slow_states = states(self.slow_states, self.slow_state_bytes);
            write("slow run", self.slow_multiply_adds, &(reach + &slow_states))?;
        }
        if let Some(head) = self.head_multiply_adds {
            write("head", head, " for each label")?;
        }
        write("left at best", self.least_left(), " after the last frame")?;
        write("left at worst", self.most_left(), " after the last frame")
    }
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
        match &self.frame_steps {
            Some(frame_steps) => frame_steps.fmt(f)?,
            None => {
                let run = if self.states.is_empty() { "clip" } else { "step" };
                let billions = self.multiply_adds as f64 / 1e9;
                writeln!(f, "{:<14} {billions:.3} G per {run}", "multiply-adds")?;
            }
        }
        writeln!(f, "{:<14} {:.3} M", "parameters", self.parameters as f64 / 1e6)?;
        if let Some(operator) = self.runtime_operator {
            writeln!(f, "{:<14} only those of ONNX Runtime, because of {operator}", "providers")?;
        }
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
