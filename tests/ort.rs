//! ONNX Runtime against the embedded runtime, through whole streams. One process runs one ONNX Runtime:
//! `TTEVIEW_ORT_DYLIB` names its library, and `cargo xtask test` runs this file once for every version it knows.

use std::path::{Path, PathBuf};
use std::time::Duration;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Error, Status, Stream, StreamConfig, ViewResult};

const PACKAGES: [&str; 2] = ["standin.stream.onnx", "standin.clip.onnx"];
const WIDTH: u32 = 96;
const HEIGHT: u32 = 72;

fn library() -> PathBuf {
    std::env::var_os("TTEVIEW_ORT_DYLIB")
        .expect("set TTEVIEW_ORT_DYLIB to the ONNX Runtime shared library (libonnxruntime.so)")
        .into()
}

fn package(name: &str) -> ModelPackage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    ModelPackage::from_path(&path, None).unwrap()
}

fn engine_of(package: ModelPackage, providers: &[&str]) -> Result<Engine, Error> {
    let config = EngineConfig {
        providers: providers.iter().map(ToString::to_string).collect(),
        threads: 2,
        runtime_library: Some(library()),
        ..EngineConfig::default()
    };
    Engine::new(package, &config)
}

fn engine(name: &str, provider: &str) -> Engine {
    engine_of(package(name), &[provider]).unwrap()
}

fn stream(engine: &Engine) -> Stream {
    let config = StreamConfig {
        ring_slots: 128,
        max_width_px: WIDTH,
        max_height_px: HEIGHT,
        max_frame_bytes: (WIDTH * HEIGHT) as usize,
        ..StreamConfig::default()
    };
    Stream::new(engine, &config).unwrap()
}

/// A cine of noise that drifts, 30 frames a second: the same for the same seed.
/// Rest after each frame: none, but on a machine whose network takes longer than a chunk lasts, where chunks of waiting
/// frames would be skipped, as many milliseconds as `TTEVIEW_TEST_REST_MS` says.
fn rest() -> Duration {
    let named = std::env::var("TTEVIEW_TEST_REST_MS").ok();
    Duration::from_millis(named.map_or(0, |milliseconds| milliseconds.parse().unwrap()))
}

fn acquire(stream: &mut Stream, frames: u32, seed: u32) -> ViewResult {
    let id = stream.begin().unwrap();
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
        let geometry = Geometry::whole(PixelFormat::Gray8, WIDTH, HEIGHT);
        let frame = FrameView::packed(geometry, &pixels, i64::from(index) * 33_333_333).unwrap();
        assert_eq!(stream.push(&frame), Status::Ok);
        std::thread::sleep(rest());
    }
    assert_eq!(stream.end(), Status::Ok);
    let reader = stream.reader();
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::from_secs(120), &mut result), Status::Ok);
    assert_eq!(result.status, Status::Ok);
    result
}

fn difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn top(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn a_cine_gets_the_label_and_the_scores_that_the_embedded_runtime_gives() {
    for name in PACKAGES {
        let results = [1, 2].map(|seed| {
            let embedded = acquire(&mut stream(&engine(name, "embedded")), 70, seed);
            let ort = acquire(&mut stream(&engine(name, "cpu")), 70, seed);
            assert_eq!(ort.label, embedded.label, "{name}");
            assert_eq!(top(&ort.scores), top(&embedded.scores), "{name}");
            assert_eq!(ort.chunks, embedded.chunks, "{name}");
            (ort.scores, embedded.scores)
        });
        // The scores of random weights are close to each other, so 1e-3 alone would say little: two cines must be
        // further apart than the two runtimes on one.
        let cines = difference(&results[0].0, &results[1].0);
        for (ort, embedded) in &results {
            let runtimes = difference(ort, embedded);
            println!("{name}: {runtimes:.1e} between the runtimes, {cines:.1e} between two cines");
            assert!(runtimes < 1e-3 && runtimes < cines / 100.0, "{name}");
        }
    }
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn the_self_test_passes_and_the_report_says_what_was_loaded() {
    for name in PACKAGES {
        let engine = engine(name, "cpu");
        assert!(engine.prepare().unwrap() < 1e-3);
        let report = engine.report();
        assert_eq!(report.provider, "cpu");
        let version = report.runtime_version.strip_prefix("onnxruntime ").unwrap();
        assert!(library().to_string_lossy().ends_with(version), "{version} is not the library's version");
    }
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn an_acquisition_after_others_equals_one_on_a_fresh_stream_bit_for_bit() {
    for name in PACKAGES {
        let engine = engine(name, "cpu");
        let fresh = acquire(&mut stream(&engine), 50, 7);
        let mut used = stream(&engine);
        // Odd and even numbers of runs, so that both sets of states have been current.
        for (seed, frames) in [(3, 37), (4, 40), (5, 44)] {
            assert_ne!(acquire(&mut used, frames, seed).scores, fresh.scores);
        }
        assert_eq!(acquire(&mut used, 50, 7).scores, fresh.scores, "{name}");
    }
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn streams_at_once_give_the_same_answers_as_alone() {
    let engine = engine("standin.stream.onnx", "cpu");
    let alone: Vec<_> = (1..4).map(|seed| acquire(&mut stream(&engine), 40, seed).scores).collect();
    std::thread::scope(|scope| {
        let engine = &engine;
        let run = |seed| scope.spawn(move || acquire(&mut stream(engine), 40, seed).scores);
        let together: Vec<_> = (1..4).map(run).collect();
        for (thread, alone) in together.into_iter().zip(alone) {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn a_provider_that_cannot_run_here_is_refused_by_name_and_only_a_listed_one_takes_its_place() {
    for provider in ["cuda", "tensorrt"] {
        let error = engine_of(package(PACKAGES[0]), &[provider]).err().expect("no such device here");
        assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
        // "cuda: onnxruntime 1.23.2: CUDA execution provider is not enabled in this build", or what it misses.
        let cause = error.message().strip_prefix(&format!("{provider}: onnxruntime ")).expect("the version");
        assert!(cause.to_lowercase().contains(provider), "{error}");
        let engine = engine_of(package(PACKAGES[0]), &[provider, "cpu"]).unwrap();
        assert_eq!(engine.report().provider, "cpu");
    }
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn a_graph_that_does_not_fit_the_metadata_is_refused_by_the_tensor() {
    let mut package = package("standin.stream.onnx");
    package.spec.states[0].shape[0] += 1;
    let name = package.spec.states[0].name.clone();
    let error = engine_of(package, &["cpu"]).err().expect("refused");
    assert_eq!(error.status(), Status::ModelMismatch);
    assert!(error.message().contains(&name), "{error}");
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn the_process_keeps_its_first_library() {
    drop(engine(PACKAGES[0], "cpu"));
    let with = |library: Option<PathBuf>| {
        let providers = vec!["cpu".into()];
        Engine::new(
            package(PACKAGES[0]),
            &EngineConfig { providers, runtime_library: library, ..EngineConfig::default() },
        )
    };
    let error = with(Some("/nowhere/libonnxruntime.so".into())).err().expect("another library");
    assert_eq!(error.status(), Status::InvalidArgument, "{error}");
    assert!(error.message().contains(&library().display().to_string()), "{error}");
    assert!(with(None).is_ok());
    let folder = library().parent().unwrap().to_owned();
    let name = library().file_name().unwrap().to_owned();
    assert!(with(Some(folder.join(".").join("..").join(folder.file_name().unwrap()).join(name))).is_ok());
}
