//! Tests of plain and exact queries of a past interval.

use super::network::{
    BRIGHT, DARK, INTERVAL_NS, Labelled, Network, acquire, acquire_once, config, push, wait,
};
use crate::engine::Engine;
use crate::engine::scheduler::{Lane, Turns};
use crate::error::{Result, Status};
use crate::model::Mode;
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::config::StreamConfig;
use crate::stream::history::Coverage::{self, Complete, Partial};
use crate::stream::reader::Reader;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const SECOND_NS: i64 = 1_000_000_000;

fn with_exact_history(span_ns: i64) -> StreamConfig {
    StreamConfig { exact_history_ns: span_ns, ..config() }
}

type Answer = Result<(Coverage, Labelled), Status>;

fn query(
    reader: &Reader,
    samples: RangeInclusive<i64>,
    is_exact: bool,
    timeout: Duration,
) -> Answer {
    let (from, to) = (samples.start() * INTERVAL_NS, samples.end() * INTERVAL_NS);
    let mut scores = vec![0.0; reader.label_count()];
    let answer = if is_exact {
        reader.query_exact(from, to, timeout, &mut scores)
    } else {
        reader.query(from, to, timeout, &mut scores)
    };
    answer.map(|answer| (answer.coverage, Labelled { result: answer.result, scores }))
}

fn query_exact(reader: &Reader, samples: RangeInclusive<i64>, timeout: Duration) -> Answer {
    query(reader, samples, true, timeout)
}

fn status_of(answer: Answer) -> Result<Coverage, Status> {
    answer.map(|(coverage, _)| coverage)
}

/// Acquires only the samples in a range.
fn acquire_alone(engine: &Engine, samples: RangeInclusive<i64>) -> Labelled {
    acquire_once(engine, &config(), samples.map(|sample| (sample, grey(sample))))
}

fn push_all(acquirer: &mut Acquirer, samples: Range<i64>) {
    samples.for_each(|sample| assert_eq!(push(acquirer, sample, grey(sample)), Ok(())));
}

#[track_caller]
fn assert_same(found: &Labelled, expected: &Labelled) {
    assert_eq!((found.label, &found.scores), (expected.label, &expected.scores));
    assert_eq!((found.chunks, found.margin), (expected.chunks, expected.margin));
    let times = |result: &Labelled| (result.first_time_ns, result.last_time_ns);
    assert_eq!(times(found), times(expected));
}

fn grey(sample: i64) -> u8 {
    (sample * sample * 7 % 251) as u8
}

#[test]
fn exact_query_of_a_future_interval_skips_the_samples_before_it() {
    let engine = Network::default().engine();
    let alone = acquire_alone(&engine, 40..=59);
    for _ in 0..10 {
        let Stream { mut acquirer, reader, .. } =
            Stream::open(&engine, &with_exact_history(2 * SECOND_NS)).unwrap();
        acquirer.begin().unwrap();
        push_all(&mut acquirer, 0..10);
        while reader.stats().samples < 5 {
            std::thread::yield_now();
        }
        let (starting, started) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                starting.send(()).unwrap();
                query_exact(&reader, 40..=59, LONG)
            });
            started.recv().unwrap();
            push_all(&mut acquirer, 10..70);
            let (coverage, found) = asking.join().unwrap().unwrap();
            assert_eq!(coverage, Complete);
            assert_same(&found, &alone);
        });
    }
}

#[test]
fn only_the_exact_form_forgets_the_view_before_the_interval() {
    let engine = Network::with_memory(Mode::Stream, 0.95).engine();
    let mut stream = Stream::open(&engine, &with_exact_history(2 * SECOND_NS)).unwrap();
    // The view changes just before the interval.
    let frames = (0..100).map(|sample| (sample, if sample < 80 { DARK } else { BRIGHT }));
    acquire(&mut stream, frames.clone());
    let (coverage, plain) = query(&stream.reader, 80..=99, false, Duration::ZERO).unwrap();
    assert_eq!((coverage, plain.label), (Complete, Some(0)), "the look-back reaches the dark view");
    let (coverage, exact) = query_exact(&stream.reader, 80..=99, LONG).unwrap();
    assert_eq!((coverage, exact.label), (Complete, Some(1)));
    assert_same(&exact, &acquire_once(&engine, &config(), frames.skip(80)));
}

#[test]
fn the_exact_form_equals_an_acquisition_of_the_interval() {
    for mode in [Mode::Stream, Mode::Window] {
        let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
        let engine = Network::with_memory(mode, memory).engine();
        let mut stream = Stream::open(&engine, &with_exact_history(2 * SECOND_NS)).unwrap();
        acquire(&mut stream, (0..150).map(|sample| (sample, grey(sample))));
        for interval in [0..=149, 3..=3, 3..=5, 10..=29, 17..=80, 100..=149, 149..=149] {
            let (coverage, exact) = query_exact(&stream.reader, interval.clone(), LONG).unwrap();
            assert_eq!(coverage, Complete, "{interval:?}");
            assert_same(&exact, &acquire_alone(&engine, interval));
        }
    }
}

#[test]
fn the_exact_form_restarts_at_gaps_and_changes() {
    let network = Network::default();
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let Stream { mut acquirer, reader, .. } =
        Stream::open(&engine, &with_exact_history(3 * SECOND_NS)).unwrap();
    let acquisition = acquirer.begin().unwrap();
    // There is a gap after sample 21, and a change before sample 70.
    push_all(&mut acquirer, 0..22);
    push_all(&mut acquirer, 60..70);
    assert_eq!(acquirer.mark(), Ok(()));
    push_all(&mut acquirer, 70..90);
    assert_eq!(acquirer.end(), Ok(()));
    wait(&reader, acquisition);
    runs.lock().clear();
    let (coverage, exact) = query_exact(&reader, 10..=89, LONG).unwrap();
    assert_eq!(coverage, Complete);
    let runs = runs.lock().clone();
    let first: Vec<(u8, bool)> = runs.iter().map(|run| (run.greys[0], run.is_fresh)).collect();
    let fresh = [10, 60, 70];
    let expected = [10, 14, 18, 60, 64, 68, 70, 74, 78, 82, 86];
    let expected: Vec<_> = expected.map(|sample| (grey(sample), fresh.contains(&sample))).into();
    assert_eq!(first, expected, "each segment begins with the initial state");
    // The last chunk before the change has two samples. It is completed, because it is half full.
    assert_eq!(runs[5].greys, [68, 69, 69, 69].map(grey));
    assert_eq!(exact.chunks, 11);
    assert_eq!((exact.first_time_ns, exact.last_time_ns), (10 * INTERVAL_NS, 89 * INTERVAL_NS));
}

#[test]
fn exact_queries_are_unsupported_without_exact_history() {
    let engine = Network::default().engine();
    let mut stream = Stream::open(&engine, &config()).unwrap();
    acquire(&mut stream, (0..8).map(|sample| (sample, DARK)));
    assert_eq!(status_of(query_exact(&stream.reader, 0..=7, LONG)), Err(Status::Unsupported));
    for wrong in [-1, 3601 * SECOND_NS] {
        let error = Stream::open(&engine, &with_exact_history(wrong)).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
}

#[test]
fn forgotten_missing_and_late_samples_have_their_status() {
    let engine = Network::default().engine();
    let mut stream = Stream::open(&engine, &with_exact_history(40 * INTERVAL_NS)).unwrap();
    acquire(&mut stream, (0..100).map(|sample| (sample, grey(sample))));
    let Stream { mut acquirer, reader, .. } = stream;
    // The stream keeps the last 42 samples, which are samples 58 to 99.
    let (coverage, kept) = query_exact(&reader, 58..=99, LONG).unwrap();
    assert_eq!(coverage, Complete);
    let (coverage, found) = query_exact(&reader, 57..=99, LONG).unwrap();
    assert_eq!((coverage, found.first_time_ns), (Partial, 58 * INTERVAL_NS));
    assert_same(&found, &kept);
    assert_eq!(status_of(query_exact(&reader, 10..=20, LONG)), Err(Status::Empty));
    assert_eq!(status_of(query_exact(&reader, 100..=200, LONG)), Err(Status::Empty));
    let after_the_end = status_of(query_exact(&reader, 90..=200, LONG));
    assert_eq!(after_the_end, Ok(Complete), "the acquisition has ended, so nothing can follow");

    let acquisition = acquirer.begin().unwrap();
    push_all(&mut acquirer, 200..220);
    while reader.stats().samples < 120 {
        std::thread::yield_now();
    }
    let (coverage, found) = query_exact(&reader, 200..=230, Duration::from_millis(20)).unwrap();
    assert_eq!((coverage, found.last_time_ns), (Partial, 219 * INTERVAL_NS));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| query_exact(&reader, 200..=230, LONG));
        push_all(&mut acquirer, 220..235);
        let (coverage, found) = waiting.join().unwrap().unwrap();
        assert_eq!((coverage, found.last_time_ns), (Complete, 230 * INTERVAL_NS));
        assert_same(&found, &acquire_alone(&engine, 200..=230));
    });
    assert_eq!(acquirer.end(), Ok(()));
    wait(&reader, acquisition);
    let timed_out = Err(Status::TimedOut);
    {
        // A live stream that never stops running the network leaves no time for an exact query.
        let never = AtomicBool::new(false);
        let _permit = engine.scheduler().acquire_live(Lane::Fast, &Turns::default(), &never);
        let answer = query_exact(&reader, 200..=230, Duration::from_millis(20));
        assert_eq!(status_of(answer), timed_out);
    }
    assert_eq!(status_of(query_exact(&reader, 200..=230, Duration::ZERO)), timed_out);
    assert_eq!(
        status_of(query_exact(&reader, 200..=230, LONG)),
        Ok(Complete),
        "the next query works"
    );
}

#[test]
fn exact_queries_are_right_while_frames_arrive() {
    const ANSWERS: usize = 12;
    let engine = Network::default().engine();
    let Stream { mut acquirer, reader, .. } =
        Stream::open(&engine, &with_exact_history(SECOND_NS)).unwrap();
    let (done, complete) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = |first: i64| {
        let (mut answers, mut number) = (Vec::new(), first);
        while !done.load(Relaxed) {
            let decided = reader.stats().samples as i64;
            let from = (decided - 60 + 7 * number % 50).max(0);
            let to = (from + 13 * number % 40).min(decided - 1);
            number += 2;
            if to < from {
                continue;
            }
            match query_exact(&reader, from..=to, LONG) {
                Ok((Complete, found)) => {
                    complete.fetch_add(1, Relaxed);
                    answers.push((from..=to, found));
                }
                // The stream overwrote samples of the interval before the query had read them.
                Ok((Partial, _)) | Err(Status::Empty) => {}
                Err(status) => panic!("{from}..={to}: {status}"),
            }
        }
        answers
    };
    let answers = std::thread::scope(|scope| {
        let askers = [0, 1].map(|first| scope.spawn(move || ask(first)));
        acquirer.begin().unwrap();
        for sample in 0..100_000 {
            if sample >= 1000 {
                if complete.load(Relaxed) >= ANSWERS {
                    break;
                }
                // The samples were overwritten too fast. A slower stream leaves the queries time.
                std::thread::sleep(Duration::from_millis(1));
            }
            while acquirer.free_slots() == 0 {
                std::thread::yield_now();
            }
            assert_eq!(push(&mut acquirer, sample, grey(sample)), Ok(()));
        }
        done.store(true, Relaxed);
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(answers.len() >= ANSWERS, "{} answers were complete", answers.len());
    for (interval, found) in answers.into_iter().take(50) {
        assert_same(&found, &acquire_alone(&engine, interval));
    }
}

#[test]
fn a_plain_query_waits_through_a_gap() {
    let engine = Network::default().engine();
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config()).unwrap();
    acquirer.begin().unwrap();
    push_all(&mut acquirer, 0..8);
    // A query waits only if the worker has already processed a sample, so wait until the network
    // has run on a chunk.
    while reader.stats().chunks == 0 {
        std::thread::yield_now();
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| query(&reader, 0..=111, false, LONG));
        push_all(&mut acquirer, 100..114);
        let (coverage, found) = waiting.join().unwrap().unwrap();
        assert_eq!((coverage, found.chunks), (Complete, 5));
        assert_eq!(found.last_time_ns, 111 * INTERVAL_NS);
    });
    assert_eq!(acquirer.end(), Ok(()));
}

#[test]
fn a_plain_query_waits_for_the_window_in_its_interval() {
    let engine = Network::with_memory(Mode::Window, 0.0).engine();
    let config = StreamConfig { window_hop_samples: 12, ..config() };
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config).unwrap();
    acquirer.begin().unwrap();
    // A clip has 16 samples, so the windows end at the samples 15, 27 and 39.
    push_all(&mut acquirer, 0..20);
    let waits = |last| {
        let (start, timeout) = (Instant::now(), Duration::from_millis(20));
        let _ = query(&reader, 0..=last, false, timeout);
        start.elapsed() >= timeout
    };
    // The worker needs some time until it expects the second window.
    let start = Instant::now();
    while reader.stats().chunks == 0 || waits(26) {
        assert!(start.elapsed() < LONG, "a query waits for a window after its interval");
    }
    assert!(waits(27), "a query does not wait for the window that ends with its interval");
    assert_eq!(acquirer.end(), Ok(()));
}

#[test]
fn memory_grows_with_the_samples_that_are_kept() {
    let engine = Network::default().engine();
    let bytes = |span_ns| Stream::memory_bytes(&engine, &with_exact_history(span_ns)).unwrap();
    let long = bytes(2000 * INTERVAL_NS) - bytes(1000 * INTERVAL_NS);
    let sample = size_of::<f32>();
    assert!((1000 * sample..1000 * (sample + 100)).contains(&long), "{long}");
}
