//! The parts of a package with frame steps, in one graph.
//!
//! The graph contains first all nodes of the fast part, then all nodes of the slow part, and then
//! all nodes of a head that is not linear. The slow
//! part reads the next lateral windows, which are outputs of the fast part, and no other value of
//! it. In the model of the slow part, these windows are inputs. docs/model-package.md#frame-steps
//! specifies the division.

use crate::error::{Result, fail_file};
use crate::lowered::State;
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Prefix of the names of values and nodes that only the slow part has.
const SLOW_PREFIX: &str = "slow.";
/// Prefix of the names of values and nodes that only the head has.
const HEAD_PREFIX: &str = "head.";

/// A state in the metadata.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct StateEntry {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) initial: f64,
}

/// The division of a graph, as the metadata of its package describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Division {
    pub(crate) alpha: usize,
    /// Position in a chunk of the last sample that the slow part needs.
    pub(crate) lateral_reach: usize,
    /// Number of nodes of the fast part.
    pub(crate) fast_nodes: usize,
    /// States of the fast part, which include the lateral windows.
    pub(crate) fast_states: Vec<StateEntry>,
    pub(crate) slow_states: Vec<StateEntry>,
    /// Names of the states that are lateral windows.
    pub(crate) lateral_windows: Vec<String>,
    /// The head, if it is not linear.
    pub(crate) head: Option<HeadEntry>,
}

/// A head that is not linear, as the metadata of a package describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadEntry {
    /// Number of features that the head reads.
    pub(crate) features: usize,
    /// Number of nodes of the head.
    pub(crate) nodes: usize,
}

/// The model of each part.
pub(crate) struct Parts {
    pub(crate) fast: Vec<u8>,
    /// The model of the slow part, or `None` for a network with one pathway.
    pub(crate) slow: Option<Vec<u8>>,
    /// The model of a head that is not linear.
    pub(crate) head: Option<Vec<u8>>,
}

impl StateEntry {
    pub(crate) fn new(state: &State) -> Self {
        let State { name, shape, initial } = state;
        Self { name: name.clone(), shape: shape.clone(), initial: f64::from(*initial) }
    }
}

impl Division {
    /// Reads the division from the metadata of a package, without the prefix `tteview.`. Returns
    /// `None` for a package without frame steps.
    ///
    /// # Errors
    /// Returns [`CompileError::File`](crate::CompileError::File) if a key is missing or malformed.
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Self>> {
        if metadata.get("format").is_none_or(|format| format != "2") {
            return Ok(None);
        }
        let mut states: Vec<StateEntry> = read_key(metadata, "states")?;
        let fast_states: usize = read_key(metadata, "fast_states")?;
        if fast_states > states.len() {
            let count = states.len();
            return fail_file(format!(
                "tteview.fast_states must be 0 to {count}, the number of states, got {fast_states}"
            ));
        }
        let slow_states = states.split_off(fast_states);
        Ok(Some(Self {
            alpha: read_key(metadata, "alpha")?,
            lateral_reach: read_key(metadata, "lateral_reach")?,
            fast_nodes: read_key(metadata, "fast_nodes")?,
            fast_states: states,
            slow_states,
            lateral_windows: read_key(metadata, "lateral_windows")?,
            head: match metadata.contains_key("head_nodes") {
                false => None,
                true => Some(HeadEntry {
                    features: read_key(metadata, "features")?,
                    nodes: read_key(metadata, "head_nodes")?,
                }),
            },
        }))
    }

    /// Writes the keys that only a package with frame steps has.
    pub(crate) fn write(&self, metadata: &mut BTreeMap<String, String>) {
        let windows = serde_json::json!(self.lateral_windows).to_string();
        let entries = [
            ("lateral_reach", self.lateral_reach.to_string()),
            ("fast_nodes", self.fast_nodes.to_string()),
            ("fast_states", self.fast_states.len().to_string()),
            ("lateral_windows", windows),
        ];
        let head = self.head.iter().flat_map(|head| {
            [("features", head.features.to_string()), ("head_nodes", head.nodes.to_string())]
        });
        metadata.extend(entries.into_iter().chain(head).map(|(k, value)| (k.to_owned(), value)));
    }
}

fn read_key<T: for<'a> Deserialize<'a>>(
    metadata: &BTreeMap<String, String>,
    key: &str,
) -> Result<T> {
    let Some(text) = metadata.get(key) else {
        return fail_file(format!("tteview.{key} is missing"));
    };
    serde_json::from_str(text).or_else(|e| fail_file(format!("tteview.{key} is malformed: {e}")))
}

/// The data of an initializer, by which equal initializers are found.
type Data = (Vec<i64>, i32, Option<Bytes>);

fn data(tensor: &TensorProto) -> Data {
    (tensor.dims.clone(), tensor.data_type, tensor.raw_data.clone())
}

/// Joins the graphs of all parts. Initializers with equal data are stored once.
pub(crate) fn join_parts(
    fast: GraphProto,
    slow: Option<GraphProto>,
    head: Option<GraphProto>,
) -> GraphProto {
    let mut graph = fast;
    for (part, prefix) in [(slow, SLOW_PREFIX), (head, HEAD_PREFIX)] {
        if let Some(part) = part {
            append_part(&mut graph, part, prefix);
        }
    }
    graph
}

/// Appends the graph of a part, whose own names get a prefix.
fn append_part(graph: &mut GraphProto, part: GraphProto, prefix: &str) {
    let mut by_data: HashMap<Data, String> = HashMap::new();
    for tensor in &graph.initializer {
        by_data.entry(data(tensor)).or_insert_with(|| tensor.name.clone());
    }
    let is_kept: BTreeSet<String> =
        part.input.iter().chain(&part.output).map(|value| value.name.clone()).collect();
    let mut names: HashMap<String, String> = HashMap::new();
    for mut tensor in part.initializer {
        let old = tensor.name.clone();
        let new = match by_data.get(&data(&tensor)) {
            Some(shared) => shared.clone(),
            None => {
                tensor.name = format!("{prefix}{old}");
                let new = tensor.name.clone();
                graph.initializer.push(tensor);
                new
            }
        };
        names.insert(old, new);
    }
    for mut node in part.node {
        for name in &node.output {
            if !is_kept.contains(name) {
                names.insert(name.clone(), format!("{prefix}{name}"));
            }
        }
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(new) = names.get(name.as_str()) {
                name.clone_from(new);
            }
        }
        node.name = format!("{prefix}{}", node.name);
        graph.node.push(node);
    }
    let is_window = |input: &ValueInfoProto| graph.output.iter().any(|o| o.name == input.name);
    let inputs: Vec<_> = part.input.into_iter().filter(|input| !is_window(input)).collect();
    graph.input.extend(inputs);
    graph.output.extend(part.output);
}

/// Splits the graph of a package with frame steps into the models of its parts.
///
/// # Errors
/// Returns [`CompileError::File`](crate::CompileError::File) if the file is not such a package.
pub(crate) fn split_parts(package: &[u8], division: &Division) -> Result<Parts> {
    let mut model = ModelProto::decode(package).or_else(|e| fail_file(e.to_string()))?;
    model.metadata_props.clear();
    let Some(mut graph) = model.graph.take() else { return fail_file("the model has no graph") };
    let count = graph.node.len();
    if division.fast_nodes == 0 || division.fast_nodes > count {
        let fast_nodes = division.fast_nodes;
        return fail_file(format!(
            "tteview.fast_nodes must be 1 to {count}, the number of nodes, got {fast_nodes}"
        ));
    }
    let head_nodes = division.head.map_or(0, |head| head.nodes);
    let Some(head_start) = count.checked_sub(head_nodes).filter(|&at| at >= division.fast_nodes)
    else {
        return fail_file(format!(
            "tteview.head_nodes must be less than {count}, got {head_nodes}"
        ));
    };
    let head_nodes = graph.node.split_off(head_start);
    let slow_nodes = graph.node.split_off(division.fast_nodes);
    let fast_nodes = std::mem::take(&mut graph.node);
    let mut fast = select_part(&graph, fast_nodes);
    let mut slow = select_part(&graph, slow_nodes);
    let mut head = select_part(&graph, head_nodes);
    let next = |name: &str| format!("{name}_next");
    if division.head.is_some() {
        head.input.extend(graph.input.pop());
        head.output.extend(graph.output.pop());
    }
    // Outputs of the fast part are the logits and the next states.
    let (fast_output, slow_output) = split_values(&graph.output, division.fast_states.len() + 1)?;
    let (fast_input, slow_input) = split_values(&graph.input, division.fast_states.len() + 1)?;
    let mut slow_input = slow_input.into_iter();
    slow.input.extend(slow_input.next());
    for name in &division.lateral_windows {
        match fast_output.iter().find(|output| output.name == next(name)) {
            Some(output) => slow.input.push(output.clone()),
            None => return fail_file(format!("no output contains the lateral window \"{name}\"")),
        }
    }
    slow.input.extend(slow_input);
    (fast.input, fast.output, slow.output) = (fast_input, fast_output, slow_output);
    let encode =
        |graph: GraphProto| ModelProto { graph: Some(graph), ..model.clone() }.encode_to_vec();
    let has_slow_part = !slow.node.is_empty();
    Ok(Parts {
        fast: encode(fast),
        slow: has_slow_part.then(|| encode(slow)),
        head: division.head.map(|_| encode(head)),
    })
}

/// Returns a graph with these nodes and the initializers that they read.
fn select_part(graph: &GraphProto, node: Vec<NodeProto>) -> GraphProto {
    let read: BTreeSet<&String> = node.iter().flat_map(|node| &node.input).collect();
    let initializers = graph.initializer.iter().filter(|tensor| read.contains(&tensor.name));
    GraphProto {
        name: graph.name.clone(),
        initializer: initializers.cloned().collect(),
        node,
        ..GraphProto::default()
    }
}

fn split_values(
    values: &[ValueInfoProto],
    at: usize,
) -> Result<(Vec<ValueInfoProto>, Vec<ValueInfoProto>)> {
    match values.split_at_checked(at) {
        Some((fast, slow)) => Ok((fast.to_vec(), slow.to_vec())),
        None => {
            let count = values.len();
            fail_file(format!("the fast part must have {at} inputs and outputs, got {count}"))
        }
    }
}
