//! The time from the end of an acquisition to its label, compared with one run of the clip package,
//! which could start only after the end.
//!
//! Frames arrive in real time, one for each sample, and the acquisition ends at once after the last
//! frame. So the work that is left always includes the last frame. `tteview bench latency` measures
//! ends that are spread evenly over time instead.

use crate::acquisition::{TIMEOUT, create_pixels, open_stream};
use crate::compare::{self, Bench, Timed};
use crate::settings::{Provider, Settings};
use criterion::Criterion;
use std::time::{Duration, Instant};
use tteview::bench_api::Network;
use tteview::frame::FrameView;

/// Number of whole chunks before the chunk in which the acquisition ends.
const CHUNKS: usize = 2;

/// Number of slots of the ring, which no acquisition fills because the frames arrive in real time.
const SLOTS: u32 = 16;

/// Measures the label latency of acquisitions whose last chunk has 1, 2, ... or all samples.
pub(crate) fn bench_latency(criterion: &mut Criterion, settings: &Settings) {
    let alpha = settings.spec.alpha;
    let mut group = criterion.benchmark_group("label latency");
    compare::make_few_calls(&mut group);
    for provider in &settings.providers {
        for samples in 1..=alpha {
            let name = format!("{}, {samples} of {alpha} samples", provider.name);
            let bench = Bench { group: "label latency", name: &name, each: 1 };
            if settings.has_clip() {
                compare::compare(&mut group, bench, "one clip", None, || {
                    (time_label(settings, provider, samples), time_clip(settings, provider))
                });
            } else {
                compare::measure(&mut group, bench, || time_label(settings, provider, samples));
            }
        }
    }
    group.finish();
}

/// Returns a function that runs an acquisition with `samples` samples in its last chunk, and
/// measures the time from its end to its label.
fn time_label<'a>(settings: &Settings, provider: &Provider, samples: usize) -> Timed<'a> {
    let geometry = settings.frame_geometry();
    let engine = settings.create_engine(provider);
    let interval = Duration::from_nanos(settings.spec.sample_interval_ns.unsigned_abs());
    let frames = CHUNKS * settings.spec.alpha + samples;
    let pixels = create_pixels(geometry);
    let mut stream = open_stream(&engine, geometry, SLOTS);
    let mut scores = vec![0.0; stream.reader.label_count()];
    Box::new(move || {
        let acquisition = stream.acquirer.begin().unwrap();
        let start = Instant::now();
        for index in 0..frames as u32 {
            std::thread::sleep(
                (start + interval * index).saturating_duration_since(Instant::now()),
            );
            let time_ns = (interval * index).as_nanos() as i64;
            let frame = FrameView::new(geometry, &pixels).unwrap().with_time_ns(time_ns);
            stream.acquirer.push(&frame).unwrap();
        }
        compare::time(|| {
            stream.acquirer.end().unwrap();
            stream.reader.wait(acquisition, TIMEOUT, &mut scores).unwrap()
        })
    })
}

/// Returns a function that measures one run of the clip package.
fn time_clip<'a>(settings: &Settings, provider: &Provider) -> Timed<'a> {
    let engine = settings.create_clip_engine(provider).expect("a clip package");
    let mut clip = Network::new(&engine).unwrap();
    Box::new(move || compare::time(|| clip.run().unwrap()))
}
