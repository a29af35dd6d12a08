//! Pass 8: encodes a lowered graph as ONNX. The same graph always gives the same bytes.

use crate::kept::{KeptAttribute, KeptOp};
use crate::lowered::{LoweredGraph, LoweredId, LoweredNode, LoweredOp, Window2d};
use crate::onnx::{
    AttributeProto, DimensionProto, EncodedModelProto, GraphProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, attribute_type, data_type,
};
use crate::tensor::{DType, Tensor};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Operator set of the packages. ONNX Runtime 1.14 and later, TensorRT 10 and rten can read it.
const OPSET: i64 = 17;
/// Version of the ONNX file format that belongs to the operator set.
const IR_VERSION: i64 = 8;

/// An encoded graph and its hash. The model's metadata contains the hash, so the graph is encoded
/// before the model.
pub(crate) struct EncodedGraph {
    pub(crate) bytes: Bytes,
    pub(crate) sha256: String,
}

/// Returns the SHA-256 of `bytes` in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Converts a graph to protobuf messages.
pub(crate) fn export_graph(graph: &LoweredGraph, name: &str) -> GraphProto {
    Exporter::new(graph).export(name)
}

/// Encodes a graph.
pub(crate) fn encode_graph(graph: &GraphProto) -> EncodedGraph {
    let bytes = Bytes::from(graph.encode_to_vec());
    EncodedGraph { sha256: sha256_hex(&bytes), bytes }
}

/// Encodes a model that consists of the graph and its `tteview.` metadata, sorted by key.
pub(crate) fn encode_model(graph: &EncodedGraph, metadata: &BTreeMap<String, String>) -> Vec<u8> {
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

/// An export in progress.
struct Exporter<'a> {
    graph: &'a LoweredGraph,
    /// Names of the values in the file.
    names: Vec<String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    initializer_names: BTreeSet<String>,
    /// Slices that are written as part of the slice that reads them.
    merged_slices: BTreeSet<LoweredId>,
}

impl<'a> Exporter<'a> {
    fn new(graph: &'a LoweredGraph) -> Self {
        Self {
            graph,
            names: graph.values.iter().map(|v| v.name.clone()).collect(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            initializer_names: BTreeSet::new(),
            merged_slices: find_merged_slices(graph),
        }
    }

    fn export(mut self, name: &str) -> GraphProto {
        let graph = self.graph;
        // The result of a node takes the name of the first graph output that refers to it. Any
        // other output that refers to the same value, and any output that refers to a graph input
        // or a constant, gets an Identity node.
        let mut copies = Vec::new();
        let mut named = BTreeSet::new();
        for (output, id) in &graph.outputs {
            if graph.producer(*id).is_some() && named.insert(*id) {
                self.names[id.0] = output.clone();
            } else {
                copies.push((output.clone(), *id));
            }
        }
        for node in &graph.nodes {
            if !self.merged_slices.contains(&node.output) {
                self.export_node(node);
            }
        }
        for (output, id) in copies {
            let input = vec![self.names[id.0].clone()];
            self.push_node("Identity", input, output, vec![]);
        }
        let output =
            graph.outputs.iter().map(|(name, id)| value_info(name, graph.shape(*id))).collect();
        let input =
            graph.inputs.iter().map(|id| value_info(&self.names[id.0], graph.shape(*id))).collect();
        GraphProto {
            name: name.into(),
            input,
            output,
            node: self.nodes,
            initializer: self.initializers,
        }
    }

    fn push_node(
        &mut self,
        op: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            name: format!("{op}_{}", self.nodes.len()),
            op_type: op.into(),
            input,
            output: vec![output],
            attribute,
            domain: String::new(),
        });
    }

    fn export_node(&mut self, node: &LoweredNode) {
        if let LoweredOp::Kept(kept) = &node.op {
            return self.export_kept(node, kept);
        }
        let mut inputs: Vec<String> = node.inputs.iter().map(|&id| self.export_input(id)).collect();
        let dtype = self.graph.dtype(node.output);
        let (op, attributes) = match &node.op {
            LoweredOp::Conv { window, group } => {
                let mut attributes = window_attributes(window);
                attributes.push(int("group", *group as i64));
                ("Conv", attributes)
            }
            LoweredOp::MaxPool(window) => ("MaxPool", window_attributes(window)),
            LoweredOp::AveragePool { window, count_include_pad } => {
                let mut attributes = window_attributes(window);
                attributes.push(int("count_include_pad", (*count_include_pad).into()));
                ("AveragePool", attributes)
            }
            LoweredOp::GlobalAveragePool => ("GlobalAveragePool", vec![]),
            LoweredOp::Mean(axes) => ("ReduceMean", vec![ints("axes", axes), int("keepdims", 1)]),
            LoweredOp::ReduceMax(axes) => {
                ("ReduceMax", vec![ints("axes", axes), int("keepdims", 1)])
            }
            LoweredOp::Relu => ("Relu", vec![]),
            LoweredOp::Sigmoid => ("Sigmoid", vec![]),
            LoweredOp::HardSigmoid { alpha, beta } => {
                ("HardSigmoid", vec![float("alpha", alpha.value()), float("beta", beta.value())])
            }
            LoweredOp::Clip { min, max } => {
                inputs.push(self.export_scalar(min.value(), dtype));
                inputs.push(self.export_scalar(max.value(), dtype));
                ("Clip", vec![])
            }
            LoweredOp::Add => ("Add", vec![]),
            LoweredOp::Sub => ("Sub", vec![]),
            LoweredOp::Mul => ("Mul", vec![]),
            LoweredOp::Div => ("Div", vec![]),
            LoweredOp::Max => ("Max", vec![]),
            LoweredOp::Min => ("Min", vec![]),
            LoweredOp::Function(function) => {
                let (operator, alpha) = function.operator();
                (operator, alpha.map(|alpha| float("alpha", alpha)).into_iter().collect())
            }
            LoweredOp::Concat(axis) => ("Concat", vec![int("axis", *axis as i64)]),
            LoweredOp::Slice { .. } => {
                let (source, slices) = self.collect_slices(node);
                inputs = vec![self.export_input(source)];
                for i in 0..4 {
                    let values: Vec<i64> = slices.iter().map(|slice| slice[i] as i64).collect();
                    inputs.push(self.export_indices(&values));
                }
                ("Slice", vec![])
            }
            LoweredOp::Gather { axis, indices } => {
                inputs.push(self.export_indices(&to_i64(indices)));
                ("Gather", vec![int("axis", *axis as i64)])
            }
            LoweredOp::Pad { before, after, value } => {
                inputs.push(self.export_indices(&[before.as_slice(), after].concat()));
                inputs.push(self.export_scalar(value.value(), dtype));
                ("Pad", vec![])
            }
            LoweredOp::Reshape(shape) => {
                inputs.push(self.export_indices(&to_i64(shape)));
                ("Reshape", vec![])
            }
            LoweredOp::Gemm => ("Gemm", vec![]),
            LoweredOp::MatMul => ("MatMul", vec![]),
            LoweredOp::Transpose(perm) => ("Transpose", vec![ints("perm", perm)]),
            LoweredOp::Softmax(axis) => ("Softmax", vec![int("axis", *axis as i64)]),
            LoweredOp::LogSoftmax(axis) => ("LogSoftmax", vec![int("axis", *axis as i64)]),
            LoweredOp::Cast(to) => ("Cast", vec![int("to", element_type(*to).into())]),
            LoweredOp::Kept(kept) => (kept.operator, vec![]),
        };
        let output = self.names[node.output.0].clone();
        self.push_node(op, inputs, output, attributes);
    }

    /// Writes a node as it is in the source. An output that the graph does not read gets a name,
    /// because ONNX does not permit every operator to leave outputs out.
    fn export_kept(&mut self, node: &LoweredNode, kept: &KeptOp) {
        let input = node.inputs.iter().map(|&id| self.export_input(id)).collect();
        let name = self.names[node.output.0].clone();
        let attribute = kept.attributes.iter().map(|(name, value)| match value {
            KeptAttribute::Integer(value) => int(name, *value),
            KeptAttribute::Text(value) => text(name, value),
        });
        let attribute = attribute.collect();
        self.push_node(kept.operator, input, name.clone(), attribute);
        if let Some(node) = self.nodes.last_mut() {
            let output = |i| if i == kept.output { name.clone() } else { format!("{name}_{i}") };
            node.output = (0..kept.outputs).map(output).collect();
        }
    }

    /// Returns the input of the node that replaces a slice and the slices merged into it, and the
    /// parameters `[start, end, axis, step]` of all these slices.
    fn collect_slices(&self, node: &LoweredNode) -> (LoweredId, Vec<[usize; 4]>) {
        let mut slices = Vec::new();
        let mut at = node;
        while let LoweredOp::Slice { axis, start, end, step } = at.op {
            slices.push([start, end, axis, step]);
            match self.graph.producer(at.inputs[0]) {
                Some(inner) if self.merged_slices.contains(&inner.output) => at = inner,
                _ => break,
            }
        }
        (at.inputs[0], slices)
    }

    /// Returns the name of a value. If the value is a constant, also writes its initializer.
    fn export_input(&mut self, id: LoweredId) -> String {
        let name = self.names[id.0].clone();
        if let Some(constant) = self.graph.constant(id) {
            self.export_initializer(&name, constant, self.graph.dtype(id));
        }
        name
    }

    fn export_initializer(&mut self, name: &str, tensor: &Tensor, dtype: DType) {
        if !self.initializer_names.insert(name.to_owned()) {
            return;
        }
        let raw: Vec<u8> = match (tensor, dtype) {
            (Tensor::F32(v), DType::F16) => {
                v.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()
            }
            (Tensor::F32(v), _) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            (Tensor::I64(v), _) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.initializers.push(TensorProto {
            name: name.into(),
            dims: to_i64(tensor.shape()),
            data_type: element_type(dtype),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
    }

    /// Writes an integer vector and returns its name, which consists of the elements.
    fn export_indices(&mut self, values: &[i64]) -> String {
        let name = values.iter().fold("i".to_owned(), |name, v| format!("{name}_{v}"));
        self.export_initializer(&name, &Tensor::vector(values.to_vec()), DType::I64);
        name
    }

    /// Writes a scalar and returns its name, which consists of the bits and the type.
    fn export_scalar(&mut self, value: f32, dtype: DType) -> String {
        let name = format!("f{:08x}_{}", value.to_bits(), element_type(dtype));
        self.export_initializer(&name, &Tensor::from(ndarray::arr0(value)), dtype);
        name
    }
}

/// Finds the slices whose only reader is a slice along another axis. The two slices become one
/// node, which saves a copy.
fn find_merged_slices(graph: &LoweredGraph) -> BTreeSet<LoweredId> {
    let mut uses: BTreeMap<LoweredId, usize> = BTreeMap::new();
    let outputs = graph.outputs.iter().map(|(_, id)| id);
    let inputs = graph.nodes.iter().flat_map(|n| &n.inputs);
    inputs.chain(outputs).for_each(|&id| *uses.entry(id).or_insert(0) += 1);
    let mut merged = BTreeSet::new();
    for node in &graph.nodes {
        let LoweredOp::Slice { axis, .. } = node.op else { continue };
        let Some(inner) = graph.producer(node.inputs[0]) else { continue };
        // The graph has already merged slices along the same axis, so each axis occurs only once.
        if matches!(inner.op, LoweredOp::Slice { axis: other, .. } if other != axis)
            && uses.get(&inner.output) == Some(&1)
            && !merged.contains(&inner.inputs[0])
        {
            merged.insert(inner.output);
        }
    }
    merged
}

/// Returns the ONNX code of an element type.
fn element_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => data_type::FLOAT,
        DType::F16 => data_type::FLOAT16,
        DType::I64 => data_type::INT64,
        DType::Bool => data_type::BOOL,
    }
}

/// Returns the declaration of a graph input or output, which is always float32.
fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| DimensionProto { dim_value: Some(d as i64), dim_param: None };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: element_type(DType::F32), shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn window_attributes(window: &Window2d) -> Vec<AttributeProto> {
    let mut attributes = vec![
        ints("kernel_shape", &window.kernel),
        ints("strides", &window.strides),
        ints("pads", &window.pads),
    ];
    if window.dilations != [1, 1] {
        attributes.push(ints("dilations", &window.dilations));
    }
    attributes
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: Some(value),
        r#type: attribute_type::INT,
        ..Default::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: Some(value),
        r#type: attribute_type::FLOAT,
        ..Default::default()
    }
}

fn text(name: &str, value: &'static str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: Some(Bytes::from_static(value.as_bytes())),
        r#type: attribute_type::STRING,
        ..Default::default()
    }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: to_i64(values),
        r#type: attribute_type::INTS,
        ..Default::default()
    }
}

fn to_i64(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&v| v as i64).collect()
}
