//! Tests that live labels and queries use the preprocessing of the package.

use super::network::{INTERVAL_NS, Labelled, Network, SIDE, config, create_spec, wait};
use crate::engine::Engine;
use crate::frame::{FrameView, Geometry, PixelFormat, Region};
use crate::model::{Mode, ModelSpec, Resize, ResizeMethod};
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::config::StreamConfig;
use std::ops::Range;
use std::time::Duration;

/// Creates a network whose samples have 2 x 2 pixels, and whose two logits depend on all of them.
fn create_engine(method: ResizeMethod) -> Engine {
    let resize = Resize { method, antialias: true };
    let spec = ModelSpec { width_px: 2, height_px: 2, resize, ..create_spec(Mode::Stream, 2) };
    Network::new(spec, |_, fast, state, logits| {
        let sum: f32 = fast.iter().zip(1..).map(|(value, factor)| value * factor as f32).sum();
        for ((logit, state), seen) in logits.iter_mut().zip(state).zip([-sum, sum]) {
            *state = seen / 1e4 + 0.5 * *state;
            *logit = *state;
        }
    })
    .engine()
}

/// Pushes frames whose padded rows contain a ramp. The region is three times as wide as it is high.
fn push_ramps(acquirer: &mut Acquirer, samples: Range<i64>) {
    let region = Region { x_px: 1, y_px: 2, width_px: 30, height_px: 10 };
    let geometry =
        Geometry::new(PixelFormat::Gray8, SIDE, SIDE).unwrap().with_region(region).unwrap();
    let stride = SIDE as usize + 5;
    for sample in samples {
        let value = |at: usize| (at % stride * 7 + at / stride + sample as usize * 11) as u8;
        let pixels: Vec<u8> = (0..stride * SIDE as usize).map(value).collect();
        let frame = FrameView::with_strides(geometry, [&pixels, &[], &[]], [stride, 0, 0]).unwrap();
        acquirer.push(&frame.with_time_ns(sample * INTERVAL_NS)).unwrap();
    }
}

fn acquire_ramps(engine: &Engine, samples: Range<i64>) -> Labelled {
    let mut stream = Stream::open(engine, &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_ramps(&mut stream.acquirer, samples);
    stream.acquirer.end().unwrap();
    wait(&stream.reader, acquisition)
}

#[test]
fn an_exact_query_sees_the_samples_of_the_package() {
    let mut all = Vec::new();
    for method in [
        ResizeMethod::Letterbox,
        ResizeMethod::Stretch { width_px: 2, height_px: 2 },
        ResizeMethod::ShortSide { side_px: 3 },
    ] {
        let engine = create_engine(method);
        let alone = acquire_ramps(&engine, 40..60);
        let history = StreamConfig { exact_history_ns: 2_000_000_000, ..config() };
        let mut stream = Stream::open(&engine, &history).unwrap();
        let acquisition = stream.acquirer.begin().unwrap();
        push_ramps(&mut stream.acquirer, 0..100);
        stream.acquirer.end().unwrap();
        wait(&stream.reader, acquisition);
        let mut scores = vec![0.0; 2];
        let (from, to) = (40 * INTERVAL_NS, 59 * INTERVAL_NS);
        stream.reader.query_exact(from, to, Duration::from_secs(60), &mut scores).unwrap();
        assert_eq!(scores, alone.scores, "{method:?}");
        all.push(scores);
    }
    all.dedup();
    assert_eq!(all.len(), 3, "each method gives other samples: {all:?}");
}
