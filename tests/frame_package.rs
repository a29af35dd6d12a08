//! Tests of packages with frame steps: the library divides the graph into two models, which give
//! the results of the self-test, and refuses graphs and metadata that do not describe such a
//! division.

use prost::Message;
use rten::{Model, Value, ValueOrView};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tteview::{
    Engine, EngineConfig, FrameModels, ModelPackage, ModelSpec, StateSpec, Status, self_test_input,
};
use tteview_compiler::{CompileOptions, Label, Steps, compile};

// `source`, a module of the compiler's tests, writes the source networks and uses `onnx`.
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

const ALPHA: usize = 4;
const SIDE: usize = 8;

/// Returns a network whose lateral connections read one later sample.
fn create_network(has_slow_pathway: bool) -> Source {
    let mut s = Source::new(13);
    let frames = if has_slow_pathway { 3 * ALPHA } else { 3 };
    let fast = s.input("fast", &[1, 1, frames, SIDE, SIDE]);
    let fast = s.conv(&fast, 3, [3, 3, 3], [1, 2, 2], 1, Padding::Left);
    let fast = s.unary("Relu", &fast);
    if has_slow_pathway {
        let slow = s.input("slow", &[1, 1, 3, SIDE, SIDE]);
        let slow = s.conv(&slow, 4, [1, 3, 3], [1, 2, 2], 1, Padding::Left);
        let lateral = s.conv(&fast, 4, [5, 1, 1], [ALPHA, 1, 1], 1, Padding::Reach(1));
        let slow = s.concat(&[&slow, &lateral], 1);
        let slow = s.conv(&slow, 4, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
        s.classify(&slow, &fast, LABELS);
    } else {
        let pooled = s.mean(&fast, &[2, 3, 4], true);
        let flat = s.flatten(&pooled);
        let logits = s.gemm(&flat, LABELS);
        s.output(&logits);
    }
    s
}

fn compile_stream(source: &Source, steps: Steps) -> Vec<u8> {
    let label = |i| Label { code: format!("L{i}"), name: format!("label {i}"), ..Label::default() };
    let mut options = CompileOptions::new("net", (0..LABELS).map(label).collect());
    options.steps = steps;
    compile(source.bytes(), &options).unwrap().stream.expect("the network streams").bytes
}

fn frame_package() -> Vec<u8> {
    compile_stream(&create_network(true), Steps::Frame)
}

fn load(bytes: Vec<u8>) -> tteview::Result<ModelPackage> {
    ModelPackage::check(&bytes)?;
    ModelPackage::from_bytes(bytes, None)
}

/// Changes a package and gives it the hash of its changed graph.
fn change(
    package: &[u8],
    edit: impl FnOnce(&mut GraphProto, &mut BTreeMap<String, String>),
) -> Vec<u8> {
    let mut model = ModelProto::decode(package).unwrap();
    let mut graph = model.graph.take().unwrap();
    let entries = model.metadata_props.into_iter();
    let mut metadata = entries.map(|entry| (entry.key, entry.value)).collect();
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
    change(package, |_, metadata| {
        metadata.insert(format!("tteview.{key}"), value.to_owned());
    })
}

/// Values of the inputs of a model, by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Runs a model with the tensors that it has as inputs, and adds its outputs to the tensors.
fn run(model: &Model, tensors: &mut Tensors) {
    let name = |id| model.node_info(id).and_then(|info| info.name()).unwrap_or_default().to_owned();
    let inputs = model.input_ids().iter().map(|&id| {
        let (shape, data) = &tensors[&name(id)];
        (id, ValueOrView::from(Value::from_shape(shape, data.clone()).unwrap()))
    });
    let inputs = inputs.collect::<Vec<_>>();
    let outputs = model.run(inputs, model.output_ids(), None).unwrap();
    for (&id, value) in model.output_ids().iter().zip(outputs) {
        let data = value.into_tensor::<f32>().unwrap().into_data();
        // The shapes of the states do not change, and nothing reads the shape of the logits.
        let shape = name(id).strip_suffix("_next").and_then(|state| tensors.get(state));
        let shape = shape.map(|(shape, _)| shape.clone()).unwrap_or_default();
        tensors.insert(name(id), (shape, data));
    }
}

fn advance(tensors: &mut Tensors, states: &[StateSpec]) {
    for state in states {
        let next = tensors[&format!("{}_next", state.name)].clone();
        tensors.insert(state.name.clone(), next);
    }
}

/// Runs the self-test of the package and compares all results.
fn assert_self_test_passes(spec: &ModelSpec, models: FrameModels) {
    let steps = spec.frame_steps.as_ref().unwrap();
    let fast = Model::load(models.fast).unwrap();
    let slow = models.slow.map(|slow| Model::load(slow).unwrap());
    let (fast_states, slow_states) = spec.states.split_at(steps.fast_states);
    let initial = |state: &StateSpec| {
        let data = vec![state.initial; state.shape.iter().product()];
        (state.name.clone(), (state.shape.clone(), data))
    };
    let mut tensors: Tensors = spec.states.iter().map(initial).collect();
    let mut values = self_test_input(spec.self_test.seed);
    assert_eq!(steps.self_test.len(), 3);
    for expected in &steps.self_test {
        let mut fast_sum = [0.0; LABELS];
        let mut slow_logits = vec![0.0; LABELS];
        let mut first = Vec::new();
        for position in 0..spec.alpha {
            let sample: Vec<f32> = values.by_ref().take(spec.sample_len()).collect();
            let shape = vec![1, spec.channels, spec.height_px, spec.width_px];
            tensors.insert("fast".into(), (shape.clone(), sample.clone()));
            if position == 0 {
                first = sample;
            }
            run(&fast, &mut tensors);
            advance(&mut tensors, fast_states);
            let logits = &tensors["fast_logits"].1;
            fast_sum.iter_mut().zip(logits).for_each(|(sum, logit)| *sum += logit);
            if position == steps.lateral_reach
                && let Some(slow) = &slow
            {
                tensors.insert("slow".into(), (shape, first.clone()));
                run(slow, &mut tensors);
                advance(&mut tensors, slow_states);
                slow_logits.clone_from(&tensors["slow_logits"].1);
            }
        }
        for label in 0..LABELS {
            let fast = fast_sum[label] / spec.alpha as f32;
            let slow = slow_logits[label];
            for (found, expected) in [
                (fast, expected.fast[label]),
                (slow, expected.slow[label]),
                (fast + slow, expected.logits[label]),
            ] {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }
}

#[test]
fn both_models_give_the_results_of_the_self_test() {
    for has_slow_pathway in [true, false] {
        let bytes = compile_stream(&create_network(has_slow_pathway), Steps::Frame);
        let package = load(bytes).expect("valid");
        let steps = package.spec.frame_steps.as_ref().expect("frame steps");
        assert_eq!(steps.lateral_reach, usize::from(has_slow_pathway));
        assert_eq!(steps.lateral_windows.len(), usize::from(has_slow_pathway));
        let models = package.frame_models().unwrap().expect("frame steps");
        assert_eq!(models.slow.is_some(), has_slow_pathway);
        assert_self_test_passes(&package.spec, models);
    }
}

fn config() -> EngineConfig {
    EngineConfig { providers: vec!["embedded".into()], ..EngineConfig::default() }
}

#[test]
fn the_self_test_of_an_engine_covers_both_parts() {
    for steps in [Steps::Frame, Steps::Chunk] {
        let package = load(compile_stream(&create_network(true), steps)).unwrap();
        assert_eq!(package.frame_models().unwrap().is_some(), steps == Steps::Frame);
        let error = Engine::new(package, &config()).unwrap().prepare().unwrap();
        assert!(error < 1e-5, "{steps:?}: {error}");
    }
    let test = &load(frame_package()).unwrap().spec.frame_steps.unwrap().self_test;
    assert!(test.len() >= 3);
    for chunk in 0..test.len() {
        for part in ["fast", "slow"] {
            let mut package = load(frame_package()).unwrap();
            let chunks = &mut package.spec.frame_steps.as_mut().unwrap().self_test;
            let logits = match part {
                "fast" => &mut chunks[chunk].fast,
                _ => &mut chunks[chunk].slow,
            };
            logits[1] += 0.01;
            let error = Engine::new(package, &config()).unwrap().prepare().unwrap_err();
            assert_eq!(error.status(), Status::SelfTest);
            let place = format!("{part} logit 1 of chunk {chunk} must be");
            assert!(error.message().contains(&place), "{error}");
        }
    }
}

fn assert_refused(package: Vec<u8>, status: Status, part: &str) {
    let error = load(package).expect_err(part);
    assert_eq!(error.status(), status, "{error}");
    assert!(error.message().contains(part), "{part}: {error}");
}

#[test]
fn unknown_formats_and_rules_are_refused_by_name() {
    let package = frame_package();
    let chunk_steps = compile_stream(&create_network(true), Steps::Chunk);
    for (package, key, value, part) in [
        (&package, "format", "4", "tteview.format must be 1, 2 or 3, got \"4\""),
        (&package, "format", "3", "is not a rule of tteview.format 3; update the library"),
        (&package, "format", "1", "belongs to tteview.format 2"),
        (&package, "order", "slow", "tteview.order is not a rule of tteview.format 2"),
        (&package, "chunk", "1", "tteview.chunk is not a rule of tteview.format 2"),
        (&chunk_steps, "lateral_reach", "0", "tteview.lateral_reach belongs to"),
    ] {
        assert_refused(set(package, key, value), Status::ModelInvalid, part);
    }
    // Keys of other programs are not rules.
    let other = change(&package, |_, metadata| {
        metadata.insert("author".into(), "a".into());
    });
    load(other).expect("valid");
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let package = frame_package();
    let spec = load(package.clone()).unwrap().spec;
    let nodes = ModelProto::decode(package.as_slice()).unwrap().graph.unwrap().node.len();
    let (invalid, mismatch) = (Status::ModelInvalid, Status::ModelMismatch);
    for (key, value, status, part) in [
        ("lateral_reach", "4", invalid, "tteview.lateral_reach must have a value of 0 to 3, got 4"),
        ("fast_nodes", "0", invalid, "tteview.fast_nodes must have a value of 1 to"),
        ("fast_nodes", &nodes.to_string(), mismatch, "tteview.fast_nodes must be 1 to"),
        (
            "fast_states",
            &(spec.states.len() + 1).to_string(),
            invalid,
            "tteview.fast_states must have",
        ),
        ("fast_states", "1", mismatch, "tteview.lateral_windows must name states of the fast part"),
        ("lateral_windows", "[\"slow_state0\"]", mismatch, "tteview.lateral_windows must name"),
        ("lateral_windows", "[\"lateral0\",\"lateral0\"]", mismatch, "once"),
        ("alpha", "1", invalid, "tteview.lateral_reach must have a value of 0 to 0, got 1"),
        ("mode", "window", mismatch, "tteview.mode must be stream in tteview.format 2"),
        ("lateral_reach", "-1", invalid, "tteview.lateral_reach is malformed"),
    ] {
        assert_refused(set(&package, key, value), status, part);
    }
    let test = change(&package, |_, metadata| {
        let test = metadata.get_mut("tteview.self_test").unwrap();
        let mut json: serde_json::Value = serde_json::from_str(test).unwrap();
        json["chunks"].as_array_mut().unwrap().pop();
        *test = json.to_string();
    });
    assert_refused(test, Status::ModelInvalid, "a number of chunks of 3 to 16, got 2");
    let sum = change(&package, |_, metadata| {
        let test = metadata.get_mut("tteview.self_test").unwrap();
        let mut json: serde_json::Value = serde_json::from_str(test).unwrap();
        json["chunks"][1]["slow"][0] = 1e3.into();
        *test = json.to_string();
    });
    assert_refused(sum, Status::ModelInvalid, "the sum of fast and slow");
}

/// Returns the index of the first node of the slow part.
fn first_slow(metadata: &BTreeMap<String, String>) -> usize {
    metadata["tteview.fast_nodes"].parse().unwrap()
}

#[test]
fn node_that_reads_the_other_part_is_refused() {
    let package = frame_package();
    let slow_reads_fast = change(&package, |graph, metadata| {
        let first = first_slow(metadata);
        let value = graph.node[0].output[0].clone();
        let node = NodeProto {
            name: "crossing".into(),
            op_type: "Relu".into(),
            input: vec![value],
            output: vec!["crossed".into()],
            ..NodeProto::default()
        };
        graph.node.insert(first, node);
    });
    assert_refused(slow_reads_fast, Status::ModelInvalid, "\"crossing\" of the slow part reads");
    let fast_reads_slow = change(&package, |graph, metadata| {
        let node = NodeProto {
            name: "crossing".into(),
            op_type: "Relu".into(),
            input: vec!["slow".into()],
            output: vec!["crossed".into()],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        let fast_nodes = first_slow(metadata) + 1;
        metadata.insert("tteview.fast_nodes".into(), fast_nodes.to_string());
    });
    assert_refused(fast_reads_slow, Status::ModelInvalid, "\"crossing\" of the fast part reads");
    // With a node less, the last node of the fast part lies in the slow part.
    let shorter = change(&package, |_, metadata| {
        let fast_nodes = first_slow(metadata) - 1;
        metadata.insert("tteview.fast_nodes".into(), fast_nodes.to_string());
    });
    assert_refused(shorter, Status::ModelInvalid, "of another part");
    // A state of the fast part is not a lateral window unless the metadata lists it.
    let hidden = set(&package, "lateral_windows", "[]");
    assert_refused(hidden, Status::ModelInvalid, "\"lateral0_next\", a value of another part");
}

#[test]
fn lateral_window_of_wrong_shape_is_refused() {
    let package = frame_package();
    let change_state = |edit: fn(&mut serde_json::Value)| {
        change(&package, |_, metadata| {
            let states = metadata.get_mut("tteview.states").unwrap();
            let mut json: serde_json::Value = serde_json::from_str(states).unwrap();
            let window = json.as_array_mut().unwrap().iter_mut().find(|s| s["name"] == "lateral0");
            edit(window.unwrap());
            *states = json.to_string();
        })
    };
    let longer = change_state(|window| window["shape"][0] = 9.into());
    assert_refused(longer, Status::ModelMismatch, "must be \"lateral0\" with float32 [9, 3, 4, 4]");
    let renamed = change_state(|window| window["name"] = "lateral9".into());
    assert_refused(renamed, Status::ModelMismatch, "tteview.lateral_windows must name");
}
