//! What streams say is what the network says of the whole acquisition: the mean of the chunk logits after the last
//! chunk against the clip graph over all samples, for small random causal networks, in both runtimes, whatever the
//! length, the pace, the drive and the company.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{
    Drive, Engine, EngineConfig, PartialChunk, Status, Stream, StreamConfig, StreamStats, ViewResult,
};
use tteview_compiler::{CompileOptions, Label, Package, Spec, compile};

// The writer of source networks is the one of the compiler's own tests.
#[allow(dead_code, unreachable_pub, reason = "shared with the compiler, which uses more of it")]
#[path = "../tools/compiler/src/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "shared with the compiler's tests, which use more of it")]
#[path = "../tools/compiler/src/tests/source.rs"]
mod source;

#[path = "../tools/compiler/examples/self_test/mod.rs"]
mod self_test;

use self_test::Xorshift;
use source::{LABELS, Padding, Source, Val};

/// Side of a sample and of a frame.
const SAMPLE_SIDE: usize = 8;
const FRAME_SIDE: u32 = 32;
const INTERVAL_NS: i64 = 10_000_000;
const TOLERANCE: f64 = 1e-4;

/// A causal SlowFast whose layers the seed chooses, over `chunks` slow frames.
fn network(seed: u32, alpha: usize, chunks: usize) -> Source {
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
        // A lateral connection stays inside its chunk if half of its kernel does.
        let lateral = among(&[1, 3, 2 * alpha - 1]);
        let joined = layer(&mut s, &fast, 4, [lateral, 1, 1], [alpha, 1, 1]);
        let both = s.concat(&[&slow, &joined], 1);
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

/// The packages for clips of `chunks` chunks: clip and step.
fn compiled(seed: u32, alpha: usize, chunks: usize) -> [Package; 2] {
    let label =
        |i| Label { code: format!("L{i}"), name: format!("label {i}"), scheme: None, scheme_code: None };
    let mut options = CompileOptions::new("net", (0..LABELS).map(label).collect());
    options.spec = Spec { sample_interval_ns: INTERVAL_NS as u64, ..Spec::default() };
    let compiled = compile(network(seed, alpha, chunks).bytes(), &options).unwrap();
    [compiled.clip, compiled.stream.expect("the network is causal")]
}

/// Where the network runs.
#[derive(Clone, Copy, Debug)]
enum Runtime {
    Embedded,
    OnnxRuntime,
}

fn engine(runtime: Runtime, package: &Package, threads: u32) -> Engine {
    let package = ModelPackage::from_bytes(package.bytes.clone(), None).unwrap();
    let library: Option<PathBuf> = match runtime {
        Runtime::Embedded => None,
        Runtime::OnnxRuntime => Some(
            std::env::var_os("TTEVIEW_ORT_DYLIB")
                .expect("set TTEVIEW_ORT_DYLIB to the ONNX Runtime shared library (libonnxruntime.so)")
                .into(),
        ),
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

/// Frame `index` of a cine: blocks of noise on a brightness that drifts.
fn picture(seed: u32, index: usize, pixels: &mut [u8]) {
    let mut random = Xorshift(
        (seed + 1).wrapping_mul(747_796_405).wrapping_add(index as u32).wrapping_mul(277_803_737) | 1,
    );
    (0..4).for_each(|_| _ = random.next());
    let drift = (index as u32 * 3) % 160;
    let blocks: Vec<u8> = (0..64).map(|_| (drift + random.next() % 96) as u8).collect();
    for (position, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (position % FRAME_SIDE as usize, position / FRAME_SIDE as usize);
        *pixel = blocks[y / 4 * 8 + x / 4];
    }
}

/// How an acquisition is made.
#[derive(Clone, Copy, Debug)]
struct Pace {
    drive: Drive,
    ring_slots: usize,
    /// Seed of the pauses between frames; 0: none.
    pauses: u32,
}

const AT_ONCE: Pace = Pace { drive: Drive::Park, ring_slots: 64, pauses: 0 };

fn stream(engine: &Engine, pace: Pace, partial: PartialChunk) -> Stream {
    let config = StreamConfig {
        ring_slots: pace.ring_slots,
        max_width_px: FRAME_SIDE,
        max_height_px: FRAME_SIDE,
        max_frame_bytes: (FRAME_SIDE * FRAME_SIDE) as usize,
        partial,
        exact_history_ns: 100 * INTERVAL_NS,
        drive: pace.drive,
        ..StreamConfig::default()
    };
    Stream::new(engine, &config).unwrap()
}

/// An acquisition of these frames of a cine, one a sample.
fn acquire(stream: &mut Stream, pace: Pace, cine: u32, frames: Range<usize>) -> (ViewResult, StreamStats) {
    let reader = stream.reader();
    let mut pixels = vec![0; (FRAME_SIDE * FRAME_SIDE) as usize];
    let mut random = Xorshift(pace.pauses.max(1));
    let id = stream.begin().unwrap();
    for index in frames.clone() {
        picture(cine, index, &mut pixels);
        if pace.pauses > 0 {
            for _ in 0..random.next() % 4 {
                if pace.drive == Drive::Host { _ = stream.process() } else { std::thread::yield_now() }
            }
        }
        while stream.room() == 0 {
            if pace.drive == Drive::Host { _ = stream.process() } else { std::thread::yield_now() }
        }
        let geometry = Geometry::whole(PixelFormat::Gray8, FRAME_SIDE, FRAME_SIDE);
        let frame = FrameView::packed(geometry, &pixels, index as i64 * INTERVAL_NS).unwrap();
        assert_eq!(stream.push(&frame), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    while pace.drive == Drive::Host && stream.process() == Status::Ok {}
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::from_secs(300), &mut result), Status::Ok);
    assert_eq!(result.status, Status::Ok);
    assert_eq!(result.frames_used, frames.len() as u64);
    (result, reader.stats())
}

/// Logits from a posterior, but for what is added to all of them alike: here their mean is 0.
fn logits(posterior: &[f32]) -> Vec<f64> {
    let logs: Vec<f64> = posterior.iter().map(|&p| f64::from(p).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.into_iter().map(|log| log - mean).collect()
}

fn relative_error(got: &[f32], expected: &[f32]) -> f64 {
    let (got, expected) = (logits(got), logits(expected));
    let largest = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).fold(0.0, f64::max);
    largest(&mut got.iter().zip(&expected).map(|(a, b)| a - b)) / largest(&mut expected.iter().copied())
}

/// Chunks that an acquisition of so many samples has.
fn chunks(samples: usize, alpha: usize, partial: PartialChunk) -> usize {
    let (whole, left) = (samples / alpha, samples % alpha);
    let completes = match partial {
        PartialChunk::Auto => 2 * left >= alpha || whole == 0,
        PartialChunk::Drop => whole == 0,
        PartialChunk::Hold => true,
    };
    whole + usize::from(left > 0 && completes)
}

/// Compares acquisitions of these lengths; the largest relative error.
fn compare(runtime: Runtime, seed: u32, alpha: usize, lengths: &[usize]) -> f64 {
    let [_, step] = compiled(seed, alpha, 2);
    let engines = [1, 2].map(|threads| engine(runtime, &step, threads));
    let mut worst = 0.0f64;
    for (index, &samples) in lengths.iter().enumerate() {
        let partial = [PartialChunk::Hold, PartialChunk::Auto, PartialChunk::Drop][index % 3];
        let chunks = chunks(samples, alpha, partial);
        // One window over the whole acquisition, which repeats the last sample where the chunk does.
        let [clip, _] = compiled(seed, alpha, chunks);
        let clip = engine(runtime, &clip, 1);
        let frames = samples.min(chunks * alpha);
        let (expected, stats) =
            acquire(&mut stream(&clip, AT_ONCE, PartialChunk::Auto), AT_ONCE, seed, 0..frames);
        assert_eq!((stats.chunks, expected.chunks), (1, 1), "one window");
        let mut same: Option<ViewResult> = None;
        let pauses = seed * 31 + index as u32 + 1;
        for (engine, pace) in [
            (&engines[0], AT_ONCE),
            (&engines[0], Pace { drive: Drive::Park, ring_slots: 2, pauses }),
            (&engines[0], Pace { drive: Drive::Host, ring_slots: 5, pauses }),
            (&engines[1], Pace { drive: Drive::Poll, ring_slots: 16, pauses: pauses + 7 }),
        ] {
            let (found, stats) = acquire(&mut stream(engine, pace, partial), pace, seed, 0..samples);
            let what = format!("{runtime:?}, network {seed}, {samples} samples, {partial:?}, {pace:?}");
            assert_eq!((stats.samples, stats.skipped_chunks), (samples as u64, 0), "{what}");
            assert_eq!(found.chunks as usize, chunks, "{what}");
            let error = relative_error(&found.scores, &expected.scores);
            assert!(error <= TOLERANCE, "{what}: relative error {error:e}");
            worst = worst.max(error);
            // The pace changes nothing at all; another number of threads may.
            if std::ptr::eq(engine, &raw const engines[0]) {
                let first = same.get_or_insert_with(|| found.clone());
                assert_eq!(found.scores, first.scores, "{what}");
            }
        }
    }
    worst
}

fn compare_networks(runtime: Runtime) {
    let mut random = Xorshift(20_240_607);
    for (seed, alpha) in [(1, 4), (2, 2), (3, 8), (4, 4), (5, 16), (6, 3)] {
        let mut lengths = vec![1, alpha, 2 * alpha + 1, 3 * alpha - 1];
        lengths.extend((0..2).map(|_| 1 + random.next() as usize % 200));
        lengths.push(if seed == 1 { 2000 } else { 1 + random.next() as usize % 2000 });
        let worst = compare(runtime, seed, alpha, &lengths);
        println!("{runtime:?}, network {seed}, alpha {alpha}, samples {lengths:?}: {worst:.1e}");
    }
}

#[test]
fn streams_say_what_the_clip_graph_says_of_the_whole_acquisition_in_the_embedded_runtime() {
    compare_networks(Runtime::Embedded);
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn streams_say_what_the_clip_graph_says_of_the_whole_acquisition_in_onnx_runtime() {
    compare_networks(Runtime::OnnxRuntime);
}

/// The exact form of a query against the clip graph over the samples of the interval alone.
fn compare_exact(runtime: Runtime) -> f64 {
    let (seed, alpha, samples) = (7, 4, 180);
    let [_, step] = compiled(seed, alpha, 2);
    let engine = engine(runtime, &step, 1);
    let mut streaming = stream(&engine, AT_ONCE, PartialChunk::Hold);
    acquire(&mut streaming, AT_ONCE, seed, 0..samples);
    let reader = streaming.reader();
    let (mut exact, mut plain) = (reader.result(), reader.result());
    let mut worst = 0.0f64;
    for interval in [100..180, 83..84, 91..98, 121..177] {
        let [clip, _] = compiled(seed, alpha, interval.len().div_ceil(alpha));
        let clip = self::engine(runtime, &clip, 1);
        let mut alone = stream(&clip, AT_ONCE, PartialChunk::Auto);
        let (expected, _) = acquire(&mut alone, AT_ONCE, seed, interval.clone());
        let (from, to) = (interval.start as i64 * INTERVAL_NS, (interval.end - 1) as i64 * INTERVAL_NS);
        assert_eq!(reader.query_exact(from, to, Duration::from_secs(60), &mut exact), Status::Ok);
        let error = relative_error(&exact.scores, &expected.scores);
        assert!(error <= TOLERANCE, "{runtime:?}, samples {interval:?}: relative error {error:e}");
        worst = worst.max(error);
        if interval.len() > 2 * alpha {
            // The plain form has the samples before the interval in its look-back.
            assert_eq!(reader.query(from, to, Duration::ZERO, &mut plain), Status::Ok);
            assert!(relative_error(&plain.scores, &expected.scores) > 10.0 * TOLERANCE);
        }
    }
    worst
}

#[test]
fn exact_queries_say_what_the_clip_graph_says_of_the_interval_in_the_embedded_runtime() {
    println!("exact, embedded: {:.1e}", compare_exact(Runtime::Embedded));
}

#[test]
#[ignore = "needs ONNX Runtime, cargo xtask test runs it"]
fn exact_queries_say_what_the_clip_graph_says_of_the_interval_in_onnx_runtime() {
    println!("exact, ONNX Runtime: {:.1e}", compare_exact(Runtime::OnnxRuntime));
}

/// The comparison would pass if the network did not listen; it does.
#[test]
fn another_cine_or_another_length_is_another_answer() {
    let [_, step] = compiled(1, 4, 2);
    let engine = engine(Runtime::Embedded, &step, 1);
    let mut stream = stream(&engine, AT_ONCE, PartialChunk::Hold);
    let mut scores = |cine, frames| acquire(&mut stream, AT_ONCE, cine, 0..frames).0.scores;
    let whole = scores(1, 101);
    for other in [scores(2, 101), scores(1, 100), scores(1, 97)] {
        let error = relative_error(&other, &whole);
        assert!(error > 10.0 * TOLERANCE, "only {error:e} apart");
    }
    assert_eq!(scores(1, 101), whole);
}
