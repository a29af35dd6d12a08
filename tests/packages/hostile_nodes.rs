//! Packages with one hostile node.

use super::builder::{Builder, floats, indices, int, ints, subgraph, text};
use super::tree::Message;

/// Returns a package with one node between the input and the logits.
pub(super) fn with_node(operator: &str, inputs: &[&str], attributes: Vec<Message>) -> Builder {
    let inputs: Vec<&str> = std::iter::once("fast").chain(inputs.iter().copied()).collect();
    Builder::default().node(operator, &inputs, "x", attributes).finish("x")
}

/// Returns operators whose output size or number of steps depends on data, and other operators that
/// no package may contain.
pub(super) fn forbidden_operators() -> Vec<(Builder, &'static str)> {
    let operators = [
        "ConstantOfShape",
        "Range",
        "Resize",
        "Upsample",
        "Tile",
        "TopK",
        "OneHot",
        "NonZero",
        "Compress",
        "Unique",
        "NonMaxSuppression",
        "Loop",
        "Scan",
        "If",
        "SequenceMap",
        "Where",
        "RandomUniform",
        "RandomNormalLike",
        "Multinomial",
        "LSTM",
        "Einsum",
        "CumSum",
        "Shape",
        "Mod",
        "Pow",
        "EyeLike",
        "GridSample",
        "STFT",
        "ImageDecoder",
        "StringConcat",
        "Constant",
    ];
    operators.map(|operator| (with_node(operator, &[], vec![]), "is not permitted")).into()
}

/// Returns nodes with hostile attributes and arguments.
pub(super) fn attribute_cases() -> Vec<(Builder, &'static str)> {
    let conv = |shape: &[i64], attributes: Vec<Message>| {
        let values = vec![0.5; shape.iter().product::<i64>() as usize];
        with_node("Conv", &["w"], attributes).initializer(floats("w", shape, &values))
    };
    let pool = |attributes: Vec<Message>| with_node("MaxPool", &[], attributes);
    let slice = |lists: [&[i64]; 4]| {
        let names = ["starts", "ends", "axes", "steps"];
        let builder = with_node("Slice", &names, vec![]);
        names
            .iter()
            .zip(lists)
            .fold(builder, |builder, (&name, list)| builder.initializer(indices(name, list)))
    };
    let with_list = |operator: &str, attributes: Vec<Message>, list: &[i64]| {
        with_node(operator, &["i"], attributes).initializer(indices("i", list))
    };
    let clip = |min: f32, max: f32| {
        let bounds = [("lo", min), ("hi", max)];
        let builder = with_node("Clip", &["lo", "hi"], vec![]);
        bounds.iter().fold(builder, |builder, (name, value)| {
            builder.initializer(floats(name, &[], &[*value]))
        })
    };
    vec![
        (conv(&[1, 1, 3, 3], vec![ints("strides", &[0, 1])]), "strides must be"),
        (conv(&[1, 1, 3, 3], vec![ints("strides", &[-1, 1])]), "strides must be"),
        (conv(&[1, 1, 3, 3], vec![ints("dilations", &[0, 0])]), "dilations must be"),
        (conv(&[1, 1, 3, 3], vec![ints("dilations", &[i64::MAX, 1])]), "dilations must be"),
        (conv(&[1, 1, 3, 3], vec![ints("pads", &[-9, 0, 0, 0])]), "pads must be"),
        (conv(&[1, 1, 3, 3], vec![ints("pads", &[i64::MAX, 0, 0, 0])]), "pads must be"),
        (conv(&[1, 1, 3, 3], vec![ints("pads", &[1])]), "pads must have 4"),
        (conv(&[1, 1, 3, 3], vec![int("group", 0)]), "group must divide"),
        (conv(&[1, 1, 3, 3], vec![int("group", i64::MIN)]), "group must divide"),
        (conv(&[1, 1, 9, 9], vec![]), "the kernel covers 9"),
        (conv(&[1, 1, 3, 3], vec![ints("kernel_shape", &[5, 5])]), "kernel_shape must be"),
        (conv(&[1, 1, 3, 3], vec![text("auto_pad", "SAME_UPPER")]), "auto_pad must be"),
        (conv(&[1, 1, 3, 3], vec![int("extra", 0)]), "is not permitted"),
        (conv(&[1, 1, 3, 3], vec![int("strides", 1)]), "must be of the type"),
        (conv(&[1, 1, 3, 3], vec![int("group", 1), int("group", 1)]), "is repeated"),
        (conv(&[1, 2, 3, 3], vec![]), "group must divide"),
        (pool(vec![]), "kernel_shape is missing"),
        (pool(vec![ints("kernel_shape", &[0, 2])]), "kernel_shape must be"),
        (pool(vec![ints("kernel_shape", &[2, 2]), int("ceil_mode", 1)]), "ceil_mode must be"),
        (pool(vec![ints("kernel_shape", &[2, 2]), ints("pads", &[2, 0, 0, 0])]), "pads must be"),
        (slice([&[0], &[4], &[2], &[0]]), "steps must be"),
        (slice([&[0], &[4], &[2], &[-1]]), "steps must be"),
        (slice([&[0], &[4], &[2], &[i64::MIN]]), "steps must be"),
        (slice([&[4], &[4], &[2], &[1]]), "is empty"),
        (slice([&[i64::MAX], &[i64::MIN], &[2], &[1]]), "is empty"),
        (slice([&[0], &[4], &[9], &[1]]), "does not exist"),
        (slice([&[0, 0], &[4, 4], &[2, 2], &[1, 1]]), "is repeated"),
        (slice([&[0, 0], &[4], &[2], &[1]]), "same length"),
        (with_list("Gather", vec![int("axis", 2)], &[8]), "does not exist"),
        (with_list("Gather", vec![int("axis", 4)], &[0]), "does not exist"),
        (with_list("Pad", vec![], &[0, 0, 0, 0, 0, 0, 0, -1]), "pads must be"),
        (with_list("Pad", vec![], &[0, 0, 1 << 40, 0, 0, 0, 0, 0]), "pads must be"),
        (with_list("Pad", vec![], &[0, 0, 65_535, 65_535, 0, 0, 0, 0]), "must have 1 to"),
        (with_list("Pad", vec![text("mode", "reflect")], &[0; 8]), "mode must be"),
        (with_list("Expand", vec![], &[1 << 40, 1, 1, 1]), "must have 1 to"),
        (with_list("Expand", vec![], &[1 << 32, 1 << 32, 1, 1]), "must have 1 to"),
        (with_list("Expand", vec![], &[2048, 1024, 1, 1]), "tensors of a run"),
        (with_list("Expand", vec![], &[-1, 1, 1, 1]), "positive"),
        (with_list("Reshape", vec![], &[-1, -1]), "-1 at most once"),
        (with_list("Reshape", vec![], &[1 << 32, 1 << 32]), "too many values"),
        (with_list("Reshape", vec![], &[3, -1]), "must have 64 values"),
        (with_list("Reshape", vec![int("allowzero", 1)], &[0, 64]), "allowzero must be"),
        (with_list("Div", vec![], &[-1]), "float elements"),
        (clip(1.0, -1.0), "min must be at most max"),
        (clip(f32::NAN, 1.0), "min must be at most max"),
        (with_node("Transpose", &[], vec![ints("perm", &[0, 1, 2, 2])]), "is repeated"),
        (with_node("Transpose", &[], vec![ints("perm", &[0, 1])]), "perm must order"),
        (with_node("Cast", &[], vec![int("to", 6)]), "to must be"),
        (with_node("Cast", &[], vec![int("to", 7)]), "must compute only floats"),
        (with_node("Softmax", &[], vec![int("axis", 7)]), "does not exist"),
        (with_node("Concat", &[], vec![]), "does not exist"),
        (with_node("Relu", &["fast"], vec![]), "inputs"),
        (with_node("Relu", &[], vec![subgraph("body", Message::default())]), "must not contain"),
        (with_node("Add", &["nowhere"], vec![]), "no earlier node"),
        (Builder::default().finish("nowhere"), "no earlier node"),
    ]
}

/// Returns a valid window package with operators that a stream package may not contain.
pub(super) fn window_operators() -> Builder {
    let vector = |name: &str, value: f32| floats(name, &[1], &[value]);
    let mut builder = Builder::window()
        .initializer(vector("one", 1.0))
        .initializer(vector("zero", 0.0))
        .node("BatchNormalization", &["fast", "one", "zero", "zero", "one"], "norm", vec![])
        .node("Flatten", &["norm"], "flat", vec![int("axis", 1)])
        .initializer(indices("first", &[0]))
        .node("Unsqueeze", &["flat", "first"], "cube", vec![])
        .node("Squeeze", &["cube", "first"], "plane", vec![]);
    let half = Message::default().bytes(1, "plane").bytes(2, "left").bytes(2, "right");
    builder.nodes.push(half.bytes(4, "Split").message(5, int("axis", 1)));
    let constant = Message::default().bytes(1, "value").message(5, vector("", 0.5)).integer(20, 4);
    let mut last = "left";
    let unary = ["Abs", "Elu", "Erf", "Exp", "HardSwish", "Log", "Neg", "Softplus", "Sqrt", "Tanh"];
    for operator in unary {
        builder = builder.node(operator, &[last], operator, vec![]);
        last = operator;
    }
    builder
        .node("Constant", &[], "half", vec![constant])
        .node("Min", &["right", last, "half"], "least", vec![])
        .initializer(indices("columns", &[1]))
        .node("ReduceSum", &["least", "columns"], "sum", vec![])
        .node("LeakyRelu", &["sum"], "leaky", vec![])
        .node("LogSoftmax", &["leaky"], "log", vec![int("axis", 0)])
        .finish("log")
}
