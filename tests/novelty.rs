//! Tests of the novelty score of whole streams: a network with a projection gives the same score in
//! frame steps, in chunk steps and in window mode, in fp32 and fp16, and in all runtimes.

mod common;

use common::{grey_frame, run_worker_to_end, wait};
use std::path::PathBuf;
use std::time::Duration;
use tteview::frame::FrameView;
use tteview::{
    Drive, Engine, EngineConfig, ModelPackage, Precision, ResultFlags, Stream, StreamConfig,
    ViewResult,
};
use tteview_compiler::{CompileOptions, Label, Novelty, NoveltyKind, Steps, compile};

// `source`, a module of the compiler's tests, writes the source network and uses `onnx`.
#[allow(dead_code, unreachable_pub, reason = "shared with the compiler, which uses more of it")]
#[path = "../tools/compiler/src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the compiler's tests, which use more of it")]
#[path = "../tools/compiler/src/tests/source.rs"]
mod source;
#[path = "../tools/compiler/src/xorshift.rs"]
mod xorshift;

use source::{Padding, Source};

const ALPHA: usize = 4;
const CHUNKS: usize = 3;
const LABELS: usize = 4;
const SIDE: u32 = 32;
const INTERVAL_NS: i64 = 33_333_333;

/// Creates a causal network with a linear head of logits and, if `values` is not 0, a projection.
fn create_network(values: usize) -> Source {
    let mut s = Source::new(31);
    let shape = |frames| [1, 1, frames, 8, 8];
    let (slow, fast) = (s.input("slow", &shape(CHUNKS)), s.input("fast", &shape(CHUNKS * ALPHA)));
    let slow = s.conv(&slow, 6, [1, 3, 3], [1, 2, 2], 1, Padding::Left);
    let fast = s.conv(&fast, 4, [5, 3, 3], [1, 2, 2], 1, Padding::Left);
    let fast = s.unary("Relu", &fast);
    let joined = s.conv(&fast, 4, [5, 1, 1], [ALPHA, 1, 1], 1, Padding::Left);
    let both = s.concat(&[&slow, &joined], 1);
    let slow = s.conv(&both, 6, [3, 1, 1], [1, 1, 1], 1, Padding::Left);
    s.classify(&slow, &fast, LABELS + values);
    s
}

fn mahalanobis(threshold: f64) -> Novelty {
    let means = vec![vec![0.5, -0.25, 0.0], vec![-1.0, 0.75, 0.5]];
    Novelty { kind: NoveltyKind::Mahalanobis, threshold, means }
}

fn energy() -> Novelty {
    Novelty { kind: NoveltyKind::Energy, threshold: 0.0, means: vec![] }
}

/// A package of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Frames,
    Chunks,
    Clip,
}

const FORMS: [Form; 3] = [Form::Frames, Form::Chunks, Form::Clip];

fn compile_package(form: Form, novelty: Option<Novelty>, precision: Precision) -> ModelPackage {
    let label = |i| Label { code: format!("L{i}"), ..Label::default() };
    let mut options = CompileOptions::new("net", (0..LABELS).map(label).collect());
    let values = novelty.as_ref().map_or(0, |novelty| novelty.means.first().map_or(0, Vec::len));
    options.spec.novelty = novelty;
    options.spec.temperature = 1.5;
    options.steps = if form == Form::Frames { Steps::Frame } else { Steps::Chunk };
    options.precision = match precision {
        Precision::Fp32 => tteview_compiler::Precision::Fp32,
        Precision::Fp16 => tteview_compiler::Precision::Fp16,
    };
    let compiled = compile(create_network(values).bytes(), &options).unwrap();
    let package = match form {
        Form::Clip => compiled.clip,
        _ => compiled.stream.expect("the network is causal"),
    };
    let package = ModelPackage::from_bytes(package.bytes, None).unwrap();
    assert_eq!(package.spec.output_len(), LABELS + values);
    package
}

/// Acquires as many frames as a clip has samples. Returns the final result, and the result of an
/// exact query.
fn acquire(package: ModelPackage, library: Option<PathBuf>) -> [ViewResult; 2] {
    let provider = if library.is_some() { "cpu" } else { "embedded" };
    let config = EngineConfig {
        providers: vec![provider.into()],
        runtime_library: library,
        ..EngineConfig::default()
    };
    let engine = Engine::new(package, &config).unwrap();
    engine.prepare().unwrap();
    let config = StreamConfig {
        max_width_px: SIDE,
        max_height_px: SIDE,
        drive: Drive::Host,
        exact_history_ns: 60 * INTERVAL_NS,
        ..StreamConfig::default()
    };
    let Stream { mut acquirer, mut driver, reader } = Stream::open(&engine, &config).unwrap();
    let acquisition = acquirer.begin().unwrap();
    let frames = (ALPHA * CHUNKS) as u32;
    for index in 0..frames {
        let pixels: Vec<u8> = (0..SIDE * SIDE).map(|p| ((p / 7) * (index + 3)) as u8).collect();
        let frame = FrameView::new(grey_frame(SIDE, SIDE), &pixels).unwrap();
        let time_ns = i64::from(index) * INTERVAL_NS;
        assert_eq!(acquirer.push(&frame.with_time_ns(time_ns)), Ok(()));
        run_worker_to_end(&mut driver);
    }
    assert_eq!(acquirer.end(), Ok(()));
    run_worker_to_end(&mut driver);
    let result = wait(&reader, acquisition).result;
    let end_ns = i64::from(frames) * INTERVAL_NS;
    let plain = reader.query(0, end_ns, Duration::ZERO, &mut []).unwrap().result;
    assert_eq!(plain.novelty, result.novelty);
    let exact = reader.query_exact(0, end_ns, common::TIMEOUT, &mut []).unwrap().result;
    [result, exact]
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1.0), "{found} for {expected}");
}

#[test]
fn streams_and_clips_give_the_same_novelty() {
    for novelty in [mahalanobis(1e9), energy()] {
        let scores = FORMS.map(|form| {
            let package = compile_package(form, Some(novelty.clone()), Precision::Fp32);
            let [result, exact] = acquire(package, None);
            assert!(!result.flags.contains(ResultFlags::NO_NOVELTY), "{form:?}");
            assert_eq!(exact.novelty, result.novelty, "{form:?}");
            result.novelty
        });
        assert!(scores[0] != 0.0 && scores[0].is_finite());
        scores.iter().for_each(|&score| assert_close(score, scores[0], 1e-4));
    }
}

#[test]
fn a_projection_does_not_change_the_posterior() {
    for form in FORMS {
        let [with, _] =
            acquire(compile_package(form, Some(mahalanobis(1e9)), Precision::Fp32), None);
        let [energy, _] = acquire(compile_package(form, Some(energy()), Precision::Fp32), None);
        let [plain, _] = acquire(compile_package(form, None, Precision::Fp32), None);
        assert_eq!(plain.novelty, 0.0);
        assert!(plain.flags.contains(ResultFlags::NO_NOVELTY), "{form:?}");
        assert_eq!((energy.label, energy.confidence), (plain.label, plain.confidence), "{form:?}");
        assert!(with.label.is_some(), "{form:?}");
    }
}

#[test]
fn a_novel_cine_gets_no_label() {
    for form in FORMS {
        let package = compile_package(form, Some(mahalanobis(1e-9)), Precision::Fp32);
        for result in acquire(package, None) {
            assert_eq!((result.label, result.group), (None, None), "{form:?}");
            assert!(result.flags.contains(ResultFlags::NOVEL), "{form:?}");
            assert!(result.confidence > 0.0 && result.novelty > 1e-9);
        }
    }
}

#[test]
fn novelty_in_half_precision_is_close_to_single_precision() {
    for form in FORMS {
        let score = |precision| {
            acquire(compile_package(form, Some(mahalanobis(1e9)), precision), None)[0].novelty
        };
        assert_close(score(Precision::Fp16), score(Precision::Fp32), 0.02);
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn all_runtimes_give_the_same_novelty() {
    for novelty in [mahalanobis(1e9), energy()] {
        for form in FORMS {
            let score = |library| {
                let package = compile_package(form, Some(novelty.clone()), Precision::Fp32);
                acquire(package, library)[0].novelty
            };
            assert_close(score(Some(common::runtime_library())), score(None), 1e-4);
        }
    }
}
