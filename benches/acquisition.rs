//! The network alone, and a whole acquisition from begin to its label.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tteview::bench_api::Network;
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
}

/// Frames as fast as the worker takes them, so that only the work is timed and none is dropped.
fn whole(criterion: &mut Criterion, engine: &Engine) {
    let geometry = Geometry::whole(PixelFormat::Gray8, 800, 600);
    let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect();
    let config = StreamConfig {
        ring_slots: FRAMES as usize,
        max_width_px: 800,
        max_height_px: 600,
        max_frame_bytes: geometry.frame_bytes(),
        ..StreamConfig::default()
    };
    let mut stream = Stream::new(engine, &config).unwrap();
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

fn acquisition(criterion: &mut Criterion) {
    let engine = engine(include_bytes!("../models/standin.stream.onnx"));
    network(criterion, &engine);
    whole(criterion, &engine);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(5));
    targets = acquisition
}
criterion_main!(benches);
