//! Queries of a past interval against one step of the network: the plain form must cost next to nothing, the exact
//! form costs the steps it runs.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tteview::bench_api::Network;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, Reader, Status, Stream, StreamConfig};

const STEP_NS: i64 = 33_333_333;
/// What is kept: a minute.
const FRAMES: i64 = 1800;
/// Samples of a chunk of the stand-in.
const ALPHA: i64 = 4;

/// A minute of frames through a stream, which keeps what it says and its samples.
fn filled(engine: &Engine) -> Stream {
    let geometry = Geometry::whole(PixelFormat::Gray8, 128, 128);
    let config = StreamConfig {
        ring_slots: 64,
        max_width_px: 128,
        max_height_px: 128,
        max_frame_bytes: geometry.frame_bytes(),
        exact_history_ns: 3_000_000_000,
        ..StreamConfig::default()
    };
    let mut stream = Stream::new(engine, &config).unwrap();
    let id = stream.begin().unwrap();
    for frame in 0..FRAMES {
        let pixels: Vec<u8> =
            (0..geometry.frame_bytes() as i64).map(|i| (i * 31 + frame * 7) as u8).collect();
        while stream.room() == 0 {
            std::thread::yield_now();
        }
        let frame = FrameView::packed(geometry, &pixels, frame * STEP_NS).unwrap();
        assert_eq!(stream.push(&frame), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    let reader = stream.reader();
    assert_eq!(reader.wait(id, Duration::from_secs(60), &mut reader.result()), Status::Ok);
    stream
}

/// Time of a query of the last `samples` samples, which lie in whole chunks.
fn query(reader: &Reader, samples: i64, exact: bool) -> Duration {
    let (from, to) = ((FRAMES - samples) * STEP_NS, FRAMES * STEP_NS);
    let mut result = reader.result();
    let time = compare::time(|| {
        let status = if exact {
            reader.query_exact(from, to, Duration::MAX, &mut result)
        } else {
            reader.query(from, to, Duration::ZERO, &mut result)
        };
        assert_eq!(status, Status::Ok);
    });
    assert_eq!(i64::from(result.chunks), samples / ALPHA);
    time
}

fn queries(criterion: &mut Criterion) {
    let package = include_bytes!("../models/standin.stream.onnx").to_vec();
    let engine =
        Engine::new(ModelPackage::from_bytes(package, None).unwrap(), &EngineConfig::default()).unwrap();
    let reader = filled(&engine).reader();
    let mut network = Network::new(&engine).unwrap();
    for (what, samples) in [("2 s", 60), ("60 s", FRAMES)] {
        let mut ours = || query(&reader, samples, false);
        let mut step = || compare::time(|| network.run().unwrap());
        let what = format!("plain query of {what}");
        compare::compare(criterion, &what, 1, &mut ours, ("one step", &mut step), Some(0.01));
    }
    let mut ours = || query(&reader, 60, true);
    let mut steps = || compare::time(|| (0..60 / ALPHA).for_each(|_| network.run().unwrap()));
    compare::compare(criterion, "exact query of 2 s", 1, &mut ours, ("its 15 steps", &mut steps), None);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = queries
}
criterion_main!(benches);
