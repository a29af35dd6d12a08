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
mod constant_functions;
mod constant_products;
mod convert;
mod einsum;
mod elementwise;
mod external;
mod failure;
mod form;
mod functions;
mod initializer;
mod kept;
mod limits;
mod matrices;
mod node_context;
mod norms;
mod order;
mod rearrange;
mod recurrence;
mod reductions;
mod resize;
mod scatter;
mod selection;
mod shapes;
mod space_to_depth;
mod windows;
mod wire;

pub(crate) use external::ExternalData;
pub(crate) use form::ImportForm;

use crate::error::{CompileError, Result, fail_file};
use crate::graph::Graph;
use crate::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::tensor::Tensor;
use builder::GraphBuilder;
use bytes::Bytes;
use convert::convert_node;
use failure::NodeFailure;
use initializer::decode_tensor;
use limits::{MAX_BRANCH_DEPTH, MAX_NODES, MIN_OPSET};
use order::{select_nodes, sort_nodes};
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
pub(crate) fn import_model(
    bytes: &Bytes,
    external: &mut ExternalData,
    form: ImportForm,
) -> Result<ImportedModel> {
    if bytes.get(4..8) == Some(b"ORTM".as_slice()) {
        return fail_file(
            "the file is in ONNX Runtime's own format; compile the ONNX file from which it was made",
        );
    }
    check_wire_format(bytes)?;
    let model = ModelProto::decode(bytes.clone()).or_else(|e| fail_file(e.to_string()))?;
    let opset = model
        .opset_import
        .iter()
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
        .map_or(0, |o| o.version);
    if opset < MIN_OPSET {
        return fail_file(format!(
            "the operator set must be {MIN_OPSET} or later, got {opset}; export with a later one, or \
             convert the file with onnx.version_converter.convert_version(model, 17)"
        ));
    }
    let Some(mut proto) = model.graph else { return fail_file("the model has no graph") };
    let mut builder = GraphBuilder::new(opset, form);
    import_constants(&mut builder, &proto, external)?;
    for input in &proto.input {
        // Old exporters also list the initializers as inputs. Such an input already has a value.
        if builder.find_value(&input.name).is_none() {
            builder.add_input(input)?;
        }
    }
    if let Some(name) = form.output {
        // Nodes after the output may be operators that the compiler does not support.
        proto.node = select_nodes(std::mem::take(&mut proto.node), name);
        proto.output = vec![ValueInfoProto { name: name.to_owned(), r#type: None }];
    }
    import_nodes(&mut builder, &proto.node, external, 0)?;
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

/// Adds the constants that a graph lists.
fn import_constants(
    builder: &mut GraphBuilder,
    proto: &GraphProto,
    external: &mut ExternalData,
) -> Result<()> {
    for tensor in &proto.initializer {
        let constant = decode_tensor(tensor, external)?;
        let id = builder.add_initializer(tensor.name.clone(), constant);
        builder.define_name(&tensor.name, id)?;
    }
    Ok(())
}

/// Imports the nodes of a graph, or of a branch with the given depth of nesting.
fn import_nodes(
    builder: &mut GraphBuilder,
    nodes: &[NodeProto],
    external: &mut ExternalData,
    depth: usize,
) -> Result<()> {
    if nodes.len() > MAX_NODES {
        return fail_file(format!(
            "the model must have at most {MAX_NODES} nodes, got {}",
            nodes.len()
        ));
    }
    let describe = |index: usize| nodes.get(index).map_or("", |node| node.name.as_str());
    let order = sort_nodes(nodes).or_else(|index| {
        fail_file(format!("the nodes are cyclic at node \"{}\"", describe(index)))
    })?;
    for node in order.into_iter().filter_map(|index| nodes.get(index)) {
        match node.op_type == "If" && depth < MAX_BRANCH_DEPTH {
            true => import_branch(builder, node, external, depth)?,
            false => import_node(builder, node, external)?,
        }
    }
    Ok(())
}

/// Imports the branch of an If node that its constant condition selects.
fn import_branch(
    builder: &mut GraphBuilder,
    proto: &NodeProto,
    external: &mut ExternalData,
    depth: usize,
) -> Result<()> {
    let condition = proto.input.first().and_then(|name| builder.find_value(name));
    let condition = condition
        .and_then(|id| builder.graph.constant(id))
        .and_then(Tensor::i64_elements)
        .and_then(|values| values.first().copied());
    let branch = condition.map(|c| if c != 0 { "then_branch" } else { "else_branch" });
    let branch = branch.and_then(|name| proto.attribute.iter().find(|a| a.name == name));
    let Some(graph) = branch.and_then(|attribute| attribute.g.as_deref()) else {
        return import_node(builder, proto, external);
    };
    import_constants(builder, graph, external)?;
    import_nodes(builder, &graph.node, external, depth + 1)?;
    for (name, output) in proto.output.iter().zip(&graph.output) {
        match builder.find_value(&output.name) {
            Some(id) => {
                builder.define_name(name, id)?;
                // A name inside of a branch does not exist outside.
                if builder.producer(id).is_some() {
                    builder.rename(id, name);
                }
            }
            None => return fail_file(format!("no node computes the output \"{}\"", output.name)),
        }
    }
    Ok(())
}

/// Looks up the inputs of a node, converts the node and defines the names of its outputs.
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
                    "no node computes the input \"{name}\", or the compiler does not support that output \
                     of its node"
                );
                return Err(CompileError::Node { node: builder.node_ref(proto, &inputs), reason });
            }
        });
    }
    let outputs =
        convert_node(builder, proto, &inputs, external).map_err(|failure| match failure {
            NodeFailure::Reason(reason) => {
                CompileError::Node { node: builder.node_ref(proto, &inputs), reason }
            }
            NodeFailure::Error(error) => error,
        })?;
    if proto.output.is_empty() {
        return fail_file(format!("node \"{}\" has no output", proto.name));
    }
    for (name, id) in proto.output.iter().zip(outputs) {
        builder.define_name(name, id)?;
    }
    Ok(())
}
