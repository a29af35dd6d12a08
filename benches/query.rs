//! Benchmarks of queries, compared with steps of the network. A plain query must take at most 1% of
//! the time of one step. An exact query is compared with the steps that it runs.

mod compare;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tteview::bench_api::Network;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Engine, EngineConfig, ModelPackage, Reader, Stream, StreamConfig};

const PERIOD_NS: i64 = 33_333_333;
/// Number of frames in a minute, which is the default length of the history.
const FRAMES: i64 = 1800;
/// Number of samples in a chunk of the test model.
const ALPHA: i64 = 4;

/// Acquires a minute of frames with a stream that keeps its outputs and samples.
fn acquire_minute(engine: &Engine) -> Stream {
    let geometry = Geometry::new(PixelFormat::Gray8, 128, 128).unwrap();
    let config = StreamConfig {
        ring_slots: 64,
        max_width_px: 128,
        max_height_px: 128,
        max_frame_bytes: geometry.frame_bytes(),
        exact_history_ns: 3_000_000_000,
        ..StreamConfig::default()
    };
    let mut stream = Stream::open(engine, &config).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    for index in 0..FRAMES {
        let value = |i: usize| (i as i64 * 31 + index * 7) as u8;
        let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(value).collect();
        while stream.acquirer.free_slots() == 0 {
            std::thread::yield_now();
        }
        let frame = FrameView::new(geometry, &pixels).unwrap().with_time_ns(index * PERIOD_NS);
        stream.acquirer.push(&frame).unwrap();
    }
    stream.acquirer.end().unwrap();
    stream.reader.wait(acquisition, Duration::from_secs(60), &mut []).unwrap();
    stream
}

/// Measures a query of the last `samples` samples. This number must be a multiple of [`ALPHA`].
fn time_query(reader: &Reader, samples: i64, is_exact: bool) -> Duration {
    let (from, to) = ((FRAMES - samples) * PERIOD_NS, FRAMES * PERIOD_NS);
    let mut scores = vec![0.0; reader.label_count()];
    let mut chunks = 0;
    let time = compare::time(|| {
        let answer = if is_exact {
            reader.query_exact(from, to, Duration::MAX, &mut scores)
        } else {
            reader.query(from, to, Duration::ZERO, &mut scores)
        };
        chunks = answer.unwrap().result.chunks;
    });
    assert_eq!(i64::from(chunks), samples / ALPHA);
    time
}

fn bench_queries(criterion: &mut Criterion) {
    let package = include_bytes!("../models/standin.stream.onnx").to_vec();
    let package = ModelPackage::from_bytes(package, None).unwrap();
    let engine = Engine::new(package, &EngineConfig::default()).unwrap();
    let stream = acquire_minute(&engine);
    let reader = &stream.reader;
    let mut network = Network::new(&engine).unwrap();
    for (what, samples) in [("2 s", 60), ("60 s", FRAMES)] {
        let mut ours = || time_query(reader, samples, false);
        let mut step = || compare::time(|| network.run().unwrap());
        let what = format!("plain query of {what}");
        compare::compare(criterion, &what, 1, &mut ours, ("one step", &mut step), Some(0.01));
    }
    let mut ours = || time_query(reader, 60, true);
    let mut steps = || compare::time(|| (0..60 / ALPHA).for_each(|_| network.run().unwrap()));
    compare::compare(
        criterion,
        "exact query of 2 s",
        1,
        &mut ours,
        ("its 15 steps", &mut steps),
        None,
    );
}

criterion_group! {
    name = benches;
    config = compare::create_criterion();
    targets = bench_queries
}
criterion_main!(benches);
