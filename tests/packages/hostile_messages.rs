//! Packages with a hostile message: a field that is missing, repeated, unknown or too long.

use super::builder::{Builder, floats, indices, int, text, value};
use super::hostile_nodes::with_node;
use super::tree::Message;

fn plain() -> Builder {
    Builder::default().finish("fast")
}

/// Returns a package whose input has this type.
fn with_type(kind: Message) -> Builder {
    Builder { inputs: vec![Message::default().bytes(1, "fast").message(2, kind)], ..plain() }
}

/// Returns a package whose input has a tensor type with these fields.
fn with_tensor_type(kind: Message) -> Builder {
    with_type(Message::default().message(1, kind))
}

/// Returns packages whose graph has a hostile message.
pub(super) fn message_cases() -> Vec<(Builder, &'static str)> {
    let node = |change: fn(Message) -> Message| {
        let mut builder = with_node("Relu", &[], vec![]);
        builder.nodes[0] = change(builder.nodes[0].clone());
        builder
    };
    let attribute = |attribute: Message| with_node("Softmax", &[], vec![attribute]);
    let name = || Message::default().bytes(1, "axis");
    let graph = |graph: Message| Builder { graph, ..plain() };
    let described = |value: Message| graph(Message::default().message(13, value));
    let dimension = |dim: Message| {
        let shape = Message::default().message(1, dim);
        with_tensor_type(Message::default().integer(1, 1).message(2, shape))
    };
    let sides = vec![Message::default().integer(1, 1); 9];
    let deep = Message::default().integer(1, 1).message(2, Message::default().messages(1, sides));
    let mut outputs = plain();
    outputs.outputs = vec![value("logits", &[1, 2]); 2];
    let mut without_name = plain();
    without_name.initializers.push(floats("", &[1], &[1.0]));
    let mut split = Builder::window().finish("fast");
    split.nodes.push(Message::default().bytes(1, "fast").bytes(4, "Relu"));
    let attributes = (0..9).map(|index| int(&format!("a{index}"), 0)).collect();
    let integers = vec![0_u8; 65];
    let list = Message::default().bytes(1, "perm").bytes(8, integers).integer(20, 7);
    let product = Builder::default()
        .node("Pad", &["fast", "pads"], "padded", vec![])
        .initializer(indices("pads", &[0, 0, 0, 0, 0, 0, 11_577, 11_577]))
        .node("MatMul", &["padded", "padded"], "work", vec![])
        .node("MatMul", &["padded", "work"], "more", vec![])
        .node("MatMul", &["padded", "more"], "most", vec![])
        .finish("fast");
    vec![
        (node(|node| node.bytes(9, "")), "must not contain the field 9 of a node"),
        (node(|node| node.bytes(4, "Relu")), "a field is repeated"),
        (node(|node| node.bytes(2, "y")), "the node must have 1 outputs, got 2"),
        (node(|node| node.bytes(3, "n".repeat(65_536))), "at most 65535 bytes, got 65536"),
        (split, "the node must have 1 outputs, got 0"),
        (with_node("Relu", &[], attributes), "there must be at most 8 attributes"),
        (attribute(name().integer(3, 0)), "the attribute \"axis\" must have one value of its type"),
        (attribute(name().integer(20, 2)), "must have one value of its type"),
        (attribute(name().float(2, 1.0).integer(20, 2)), "must have one value of its type"),
        (attribute(name().float(2, 1.0).integer(20, 1)), "must be of the type Integer"),
        (attribute(name().message(5, floats("", &[], &[1.0])).integer(20, 4)), "type Integer"),
        (attribute(text("axis", "0")), "must be of the type Integer"),
        (attribute(name().integer(3, 0).integer(8, 0).integer(20, 7)), "a field is repeated"),
        (attribute(name().bytes(21, "").integer(20, 2)), "the field 21 of an attribute"),
        (with_node("Transpose", &[], vec![list]), "a list has more than 64 numbers"),
        (described(value("nowhere", &[1])), "describes the value \"nowhere\", which does not"),
        (described(Message::default().bytes(1, "mean")), "the value \"mean\" must have a type"),
        (described(value("mean", &[]).bytes(9, "")), "the field 9 of a value description"),
        (with_type(Message::default()), "a type must describe a tensor"),
        (with_type(Message::default().message(4, Message::default())), "the field 4 of a type"),
        (with_tensor_type(Message::default().integer(1, 1)), "a tensor must have a shape"),
        (with_tensor_type(Message::default().integer(3, 1)), "the field 3 of a tensor type"),
        (with_tensor_type(deep), "there must be at most 8 dimensions"),
        (dimension(Message::default()), "a dimension must be static"),
        (dimension(Message::default().integer(1, 0)), "a tensor must have 1 to 134217728 values"),
        (outputs, "the output \"logits\" is repeated"),
        (without_name, "a value of the graph must have a name"),
        (product, "a run must need at most 4000000000000 multiply-adds"),
        (Builder::window().node("Loop", &["fast"], "x", vec![]), "permitted in a window package"),
    ]
}

/// Returns files whose top level is hostile.
pub(super) fn file_cases() -> Vec<(Vec<u8>, &'static str)> {
    let model = |extra: Message| Builder { model: extra, ..plain() }.build();
    let empty = Message::default;
    let opset = |fields: Message| empty().integer(1, 8).bytes(7, "").message(8, fields);
    let entry = empty().bytes(1, "key").bytes(2, "value");
    let unknown = empty().bytes(3, "");
    vec![
        (model(empty().bytes(2, "a").bytes(2, "b")), "a field is repeated"),
        (model(empty().integer(5, 1).integer(5, 1)), "a field is repeated"),
        (model(empty().bytes(6, "x".repeat(4097))), "a text must have at most 4096 bytes"),
        (model(empty().message(14, entry.clone()).message(14, entry)), "\"key\" is repeated"),
        (model(empty().message(14, unknown.clone())), "a metadata entry has an unknown field"),
        (opset(unknown).encode(), "an operator set has an unknown field"),
        (empty().integer(1, 8).encode(), "the file contains no graph"),
        (empty().integer(1, 3).bytes(7, "").encode(), "the IR version must be 4 to 10, got 3"),
        (empty().integer(1, 11).bytes(7, "").encode(), "the IR version must be 4 to 10, got 11"),
        (empty().bytes(7, "").encode(), "the IR version must be 4 to 10, got 0"),
        (empty().integer(1, 8).bytes(7, "").encode(), "the file imports no operator set"),
    ]
}

/// Returns a valid package with a text in every message that may have one.
pub(super) fn with_texts() -> Builder {
    const TEXT: &str = "a text";
    let tensor = floats("c", &[1], &[1.0]).bytes(12, TEXT).integer(14, 0);
    let mut builder = with_node("Add", &["c"], vec![]).initializer(tensor);
    builder = builder.node("Softmax", &["x"], "y", vec![int("axis", -1).bytes(13, TEXT)]);
    builder.nodes[0] = builder.nodes[0].clone().bytes(3, "sum").bytes(6, TEXT).bytes(7, "");
    builder.graph =
        Message::default().bytes(10, TEXT).message(13, value("x", &[1, 1, 8, 8]).bytes(3, TEXT));
    let texts = [2, 3, 4, 6];
    builder.model = texts.iter().fold(Message::default(), |model, &field| model.bytes(field, TEXT));
    builder.model = builder.model.integer(5, 1);
    builder
}
