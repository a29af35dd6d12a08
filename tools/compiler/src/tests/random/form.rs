//! Changes of a file that do not change what its network computes.

use super::super::source::{Source, Val, int};
use super::spec::Form;
use crate::onnx::*;
use bytes::Bytes;
use prost::Message;

/// Name of the output with the logits, if the network has a second output.
pub(super) const LOGITS: &str = "scores";

/// Returns the content of the file. `output` is the value with the result.
pub(super) fn encode(mut s: Source, output: &Val, form: &Form) -> Vec<u8> {
    s.output(output);
    if form.has_second_output {
        let named = s.unary("Identity", output);
        s.graph.node.last_mut().expect("a node").output[0] = LOGITS.into();
        s.graph.output[0].name = LOGITS.into();
        s.output(&Val { name: output.name.clone(), shape: named.shape });
    }
    if form.computes_shapes {
        compute_shapes(&mut s);
    }
    if form.has_identities {
        add_identities(&mut s.graph);
    }
    if form.has_constant_nodes {
        use_constant_nodes(&mut s.graph);
    }
    if form.has_dynamic_batch {
        s.make_batch_dynamic();
    }
    if form.opset >= 18 {
        use_axes_inputs(&mut s.graph);
    }
    if form.is_unsorted {
        let middle = s.graph.node.len() / 2;
        s.graph.node.rotate_left(middle);
        s.graph.node.reverse();
    }
    let opset = OperatorSetIdProto { domain: String::new(), version: form.opset };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(s.graph),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

/// Computes the first size of each Reshape from the shape of the input, as exporters do.
fn compute_shapes(s: &mut Source) {
    let input = s.graph.input[0].name.clone();
    let nodes = std::mem::take(&mut s.graph.node);
    for mut node in nodes {
        if node.op_type == "Reshape" {
            let shape = s.graph.initializer.iter().find(|t| t.name == node.input[1]);
            let sizes = shape.expect("the shape is a constant").int64_data.clone();
            let known = dims(&s.graph.input[0])[0];
            let shape = s.unary("Shape", &Val { name: input.clone(), shape: vec![] });
            let index = s.ints(&[0]);
            let size = s.node("Gather", &[&shape.name, &index], vec![1], vec![int("axis", 0)]);
            let rest = s.ints(&[sizes[0] - known]);
            let first = s.node("Add", &[&size.name, &rest], vec![1], vec![]);
            let others = s.ints(&sizes[1..]);
            let inputs = [first.name.as_str(), &others];
            let all = s.node("Concat", &inputs, vec![sizes.len()], vec![int("axis", 0)]);
            node.input[1] = all.name;
        }
        s.graph.node.push(node);
    }
}

fn dims(value: &ValueInfoProto) -> Vec<i64> {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|t| t.shape.as_ref()).expect("the input has a shape");
    shape.dim.iter().map(|dim| dim.dim_value.expect("a static size")).collect()
}

/// Passes the first input of every third node through an Identity.
fn add_identities(graph: &mut GraphProto) {
    let nodes = std::mem::take(&mut graph.node);
    for (index, mut node) in nodes.into_iter().enumerate() {
        if index % 3 == 1 && node.input.first().is_some_and(|name| !name.is_empty()) {
            let name = format!("same_{index}");
            graph.node.push(NodeProto {
                op_type: "Identity".into(),
                input: vec![node.input[0].clone()],
                output: vec![name.clone()],
                ..NodeProto::default()
            });
            node.input[0] = name;
        }
        graph.node.push(node);
    }
}

/// Turns all initializers into Constant nodes.
fn use_constant_nodes(graph: &mut GraphProto) {
    let constants = std::mem::take(&mut graph.initializer).into_iter().map(|tensor| NodeProto {
        op_type: "Constant".into(),
        output: vec![tensor.name.clone()],
        attribute: vec![AttributeProto {
            name: "value".into(),
            t: Some(tensor),
            r#type: attribute_type::TENSOR,
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    });
    let constants: Vec<NodeProto> = constants.collect();
    graph.node.splice(0..0, constants);
}

/// Turns the axes of reductions into inputs, as operator set 18 requires.
fn use_axes_inputs(graph: &mut GraphProto) {
    let mut axes = Vec::new();
    for node in &mut graph.node {
        let at = node.attribute.iter().position(|a| a.name == "axes");
        if let (true, Some(at)) = (node.op_type.starts_with("Reduce"), at) {
            let list = node.attribute.remove(at).ints;
            let name = format!("axes_{}", axes.len());
            node.input.push(name.clone());
            let data: Vec<u8> = list.iter().flat_map(|axis| axis.to_le_bytes()).collect();
            axes.push(TensorProto {
                name,
                dims: vec![list.len() as i64],
                data_type: data_type::INT64,
                raw_data: Some(Bytes::from(data)),
                ..TensorProto::default()
            });
        }
    }
    graph.initializer.extend(axes);
}
