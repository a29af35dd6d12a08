//! Tests of frame steps: they equal the chunk steps and the clip, and a package stores each weight
//! once. The packages run in rten, unless a test says otherwise.

use super::equality::{has_nonlinear_head, is_causal};
use super::random_network::{RandomNetwork, build_network, random_network};
use super::source::{LABELS, Padding, Source, Val};
use super::support::{RUNTIME, TOLERANCE, options, verify_source};
use crate::embedded::EmbeddedModel;
use crate::onnx::ModelProto;
use crate::parts::{Division, split_parts};
use crate::run::{FrameRunner, NamedTensor, RunModel, create_states};
use crate::verify::{average, compare_steps, relative_error};
use crate::xorshift::Xorshift;
use crate::{CompileOptions, CompiledNetwork, Inspection, Precision, Steps, Winograd};
use crate::{compile, inspect};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeSet;

/// Height and width of the samples of the networks in this file.
const SIZE: usize = 6;

fn frame_options() -> CompileOptions {
    CompileOptions { steps: Steps::Frame, ..options(LABELS) }
}

fn compile_frames(source: &Source) -> CompiledNetwork {
    compile(source.bytes(), &frame_options()).expect("the network compiles")
}

fn inspect_stream(network: &CompiledNetwork) -> Inspection {
    let stream = network.stream.as_ref().expect("the network streams");
    inspect(&stream.bytes).expect("the package is readable")
}

fn division(network: &CompiledNetwork) -> Division {
    let division = Division::read(&inspect_stream(network).metadata);
    division.expect("the metadata is valid").expect("the package has frame steps")
}

/// The largest relative errors of frame steps.
#[derive(Debug)]
struct Errors {
    /// Against the chunk steps, chunk by chunk.
    chunks: f64,
    /// Of the mean, against the clip.
    clip: f64,
}

/// Runs frame steps, chunk steps and the clip on the same random samples.
fn compare(frames: &CompiledNetwork, chunks: &CompiledNetwork) -> Errors {
    let clip = inspect(&frames.clip.bytes).expect("the package is readable");
    let find = |name: &str| clip.inputs.iter().find(|t| t.name == name).map(|t| t.shape.clone());
    let shape = find("fast").expect("a clip has fast samples");
    let division = division(frames);
    let alpha = division.alpha;
    let sample_shape = [&[1], &shape[1..]].concat();
    let mut random = Xorshift(9);
    let sample_len = sample_shape.iter().product();
    let samples: Vec<Vec<f32>> = (0..shape[0]).map(|_| random.fill(sample_len)).collect();
    let tensor = |name: &str, samples: Vec<Vec<f32>>| {
        let shape = [&[samples.len()], &shape[1..]].concat();
        NamedTensor { name: name.into(), shape, data: samples.concat() }
    };
    let has_slow = find("slow").is_some();
    let inputs = |samples: &[Vec<f32>]| {
        let slow = samples.iter().step_by(alpha).cloned().collect();
        let slow = has_slow.then(|| tensor("slow", slow));
        slow.into_iter().chain([tensor("fast", samples.to_vec())]).collect::<Vec<_>>()
    };
    let load = |bytes: &[u8]| EmbeddedModel::load(bytes.to_vec()).expect("the model loads");
    let expected = load(&frames.clip.bytes).run_first(&inputs(&samples)).expect("the clip runs");

    let bytes = &frames.stream.as_ref().expect("the network streams").bytes;
    let parts = split_parts(bytes, &division).expect("the package has two parts");
    let mut runner =
        FrameRunner::load(division, parts, EmbeddedModel::load).expect("the parts load");
    let run = |chunk: &[Vec<f32>]| runner.run_chunk(&sample_shape, chunk).expect("the parts run");
    let frame_steps: Vec<_> = samples.chunks(alpha).map(run).map(|logits| logits.sum()).collect();

    let bytes = &chunks.stream.as_ref().expect("the network streams").bytes;
    let states = inspect(bytes).expect("the package is readable").metadata["states"].clone();
    let mut states = create_states(&serde_json::from_str::<Vec<_>>(&states).expect("JSON"));
    let mut model = load(bytes);
    let mut chunk_steps = Vec::new();
    for chunk in samples.chunks(alpha) {
        let inputs = [inputs(chunk), states.clone()].concat();
        let mut outputs = model.run(&inputs).expect("the step runs").into_iter();
        chunk_steps.push(outputs.next().expect("a step has logits").data);
        states.iter_mut().zip(outputs).for_each(|(state, next)| state.data = next.data);
    }
    Errors {
        chunks: relative_error(&frame_steps.concat(), &chunk_steps.concat()),
        clip: relative_error(&average(&frame_steps), &expected),
    }
}

fn assert_equal_steps(source: &Source, options: &CompileOptions, tolerance: f64) -> Division {
    let compile = |steps| {
        let options = CompileOptions { steps, ..options.clone() };
        compile(source.bytes(), &options).expect("the network compiles")
    };
    let (frames, chunks) = (compile(Steps::Frame), compile(Steps::Chunk));
    assert_eq!(frames.chunk_steps_reason, None);
    assert_eq!(frames.clip, chunks.clip);
    let errors = compare(&frames, &chunks);
    assert!(errors.chunks <= tolerance && errors.clip <= tolerance, "{errors:?}");
    division(&frames)
}

/// Returns how far the lateral connection of a random network reaches.
fn expected_reach(network: &RandomNetwork) -> usize {
    if !network.two_pathways {
        return 0;
    }
    network.reach.map_or(network.lateral / 2, |reach| reach.min(network.lateral - 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frame_steps_of_random_networks_equal_chunk_steps(
        network in random_network(),
        has_plain_products in any::<bool>(),
    ) {
        let mut network = network;
        network.chunk = 1;
        let source = build_network(&network);
        let mut options = frame_options();
        options.self_test = true;
        options.winograd = match (network.always_winograd, has_plain_products) {
            (true, _) => Winograd::Always,
            (false, true) => Winograd::Never,
            (false, false) => options.winograd,
        };
        let frames = compile(source.bytes(), &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(frames.stream.is_some(), is_causal(&network), "{:?}", frames.window_only_reason);
        if frames.stream.is_none() {
            return Ok(());
        }
        prop_assert_eq!(&frames.chunk_steps_reason, &None);
        let metadata = inspect_stream(&frames).metadata;
        prop_assert_eq!(metadata.contains_key("head_nodes"), has_nonlinear_head(&network));
        if has_nonlinear_head(&network) {
            let errors = verify_source(&source, &frames).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert!(errors.clip <= TOLERANCE && errors.stream.is_some_and(|e| e <= TOLERANCE), "{}", errors);
            return Ok(());
        }
        let options = CompileOptions { steps: Steps::Chunk, self_test: false, ..options };
        let chunks = compile(source.bytes(), &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let errors = compare(&frames, &chunks);
        prop_assert!(errors.chunks <= TOLERANCE && errors.clip <= TOLERANCE, "{:?}", errors);
        let division = division(&frames);
        prop_assert_eq!(division.lateral_reach, expected_reach(&network));
        prop_assert_eq!(division.lateral_windows.len(), usize::from(network.two_pathways));
    }
}

/// Returns a network with two pathways, whose slow pathway also reads `lateral` of the fast one.
fn lateral_network(lateral: impl Fn(&mut Source, &Val) -> Vec<Val>) -> Source {
    let alpha = 4;
    let mut s = Source::new(21);
    let slow = s.input("slow", &[1, 1, 3, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 3 * alpha, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [1, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let read = lateral(&mut s, &fast);
    let all: Vec<&Val> = [&slow].into_iter().chain(&read).collect();
    let slow = s.concat(&all, 1);
    let slow = s.conv(&slow, 6, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 3, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
    s.classify(&slow, &fast, LABELS);
    s
}

#[test]
fn lateral_pools_and_slices_have_windows_of_their_own() {
    let source = lateral_network(|s, fast| {
        let low = s.floats(&[1], vec![-1.0]);
        let square = s.binary("Mul", fast, fast);
        let negative = s.node("Mul", &[&square.name, &low], square.shape.clone(), vec![]);
        // All frames are negative, so a window of zeros would change the first maximum.
        let max = s.pool("MaxPool", &negative, [5, 1, 1], [4, 1, 1], [4, 0, 0, 0, 0, 0], false);
        let mean = s.pool("AveragePool", fast, [3, 3, 3], [4, 1, 1], [2, 1, 1, 0, 1, 1], true);
        let newest = s.slice(fast, 2, 1, 12, 4);
        let grouped = s.conv(&negative, 2, [5, 1, 1], [4, 1, 1], 2, Padding::Reach(0));
        vec![max, mean, newest, grouped]
    });
    let division = assert_equal_steps(&source, &frame_options(), TOLERANCE);
    assert_eq!(division.lateral_reach, 1);
    let windows = |name: &String| {
        let state = division.fast_states.iter().find(|state| state.name == *name);
        let state = state.expect("a window is a state of the fast part");
        (state.shape[0], state.initial as f32)
    };
    let windows: Vec<_> = division.lateral_windows.iter().map(windows).collect();
    // The newest frame is that of sample 1. The mean and the slice share the window of `fast`.
    assert_eq!(windows, [(6, f32::MIN), (4, 0.0), (6, 0.0)]);
}

#[test]
fn taps_are_stacked_unless_the_products_are_plain() {
    let source = lateral_network(|s, fast| {
        let wide = s.conv(fast, 6, [1, 1, 1], [1, 1, 1], 1, Padding::Left);
        let narrow = s.conv(&wide, 2, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
        vec![s.conv(&narrow, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(0))]
    });
    let count_states = |winograd| {
        let options = CompileOptions { winograd, ..frame_options() };
        assert_equal_steps(&source, &options, TOLERANCE).fast_states.len()
    };
    // With plain products, the sums of the two taps that read earlier frames are separate states.
    assert_eq!(count_states(Winograd::Never), count_states(Winograd::WhereFaster) + 1);
}

#[test]
fn lateral_reach_of_the_whole_chunk_still_works() {
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [7, 1, 1], [4, 1, 1], 1, Padding::Reach(3))]
    });
    let division = assert_equal_steps(&source, &frame_options(), TOLERANCE);
    assert_eq!(division.lateral_reach, 3);
}

#[test]
fn half_precision_frame_steps_equal_half_precision_chunk_steps() {
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(0))]
    });
    let options = CompileOptions { precision: Precision::Fp16, ..frame_options() };
    assert_equal_steps(&source, &options, 2e-2);
}

#[test]
fn head_that_adds_after_each_pathway_is_divided() {
    let mut s = Source::new(8);
    let slow = s.input("slow", &[1, 1, 3, SIZE, SIZE]);
    let fast = s.input("fast", &[1, 1, 6, SIZE, SIZE]);
    let slow = s.conv(&slow, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let fast = s.conv(&fast, 2, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let project = |s: &mut Source, x: &Val| {
        let pooled = s.mean(x, &[2, 3, 4], true);
        let flat = s.flatten(&pooled);
        s.gemm(&flat, LABELS)
    };
    let (slow, fast) = (project(&mut s, &slow), project(&mut s, &fast));
    let sum = s.binary("Sub", &slow, &fast);
    let bias = s.random(&[LABELS], 1.0, 0.0);
    let logits = s.node("Sub", &[&bias, &sum.name], sum.shape.clone(), vec![]);
    s.output(&logits);
    let division = assert_equal_steps(&s, &frame_options(), TOLERANCE);
    assert_eq!((division.lateral_reach, division.lateral_windows.len()), (0, 0));
}

#[test]
fn network_with_one_pathway_has_only_a_fast_part() {
    let mut s = Source::new(3);
    let x = s.input("x", &[1, 3, 5, SIZE, SIZE]);
    let x = s.conv(&x, 4, [3, 3, 3], [1, 1, 1], 1, Padding::Left);
    let pooled = s.mean(&x, &[2, 3, 4], true);
    let flat = s.flatten(&pooled);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    let division = assert_equal_steps(&s, &frame_options(), TOLERANCE);
    assert_eq!((division.alpha, division.lateral_reach), (1, 0));
    let inspection = inspect_stream(&compile_frames(&s));
    let names: Vec<_> = inspection.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["fast_logits"]);
}

#[test]
fn package_stores_each_weight_once() {
    // Both parts have the same head and the same indices.
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(1))]
    });
    let network = compile_frames(&source);
    let stream = &network.stream.as_ref().expect("the network streams").bytes;
    let graph = ModelProto::decode(stream.as_slice()).unwrap().graph.unwrap();
    let data: BTreeSet<_> =
        graph.initializer.iter().map(|t| (t.dims.clone(), t.data_type, &t.raw_data)).collect();
    assert_eq!(data.len(), graph.initializer.len());
    let parts = split_parts(stream, &division(&network)).unwrap();
    let count = |model: &[u8]| ModelProto::decode(model).unwrap().graph.unwrap().initializer.len();
    let in_parts = count(&parts.fast) + count(&parts.slow.unwrap());
    assert!(in_parts > graph.initializer.len(), "the parts share no initializer");
}

#[test]
fn chunk_steps_are_taken_with_a_reason() {
    let source = lateral_network(|s, fast| {
        let half = s.conv(fast, 4, [2, 1, 1], [2, 1, 1], 1, Padding::None);
        vec![s.conv(&half, 4, [2, 1, 1], [2, 1, 1], 1, Padding::None)]
    });
    let network = compile_frames(&source);
    let reason = network.chunk_steps_reason.as_ref().expect("there is a reason");
    assert!(reason.contains("2 frames for each chunk, but must have 4 or 1"), "{reason}");
    assert_eq!(inspect_stream(&network).metadata["format"], "1");
    let options = CompileOptions { chunk: 3, ..frame_options() };
    let one_lateral = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(0))]
    });
    let network = compile(one_lateral.bytes(), &options).expect("the network compiles");
    assert_eq!(network.chunk_steps_reason.as_deref(), Some("a step has 3 chunks"));
    let mut s = Source::new(21);
    let [slow, fast] = [("slow", 3), ("fast", 12)].map(|(name, n)| s.input(name, &[1, 1, n, 6, 6]));
    let lateral = s.conv(&fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(0));
    let features = s.concat(&[&slow, &lateral], 1);
    let pooled = s.mean(&features, &[2, 3, 4], false);
    let logits = s.gemm(&pooled, LABELS);
    s.output(&logits);
    let reason = compile_frames(&s).chunk_steps_reason;
    assert_eq!(reason.as_deref(), Some("the head reads no features of the fast pathway"));
}

#[test]
fn frame_self_test_has_three_chunks_from_the_initial_state() {
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(2))]
    });
    let options = CompileOptions { self_test: true, ..frame_options() };
    let network = compile(source.bytes(), &options).expect("the network compiles");
    let text = inspect_stream(&network).metadata["self_test"].clone();
    let test: serde_json::Value = serde_json::from_str(&text).expect("the self-test is JSON");
    assert_eq!((&test["seed"], test["chunks"].as_array().unwrap().len()), (&1.into(), 3));
    let division = division(&network);
    let parts = split_parts(&network.stream.as_ref().unwrap().bytes, &division).unwrap();
    let mut runner = FrameRunner::load(division, parts, EmbeddedModel::load).unwrap();
    let mut random = Xorshift(1);
    for chunk in test["chunks"].as_array().unwrap() {
        let samples: Vec<_> = (0..4).map(|_| random.fill(SIZE * SIZE)).collect();
        let logits = runner.run_chunk(&[1, 1, SIZE, SIZE], &samples).unwrap();
        let read = |key: &str| -> Vec<f32> {
            serde_json::from_value(chunk[key].clone()).expect("a list of numbers")
        };
        assert_eq!(
            (read("fast"), read("slow"), read("logits")),
            (logits.fast.clone(), logits.slow.clone(), logits.sum())
        );
    }
}

#[test]
fn inspection_counts_the_runs_and_what_is_left() {
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(1))]
    });
    let options = CompileOptions { winograd: Winograd::Never, ..frame_options() };
    let network = compile(source.bytes(), &options).expect("the network compiles");
    let frames = inspect_stream(&network).frame_steps.expect("the package has frame steps");
    // The fast part convolves 1 to 2 channels with a kernel of 27 values and 2 to 3 channels with
    // one of 3 values, and its head reads 6 slow and 3 fast features. The slow part convolves 1 to
    // 4 channels with 9 values, 2 to 4 with 5 values and 8 to 6 with 3 values.
    let (area, head) = ((SIZE * SIZE) as u64, (9 * LABELS) as u64);
    assert_eq!(frames.fast_multiply_adds, area * (2 * 27 + 2 * 3 * 3) + head);
    assert_eq!(frames.slow_multiply_adds, area * (4 * 9 + 2 * 4 * 5 + 8 * 6 * 3) + head);
    assert_eq!((frames.alpha, frames.lateral_reach), (4, 1));
    assert_eq!(frames.least_left(), frames.fast_multiply_adds);
    assert_eq!(frames.most_left(), 2 * frames.fast_multiply_adds + frames.slow_multiply_adds);
    let clip = 12 * frames.fast_multiply_adds + 3 * frames.slow_multiply_adds;
    assert_eq!(frames.clip_multiply_adds, clip);
    let shown = inspect_stream(&network).to_string();
    assert!(shown.contains("due after sample 1 of its chunk"), "{shown}");
    let share =
        format!("{:.4} of a clip after the last frame", frames.share_of_clip(frames.least_left()));
    assert!(shown.contains(&share), "{shown}");
}

#[test]
fn onnx_runtime_runs_the_file_and_compares_the_steps() {
    let source = lateral_network(|s, fast| {
        vec![s.conv(fast, 4, [5, 1, 1], [4, 1, 1], 1, Padding::Reach(2))]
    });
    let frames = compile_frames(&source);
    let chunks = compile(source.bytes(), &options(LABELS)).expect("the network compiles");
    let streams = [&frames, &chunks].map(|network| network.stream.as_ref().expect("it streams"));
    let error = compare_steps(&RUNTIME, &frames.clip, streams[0], streams[1], 5);
    assert!(error.clone().is_ok_and(|error| error <= TOLERANCE), "{error:?}");
    let errors = verify_source(&source, &frames).expect("the packages run");
    assert!(errors.stream.is_some_and(|error| error <= TOLERANCE), "{errors}");
    // The whole file is one valid graph.
    let inspection = inspect_stream(&frames);
    let zeros = inspection.inputs.iter().chain(&inspection.states).map(|t| NamedTensor {
        name: t.name.clone(),
        shape: t.shape.clone(),
        data: vec![0.0; t.shape.iter().product()],
    });
    let outputs = RUNTIME
        .load_model(&streams[0].bytes)
        .expect("the file loads")
        .run(&zeros.collect::<Vec<_>>());
    assert_eq!(outputs.expect("the graph runs").len(), inspection.states.len() + 2);
}
