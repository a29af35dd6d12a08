//! The network alone, a whole acquisition from begin to its label, and the wait for the label after the end.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tteview::bench_api::{self, Network};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Status, Stream, StreamConfig};

/// Frames of an acquisition: 2 s at 30 a second.
const FRAMES: u32 = 60;
const STEP_NS: i64 = 33_333_333;

fn engine(package: &[u8]) -> Engine {
    let package = ModelPackage::from_bytes(package.to_vec(), None).unwrap();
    Engine::new(package, &EngineConfig::default()).unwrap()
}

fn network(criterion: &mut Criterion, engine: &Engine) {
    let mut network = Network::new(engine).unwrap();
    let mut ours = || compare::time(|| network.run().unwrap());
    compare::measure(criterion, "rten, one step of the stand-in", 1, &mut ours);
    // The two sets of states swap inside a step; a new segment also brings the initial ones back.
    let mut ours = || {
        network.run().unwrap();
        compare::time(|| network.reset().unwrap())
    };
    compare::measure(criterion, "rten, initial states of the stand-in", 1, &mut ours);
}

/// From the mean of the logits to the label.
fn head(criterion: &mut Criterion, engine: &Engine) {
    let spec = engine.spec();
    let logits: Vec<f32> = (0..spec.labels.len()).map(|label| label as f32 * 0.1).collect();
    let mut scores = logits.clone();
    let mut result = stream(engine, Geometry::whole(PixelFormat::Gray8, 64, 64)).reader().result();
    let mut ours = || {
        scores.copy_from_slice(&logits);
        compare::time(|| bench_api::head(std::hint::black_box(&mut scores), spec, &mut result))
    };
    compare::measure(criterion, "head, posterior and label", 1, &mut ours);
}

fn stream(engine: &Engine, geometry: Geometry) -> Stream {
    let config = StreamConfig {
        // The worker gives the last slots of an acquisition back just after its label is visible.
        ring_slots: 2 * FRAMES as usize,
        max_width_px: geometry.width_px,
        max_height_px: geometry.height_px,
        max_frame_bytes: geometry.frame_bytes(),
        ..StreamConfig::default()
    };
    Stream::new(engine, &config).unwrap()
}

/// Frames as fast as they can be pushed, so that only the work is timed; the ring holds them all.
fn whole(criterion: &mut Criterion, engine: &Engine) {
    let geometry = Geometry::whole(PixelFormat::Gray8, 800, 600);
    let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect();
    let mut stream = stream(engine, geometry);
    let reader = stream.reader();
    let mut result = reader.result();
    let mut ours = || {
        compare::time(|| {
            let id = stream.begin().unwrap();
            for frame in 0..i64::from(FRAMES) {
                let frame = FrameView::packed(geometry, &pixels, frame * STEP_NS).unwrap();
                assert_eq!(stream.push(&frame), Status::Ok);
            }
            assert_eq!(stream.end(), Status::Ok);
            assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
            assert_eq!(result.frames_used, u64::from(FRAMES));
        })
    };
    compare::measure(criterion, "acquisition, one of 60 frames of 800x600", FRAMES, &mut ours);
}

/// From the end to the label, when the worker has kept up with the frames. A chunk has four samples: after 60 nothing
/// is left to compute, after 59 a step is.
fn label(criterion: &mut Criterion, engine: &Engine, clip: &Engine) {
    let geometry = Geometry::whole(PixelFormat::Gray8, 128, 128);
    let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect();
    for (what, frames) in [("nothing left", FRAMES), ("a step left", FRAMES - 1)] {
        let mut stream = stream(engine, geometry);
        let reader = stream.reader();
        let mut result = reader.result();
        let mut ours = || {
            let samples = reader.stats().samples;
            let id = stream.begin().unwrap();
            for frame in 0..i64::from(frames) {
                let frame = FrameView::packed(geometry, &pixels, frame * STEP_NS).unwrap();
                assert_eq!(stream.push(&frame), Status::Ok);
            }
            while reader.stats().samples < samples + u64::from(frames) {
                std::thread::yield_now();
            }
            // The last sample may fill a chunk, whose step is not the wait for the label.
            while reader.poll(&mut result) != Status::Ok
                || result.acquisition != id
                || result.chunks < frames / 4
            {
                std::thread::yield_now();
            }
            compare::time(|| {
                assert_eq!(stream.end(), Status::Ok);
                assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
            })
        };
        let mut clip = Network::new(clip).unwrap();
        let mut one_shot = || compare::time(|| clip.run().unwrap());
        let what = format!("label latency, {what}");
        compare::compare(criterion, &what, 1, &mut ours, ("one clip after the end", &mut one_shot), None);
    }
}

fn acquisition(criterion: &mut Criterion) {
    let engine = engine(include_bytes!("../models/standin.stream.onnx"));
    network(criterion, &engine);
    head(criterion, &engine);
    whole(criterion, &engine);
    let clip = self::engine(include_bytes!("../models/standin.clip.onnx"));
    label(criterion, &engine, &clip);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = acquisition
}
criterion_main!(benches);
