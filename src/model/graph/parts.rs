//! The division of a graph with frame steps into the models of its parts.
//!
//! The file contains one graph with first all nodes of the fast part, then all nodes of the slow
//! part, and then those of a head that is not linear (docs/model-package.md#frame-steps). The
//! models consist of copies of the bytes of nodes, initializers, inputs and outputs, so nothing is
//! encoded again except the lengths around them.

use super::proto::{Graph, Node, ValueInfo};
use super::tensor::Element;
use crate::error::{Error, Result, Status};
use crate::memory::{copy_values, push_value, reserve_values};
use crate::model::limits;
use crate::model::onnx_file::OnnxFile;
use crate::model::part::{NamedShape, PartSpec, next_name};
use crate::model::spec::{FrameSteps, ModelSpec};
use crate::model::wire::Reader;
use std::collections::{HashMap, HashSet};

/// Tag of the field `GraphProto.input`. Its content has the same form as that of an output.
const INPUT_TAG: u8 = 11 << 3 | 2;

const PURPOSE: &str = "the parts of the model package";

/// The ONNX models of the parts of a package with frame steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameModels {
    /// The model that runs once for each sample.
    pub fast: Vec<u8>,
    /// The model that runs once for each chunk; `None` for a network with one pathway.
    pub slow: Option<Vec<u8>>,
    /// The model of the head; `None` if the head is linear.
    pub head: Option<Vec<u8>>,
}

/// The fields of a graph with their tags, in the order of the file.
#[derive(Default)]
struct RawFields<'a> {
    nodes: Vec<&'a [u8]>,
    initializers: Vec<&'a [u8]>,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
}

impl<'a> RawFields<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self> {
        let mut fields = Self::default();
        loop {
            let rest = reader.bytes();
            let Some(field) = reader.read_field()? else { return Ok(fields) };
            let len = rest.len() - reader.bytes().len();
            let (raw, _) = rest.split_at(len);
            let list = match field.number {
                1 => &mut fields.nodes,
                5 => &mut fields.initializers,
                11 => &mut fields.inputs,
                12 => &mut fields.outputs,
                // The name, and descriptions of values, which no runtime needs.
                _ => continue,
            };
            push_value(list, raw, PURPOSE)?;
        }
    }
}

fn mismatch(message: String) -> Error {
    Error::new(Status::ModelMismatch, message)
}

/// Splits the graph of a package with frame steps into the models of its parts.
///
/// # Errors
/// Returns [`Status::ModelMismatch`] if the inputs, the outputs or the number of nodes do not match
/// the metadata, or [`Status::ModelInvalid`] if a node of one part reads a value of another that
/// is not a lateral window.
pub(in crate::model) fn split_frame_models(
    file: &OnnxFile<'_>,
    spec: &ModelSpec,
    steps: &FrameSteps,
) -> Result<FrameModels> {
    let graph = Graph::read(file.graph)?;
    let raw = RawFields::read(file.graph)?;
    let has_slow_part = spec.has_slow_part();
    let head_nodes = steps.head.as_ref().map_or(0, |head| head.nodes);
    let all = graph.nodes.len();
    let Some(count) = all.checked_sub(head_nodes).filter(|&count| count > 0) else {
        let message = format!("tteview.head_nodes must be less than {all}, got {head_nodes}");
        return Err(mismatch(message));
    };
    let most = if has_slow_part { count.saturating_sub(1) } else { count };
    let least = if has_slow_part { 1 } else { count };
    if !(least..=most).contains(&steps.fast_nodes) {
        let fast = steps.fast_nodes;
        let message = format!("tteview.fast_nodes must be {least} to {most}, got {fast}");
        return Err(mismatch(message));
    }
    check_values("input", &graph.inputs, &expected_inputs(spec))?;
    check_values("output", &graph.outputs, &expected_outputs(spec))?;
    let (nodes, head_nodes) = graph.nodes.split_at(count);
    let (fast_nodes, slow_nodes) = nodes.split_at(steps.fast_nodes);
    check_division(&graph, steps, [fast_nodes, slow_nodes, head_nodes])?;
    let (nodes, head_raw) = raw.nodes.split_at(count);
    let (fast_raw, slow_raw) = nodes.split_at(steps.fast_nodes);
    // The values have been compared with the metadata, so a head has one input and one output.
    let head_values = usize::from(steps.head.is_some());
    let (inputs, head_inputs) = raw.inputs.split_at(raw.inputs.len() - head_values);
    let (outputs, head_outputs) = raw.outputs.split_at(raw.outputs.len() - head_values);
    let (fast_inputs, slow_inputs) = inputs.split_at(steps.fast_states + 1);
    let (fast_outputs, slow_outputs) = outputs.split_at(steps.fast_states + 1);
    let fast = Part {
        nodes: fast_raw,
        initializers: select_initializers(&graph, &raw, fast_nodes)?,
        inputs: copy_fields(fast_inputs)?,
        outputs: fast_outputs,
    };
    let fast = fast.encode(file)?;
    let head = match steps.head {
        None => None,
        Some(_) => {
            let head = Part {
                nodes: head_raw,
                initializers: select_initializers(&graph, &raw, head_nodes)?,
                inputs: copy_fields(head_inputs)?,
                outputs: head_outputs,
            };
            Some(head.encode(file)?)
        }
    };
    if !has_slow_part {
        return Ok(FrameModels { fast, slow: None, head });
    }
    let windows = find_windows(&graph, &raw, steps)?;
    let (sample, states) = slow_inputs.split_at(1);
    let mut inputs = copy_fields(sample)?;
    for field in windows.iter().map(Vec::as_slice).chain(states.iter().copied()) {
        push_value(&mut inputs, field, PURPOSE)?;
    }
    let slow = Part {
        nodes: slow_raw,
        initializers: select_initializers(&graph, &raw, slow_nodes)?,
        inputs,
        outputs: slow_outputs,
    };
    Ok(FrameModels { fast, slow: Some(slow.encode(file)?), head })
}

/// The fields of one part, with their tags.
struct Part<'a> {
    nodes: &'a [&'a [u8]],
    initializers: Vec<&'a [u8]>,
    inputs: Vec<&'a [u8]>,
    outputs: &'a [&'a [u8]],
}

impl Part<'_> {
    /// Returns the part as an ONNX model with the versions of the file.
    fn encode(&self, file: &OnnxFile<'_>) -> Result<Vec<u8>> {
        const NAME: &[u8] = b"\x12\x07tteview";
        let fields = || {
            let lists = [self.nodes, &[NAME], &self.initializers, &self.inputs, self.outputs];
            lists.into_iter().flatten().copied()
        };
        let graph_bytes: usize = fields().map(<[u8]>::len).sum();
        let mut opset = vec![2 << 3];
        push_varint(&mut opset, file.opset.cast_unsigned());
        // The numbers around the graph take less than this.
        let mut model = reserve_values(graph_bytes + 64, PURPOSE)?;
        model.push(1 << 3);
        push_varint(&mut model, file.ir_version.cast_unsigned());
        model.push(7 << 3 | 2);
        push_varint(&mut model, graph_bytes as u64);
        fields().for_each(|field| model.extend_from_slice(field));
        model.push(8 << 3 | 2);
        push_varint(&mut model, opset.len() as u64);
        model.extend_from_slice(&opset);
        Ok(model)
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn copy_fields<'a>(fields: &[&'a [u8]]) -> Result<Vec<&'a [u8]>> {
    copy_values(fields, PURPOSE)
}

/// Returns the initializers that these nodes read.
fn select_initializers<'a>(
    graph: &Graph<'_>,
    raw: &RawFields<'a>,
    nodes: &[Node<'_>],
) -> Result<Vec<&'a [u8]>> {
    let read: HashSet<&str> = nodes.iter().flat_map(|node| &node.inputs).copied().collect();
    let mut selected = Vec::new();
    for (tensor, &field) in graph.initializers.iter().zip(&raw.initializers) {
        if read.contains(tensor.name) {
            push_value(&mut selected, field, PURPOSE)?;
        }
    }
    Ok(selected)
}

/// Returns the outputs of the fast part that contain the lateral windows, as inputs.
fn find_windows(
    graph: &Graph<'_>,
    raw: &RawFields<'_>,
    steps: &FrameSteps,
) -> Result<Vec<Vec<u8>>> {
    let mut windows = Vec::new();
    for name in &steps.lateral_windows {
        let next = next_name(name);
        let mut outputs = graph.outputs.iter().zip(&raw.outputs);
        let output = outputs.find(|(output, _)| output.name == next);
        // All outputs have been compared with the metadata, which lists the window as a state.
        let Some((_, field)) = output else {
            return Err(mismatch(format!("no output contains the lateral window {name:?}")));
        };
        let mut field = copy_values(field, PURPOSE)?;
        if let Some(tag) = field.first_mut() {
            *tag = INPUT_TAG;
        }
        push_value(&mut windows, field, PURPOSE)?;
    }
    Ok(windows)
}

/// Returns the parts of a package with frame steps, in the order of the graph.
fn describe_parts(spec: &ModelSpec) -> impl Iterator<Item = PartSpec> + '_ {
    spec.parts().iter().map(|&part| PartSpec::new(spec, part))
}

fn expected_inputs(spec: &ModelSpec) -> Vec<NamedShape> {
    // The slow part reads the lateral windows directly as outputs of the fast part.
    let own = |part: PartSpec| PartSpec { windows: Vec::new(), ..part }.inputs();
    describe_parts(spec).flat_map(own).collect()
}

fn expected_outputs(spec: &ModelSpec) -> Vec<NamedShape> {
    describe_parts(spec).flat_map(|part| part.outputs()).collect()
}

/// Compares the inputs or outputs of the graph with the metadata.
fn check_values(kind: &str, found: &[ValueInfo<'_>], expected: &[NamedShape]) -> Result<()> {
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return Err(mismatch(format!("the graph must have {expected} {kind}s, got {found}")));
    }
    for (index, (value, (name, shape))) in found.iter().zip(expected).enumerate() {
        let is_equal =
            value.name == name && value.shape == *shape && value.element == Element::Float32;
        if !is_equal {
            let (found, size) = (limits::shorten(value.name), &value.shape);
            return Err(mismatch(format!(
                "{kind} {index} must be {name:?} with float32 {shape:?}, got {found:?} with {:?} \
                 {size:?}",
                value.element
            )));
        }
    }
    Ok(())
}

/// Checks that no node reads a value of another part, except for lateral windows. `parts` are the
/// nodes of the fast part, the slow part and the head.
fn check_division(graph: &Graph<'_>, steps: &FrameSteps, parts: [&[Node<'_>]; 3]) -> Result<()> {
    const NAMES: [&str; 3] = ["fast", "slow", "head"];
    let fast_inputs = steps.fast_states + 1;
    let head_inputs = graph.inputs.len() - usize::from(steps.head.is_some());
    let part_of_input = |index: usize| match index {
        index if index >= head_inputs => 2,
        index => usize::from(index >= fast_inputs),
    };
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (index, input) in graph.inputs.iter().enumerate() {
        owners.insert(input.name.to_owned(), part_of_input(index));
    }
    for (part, nodes) in parts.iter().enumerate() {
        for &name in nodes.iter().flat_map(|node| &node.outputs) {
            owners.insert(name.to_owned(), part);
        }
    }
    let windows: HashSet<String> =
        steps.lateral_windows.iter().map(|name| next_name(name)).collect();
    for (part, (nodes, part_name)) in parts.iter().zip(NAMES).enumerate() {
        for node in *nodes {
            let is_foreign = |name: &&str| {
                let is_window = part == 1 && windows.contains(*name);
                !is_window && owners.get(*name).is_some_and(|&owner| owner != part)
            };
            if let Some(name) = node.inputs.iter().copied().find(is_foreign) {
                let (node, name) = (limits::shorten(node.name), limits::shorten(name));
                let message = format!(
                    "the node {node:?} of the {part_name} part reads {name:?}, a value of another part \
                     that is not a lateral window"
                );
                return Err(Error::new(Status::ModelInvalid, message));
            }
        }
    }
    Ok(())
}
