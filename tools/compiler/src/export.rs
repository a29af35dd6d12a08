//! Pass 8: the lowered graph as ONNX bytes, the same bytes for the same graph.

use crate::net::{Net, NetId, NetNode, NetOp, Window2};
use crate::onnx::{
    AttributeProto, DimensionProto, EncodedModelProto, GraphProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type, data_type,
};
use crate::tensor::{DType, Data, Tensor};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Read by ONNX Runtime 1.14 and later, TensorRT 10 and rten.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// An encoded graph with its hash, ready to be wrapped in a model with metadata.
pub(crate) struct EncodedGraph {
    pub(crate) bytes: Bytes,
    pub(crate) sha256: String,
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Encodes the graph.
pub(crate) fn encode(net: &Net, name: &str) -> EncodedGraph {
    let bytes = Bytes::from(Exporter::new(net).graph(name).encode_to_vec());
    EncodedGraph { sha256: sha256_hex(&bytes), bytes }
}

/// The file: graph and `tteview.` metadata, in the order of the keys.
pub(crate) fn model(graph: &EncodedGraph, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let entry = |(key, value): (&String, &String)| StringStringEntryProto {
        key: format!("tteview.{key}"),
        value: value.clone(),
    };
    EncodedModelProto {
        ir_version: IR_VERSION,
        producer_name: "tteview".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: graph.bytes.clone(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata.iter().map(entry).collect(),
    }
    .encode_to_vec()
}

struct Exporter<'a> {
    net: &'a Net,
    names: Vec<String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    written: BTreeSet<String>,
    /// Slices that are part of the slice after them.
    merged: BTreeSet<NetId>,
}

impl<'a> Exporter<'a> {
    fn new(net: &'a Net) -> Self {
        let names = net.values.iter().map(|v| v.name.clone()).collect();
        Self {
            net,
            names,
            nodes: Vec::new(),
            initializers: Vec::new(),
            written: BTreeSet::new(),
            merged: merged_slices(net),
        }
    }

    fn graph(mut self, name: &str) -> GraphProto {
        // A value carries the name of the first output it is; more outputs of one value, and outputs that are
        // inputs, are copies.
        let mut copies = Vec::new();
        let mut named = BTreeSet::new();
        for (output, id) in &self.net.outputs {
            if self.net.maker(*id).is_some() && named.insert(*id) {
                self.names[id.0] = output.clone();
            } else {
                copies.push((output.clone(), *id));
            }
        }
        for node in &self.net.nodes {
            if !self.merged.contains(&node.output) {
                self.node(node);
            }
        }
        for (output, id) in copies {
            let input = vec![self.names[id.0].clone()];
            self.push("Identity", input, output, vec![]);
        }
        let net = self.net;
        let outputs = net.outputs.iter().map(|(name, id)| value_info(name, net.shape(*id), DType::F32));
        let inputs = net.inputs.iter().map(|id| value_info(&self.names[id.0], net.shape(*id), DType::F32));
        GraphProto {
            name: name.into(),
            input: inputs.collect(),
            output: outputs.collect(),
            node: self.nodes,
            initializer: self.initializers,
        }
    }

    fn push(&mut self, op: &str, input: Vec<String>, output: String, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            name: format!("{op}_{}", self.nodes.len()),
            op_type: op.into(),
            input,
            output: vec![output],
            attribute,
            domain: String::new(),
        });
    }

    fn node(&mut self, node: &NetNode) {
        let mut inputs: Vec<String> = node.inputs.iter().map(|&id| self.name(id)).collect();
        let dtype = self.net.values[node.output.0].dtype;
        let (op, attributes) = match &node.op {
            NetOp::Conv { window, group } => {
                let mut attributes = window_attributes(window);
                attributes.push(int("group", *group as i64));
                ("Conv", attributes)
            }
            NetOp::MaxPool(window) => ("MaxPool", window_attributes(window)),
            NetOp::AveragePool { window, count_include_pad } => {
                let mut attributes = window_attributes(window);
                attributes.push(int("count_include_pad", (*count_include_pad).into()));
                ("AveragePool", attributes)
            }
            NetOp::GlobalAveragePool => ("GlobalAveragePool", vec![]),
            NetOp::MeanFrames => ("ReduceMean", vec![ints("axes", &[0]), int("keepdims", 1)]),
            NetOp::Mean(axes) => {
                let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
                ("ReduceMean", vec![ints("axes", &axes), int("keepdims", 1)])
            }
            NetOp::Relu => ("Relu", vec![]),
            NetOp::Sigmoid => ("Sigmoid", vec![]),
            NetOp::HardSigmoid { alpha, beta } => {
                ("HardSigmoid", vec![float("alpha", alpha.value()), float("beta", beta.value())])
            }
            NetOp::Clip { min, max } => {
                inputs.extend([self.scalar(min.value(), dtype), self.scalar(max.value(), dtype)]);
                ("Clip", vec![])
            }
            NetOp::Add => ("Add", vec![]),
            NetOp::Sub => ("Sub", vec![]),
            NetOp::Mul => ("Mul", vec![]),
            NetOp::Div => ("Div", vec![]),
            NetOp::Max => ("Max", vec![]),
            NetOp::Concat(axis) => ("Concat", vec![int("axis", *axis as i64)]),
            NetOp::Slice { .. } => {
                let (source, parts) = self.slices(node);
                inputs = vec![self.name(source)];
                let [starts, ends, axes, steps] = [0, 1, 2, 3].map(|i| {
                    let values: Vec<i64> = parts.iter().map(|p| p[i] as i64).collect();
                    self.indices(&values)
                });
                inputs.extend([starts, ends, axes, steps]);
                ("Slice", vec![])
            }
            NetOp::Gather { axis, indices } => {
                let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
                inputs.push(self.indices(&indices));
                ("Gather", vec![int("axis", *axis as i64)])
            }
            NetOp::Pad { before, after, value } => {
                inputs.push(self.indices(&[*before, *after].concat()));
                inputs.push(self.scalar(value.value(), dtype));
                ("Pad", vec![])
            }
            NetOp::Reshape(shape) => {
                let shape: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
                inputs.push(self.indices(&shape));
                ("Reshape", vec![])
            }
            NetOp::Gemm => ("Gemm", vec![]),
            NetOp::MatMul => ("MatMul", vec![]),
            NetOp::Transpose(perm) => {
                let perm: Vec<i64> = perm.iter().map(|&axis| axis as i64).collect();
                ("Transpose", vec![ints("perm", &perm)])
            }
            NetOp::Softmax(axis) => ("Softmax", vec![int("axis", *axis as i64)]),
            NetOp::Cast(to) => ("Cast", vec![int("to", element_type(*to).into())]),
        };
        let output = self.names[node.output.0].clone();
        self.push(op, inputs, output, attributes);
    }

    /// A slice and those merged into it, as the value they read and `[start, end, axis, step]` of each.
    fn slices(&self, node: &NetNode) -> (NetId, Vec<[usize; 4]>) {
        let mut parts = Vec::new();
        let mut at = node;
        while let NetOp::Slice { axis, start, end, step } = at.op {
            parts.push([start, end, axis, step]);
            match self.net.maker(at.inputs[0]) {
                Some(inner) if self.merged.contains(&inner.output) => at = inner,
                _ => break,
            }
        }
        (at.inputs[0], parts)
    }

    fn name(&mut self, id: NetId) -> String {
        let name = self.names[id.0].clone();
        let value = &self.net.values[id.0];
        if let Some(constant) = &value.constant {
            self.initializer(&name, constant, value.dtype);
        }
        name
    }

    fn initializer(&mut self, name: &str, tensor: &Tensor, dtype: DType) {
        if !self.written.insert(name.to_owned()) {
            return;
        }
        let raw: Vec<u8> = match (&tensor.data, dtype) {
            (Data::F32(v), DType::F16) => {
                v.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()
            }
            (Data::F32(v), _) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            (Data::I64(v), _) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.initializers.push(TensorProto {
            name: name.into(),
            dims: tensor.shape.iter().map(|&d| d as i64).collect(),
            data_type: element_type(dtype),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
    }

    /// A constant integer vector, named by its values.
    fn indices(&mut self, values: &[i64]) -> String {
        let name = values.iter().fold("i".to_owned(), |name, v| format!("{name}_{v}"));
        self.initializer(&name, &Tensor::ints(values.to_vec()), DType::I64);
        name
    }

    fn scalar(&mut self, value: f32, dtype: DType) -> String {
        let name = format!("f{:08x}_{}", value.to_bits(), element_type(dtype));
        let tensor = Tensor { shape: vec![], data: Data::F32(vec![value].into()) };
        self.initializer(&name, &tensor, dtype);
        name
    }
}

/// Slices read by nothing but one slice along another axis: the two become one node, and one copy.
fn merged_slices(net: &Net) -> BTreeSet<NetId> {
    let mut uses: BTreeMap<NetId, usize> = BTreeMap::new();
    let outputs = net.outputs.iter().map(|(_, id)| id);
    net.nodes.iter().flat_map(|n| &n.inputs).chain(outputs).for_each(|&id| *uses.entry(id).or_insert(0) += 1);
    let mut merged = BTreeSet::new();
    for node in &net.nodes {
        let NetOp::Slice { axis, .. } = node.op else { continue };
        let Some(inner) = net.maker(node.inputs[0]) else { continue };
        // Slices along one axis are one already, so at most one per axis meets here.
        if matches!(inner.op, NetOp::Slice { axis: other, .. } if other != axis)
            && uses.get(&inner.output) == Some(&1)
            && !merged.contains(&inner.inputs[0])
        {
            merged.insert(inner.output);
        }
    }
    merged
}

fn element_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => data_type::FLOAT,
        DType::F16 => data_type::FLOAT16,
        DType::I64 => data_type::INT64,
    }
}

fn value_info(name: &str, shape: &[usize], dtype: DType) -> ValueInfoProto {
    let dim = |&d: &usize| DimensionProto { dim_value: Some(d as i64), dim_param: None };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: element_type(dtype), shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn window_attributes(window: &Window2) -> Vec<AttributeProto> {
    let list = |v: &[usize]| v.iter().map(|&v| v as i64).collect::<Vec<_>>();
    vec![
        ints("kernel_shape", &list(&window.kernel)),
        ints("strides", &list(&window.strides)),
        ints("pads", &list(&window.pads)),
    ]
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), r#type: attribute_type::INT, ..Default::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value), r#type: attribute_type::FLOAT, ..Default::default() }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: attribute_type::INTS,
        ..Default::default()
    }
}
