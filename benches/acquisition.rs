//! Whole acquisitions, whose frames are pushed without pauses into a ring that holds them all.

use crate::compare::{self, Bench};
use crate::settings::Settings;
use criterion::Criterion;
use std::time::Duration;
use tteview::frame::{FrameView, Geometry};
use tteview::{Engine, Stream, StreamConfig};

/// Number of frames in an acquisition. Each frame becomes one sample.
const FRAMES: u32 = 60;

/// The longest time that a bench waits for a label.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);

pub(crate) fn create_pixels(geometry: Geometry) -> Vec<u8> {
    (0..geometry.frame_bytes()).map(|i| (i * 31) as u8).collect()
}

/// Opens a stream whose ring holds `slots` frames.
pub(crate) fn open_stream(engine: &Engine, geometry: Geometry, slots: u32) -> Stream {
    let config = StreamConfig {
        ring_slots: slots as usize,
        max_width_px: geometry.width_px(),
        max_height_px: geometry.height_px(),
        max_frame_bytes: geometry.frame_bytes(),
        ..StreamConfig::default()
    };
    Stream::open(engine, &config).unwrap()
}

/// Measures the time of a frame in an acquisition, from `begin` to the label.
pub(crate) fn bench_acquisition(criterion: &mut Criterion, settings: &Settings) {
    let geometry = settings.frame_geometry();
    let interval_ns = settings.spec.sample_interval_ns;
    let mut group = criterion.benchmark_group("acquisition");
    compare::make_few_calls(&mut group);
    for provider in &settings.providers {
        let (width, height) = (geometry.width_px(), geometry.height_px());
        let name = format!("{}, a frame of {width}x{height}", provider.name);
        let bench = Bench { group: "acquisition", name: &name, each: FRAMES };
        compare::measure(&mut group, bench, || {
            let engine = settings.create_engine(provider);
            let pixels = create_pixels(geometry);
            // The worker releases the last slots of an acquisition only after it has published the
            // label. The next acquisition may begin before that, so the ring has slots for two.
            let mut stream = open_stream(&engine, geometry, 2 * FRAMES);
            let mut scores = vec![0.0; stream.reader.label_count()];
            Box::new(move || {
                compare::time(|| {
                    let acquisition = stream.acquirer.begin().unwrap();
                    let frame = FrameView::new(geometry, &pixels).unwrap();
                    for index in 0..i64::from(FRAMES) {
                        stream.acquirer.push(&frame.with_time_ns(index * interval_ns)).unwrap();
                    }
                    stream.acquirer.end().unwrap();
                    let result = stream.reader.wait(acquisition, TIMEOUT, &mut scores).unwrap();
                    assert_eq!(result.frames_used, u64::from(FRAMES));
                })
            })
        });
    }
    group.finish();
}
