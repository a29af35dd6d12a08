//! Pass 1: reads ONNX bytes into a typed graph with static shapes.
//!
//! Exporters leave shape arithmetic in the file, such as Shape, Gather and Concat nodes that
//! compute sizes. The pass folds this arithmetic into constants. Input files may be hostile, so
//! sizes are checked before anything is allocated, and this module must not panic.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attributes;
mod axes;
mod builder;
mod constant_folding;
mod convert;
mod elementwise;
mod external;
mod failure;
mod initializer;
mod limits;
mod matrices;
mod node_context;
mod selection;
mod shapes;
mod windows;
mod wire;

pub(crate) use external::ExternalData;

use crate::error::{CompileError, Result, fail_file};
use crate::graph::Graph;
use crate::onnx::{ModelProto, NodeProto};
use builder::GraphBuilder;
use bytes::Bytes;
use convert::convert_node;
use failure::NodeFailure;
use initializer::decode_tensor;
use limits::{MAX_NODES, MIN_OPSET};
use prost::Message;
use std::collections::BTreeMap;
use wire::check_wire_format;

/// The content of a model file.
pub(crate) struct ImportedModel {
    pub(crate) graph: Graph,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Version of the ONNX operator set that the file uses.
    pub(crate) opset: i64,
    /// Names of the outputs, in the order of the graph's outputs. Two names may refer to the same
    /// value.
    pub(crate) output_names: Vec<String>,
}

/// Imports a model from the content of its file. `external` reads weights from other files.
pub(crate) fn import_model(bytes: &Bytes, external: &mut ExternalData) -> Result<ImportedModel> {
    check_wire_format(bytes)?;
    let model = ModelProto::decode(bytes.clone()).or_else(|e| fail_file(e.to_string()))?;
    let opset = model
        .opset_import
        .iter()
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
        .map_or(0, |o| o.version);
    if opset < MIN_OPSET {
        return fail_file(format!(
            "the operator set must be {MIN_OPSET} or later, got {opset}; export with a later one"
        ));
    }
    let Some(proto) = model.graph else { return fail_file("the model has no graph") };
    if proto.node.len() > MAX_NODES {
        return fail_file(format!(
            "the model must have at most {MAX_NODES} nodes, got {}",
            proto.node.len()
        ));
    }
    let mut builder = GraphBuilder::new();
    for tensor in &proto.initializer {
        let constant = decode_tensor(tensor, external)?;
        let id = builder.graph.add_constant(tensor.name.clone(), constant);
        builder.define_name(&tensor.name, id)?;
    }
    for input in &proto.input {
        // Old exporters also list the initializers as inputs. Such an input already has a value.
        if builder.find_value(&input.name).is_none() {
            builder.add_input(input)?;
        }
    }
    for node in &proto.node {
        import_node(&mut builder, node, external)?;
    }
    for output in &proto.output {
        let Some(id) = builder.find_value(&output.name) else {
            return fail_file(format!("no node computes the output \"{}\"", output.name));
        };
        builder.graph.outputs.push(id);
    }
    let mut graph = builder.graph;
    if graph.outputs.is_empty() || graph.inputs.is_empty() {
        return fail_file("the graph must have an input and an output");
    }
    graph.remove_dead_nodes();
    let metadata = model.metadata_props.into_iter().map(|e| (e.key, e.value)).collect();
    let output_names = proto.output.into_iter().map(|o| o.name).collect();
    Ok(ImportedModel { graph, metadata, opset, output_names })
}

/// Looks up the inputs of a node, converts the node and defines the name of its first output.
fn import_node(
    builder: &mut GraphBuilder,
    proto: &NodeProto,
    external: &mut ExternalData,
) -> Result<()> {
    let mut inputs = Vec::with_capacity(proto.input.len());
    for name in &proto.input {
        inputs.push(match (name.is_empty(), builder.find_value(name)) {
            (true, _) => None,
            (false, Some(id)) => Some(id),
            (false, None) => {
                let reason = format!(
                    "no earlier node computes the input \"{name}\"; the nodes are cyclic or not in execution \
                     order"
                );
                return Err(CompileError::Node { node: builder.node_ref(proto, &inputs), reason });
            }
        });
    }
    let output =
        convert_node(builder, proto, &inputs, external).map_err(|failure| match failure {
            NodeFailure::Reason(reason) => {
                CompileError::Node { node: builder.node_ref(proto, &inputs), reason }
            }
            NodeFailure::Error(error) => error,
        })?;
    match proto.output.first() {
        Some(name) => builder.define_name(name, output),
        None => fail_file(format!("node \"{}\" has no output", proto.name)),
    }
}
