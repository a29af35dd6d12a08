//! Queries, compared with the runs of the network. A plain query must take at most 1 % of the time
//! that a chunk takes. An exact query is compared with the chunks that it runs.

use crate::acquisition::TIMEOUT;
use crate::compare::{self, Bench, Timed};
use crate::settings::{Provider, Settings, create_geometry};
use criterion::Criterion;
use std::cell::RefCell;
use std::time::Duration;
use tteview::bench_api::{self, Network};
use tteview::frame::{FrameView, PixelFormat};
use tteview::{Engine, Reader, Stream, StreamConfig};

/// Length of the acquisition, which is the default length of the history.
const ACQUISITION_NS: i64 = 60_000_000_000;
/// Length of an exact query and of the short plain query.
const SHORT_NS: i64 = 2_000_000_000;

/// A stream with one acquisition, and the network to compare with.
struct Acquired {
    stream: Stream,
    chunk: Chunk,
    end_ns: i64,
    chunk_ns: i64,
}

/// The runs of a chunk: one step or, with frame steps, a fast run for each sample and a slow run.
struct Chunk(Vec<(Network, usize)>);

impl Chunk {
    fn new(engine: &Engine) -> Self {
        let names = bench_api::part_names(engine.spec());
        let runs = |name: &str| if name == "fast run" { engine.spec().alpha } else { 1 };
        let parts = Network::parts(engine).unwrap();
        Self(parts.into_iter().zip(names).map(|(part, name)| (part, runs(name))).collect())
    }

    fn run(&mut self) {
        for (part, runs) in &mut self.0 {
            (0..*runs).for_each(|_| part.run().unwrap());
        }
    }
}

/// Acquires with a stream that keeps its outputs and samples.
fn acquire(settings: &Settings, provider: &Provider) -> Acquired {
    let engine = settings.create_engine(provider);
    let spec = &settings.spec;
    let chunk_ns = spec.sample_interval_ns * spec.alpha as i64;
    let chunks = ACQUISITION_NS / chunk_ns;
    let geometry = create_geometry(PixelFormat::Gray8, 128, 128);
    let config = StreamConfig {
        ring_slots: 64,
        max_width_px: 128,
        max_height_px: 128,
        max_frame_bytes: geometry.frame_bytes(),
        exact_history_ns: 2 * SHORT_NS,
        ..StreamConfig::default()
    };
    let mut stream = Stream::open(&engine, &config).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    for index in 0..chunks * spec.alpha as i64 {
        let value = |i: usize| (i as i64 * 31 + index * 7) as u8;
        let pixels: Vec<u8> = (0..geometry.frame_bytes()).map(value).collect();
        while stream.acquirer.free_slots() == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        let frame = FrameView::new(geometry, &pixels).unwrap();
        stream.acquirer.push(&frame.with_time_ns(index * spec.sample_interval_ns)).unwrap();
    }
    stream.acquirer.end().unwrap();
    stream.reader.wait(acquisition, TIMEOUT, &mut []).unwrap();
    Acquired { stream, chunk: Chunk::new(&engine), end_ns: chunks * chunk_ns, chunk_ns }
}

/// Measures a query of the last `chunks` chunks.
fn time_query(acquired: &Acquired, chunks: i64, is_exact: bool) -> Duration {
    let reader: &Reader = &acquired.stream.reader;
    let (from, to) = (acquired.end_ns - chunks * acquired.chunk_ns, acquired.end_ns);
    let mut scores = vec![0.0; reader.label_count()];
    let mut found = 0;
    let time = compare::time(|| {
        let answer = if is_exact {
            reader.query_exact(from, to, Duration::MAX, &mut scores)
        } else {
            reader.query(from, to, Duration::ZERO, &mut scores)
        };
        found = answer.unwrap().result.chunks;
    });
    assert_eq!(i64::from(found), chunks);
    time
}

/// Returns functions that measure a query of `chunks` chunks, and the same number of chunks or one
/// chunk.
fn compare_query(
    acquired: &RefCell<Option<Acquired>>,
    create: impl Fn() -> Acquired,
    chunks: i64,
    is_exact: bool,
) -> (Timed<'_>, Timed<'_>) {
    acquired.borrow_mut().get_or_insert_with(create);
    let ours = move || time_query(acquired.borrow().as_ref().unwrap(), chunks, is_exact);
    let runs = if is_exact { chunks } else { 1 };
    let other = move || {
        let mut acquired = acquired.borrow_mut();
        let chunk = &mut acquired.as_mut().unwrap().chunk;
        compare::time(|| (0..runs).for_each(|_| chunk.run()))
    };
    (Box::new(ours), Box::new(other))
}

/// Measures plain and exact queries.
pub(crate) fn bench_query(criterion: &mut Criterion, settings: &Settings) {
    let chunk_ns = settings.spec.sample_interval_ns * settings.spec.alpha as i64;
    let mut group = criterion.benchmark_group("query");
    group.sample_size(10);
    for provider in &settings.providers {
        let acquired = RefCell::new(None);
        for (kind, length_ns, is_exact) in [
            ("plain query of 2 s", SHORT_NS, false),
            ("plain query of 60 s", ACQUISITION_NS, false),
            ("exact query of 2 s", SHORT_NS, true),
        ] {
            let name = format!("{}, {kind}", provider.name);
            let (other, limit) =
                if is_exact { ("its chunks", None) } else { ("one chunk", Some(0.01)) };
            let bench = Bench { group: "query", name: &name, each: 1 };
            compare::compare(&mut group, bench, other, limit, || {
                let create = || acquire(settings, provider);
                compare_query(&acquired, create, length_ns / chunk_ns, is_exact)
            });
        }
    }
    group.finish();
}
