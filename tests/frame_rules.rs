//! Tests of packages with a label rule or with a head that is not linear: the library reads the
//! keys, runs the head in the self-test, and refuses keys that contradict each other.
#![cfg(feature = "rten")]

use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tteview::{Engine, EngineConfig, LabelRule, ModelPackage, Status};
use tteview_compiler::{CompileOptions, Label, Steps, compile};

#[allow(dead_code, unreachable_pub, reason = "shared with the compiler, which uses more of it")]
#[path = "../tools/compiler/src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the compiler's tests, which use more of it")]
#[path = "../tools/compiler/src/tests/source.rs"]
mod source;
#[path = "../tools/compiler/src/xorshift.rs"]
mod xorshift;

use onnx::{GraphProto, ModelProto, NodeProto, StringStringEntryProto};
use source::{LABELS, Padding, Source};

const SIDE: usize = 8;
const HIDDEN: usize = 5;

/// Compiles a network with one pathway, whose head has one layer or two.
fn compile_network(has_nonlinear_head: bool, steps: Steps) -> Vec<u8> {
    let mut s = Source::new(17);
    let x = s.input("x", &[1, 1, 4, SIDE, SIDE]);
    let y = s.conv(&x, 6, [3, 3, 3], [1, 2, 2], 1, Padding::Left);
    let y = s.unary("Relu", &y);
    let mut y = s.mean(&y, &[2, 3, 4], false);
    if has_nonlinear_head {
        y = s.gemm(&y, HIDDEN);
        y = s.unary("Tanh", &y);
    }
    let logits = s.gemm(&y, LABELS);
    s.output(&logits);
    let label = |i| Label { code: format!("L{i}"), name: format!("label {i}"), ..Label::default() };
    let mut options = CompileOptions::new("net", (0..LABELS).map(label).collect());
    options.steps = steps;
    compile(s.bytes(), &options).unwrap().stream.expect("the network streams").bytes
}

type Metadata = BTreeMap<String, String>;

/// Changes a package and gives it the hash of its changed graph.
fn change(package: &[u8], edit: impl FnOnce(&mut GraphProto, &mut Metadata)) -> Vec<u8> {
    let mut model = ModelProto::decode(package).unwrap();
    let mut graph = model.graph.take().unwrap();
    let entries = model.metadata_props.into_iter();
    let mut metadata: Metadata = entries.map(|entry| (entry.key, entry.value)).collect();
    edit(&mut graph, &mut metadata);
    let hash = Sha256::digest(graph.encode_to_vec());
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    metadata.insert("tteview.graph_sha256".into(), hash);
    let entries = metadata.into_iter().map(|(key, value)| StringStringEntryProto { key, value });
    model.metadata_props = entries.collect();
    model.graph = Some(graph);
    model.encode_to_vec()
}

fn set(package: &[u8], key: &str, value: &str) -> Vec<u8> {
    change(package, |_, metadata| _ = metadata.insert(format!("tteview.{key}"), value.to_owned()))
}

fn remove(package: &[u8], key: &str) -> Vec<u8> {
    change(package, |_, metadata| _ = metadata.remove(&format!("tteview.{key}")))
}

fn load(package: Vec<u8>) -> tteview::Result<ModelPackage> {
    ModelPackage::check(&package)?;
    ModelPackage::from_bytes(package, None)
}

fn prepare(package: Vec<u8>) -> tteview::Result<f32> {
    let config = EngineConfig { providers: vec!["embedded".into()], ..EngineConfig::default() };
    Engine::new(load(package)?, &config)?.prepare()
}

fn assert_refused(package: Vec<u8>, status: Status, text: &str) {
    let error = load(package).expect_err(text);
    assert_eq!(error.status(), status, "{error}");
    assert!(error.message().contains(text), "{error} for {text}");
}

#[test]
fn a_label_rule_is_read_and_an_unknown_one_is_refused() {
    let package = compile_network(false, Steps::Frame);
    for (text, rule) in [
        ("mean_logits", LabelRule::MeanLogits),
        ("mean_probabilities", LabelRule::MeanProbabilities),
        ("newest", LabelRule::Newest),
    ] {
        assert_eq!(load(set(&package, "label_rule", text)).unwrap().spec.label_rule, rule);
    }
    assert_eq!(load(package.clone()).unwrap().spec.label_rule, LabelRule::MeanLogits);
    let unknown = set(&package, "label_rule", "median");
    assert_refused(unknown, Status::ModelInvalid, "or newest, got \"median\"");
    let chunks = compile_network(false, Steps::Chunk);
    let chunks = set(&chunks, "label_rule", "newest");
    assert_refused(chunks, Status::ModelInvalid, "tteview.label_rule belongs to tteview.format 2");
}

#[test]
fn a_head_is_read_and_runs_in_the_self_test() {
    let package = compile_network(true, Steps::Frame);
    let loaded = load(package.clone()).unwrap();
    assert_eq!(loaded.spec.head().map(|head| head.features), Some(HIDDEN));
    assert_eq!((loaded.spec.run_output_len(), loaded.spec.output_len()), (HIDDEN, LABELS));
    let models = loaded.frame_models().unwrap().expect("the package has frame steps");
    assert!(models.slow.is_none() && models.head.is_some());
    assert!(prepare(package.clone()).unwrap() < 1e-4);
    let altered = change(&package, |_, metadata| {
        let test = metadata.get_mut("tteview.self_test").unwrap();
        let mut json: serde_json::Value = serde_json::from_str(test).unwrap();
        let logit = &mut json["chunks"][1]["head"][2];
        *logit = (logit.as_f64().unwrap() + 1.0).into();
        *test = json.to_string();
    });
    let error = prepare(altered).expect_err("the head gives another logit");
    assert_eq!(error.status(), Status::SelfTest);
    assert!(error.message().contains("head logit 2 of chunk 1"), "{error}");
}

#[test]
fn a_head_that_does_not_fit_is_refused() {
    let package = compile_network(true, Steps::Frame);
    let nodes: usize = {
        let count = load(package.clone()).unwrap().spec.head().unwrap().nodes;
        assert!(count > 1);
        count
    };
    for (package, status, text) in [
        (remove(&package, "features"), Status::ModelInvalid, "tteview.features is missing"),
        (remove(&package, "head_nodes"), Status::ModelInvalid, "tteview.head_nodes is missing"),
        (set(&package, "features", "0"), Status::ModelInvalid, "1 to 16384, got 0"),
        (set(&package, "features", "7"), Status::ModelMismatch, "tteview.self_test"),
        (set(&package, "head_nodes", "8000"), Status::ModelMismatch, "must be less than"),
        (set(&package, "label_rule", "newest"), Status::ModelMismatch, "must be mean_logits"),
        (
            set(&package, "head_nodes", &(nodes - 1).to_string()),
            Status::ModelMismatch,
            "tteview.fast_nodes must be",
        ),
    ] {
        assert_refused(package, status, text);
    }
    let reads_features = change(&package, |graph, metadata| {
        let node = NodeProto {
            name: "crossing".into(),
            op_type: "Relu".into(),
            input: vec!["features".into()],
            output: vec!["crossed".into()],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        let fast_nodes: usize = metadata["tteview.fast_nodes"].parse().unwrap();
        metadata.insert("tteview.fast_nodes".into(), (fast_nodes + 1).to_string());
    });
    assert_refused(reads_features, Status::ModelInvalid, "\"crossing\" of the fast part reads");
    let without = change(&package, |_, metadata| {
        let test = metadata.get_mut("tteview.self_test").unwrap();
        let mut json: serde_json::Value = serde_json::from_str(test).unwrap();
        json.as_object_mut().unwrap().remove("head_tolerance");
        *test = json.to_string();
    });
    assert_refused(without, Status::ModelMismatch, "head_tolerance");
}
