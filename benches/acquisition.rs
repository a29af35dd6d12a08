//! Benchmarks of the network alone, of a whole acquisition, and of the time from the end of an
//! acquisition to its label.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tteview::bench_api::{self, Network};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Engine, EngineConfig, ModelPackage, Stream, StreamConfig, ViewResult};

/// Number of frames in an acquisition of 2 s at 30 frames per second.
const FRAMES: u32 = 60;
const PERIOD_NS: i64 = 33_333_333;
const TIMEOUT: Duration = Duration::from_secs(60);

fn create_engine(package: &[u8]) -> Engine {
    let package = ModelPackage::from_bytes(package.to_vec(), None).unwrap();
    Engine::new(package, &EngineConfig::default()).unwrap()
}

fn bench_network(criterion: &mut Criterion, engine: &Engine) {
    let mut network = Network::new(engine).unwrap();
    let mut ours = || compare::time(|| network.run().unwrap());
    compare::measure(criterion, "rten, one step of the test model", 1, &mut ours);
    // The reset is measured, too, because a stream resets the states at the start of each segment.
    let mut ours = || {
        network.run().unwrap();
        compare::time(|| network.reset().unwrap())
    };
    compare::measure(criterion, "rten, initial states of the test model", 1, &mut ours);
}

/// Measures the computation of the label from the mean of the logits.
fn bench_head(criterion: &mut Criterion, engine: &Engine) {
    let spec = engine.spec();
    let logits: Vec<f32> = (0..spec.labels.len()).map(|label| label as f32 * 0.1).collect();
    let mut scores = logits.clone();
    let mut result = bench_api::create_result();
    let mut ours = || {
        scores.copy_from_slice(&logits);
        compare::time(|| {
            bench_api::apply_head(std::hint::black_box(&mut scores), spec, &mut result)
        })
    };
    compare::measure(criterion, "head, posterior and label", 1, &mut ours);
}

fn create_geometry(width_px: u32, height_px: u32) -> Geometry {
    Geometry::new(PixelFormat::Gray8, width_px, height_px).unwrap()
}

fn open_stream(engine: &Engine, geometry: Geometry) -> Stream {
    let config = StreamConfig {
        // The worker releases the last slots of an acquisition only after it has published the
        // label. The next acquisition may begin before that, so the ring has slots for two
        // acquisitions.
        ring_slots: 2 * FRAMES as usize,
        max_width_px: geometry.width_px(),
        max_height_px: geometry.height_px(),
        max_frame_bytes: geometry.frame_bytes(),
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

/// Begins an acquisition and pushes `frames` frames. The caller must end the acquisition.
fn push_frames(stream: &mut Stream, geometry: Geometry, pixels: &[u8], frames: u32) -> u64 {
    let acquisition = stream.acquirer.begin().unwrap();
    let frame = FrameView::new(geometry, pixels).unwrap();
    for index in 0..i64::from(frames) {
        stream.acquirer.push(&frame.with_time_ns(index * PERIOD_NS)).unwrap();
    }
    acquisition
}

/// Measures whole acquisitions. Frames are pushed without pauses into a ring that holds them all.
fn bench_acquisition(criterion: &mut Criterion, engine: &Engine) {
    let geometry = create_geometry(800, 600);
    let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect();
    let mut stream = open_stream(engine, geometry);
    let mut scores = vec![0.0; stream.reader.label_count()];
    let mut ours = || {
        compare::time(|| {
            let acquisition = push_frames(&mut stream, geometry, &pixels, FRAMES);
            stream.acquirer.end().unwrap();
            let result = stream.reader.wait(acquisition, TIMEOUT, &mut scores).unwrap();
            assert_eq!(result.frames_used, u64::from(FRAMES));
        })
    };
    compare::measure(criterion, "acquisition, one of 60 frames of 800x600", FRAMES, &mut ours);
}

/// Measures the time from the end of an acquisition to its label, for a worker that has kept up
/// with the frames. A chunk has four samples, so nothing is left to compute after 60 frames, and
/// one step is left after 59.
fn bench_label(criterion: &mut Criterion, engine: &Engine, clip: &Engine) {
    let geometry = create_geometry(128, 128);
    let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect();
    for (what, frames) in [("nothing left", FRAMES), ("a step left", FRAMES - 1)] {
        let mut stream = open_stream(engine, geometry);
        let mut scores = vec![0.0; stream.reader.label_count()];
        let mut ours = || {
            let samples = stream.reader.stats().samples;
            let acquisition = push_frames(&mut stream, geometry, &pixels, frames);
            while stream.reader.stats().samples < samples + u64::from(frames) {
                std::thread::yield_now();
            }
            // The last sample may complete a chunk. The step for that chunk is not part of the
            // latency, so wait for its result before the measurement starts.
            let is_current = |result: &ViewResult| {
                result.acquisition == acquisition && result.chunks >= frames / 4
            };
            while !stream.reader.poll(&mut scores).is_ok_and(|result| is_current(&result)) {
                std::thread::yield_now();
            }
            compare::time(|| {
                stream.acquirer.end().unwrap();
                stream.reader.wait(acquisition, TIMEOUT, &mut scores).unwrap()
            })
        };
        let mut clip = Network::new(clip).unwrap();
        let mut one_clip = || compare::time(|| clip.run().unwrap());
        let what = format!("label latency, {what}");
        let other: (&str, compare::Timed<'_>) = ("one clip after the end", &mut one_clip);
        compare::compare(criterion, &what, 1, &mut ours, other, None);
    }
}

fn run_benches(criterion: &mut Criterion) {
    let engine = create_engine(include_bytes!("../models/standin.stream.onnx"));
    bench_network(criterion, &engine);
    bench_head(criterion, &engine);
    bench_acquisition(criterion, &engine);
    let clip = create_engine(include_bytes!("../models/standin.clip.onnx"));
    bench_label(criterion, &engine, &clip);
}

criterion_group! {
    name = benches;
    config = compare::create_criterion();
    targets = run_benches
}
criterion_main!(benches);
