//! Tests that compare ONNX Runtime with the embedded runtime on whole streams.
//!
//! A process can load only one ONNX Runtime library. `TTEVIEW_ORT_DYLIB` specifies its path.
//! `cargo xtask test --all` runs this file once for every version that xtask lists.

mod common;

use common::{Labelled, grey_frame, load_package, runtime_library, wait};
use std::path::PathBuf;
use std::time::Duration;
use tteview::frame::FrameView;
use tteview::{Engine, EngineConfig, ModelPackage, Result, Status, Stream, StreamConfig};
use tteview_compiler::{CompileOptions, Label, LabelSet, compile};

const PACKAGES: [&str; 2] = ["standin.stream.onnx", "standin.clip.onnx"];
const WIDTH: u32 = 96;
const HEIGHT: u32 = 72;

fn try_engine(package: ModelPackage, providers: &[&str]) -> Result<Engine> {
    let config = EngineConfig {
        providers: providers.iter().map(ToString::to_string).collect(),
        threads: 2,
        runtime_library: Some(runtime_library()),
        ..EngineConfig::default()
    };
    Engine::new(package, &config)
}

fn create_engine(name: &str, provider: &str) -> Engine {
    try_engine(load_package(name), &[provider]).unwrap()
}

fn open_stream(engine: &Engine) -> Stream {
    let config = StreamConfig {
        ring_slots: 128,
        max_width_px: WIDTH,
        max_height_px: HEIGHT,
        max_frame_bytes: (WIDTH * HEIGHT) as usize,
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

/// Returns the pause after each frame, which is 0 by default. On machines where the network cannot
/// keep up, `TTEVIEW_TEST_REST_MS` sets a pause so that no chunk is skipped.
fn pause_between_frames() -> Duration {
    let variable = std::env::var("TTEVIEW_TEST_REST_MS").ok();
    Duration::from_millis(variable.map_or(0, |milliseconds| milliseconds.parse().unwrap()))
}

/// Acquires a cine of moving noise at 30 frames per second. The seed determines the noise.
fn acquire(stream: &mut Stream, frames: u32, seed: u32) -> Labelled {
    let acquisition = stream.acquirer.begin().unwrap();
    let mut x = seed;
    for index in 0..frames {
        let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
            .map(|i| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                (((i + 3 * index) % WIDTH) as u8).wrapping_add((x >> 26) as u8)
            })
            .collect();
        let frame = FrameView::new(grey_frame(WIDTH, HEIGHT), &pixels).unwrap();
        let frame = frame.with_time_ns(i64::from(index) * 33_333_333);
        assert_eq!(stream.acquirer.push(&frame), Ok(()));
        std::thread::sleep(pause_between_frames());
    }
    assert_eq!(stream.acquirer.end(), Ok(()));
    let labelled = wait(&stream.reader, acquisition);
    assert_eq!(labelled.status, Status::Ok);
    labelled
}

fn acquire_once(engine: &Engine, frames: u32, seed: u32) -> Labelled {
    acquire(&mut open_stream(engine), frames, seed)
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn top_label(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn both_runtimes_give_the_same_label_and_scores() {
    for name in PACKAGES {
        let results = [1, 2].map(|seed| {
            let embedded = acquire_once(&create_engine(name, "embedded"), 70, seed);
            let ort = acquire_once(&create_engine(name, "cpu"), 70, seed);
            assert_eq!(ort.label, embedded.label, "{name}");
            assert_eq!(top_label(&ort.scores), top_label(&embedded.scores), "{name}");
            assert_eq!(ort.chunks, embedded.chunks, "{name}");
            (ort.scores, embedded.scores)
        });
        // With random weights, different cines get similar scores, so a bound of 1e-3 alone would
        // prove little. The scores of two cines must therefore differ much more than the scores
        // that two runtimes compute for one cine.
        let cines = largest_difference(&results[0].0, &results[1].0);
        for (ort, embedded) in &results {
            let runtimes = largest_difference(ort, embedded);
            println!("{name}: {runtimes:.1e} between the runtimes, {cines:.1e} between two cines");
            assert!(runtimes < 1e-3 && runtimes < cines / 100.0, "{name}");
        }
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn the_self_test_passes_and_the_version_is_reported() {
    for name in PACKAGES {
        let engine = create_engine(name, "cpu");
        assert!(engine.prepare().unwrap() < 1e-3);
        let report = engine.report();
        assert_eq!(report.provider, "cpu");
        let version = report.runtime_version.strip_prefix("onnxruntime ").unwrap();
        let library = runtime_library();
        assert!(library.to_string_lossy().ends_with(version), "{version} is not that of the file");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn earlier_acquisitions_do_not_change_the_scores() {
    for name in PACKAGES {
        let engine = create_engine(name, "cpu");
        let fresh = acquire_once(&engine, 50, 7);
        let mut used = open_stream(&engine);
        // A session uses its two sets of states in turn. Some of these acquisitions have an even
        // number of runs and some an odd number, so that each set is the last one used in at least
        // one acquisition.
        for (seed, frames) in [(3, 37), (4, 40), (5, 44)] {
            assert_ne!(acquire(&mut used, frames, seed).scores, fresh.scores);
        }
        assert_eq!(acquire(&mut used, 50, 7).scores, fresh.scores, "{name}");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn streams_do_not_change_the_scores_of_each_other() {
    let engine = create_engine("standin.stream.onnx", "cpu");
    let alone: Vec<_> = (1..4).map(|seed| acquire_once(&engine, 40, seed).scores).collect();
    std::thread::scope(|scope| {
        let engine = &engine;
        let run = |seed| scope.spawn(move || acquire_once(engine, 40, seed).scores);
        let together: Vec<_> = (1..4).map(run).collect();
        for (thread, alone) in together.into_iter().zip(alone) {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn an_unavailable_provider_is_replaced_only_by_a_listed_one() {
    for provider in ["cuda", "tensorrt"] {
        let package = || load_package(PACKAGES[0]);
        let error = try_engine(package(), &[provider]).err().expect("there is no such device");
        assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
        // The message is, for example, "cuda: onnxruntime 1.23.2: CUDA execution provider is not
        // enabled in this build".
        let prefix = format!("{provider}: onnxruntime ");
        let cause = error.message().strip_prefix(&prefix).expect("provider and version");
        assert!(cause.to_lowercase().contains(provider), "{error}");
        let engine = try_engine(package(), &[provider, "cpu"]).unwrap();
        assert_eq!(engine.report().provider, "cpu");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn a_graph_that_differs_from_its_metadata_is_refused() {
    let mut package = load_package("standin.stream.onnx");
    package.spec.states[0].shape[0] += 1;
    let name = package.spec.states[0].name.clone();
    let error = try_engine(package, &["cpu"]).err().expect("refused");
    assert_eq!(error.status(), Status::ModelMismatch);
    assert!(error.message().contains(&name), "{error}");
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn a_process_keeps_its_first_runtime_library() {
    drop(create_engine(PACKAGES[0], "cpu"));
    let create_with = |library: Option<PathBuf>| {
        let providers = vec!["cpu".into()];
        let config =
            EngineConfig { providers, runtime_library: library, ..EngineConfig::default() };
        Engine::new(load_package(PACKAGES[0]), &config)
    };
    let error = create_with(Some("/nowhere/libonnxruntime.so".into())).err().expect("refused");
    assert_eq!(error.status(), Status::InvalidArgument, "{error}");
    assert!(error.message().contains(&runtime_library().display().to_string()), "{error}");
    assert!(create_with(None).is_ok());
    let library = runtime_library();
    let (folder, name) = (library.parent().unwrap(), library.file_name().unwrap());
    let other_path = folder.join("..").join(folder.file_name().unwrap()).join(name);
    assert!(create_with(Some(other_path)).is_ok(), "the same file by another path");
}

/// Compiles a network that selects tokens with TopK.
fn compile_selection() -> ModelPackage {
    let source = include_bytes!("../tools/compiler/testdata/exported/token_pruning.onnx");
    let label = |i| Label { code: format!("L{i}"), name: format!("{i}"), ..Label::default() };
    let labels: LabelSet = (0..3).map(label).collect();
    let compiled = compile(source.to_vec(), &CompileOptions::new("m", labels)).unwrap();
    ModelPackage::from_bytes(compiled.clip.bytes, None).unwrap()
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn only_onnx_runtime_runs_a_package_with_its_operators() {
    let package = compile_selection();
    assert_eq!(package.runtime_operator(), Some("TopK"));
    let error = try_engine(package.clone(), &["embedded"]).err().expect("embedded lacks TopK");
    assert_eq!(error.status(), Status::Unsupported);
    assert!(error.message().contains("TopK") && error.message().contains("cpu"), "{error}");
    let engine = try_engine(package, &["embedded", "cpu"]).unwrap();
    assert_eq!(engine.report().provider, "cpu");
    assert!(engine.prepare().unwrap() < 1e-4);
    let labelled = acquire_once(&engine, 12, 5);
    assert!((labelled.scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{:?}", labelled.scores);
    assert_eq!(top_label(&labelled.scores), labelled.label.map(|label| label as usize));
    assert_eq!(load_package(PACKAGES[0]).runtime_operator(), None);
}
