//! Hostile packages. Each is refused before a runtime reads its graph.

use super::builder::{Builder, SIDE, floats, indices, int, ints, node, tensor, value};
use super::deep::{MAX_DEPTH, chain, mixed_chain};
use super::hostile_computed::computed_cases;
use super::hostile_messages::{file_cases, message_cases, with_texts};
use super::hostile_nodes::{attribute_cases, forbidden_operators, window_operators, with_node};
use super::tree::{Message, write_varint};

/// A hostile package and a part of the message with which it must be refused.
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: &'static str,
}

/// Returns a package with many nodes side by side, and nested additions.
pub(crate) fn wide() -> Builder {
    let mut builder = Builder::default();
    let names: Vec<String> = (0..7168).map(|index| format!("w{index}")).collect();
    for name in &names {
        builder = builder.node("Sigmoid", &["fast"], name, vec![]);
    }
    let mut last = "fast".to_owned();
    for (index, group) in names.chunks(1024).enumerate() {
        let inputs: Vec<&str> = group.iter().map(String::as_str).collect();
        let name = format!("m{index}");
        builder = builder.node("Max", &inputs, &name, vec![]);
        for add in 0..50 {
            let sum = format!("s{index}_{add}");
            builder = builder.node("Add", &[&last, &name], &sum, vec![]);
            last = sum;
        }
        let cut = format!("r{index}");
        builder = builder.node("Relu", &[&last], &cut, vec![]);
        last = cut;
    }
    builder.finish(&last)
}

/// Returns `depth` nested subgraphs, encoded from the inside to the outside.
fn nest(depth: usize) -> Vec<u8> {
    let mut graph = Vec::new();
    for _ in 0..depth {
        let attribute = Message::default().bytes(1, "then_branch").bytes(6, graph).integer(20, 5);
        let node = Message::default().bytes(1, "c").bytes(4, "If").message(5, attribute);
        graph = Message::default().message(1, node).encode();
    }
    graph
}

/// Returns a graph that begins with raw bytes.
fn with_raw_graph(prefix: &[u8]) -> Vec<u8> {
    let builder = Builder::default().finish("fast");
    builder.build_with([prefix, &builder.graph().encode()].concat())
}

/// Returns graphs whose structure or size is hostile.
fn structure_cases() -> Vec<(Builder, &'static str)> {
    let cycle = Builder::default()
        .node("Add", &["fast", "b"], "a", vec![])
        .node("Relu", &["a"], "b", vec![])
        .finish("b");
    let own = Builder::default().node("Add", &["fast", "a"], "a", vec![]).finish("a");
    let twice = Builder::default()
        .node("Relu", &["fast"], "a", vec![])
        .node("Relu", &["fast"], "a", vec![])
        .finish("a");
    let shadow = Builder::default().node("Relu", &["fast"], "fast", vec![]).finish("fast");
    // Each addition reads the previous one twice, so a runtime that flattens additions meets 2^60
    // operands.
    let doubled = (0..60).fold(Builder::default(), |builder, index| {
        let from = if index == 0 { "fast".to_owned() } else { format!("d{}", index - 1) };
        builder.node("Add", &[&from, &from], &format!("d{index}"), vec![])
    });
    // A small file whose constants grow when a runtime folds them.
    let folded = Builder::default()
        .initializer(floats("column", &[8192, 1], &[1.0; 8192]))
        .initializer(floats("row", &[1, 8192], &[1.0; 8192]))
        .node("Add", &["column", "row"], "plane", vec![])
        .node("MatMul", &["plane", "plane"], "square", vec![])
        .finish("fast");
    let multiplied = Builder::default()
        .initializer(floats("column", &[1024, 1], &[1.0; 1024]))
        .initializer(floats("row", &[1, 1024], &[1.0; 1024]))
        .node("Add", &["column", "row"], "plane", vec![])
        .node("MatMul", &["plane", "plane"], "square", vec![])
        .finish("fast");
    let mut output = Builder::default().finish("fast");
    output.outputs[0] = value("logits", &[1, 3]);
    let mut constant = Builder::default().finish("fast");
    constant.outputs[0] = value("logits_shape", &[2]);
    let mut missing = Builder::default().finish("fast");
    missing.outputs[0] = value("nowhere", &[1, 2]);
    let mut domain = with_node("Relu", &[], vec![]);
    domain.nodes[0] = domain.nodes[0].clone().bytes(7, "com.example");
    let mut described = with_node("Relu", &[], vec![]);
    described.graph = Message::default().message(13, value("x", &[1, 1, 4, 16]));
    let many = (0..9000).fold(Builder::default(), |builder, index| {
        builder.node("Relu", &["fast"], &format!("r{index}"), vec![])
    });
    let mut wide = with_node("Concat", &[], vec![int("axis", 1)]);
    let inputs = vec!["fast"; 2000];
    wide.nodes[0] = node("Concat", &inputs, "x", vec![int("axis", 1)]);
    let mut dynamic = Builder::default().finish("fast");
    let dim = Message::default().message(1, Message::default().bytes(2, "N"));
    let kind = Message::default().integer(1, 1).message(2, dim);
    let kind = Message::default().message(1, kind);
    dynamic.inputs[0] = Message::default().bytes(1, "fast").message(2, kind);
    let field = |number: u64| {
        let mut builder = Builder::default().finish("fast");
        builder.graph = Message::default().message(number, Message::default());
        builder
    };
    // Small files whose lists and descriptions take much more memory than the file.
    let split = |builder: Builder, index: usize| {
        let message = Message::default().bytes(1, "fast").bytes(4, "Split");
        let name = |message: Message, output| message.bytes(2, format!("{index}_{output}"));
        let mut builder = builder;
        builder.nodes.push((0..256).fold(message, name));
        builder
    };
    let outputs = (0..65).fold(Builder::default(), split);
    let typed = |builder: Builder, index: usize| {
        let message = Message::default().integer(1, 1024).integer(2, 7);
        let tensor = message.bytes(8, format!("t{index}")).bytes(7, vec![0; 1024]);
        builder.initializer(tensor)
    };
    let typed = (0..1025).fold(Builder::default(), typed);
    let opset = |opset: i64| Builder { opset, ..Builder::default().finish("fast") };
    vec![
        (cycle, "no earlier node"),
        (own, "no earlier node"),
        (twice, "twice"),
        (shadow, "twice"),
        (doubled.finish("d59"), "at most 256 operands"),
        (folded, "compute from constants"),
        (multiplied, "read only constants"),
        (output, "must be described as"),
        (constant, "must be the result of a node"),
        (missing, "must be the result of a node"),
        (domain, "is not permitted"),
        (described, "must be described as"),
        (many.finish("r0"), "at most 8192 nodes"),
        (wide, "at most 1024 node inputs"),
        (dynamic, "must be static"),
        (outputs.finish("fast"), "at most 16384 outputs in all"),
        (typed.finish("fast"), "at most 1048576 values outside of raw_data in all"),
        (field(14), "must not contain"),
        (field(15), "must not contain"),
        (field(16), "must not contain"),
        (opset(12), "operator set must be"),
        (opset(i64::MAX), "operator set must be"),
        (chain(MAX_DEPTH + 1), "at most 2048 nodes"),
        (chain(20_000), "at most 8192 nodes"),
    ]
}

/// Returns tensors whose data does not match what they say.
fn tensor_cases() -> Vec<(Builder, &'static str)> {
    let with = |tensor: Message| with_node("Add", &["c"], vec![]).initializer(tensor);
    let external = Message::default().bytes(1, "location").bytes(2, "/etc/passwd");
    let plain = || floats("c", &[1], &[1.0]);
    let typed = |kind: i64, field: u64, value: i64| {
        Message::default().integer(1, 1).integer(2, kind).integer(field, value).bytes(8, "c")
    };
    let many = Message::default().integer(1, 1025).integer(2, 7).bytes(7, vec![0; 1025]);
    vec![
        (with(tensor("c", &[4096, 4096], 1, vec![0; 4])), "values of its shape"),
        (with(tensor("c", &[1 << 32, 1 << 32], 1, vec![0; 4])), "must have 1 to"),
        (with(tensor("c", &[1 << 60, 16], 1, vec![])), "must have 1 to"),
        (with(tensor("c", &[-1], 1, vec![0; 4])), "must have 1 to"),
        (with(tensor("c", &[0], 1, vec![])), "must have 1 to"),
        (with(tensor("c", &[1; 9], 1, vec![0; 4])), "more than 8"),
        (with(tensor("c", &[1], 1, vec![0; 3])), "values of its shape"),
        (with(tensor("c", &[1], 8, vec![0; 4])), "elements"),
        (with(tensor("c", &[1], 11, vec![0; 8])), "elements"),
        (with(tensor("c", &[1], i64::MIN, vec![0; 8])), "elements"),
        (with(plain().float(4, 1.0)), "values of its shape"),
        (with(typed(6, 5, 1 << 31)), "must be -2147483648 to 2147483647, got 2147483648"),
        (with(typed(6, 5, 1 << 32)), "must be -2147483648 to 2147483647, got 4294967296"),
        (with(typed(10, 5, 1 << 16)), "must be 0 to 65535, got 65536"),
        (with(typed(10, 5, -1)), "must be 0 to 65535, got -1"),
        (with(typed(7, 5, 1)), "in the field of its type"),
        (with(many), "at most 1024 values"),
        (with(plain().bytes(9, vec![0; 4])), "is repeated"),
        (with(plain().message(13, external)), "must not contain"),
        (with(plain().integer(14, 1)), "must not contain"),
        (with(plain().bytes(6, "text")), "must not contain"),
    ]
}

/// Returns files with hostile bytes.
fn byte_cases() -> Vec<(Vec<u8>, &'static str)> {
    let mut long = vec![0x0a];
    write_varint(1 << 40, &mut long);
    let mut nested = vec![0x0a];
    let graph = nest(5000);
    write_varint(graph.len() as u64, &mut nested);
    let builder = || Builder::default().finish("fast");
    let model = |extra: Message| Builder { model: extra, ..builder() }.build();
    let opset = Message::default().bytes(1, "com.microsoft").integer(2, 1);
    let mut second = builder().build();
    second.extend_from_slice(b"\x3a\x00");
    let magic = [&b"RTEN"[..], &[0; 82], &builder().build()].concat();
    vec![
        (with_raw_graph(&[0xff; 11]), "more than 64 bits"),
        (with_raw_graph(&[0x08, 0x80, 0x00]), "shortest encoding"),
        (with_raw_graph(&[0x0b]), "wire type"),
        (with_raw_graph(&long), "bytes, but"),
        (with_raw_graph(&[0x10, 0x01]), "wrong wire type"),
        (builder().build_with(graph), "must not contain"),
        (builder().build_with(Vec::new()), "must have an output"),
        (model(Message::default().message(25, Message::default())), "functions"),
        (model(Message::default().message(20, Message::default())), "training"),
        (model(Message::default().message(8, opset)), "operator set"),
        (model(Message::default().integer(1, 8)), "is repeated"),
        (second, "second graph"),
        (magic, "does not belong"),
    ]
}

/// Returns packages whose metadata is hostile.
fn metadata_cases() -> Vec<(Builder, &'static str)> {
    let set = |key: &str, value: &str| Builder::default().finish("fast").set(key, value);
    let label = |index: usize| format!(r#"{{"code":"L{index}","name":""}}"#);
    let labels: Vec<String> = (0..1025).map(label).collect();
    let state = |shape: &str| format!(r#"[{{"name":"s","shape":{shape},"initial":0}}]"#);
    let long = "x".repeat(300);
    let states: Vec<String> =
        (0..1025).map(|i| format!(r#"{{"name":"s{i}","shape":[1],"initial":0}}"#)).collect();
    vec![
        (set("clip_samples", "4097"), "clip_samples"),
        (set("clip_samples", "4294967296"), "clip_samples"),
        (set("clip_samples", "9223372036854775807"), "clip_samples"),
        (set("alpha", "257"), "alpha"),
        (set("alpha", "8589934592"), "alpha"),
        (set("alpha", "0"), "alpha"),
        (set("sample_interval_ns", "999999"), "sample_interval_ns"),
        (set("sample_interval_ns", "9223372036854775807"), "sample_interval_ns"),
        (set("input", r#"{"width":4097,"height":8,"channels":1}"#), "input"),
        (set("input", r#"{"width":0,"height":8,"channels":1}"#), "input"),
        (
            set("input", r#"{"width":4096,"height":4096,"channels":1}"#).set("alpha", "4"),
            "tteview.input",
        ),
        (
            set("input", r#"{"width":4096,"height":4096,"channels":1}"#)
                .set("alpha", "2")
                .set("clip_samples", "2"),
            "tteview.input",
        ),
        (set("labels", &format!("[{}]", labels.join(","))), "labels"),
        (set("labels", &format!(r#"[{{"code":"{long}","name":""}}]"#)), "labels"),
        (set("labels", &format!(r#"[{{"code":"A","name":"{long}"}}]"#)), "labels"),
        (set("labels", &format!("{}1{}", "[".repeat(5000), "]".repeat(5000))), "labels"),
        (set("states", &state("[16777217]")), "states"),
        (set("states", &state("[4294967296,4294967296]")), "states"),
        (set("states", &state("[1,1,1,1,1,1,1,1,1]")), "states"),
        (set("states", &state("[0]")), "states"),
        (set("states", &state("[]")), "states"),
        (set("states", &format!("[{}]", states.join(","))), "states"),
        (set("states", &format!(r#"[{{"name":"{long}","shape":[1],"initial":0}}]"#)), "states"),
        (set("resize", r#"{"kind":"stretch","width":8,"height":8}"#), "format 2 or 3, got 1"),
        (set("channel_order", "rgb"), "format 2 or 3, got 1"),
        (set("format", "3").set("crop", "8"), "tteview.crop is not a rule of tteview.format 3"),
        (set("format", "3").set("resize", r#"{"kind":"crop"}"#), "tteview.resize"),
        (set("format", "3").set("resize", r#"{"kind":"short_side","side":0}"#), "tteview.resize"),
        (
            set("format", "3")
                .set("resize", r#"{"kind":"stretch","width":18446744073709551615,"height":1}"#),
            "tteview.resize",
        ),
        (set("format", "3").set("channel_order", "bgr"), "tteview.channel_order"),
        (set("format", "4"), "tteview.format must be 1, 2 or 3"),
        (set("model_version", &"x".repeat(5000)), "model_version"),
        (set("provenance", &"x".repeat((1 << 20) + 1)), "metadata value"),
        (set(&long, ""), "metadata key"),
        (
            (0..300).fold(set("format", "1"), |builder, index| builder.set(&index.to_string(), "")),
            "256 entries",
        ),
    ]
}

/// Returns all hostile packages.
pub(crate) fn hostile_packages() -> Vec<Hostile> {
    let groups = [
        ("operator", forbidden_operators()),
        ("attribute", attribute_cases()),
        ("computed", computed_cases()),
        ("structure", structure_cases()),
        ("message", message_cases()),
        ("tensor", tensor_cases()),
        ("metadata", metadata_cases()),
    ];
    let built = groups.into_iter().flat_map(|(group, cases)| {
        cases.into_iter().enumerate().map(move |(index, (builder, message))| Hostile {
            name: format!("{group} {index}"),
            bytes: builder.build(),
            message,
        })
    });
    let files = byte_cases().into_iter().chain(file_cases());
    let raw = files.enumerate().map(|(index, (bytes, message))| Hostile {
        name: format!("bytes {index}"),
        bytes,
        message,
    });
    built.chain(raw).collect()
}

/// Returns valid packages: small networks, and three that are at the edge of the limits.
pub(crate) fn valid_packages() -> Vec<(&'static str, Vec<u8>)> {
    let weights = vec![0.25; 64];
    let operators = Builder::default()
        .initializer(floats("w", &[4, 1, 3, 3], &[0.1; 36]))
        .initializer(floats("b", &[4], &[0.1; 4]))
        .node(
            "Conv",
            &["fast", "w", "b"],
            "c",
            vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[1, 1]), ints("dilations", &[1, 1])],
        )
        .node("MaxPool", &["c"], "p", vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node(
            "AveragePool",
            &["p"],
            "a",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[1, 1])],
        )
        .node("Sigmoid", &["a"], "s", vec![])
        .node("Transpose", &["s"], "t", vec![ints("perm", &[0, 2, 3, 1])])
        .initializer(indices("i", &[0, -1]))
        .node("Gather", &["t", "i"], "g", vec![int("axis", 1)])
        .initializer(indices("starts", &[0]))
        .initializer(indices("ends", &[i64::MAX]))
        .initializer(indices("axes", &[-1]))
        .initializer(indices("steps", &[2]))
        .node("Slice", &["g", "starts", "ends", "axes", "steps"], "sl", vec![])
        .initializer(indices("flat", &[1, -1]))
        .node("Reshape", &["sl", "flat"], "r", vec![])
        .initializer(floats("m", &[12, 2], &[0.1; 24]))
        .node("Gemm", &["r", "m"], "logits", vec![]);
    let square = Builder::window()
        .initializer(floats("m", &[SIDE, SIDE], &weights))
        .node("MatMul", &["fast", "m"], "y", vec![])
        .node("Tanh", &["y"], "z", vec![])
        .finish("z");
    vec![
        ("operators", operators.build()),
        ("window", square.build()),
        ("texts", with_texts().build()),
        ("window operators", window_operators().build()),
        ("longest chain", chain(MAX_DEPTH).build()),
        ("longest mixed chain", mixed_chain(MAX_DEPTH).build()),
        ("widest graph", wide().build()),
    ]
}
