//! Pass 1: ONNX bytes to a typed graph with static shapes.
//!
//! Shape arithmetic that exporters leave in the file (Shape, Gather, Concat of sizes, ...) is evaluated on the
//! way, so it leaves no nodes. Input files may be hostile: sizes are bounded before anything is allocated, and
//! nothing here may panic.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attributes;
mod axes;
mod evaluate;
mod ops;
mod tensors;
mod wire;

pub(crate) use tensors::ExternalData;

use crate::error::{CompileError, NodeRef, Result, file_error};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::onnx::{ModelProto, NodeProto, ValueInfoProto, data_type};
use crate::tensor::{DType, Tensor, volume};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;

/// Oldest operator set read; older ones give Softmax, Squeeze and ReduceMean other meanings.
const MIN_OPSET: i64 = 13;
/// Most elements of one activation. R50 at 224 has 26 million in its largest.
const MAX_ELEMENTS: usize = 1 << 31;
/// Most nodes of a model. R101 has about 700, with all that exporters leave in the file 2,000.
const MAX_NODES: usize = 20_000;
/// Most weights all nodes read together; one that several nodes read counts for each, because each gets its own
/// copy in the end. R101 has 63 million.
const MAX_WEIGHTS: usize = 1 << 27;
/// Most elements of all constants computed on the way.
const MAX_COMPUTED: usize = 1 << 26;
/// Most axes of a value.
const MAX_RANK: usize = 8;

/// A file as read: its graph and the metadata it carries.
pub(crate) struct Imported {
    pub(crate) graph: Graph,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) opset: i64,
    /// Names of the outputs; several may be one value.
    pub(crate) output_names: Vec<String>,
}

/// Reads a model. `bytes` is the whole file; weights in other files come from `external`.
pub(crate) fn import(bytes: &Bytes, external: &mut ExternalData) -> Result<Imported> {
    wire::check(bytes)?;
    let model = ModelProto::decode(bytes.clone()).or_else(|e| file_error(e.to_string()))?;
    let opset = model
        .opset_import
        .iter()
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
        .map_or(0, |o| o.version);
    if opset < MIN_OPSET {
        return file_error(format!("operator set {opset}; {MIN_OPSET} or later is needed"));
    }
    let Some(proto) = model.graph else { return file_error("holds no graph") };
    let mut importer = Importer {
        graph: Graph::default(),
        names: BTreeMap::new(),
        weights_left: MAX_WEIGHTS,
        computed_left: MAX_COMPUTED,
    };
    if proto.node.len() > MAX_NODES {
        return file_error(format!("{} nodes; at most {MAX_NODES} are supported", proto.node.len()));
    }
    for tensor in &proto.initializer {
        let constant = tensors::decode(tensor, external)?;
        let id = importer.graph.add_constant(tensor.name.clone(), constant);
        importer.define(&tensor.name, id)?;
    }
    for input in &proto.input {
        // Files of old exporters list initializers among the inputs.
        if !importer.names.contains_key(&input.name) {
            importer.input(input)?;
        }
    }
    for node in &proto.node {
        importer.node(node, external)?;
    }
    for output in &proto.output {
        let Some(&id) = importer.names.get(&output.name) else {
            return file_error(format!("output \"{}\" is made by no node", output.name));
        };
        importer.graph.outputs.push(id);
    }
    if importer.graph.outputs.is_empty() || importer.graph.inputs.is_empty() {
        return file_error("a graph needs inputs and outputs");
    }
    let mut graph = importer.graph;
    graph.remove_dead_nodes();
    let metadata = model.metadata_props.into_iter().map(|e| (e.key, e.value)).collect();
    let output_names = proto.output.into_iter().map(|o| o.name).collect();
    Ok(Imported { graph, metadata, opset, output_names })
}

/// State of the pass: the graph so far and which value each name means.
struct Importer {
    graph: Graph,
    names: BTreeMap<String, ValueId>,
    weights_left: usize,
    computed_left: usize,
}

impl Importer {
    fn define(&mut self, name: &str, id: ValueId) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        match self.names.insert(name.to_owned(), id) {
            None => Ok(()),
            Some(_) => file_error(format!("the name \"{name}\" is defined twice")),
        }
    }

    fn input(&mut self, info: &ValueInfoProto) -> Result<()> {
        let fail = |reason: &str| file_error(format!("input \"{}\" {reason}", info.name));
        let Some(tensor) = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) else {
            return fail("is no tensor");
        };
        if !matches!(tensor.elem_type, data_type::FLOAT | data_type::FLOAT16) {
            return fail("must be of type float");
        }
        let Some(proto) = &tensor.shape else { return fail("has no shape") };
        let mut shape = Vec::new();
        for (axis, dim) in proto.dim.iter().enumerate() {
            match dim.dim_value.map(usize::try_from) {
                Some(Ok(size)) if size > 0 => shape.push(size),
                // The batch is the only axis that may be dynamic; the library always runs one clip.
                None if axis == 0 => shape.push(1),
                None => return fail(&format!("has a dynamic axis {axis}; only the batch may be dynamic")),
                _ => return fail("has a dimension that is not positive"),
            }
        }
        if shape.len() > MAX_RANK || volume(&shape).is_none_or(|n| n > MAX_ELEMENTS) {
            return fail("is too large");
        }
        let id = self.graph.add_value(info.name.clone(), shape, DType::F32, None);
        self.graph.inputs.push(id);
        self.define(&info.name, id)
    }

    fn node(&mut self, proto: &NodeProto, external: &mut ExternalData) -> Result<()> {
        let mut inputs = Vec::with_capacity(proto.input.len());
        for name in &proto.input {
            inputs.push(match (name.is_empty(), self.names.get(name)) {
                (true, _) => None,
                (false, Some(&id)) => Some(id),
                (false, None) => {
                    let reason =
                        format!("reads \"{name}\", which no earlier node makes (cyclic or out of order)");
                    return Err(CompileError::Node { node: self.node_ref(proto, &inputs), reason });
                }
            });
        }
        let output = ops::convert(self, proto, &inputs, external).map_err(|e| match e {
            ops::Failure::Reason(reason) => {
                CompileError::Node { node: self.node_ref(proto, &inputs), reason }
            }
            ops::Failure::Error(e) => e,
        })?;
        match proto.output.first() {
            Some(name) => self.define(name, output),
            None => file_error(format!("node \"{}\" has no output", proto.name)),
        }
    }

    fn node_ref(&self, proto: &NodeProto, inputs: &[Option<ValueId>]) -> NodeRef {
        NodeRef {
            name: display_name(proto),
            op: proto.op_type.clone(),
            shapes: inputs.iter().flatten().map(|&id| self.graph.shape(id).to_vec()).collect(),
        }
    }

    /// Appends a typed node and returns its value.
    fn emit(
        &mut self,
        proto: &NodeProto,
        op: Op,
        inputs: Vec<ValueId>,
        shape: Vec<usize>,
    ) -> std::result::Result<ValueId, ops::Failure> {
        if shape.len() > MAX_RANK || shape.contains(&0) || volume(&shape).is_none_or(|n| n > MAX_ELEMENTS) {
            return Err(ops::Failure::Reason(format!("its result of shape {shape:?} is empty or too large")));
        }
        let name = proto.output.first().cloned().unwrap_or_default();
        let output = self.graph.add_value(name, shape, DType::F32, None);
        let node = Node { name: display_name(proto), source_op: proto.op_type.clone(), op, inputs, output };
        self.graph.nodes.push(node);
        Ok(output)
    }

    /// A constant that was computed and takes memory of its own.
    fn computed(&mut self, proto: &NodeProto, tensor: Tensor) -> std::result::Result<ValueId, ops::Failure> {
        match volume(&tensor.shape).and_then(|n| self.computed_left.checked_sub(n)) {
            Some(left) => self.computed_left = left,
            None => return ops::fail("computes too many constants"),
        }
        Ok(self.constant(proto, tensor))
    }

    fn constant(&mut self, proto: &NodeProto, tensor: Tensor) -> ValueId {
        self.graph.add_constant(proto.output.first().cloned().unwrap_or_default(), tensor)
    }
}

fn display_name(proto: &NodeProto) -> String {
    match (proto.name.as_str(), proto.output.first()) {
        ("", Some(output)) => output.clone(),
        (name, _) => name.to_owned(),
    }
}
