//! Packages that are written field by field, also invalid ones.

use super::tree::Message;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Side of the samples in pixels.
pub(crate) const SIDE: i64 = 8;

/// The parts of a package. The default is a valid stream package without states that has the input
/// `fast [1,1,8,8]` and two labels, but no nodes.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) mode: &'static str,
    pub(crate) opset: i64,
    pub(crate) nodes: Vec<Message>,
    pub(crate) initializers: Vec<Message>,
    pub(crate) inputs: Vec<Message>,
    pub(crate) outputs: Vec<Message>,
    /// More fields of the graph.
    pub(crate) graph: Message,
    /// More fields of the model.
    pub(crate) model: Message,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Returns an attribute.
pub(crate) fn int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name).integer(3, value).integer(20, 2)
}

/// Returns an attribute that is a list.
pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    let message = Message::default().bytes(1, name);
    values.iter().fold(message, |message, &value| message.integer(8, value)).integer(20, 7)
}

/// Returns an attribute that is a text.
pub(crate) fn text(name: &str, value: &str) -> Message {
    Message::default().bytes(1, name).bytes(4, value).integer(20, 3)
}

/// Returns an attribute that is a graph.
pub(crate) fn subgraph(name: &str, graph: Message) -> Message {
    Message::default().bytes(1, name).message(6, graph).integer(20, 5)
}

/// Returns a node with one output.
pub(crate) fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: Vec<Message>,
) -> Message {
    let message = Message::default();
    let message = inputs.iter().fold(message, |message, &input| message.bytes(1, input));
    message.bytes(2, output).bytes(4, operator).messages(5, attributes)
}

/// Returns a tensor of float32 values.
pub(crate) fn floats(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, 1, raw)
}

/// Returns a vector of int64 values.
pub(crate) fn indices(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, &[values.len() as i64], 7, raw)
}

/// Returns a tensor with any element type and data.
pub(crate) fn tensor(name: &str, shape: &[i64], kind: i64, raw: Vec<u8>) -> Message {
    let message = Message::default();
    let message = shape.iter().fold(message, |message, &side| message.integer(1, side));
    message.integer(2, kind).bytes(8, name).bytes(9, raw)
}

/// Returns the description of a float32 value.
pub(crate) fn value(name: &str, shape: &[i64]) -> Message {
    let dim =
        |message: Message, &side: &i64| message.message(1, Message::default().integer(1, side));
    let shape = shape.iter().fold(Message::default(), dim);
    let kind = Message::default().integer(1, 1).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, kind))
}

impl Default for Builder {
    fn default() -> Self {
        let entries = [
            ("format", "1"),
            ("labels", r#"[{"code":"A","name":"a"},{"code":"B","name":"b"}]"#),
            ("input", r#"{"width":8,"height":8,"channels":1}"#),
            ("mean", "[0.5]"),
            ("std", "[0.5]"),
            ("sample_interval_ns", "33333333"),
            ("alpha", "1"),
            ("clip_samples", "4"),
            ("slow_indices", "[]"),
            ("states", "[]"),
            ("temperature", "1"),
            ("threshold", "0"),
            ("orientation", "standard"),
            ("self_test", r#"{"seed":1,"logits":[0,0],"tolerance":{"fp32":1e30,"fp16":1e30}}"#),
            ("source_sha256", ""),
            ("model_version", "1"),
            ("provenance", ""),
        ];
        let entry = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            mode: "stream",
            opset: 17,
            nodes: Vec::new(),
            initializers: Vec::new(),
            inputs: vec![value("fast", &[1, 1, SIDE, SIDE])],
            outputs: vec![value("logits", &[1, 2])],
            graph: Message::default(),
            model: Message::default(),
            metadata: entries.into_iter().map(entry).collect(),
        }
    }
}

impl Builder {
    /// Returns a window package with clips of four samples.
    pub(crate) fn window() -> Self {
        let inputs = vec![value("fast", &[4, 1, SIDE, SIDE])];
        Self { mode: "window", inputs, ..Self::default() }
    }

    pub(crate) fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<Message>,
    ) -> Self {
        self.nodes.push(node(operator, inputs, output, attributes));
        self
    }

    pub(crate) fn initializer(mut self, tensor: Message) -> Self {
        self.initializers.push(tensor);
        self
    }

    pub(crate) fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Appends nodes that turn any value with one batch of samples into the logits.
    pub(crate) fn finish(self, from: &str) -> Self {
        let shape = indices("logits_shape", &[1, 2]);
        self.node("ReduceMean", &[from], "mean", vec![int("keepdims", 0)])
            .node("Expand", &["mean", "logits_shape"], "logits", vec![])
            .initializer(shape)
    }

    /// Returns the graph.
    pub(crate) fn graph(&self) -> Message {
        let mut graph = Message::default()
            .messages(1, self.nodes.clone())
            .bytes(2, "graph")
            .messages(5, self.initializers.clone())
            .messages(11, self.inputs.clone())
            .messages(12, self.outputs.clone());
        graph.0.extend(self.graph.0.iter().cloned());
        graph
    }

    /// Returns the file.
    pub(crate) fn build(&self) -> Vec<u8> {
        self.build_with(self.graph().encode())
    }

    /// Returns the file with another graph.
    pub(crate) fn build_with(&self, graph: Vec<u8>) -> Vec<u8> {
        let opset = Message::default().bytes(1, "").integer(2, self.opset);
        let mut metadata = self.metadata.clone();
        metadata.insert("mode".into(), self.mode.into());
        metadata.insert("graph_sha256".into(), hash(&graph));
        let mut model = Message::default().integer(1, 8).bytes(7, graph).message(8, opset);
        model.0.extend(self.model.0.iter().cloned());
        for (key, value) in &metadata {
            let entry =
                Message::default().bytes(1, format!("tteview.{key}")).bytes(2, value.clone());
            model = model.message(14, entry);
        }
        model.encode()
    }
}

/// Returns the SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
