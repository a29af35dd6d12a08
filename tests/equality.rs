//! Tests that compare streams with the clip graph: the mean of the logits over all chunks must
//! equal the logits of one clip over the whole acquisition. The networks are small, random and
//! causal. The tests vary the length, the pace, the drive, the number of threads and the runtime.

mod common;

use common::{Labelled, grey_frame, run_worker, run_worker_to_end, wait, wait_for_slot};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use tteview::frame::FrameView;
use tteview::{
    Drive, Engine, EngineConfig, ModelPackage, PartialChunk, Status, Stream, StreamConfig,
    StreamStats,
};
use tteview_compiler::{CompileOptions, Label, Package, Spec, Steps, compile};

// `source`, a module of the compiler's tests, writes the source networks and uses `onnx`.
#[allow(dead_code, unreachable_pub, reason = "shared with the compiler, which uses more of it")]
#[path = "../tools/compiler/src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the compiler's tests, which use more of it")]
#[path = "../tools/compiler/src/tests/source.rs"]
mod source;

#[path = "../tools/compiler/src/xorshift.rs"]
mod xorshift;

use source::{LABELS, Padding, Source, Val};
use xorshift::Xorshift;

const SAMPLE_SIDE: usize = 8;
const FRAME_SIDE: u32 = 32;
const INTERVAL_NS: i64 = 10_000_000;
const TOLERANCE: f64 = 1e-5;

/// Creates a causal SlowFast network with `chunks` slow frames. The seed determines the layers.
fn create_network(seed: u32, alpha: usize, chunks: usize) -> Source {
    let mut choice = Xorshift(seed.wrapping_mul(2_654_435_761).max(1));
    (0..8).for_each(|_| _ = choice.next());
    let mut among = |options: &[usize]| options[choice.next() as usize % options.len()];
    let mut s = Source::new(seed);
    let shape = |frames| [1, 1, frames, SAMPLE_SIDE, SAMPLE_SIDE];
    let (slow, fast) = (s.input("slow", &shape(chunks)), s.input("fast", &shape(chunks * alpha)));
    let layer = |s: &mut Source, x: &Val, outputs, kernel, strides| {
        let y = s.conv(x, outputs, kernel, strides, 1, Padding::Left);
        s.unary("Relu", &y)
    };
    let mut slow = layer(&mut s, &slow, 6, [1, 3, 3], [1, 1, 1]);
    let mut fast = layer(&mut s, &fast, 3, [among(&[1, 3, 5]), 3, 3], [1, 1, 1]);
    for _ in 0..among(&[1, 2]) {
        // A lateral connection reads no frame of a later chunk if its kernel is shorter than two
        // chunks.
        let lateral = among(&[1, 3, 2 * alpha - 1]);
        let connected = layer(&mut s, &fast, 4, [lateral, 1, 1], [alpha, 1, 1]);
        let both = s.concat(&[&slow, &connected], 1);
        slow = layer(&mut s, &both, 8, [among(&[1, 3]), 3, 3], [1, 2, 2]);
        fast = layer(&mut s, &fast, 4, [among(&[3, 5]), 3, 3], [1, 2, 2]);
    }
    let slow = layer(&mut s, &slow, 6, [3, 1, 1], [1, 1, 1]);
    let pooled = [s.mean(&slow, &[2, 3, 4], true), s.mean(&fast, &[2, 3, 4], true)];
    let both = s.concat(&[&pooled[0], &pooled[1]], 1);
    let flat = s.flatten(&both);
    let logits = s.gemm(&flat, LABELS);
    s.output(&logits);
    s
}

/// Compiles the network for clips of `chunks` chunks. Returns the clip package and the step
/// package.
fn compile_packages(seed: u32, alpha: usize, chunks: usize, steps: Steps) -> [Package; 2] {
    let label = |i| Label { code: format!("L{i}"), name: format!("label {i}"), ..Label::default() };
    let mut options = CompileOptions::new("net", (0..LABELS).map(label).collect());
    options.spec = Spec { sample_interval_ns: INTERVAL_NS as u64, ..Spec::default() };
    options.steps = steps;
    let compiled = compile(create_network(seed, alpha, chunks).bytes(), &options).unwrap();
    [compiled.clip, compiled.stream.expect("the network is causal")]
}

#[derive(Clone, Copy, Debug)]
enum Runtime {
    Embedded,
    OnnxRuntime,
}

fn create_engine(runtime: Runtime, package: &Package, threads: u32) -> Engine {
    let package = ModelPackage::from_bytes(package.bytes.clone(), None).unwrap();
    let library: Option<PathBuf> = match runtime {
        Runtime::Embedded => None,
        Runtime::OnnxRuntime => Some(common::runtime_library()),
    };
    let provider = if library.is_some() { "cpu" } else { "embedded" };
    let config = EngineConfig {
        providers: vec![provider.into()],
        threads,
        runtime_library: library,
        ..EngineConfig::default()
    };
    Engine::new(package, &config).unwrap()
}

/// Writes frame `index` of a cine: blocks of noise whose brightness drifts.
fn draw_frame(seed: u32, index: usize, pixels: &mut [u8]) {
    let mut random = Xorshift(
        (seed + 1).wrapping_mul(747_796_405).wrapping_add(index as u32).wrapping_mul(277_803_737)
            | 1,
    );
    (0..4).for_each(|_| _ = random.next());
    let drift = (index as u32 * 3) % 160;
    let blocks: Vec<u8> = (0..64).map(|_| (drift + random.next() % 96) as u8).collect();
    for (position, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (position % FRAME_SIDE as usize, position / FRAME_SIDE as usize);
        *pixel = blocks[y / 4 * 8 + x / 4];
    }
}

/// The drive and the ring size of a stream, and the pauses that the host makes between frames.
#[derive(Clone, Copy, Debug)]
struct Pace {
    drive: Drive,
    ring_slots: usize,
    /// Seed of the pauses between frames. With the seed 0, the host does not pause.
    pauses: u32,
}

const AT_ONCE: Pace = Pace { drive: Drive::Wake, ring_slots: 64, pauses: 0 };

fn open_stream(engine: &Engine, pace: Pace, partial_chunk: PartialChunk) -> Stream {
    let config = StreamConfig {
        ring_slots: pace.ring_slots,
        max_width_px: FRAME_SIDE,
        max_height_px: FRAME_SIDE,
        max_frame_bytes: (FRAME_SIDE * FRAME_SIDE) as usize,
        partial_chunk,
        exact_history_ns: 100 * INTERVAL_NS,
        drive: pace.drive,
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

/// Acquires a range of frames of a cine, one frame per sample.
fn acquire(
    stream: &mut Stream,
    pace: Pace,
    cine: u32,
    frames: Range<usize>,
) -> (Labelled, StreamStats) {
    let Stream { acquirer, driver, reader } = stream;
    let mut pixels = vec![0; (FRAME_SIDE * FRAME_SIDE) as usize];
    let mut random = Xorshift(pace.pauses.max(1));
    let acquisition = acquirer.begin().unwrap();
    for index in frames.clone() {
        draw_frame(cine, index, &mut pixels);
        if pace.pauses > 0 {
            (0..random.next() % 4).for_each(|_| run_worker(driver));
        }
        wait_for_slot(acquirer, driver);
        let frame = FrameView::new(grey_frame(FRAME_SIDE, FRAME_SIDE), &pixels).unwrap();
        assert_eq!(acquirer.push(&frame.with_time_ns(index as i64 * INTERVAL_NS)), Ok(()));
    }
    assert_eq!(acquirer.end(), Ok(()));
    run_worker_to_end(driver);
    let result = wait(reader, acquisition);
    assert_eq!(result.status, Status::Ok);
    assert_eq!(result.frames_used, frames.len() as u64);
    (result, reader.stats())
}

/// Returns the logits of a posterior. A posterior determines its logits only up to a constant. This
/// function chooses the constant so that the mean of the logits is 0.
fn centred_logits(posterior: &[f32]) -> Vec<f64> {
    let logs: Vec<f64> = posterior.iter().map(|&p| f64::from(p).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.into_iter().map(|log| log - mean).collect()
}

fn relative_error(got: &[f32], expected: &[f32]) -> f64 {
    let (got, expected) = (centred_logits(got), centred_logits(expected));
    let largest = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).fold(0.0, f64::max);
    largest(&mut got.iter().zip(&expected).map(|(a, b)| a - b))
        / largest(&mut expected.iter().copied())
}

/// Returns the number of chunks in an acquisition.
fn count_chunks(samples: usize, alpha: usize, partial_chunk: PartialChunk, steps: Steps) -> usize {
    let (whole, left) = (samples / alpha, samples % alpha);
    let completes = match (partial_chunk, steps) {
        (PartialChunk::Auto, Steps::Chunk) => 2 * left >= alpha || whole == 0,
        (PartialChunk::Auto | PartialChunk::Drop, _) => whole == 0,
        (PartialChunk::Hold, _) => true,
    };
    whole + usize::from(left > 0 && completes)
}

/// Compares streams with the clip graph for acquisitions of these lengths, in samples. Returns the
/// largest relative error of the logits.
fn compare(runtime: Runtime, seed: u32, alpha: usize, lengths: &[usize], steps: Steps) -> f64 {
    let [_, step] = compile_packages(seed, alpha, 2, steps);
    let engines = [1, 2].map(|threads| create_engine(runtime, &step, threads));
    let mut worst = 0.0f64;
    for (index, &samples) in lengths.iter().enumerate() {
        let rules = [PartialChunk::Hold, PartialChunk::Auto, PartialChunk::Drop];
        // With frame steps, a partial chunk that counts alone does not equal a clip, unless its
        // last sample is repeated to the end.
        let rule = if steps == Steps::Frame && samples < alpha { 0 } else { index % rules.len() };
        let partial_chunk = rules[rule];
        let chunks = count_chunks(samples, alpha, partial_chunk, steps);
        // The clip network runs on one window that covers the whole acquisition. The window repeats
        // the last sample as often as the stream's last chunk does.
        let [clip, _] = compile_packages(seed, alpha, chunks, steps);
        let clip = create_engine(runtime, &clip, 1);
        let frames = samples.min(chunks * alpha);
        let mut window = open_stream(&clip, AT_ONCE, PartialChunk::Auto);
        let (expected, stats) = acquire(&mut window, AT_ONCE, seed, 0..frames);
        assert_eq!((stats.chunks, expected.chunks), (1, 1), "one window");
        let mut first: Option<Labelled> = None;
        let pauses = seed * 31 + index as u32 + 1;
        for (engine, pace) in [
            (&engines[0], AT_ONCE),
            (&engines[0], Pace { drive: Drive::Wake, ring_slots: 2, pauses }),
            (&engines[0], Pace { drive: Drive::Host, ring_slots: 5, pauses }),
            (&engines[1], Pace { drive: Drive::Poll, ring_slots: 16, pauses: pauses + 7 }),
        ] {
            let mut stream = open_stream(engine, pace, partial_chunk);
            let (found, stats) = acquire(&mut stream, pace, seed, 0..samples);
            let case = format!(
                "{runtime:?}, network {seed}, {samples} samples, {partial_chunk:?}, {pace:?}"
            );
            assert_eq!((stats.samples, stats.skipped_chunks), (samples as u64, 0), "{case}");
            assert_eq!(found.chunks as usize, chunks, "{case}");
            let error = relative_error(&found.scores, &expected.scores);
            assert!(error <= TOLERANCE, "{case}: relative error {error:e}");
            worst = worst.max(error);
            // The pace must not change any bit of the scores, but the number of threads may.
            if std::ptr::eq(engine, &raw const engines[0]) {
                let first = first.get_or_insert_with(|| found.clone());
                assert_eq!(found.scores, first.scores, "{case}");
            }
        }
    }
    worst
}

fn compare_networks(runtime: Runtime, steps: Steps) {
    let mut random = Xorshift(20_240_607);
    for (seed, alpha) in [(1, 4), (2, 2), (3, 8), (4, 4), (5, 16), (6, 3)] {
        let mut lengths = vec![1, alpha, 2 * alpha + 1, 3 * alpha - 1];
        lengths.extend((0..2).map(|_| 1 + random.next() as usize % 200));
        lengths.push(if seed == 1 { 2000 } else { 1 + random.next() as usize % 2000 });
        let worst = compare(runtime, seed, alpha, &lengths, steps);
        println!(
            "{runtime:?}, {steps:?}, network {seed}, alpha {alpha}, samples {lengths:?}: {worst:.1e}"
        );
    }
}

#[test]
fn chunk_steps_equal_one_clip_in_the_embedded_runtime() {
    compare_networks(Runtime::Embedded, Steps::Chunk);
}

#[test]
fn frame_steps_equal_one_clip_in_the_embedded_runtime() {
    compare_networks(Runtime::Embedded, Steps::Frame);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn chunk_steps_equal_one_clip_in_onnx_runtime() {
    compare_networks(Runtime::OnnxRuntime, Steps::Chunk);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn frame_steps_equal_one_clip_in_onnx_runtime() {
    compare_networks(Runtime::OnnxRuntime, Steps::Frame);
}

/// Compares exact queries with the clip graph over the samples of the interval.
fn compare_exact_queries(runtime: Runtime, steps: Steps) -> f64 {
    let (seed, alpha, samples) = (7, 4, 180);
    let [_, step] = compile_packages(seed, alpha, 2, steps);
    let engine = create_engine(runtime, &step, 1);
    let mut stream = open_stream(&engine, AT_ONCE, PartialChunk::Hold);
    acquire(&mut stream, AT_ONCE, seed, 0..samples);
    let (mut exact, mut plain) = ([0.0; LABELS], [0.0; LABELS]);
    let mut worst = 0.0f64;
    for interval in [100..180, 83..84, 91..98, 121..177] {
        let [clip, _] = compile_packages(seed, alpha, interval.len().div_ceil(alpha), steps);
        let clip = create_engine(runtime, &clip, 1);
        let mut window = open_stream(&clip, AT_ONCE, PartialChunk::Auto);
        let (expected, _) = acquire(&mut window, AT_ONCE, seed, interval.clone());
        let (from, to) =
            (interval.start as i64 * INTERVAL_NS, (interval.end - 1) as i64 * INTERVAL_NS);
        stream.reader.query_exact(from, to, Duration::from_secs(60), &mut exact).unwrap();
        let error = relative_error(&exact, &expected.scores);
        assert!(error <= TOLERANCE, "{runtime:?}, samples {interval:?}: relative error {error:e}");
        worst = worst.max(error);
        if interval.len() > 2 * alpha {
            // Because of the look-back, a plain query also depends on the samples before the
            // interval.
            stream.reader.query(from, to, Duration::ZERO, &mut plain).unwrap();
            assert!(relative_error(&plain, &expected.scores) > 10.0 * TOLERANCE);
        }
    }
    worst
}

#[test]
fn exact_queries_equal_one_clip_in_the_embedded_runtime() {
    for steps in [Steps::Chunk, Steps::Frame] {
        let worst = compare_exact_queries(Runtime::Embedded, steps);
        println!("exact, embedded, {steps:?}: {worst:.1e}");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn exact_queries_equal_one_clip_in_onnx_runtime() {
    for steps in [Steps::Chunk, Steps::Frame] {
        let worst = compare_exact_queries(Runtime::OnnxRuntime, steps);
        println!("exact, ONNX Runtime, {steps:?}: {worst:.1e}");
    }
}

/// Checks that a different cine or length changes the scores by more than ten times the tolerance
/// of the other comparisons.
#[test]
fn another_cine_or_length_gives_other_scores() {
    let [_, step] = compile_packages(1, 4, 2, Steps::Frame);
    let engine = create_engine(Runtime::Embedded, &step, 1);
    let mut stream = open_stream(&engine, AT_ONCE, PartialChunk::Hold);
    let mut scores_of = |cine, frames| acquire(&mut stream, AT_ONCE, cine, 0..frames).0.scores;
    let whole = scores_of(1, 101);
    for other in [scores_of(2, 101), scores_of(1, 100), scores_of(1, 97)] {
        let error = relative_error(&other, &whole);
        assert!(error > 10.0 * TOLERANCE, "only {error:e} apart");
    }
    assert_eq!(scores_of(1, 101), whole);
}
