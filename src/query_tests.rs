//! Queries of a past interval, plain and exact, through whole streams.

use crate::model::Mode;
use crate::test_network::{BRIGHT, CHUNK, DARK, INTERVAL_NS, Network, acquire, config, push};
use crate::{Engine, Reader, Status, Stream, StreamConfig, ViewResult};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SECOND_NS: i64 = 1_000_000_000;

fn keeping(span_ns: i64) -> StreamConfig {
    StreamConfig { exact_history_ns: span_ns, ..config() }
}

fn ask(
    reader: &Reader,
    samples: std::ops::RangeInclusive<i64>,
    exact: bool,
    timeout: Duration,
) -> (Status, ViewResult) {
    let mut result = reader.result();
    let (from, to) = (samples.start() * INTERVAL_NS, samples.end() * INTERVAL_NS);
    let status = if exact {
        reader.query_exact(from, to, timeout, &mut result)
    } else {
        reader.query(from, to, timeout, &mut result)
    };
    (status, result)
}

/// What an acquisition of these samples alone gives.
fn alone(engine: &Engine, samples: impl IntoIterator<Item = (i64, u8)>) -> ViewResult {
    acquire(&mut Stream::new(engine, &config()).unwrap(), samples)
}

#[track_caller]
fn assert_same(found: &ViewResult, expected: &ViewResult) {
    assert_eq!((found.label, &found.scores), (expected.label, &expected.scores));
    assert_eq!((found.chunks, found.margin), (expected.chunks, expected.margin));
    assert_eq!((found.first_time_ns, found.last_time_ns), (expected.first_time_ns, expected.last_time_ns));
}

fn grey(sample: i64) -> u8 {
    (sample * sample * 7 % 251) as u8
}

#[test]
fn after_a_view_switch_the_plain_form_still_hears_the_old_view_and_the_exact_form_does_not() {
    let engine = Network { memory: 0.95, ..Network::default() }.engine();
    let mut stream = Stream::new(&engine, &keeping(2 * SECOND_NS)).unwrap();
    // The probe moves just before the beats that are stored.
    let frames = (0..100).map(|sample| (sample, if sample < 80 { DARK } else { BRIGHT }));
    acquire(&mut stream, frames.clone());
    let (status, plain) = ask(&stream.reader(), 80..=99, false, Duration::ZERO);
    assert_eq!((status, plain.label), (Status::Ok, Some(0)), "the look-back reaches into the dark view");
    let (status, exact) = ask(&stream.reader(), 80..=99, true, LONG);
    assert_eq!((status, exact.label), (Status::Ok, Some(1)));
    assert_same(&exact, &alone(&engine, frames.skip(80)));
}

#[test]
fn the_exact_form_gives_what_an_acquisition_of_the_interval_alone_gives_in_both_modes() {
    for mode in [Mode::Stream, Mode::Window] {
        let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
        let engine = Network { mode, memory, ..Network::default() }.engine();
        let mut stream = Stream::new(&engine, &keeping(2 * SECOND_NS)).unwrap();
        acquire(&mut stream, (0..150).map(|sample| (sample, grey(sample))));
        for (from, to) in [(0, 149), (3, 3), (3, 5), (10, 29), (17, 80), (100, 149), (149, 149)] {
            let (status, exact) = ask(&stream.reader(), from..=to, true, LONG);
            assert_eq!(status, Status::Ok, "{from} to {to}");
            assert_same(&exact, &alone(&engine, (from..=to).map(|sample| (sample, grey(sample)))));
        }
    }
}

#[test]
fn the_exact_form_starts_anew_where_the_stream_had_a_gap_or_a_change() {
    let network = Network::default();
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let mut stream = Stream::new(&engine, &keeping(3 * SECOND_NS)).unwrap();
    let id = stream.begin().unwrap();
    // A gap after sample 21, a change before sample 70.
    for sample in (0..22).chain(60..90) {
        if sample == 70 {
            assert_eq!(stream.mark(), Status::Ok);
        }
        assert_eq!(push(&mut stream, sample, grey(sample)), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    let reader = stream.reader();
    let mut result = reader.result();
    assert_eq!(reader.wait(id, LONG, &mut result), Status::Ok);
    runs.lock().clear();
    let (status, exact) = ask(&reader, 10..=89, true, LONG);
    assert_eq!(status, Status::Ok);
    let runs = runs.lock().clone();
    let first: Vec<(u8, bool)> = runs.iter().map(|run| (run.greys[0], run.fresh)).collect();
    let expected = [10, 14, 18, 60, 64, 68, 70, 74, 78, 82, 86];
    let fresh = [10, 60, 70];
    let expected: Vec<_> = expected.map(|sample| (grey(sample), fresh.contains(&sample))).into();
    assert_eq!(first, expected, "chunks of the segments inside, each with initial state at its first");
    // Two samples were left over at the change and complete a chunk by the rule of the stream.
    assert_eq!(runs[5].greys, [68, 69, 69, 69].map(grey));
    assert_eq!(exact.chunks, 11);
    assert_eq!((exact.first_time_ns, exact.last_time_ns), (10 * INTERVAL_NS, 89 * INTERVAL_NS));
}

#[test]
fn a_stream_that_keeps_no_samples_says_so() {
    let engine = Network::default().engine();
    let mut stream = Stream::new(&engine, &config()).unwrap();
    acquire(&mut stream, (0..8).map(|sample| (sample, DARK)));
    assert_eq!(ask(&stream.reader(), 0..=7, true, LONG).0, Status::Unsupported);
    for wrong in [-1, 3601 * SECOND_NS] {
        let error = Stream::new(&engine, &keeping(wrong)).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
}

#[test]
fn what_is_forgotten_missing_or_late_has_its_status() {
    let engine = Network::default().engine();
    let mut stream = Stream::new(&engine, &keeping(40 * INTERVAL_NS)).unwrap();
    let reader = stream.reader();
    acquire(&mut stream, (0..100).map(|sample| (sample, grey(sample))));
    // 42 samples are kept: 58 to 99.
    assert_eq!(ask(&reader, 58..=99, true, LONG).0, Status::Ok);
    let (status, found) = ask(&reader, 57..=99, true, LONG);
    assert_eq!((status, found.first_time_ns), (Status::Partial, 58 * INTERVAL_NS));
    assert_same(&found, &ask(&reader, 58..=99, true, LONG).1);
    assert_eq!(ask(&reader, 10..=20, true, LONG).0, Status::Empty);
    assert_eq!(ask(&reader, 100..=200, true, LONG).0, Status::Empty);
    assert_eq!(
        ask(&reader, 90..=200, true, LONG).0,
        Status::Ok,
        "the acquisition has ended: it is all there"
    );

    let id = stream.begin().unwrap();
    (200..220).for_each(|sample| assert_eq!(push(&mut stream, sample, grey(sample)), Status::Ok));
    while reader.stats().samples < 120 {
        std::thread::yield_now();
    }
    let (status, found) = ask(&reader, 200..=230, true, Duration::from_millis(20));
    assert_eq!((status, found.last_time_ns), (Status::Partial, 219 * INTERVAL_NS));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&reader, 200..=230, true, LONG));
        (220..235).for_each(|sample| assert_eq!(push(&mut stream, sample, grey(sample)), Status::Ok));
        let (status, found) = asked.join().unwrap();
        assert_eq!((status, found.last_time_ns), (Status::Ok, 230 * INTERVAL_NS));
        assert_same(&found, &alone(&engine, (200..=230).map(|sample| (sample, grey(sample)))));
    });
    assert_eq!(stream.end(), Status::Ok);
    assert_eq!(reader.wait(id, LONG, &mut reader.result()), Status::Ok);
    {
        // Live streams that never pause leave an exact query no turn.
        let goes_on = std::sync::atomic::AtomicBool::new(false);
        let _running = engine.turn.live(&goes_on);
        assert_eq!(ask(&reader, 200..=230, true, Duration::from_millis(20)).0, Status::TimedOut);
    }
    assert_eq!(ask(&reader, 200..=230, true, Duration::ZERO).0, Status::TimedOut);
    assert_eq!(ask(&reader, 200..=230, true, LONG).0, Status::Ok, "and the next query starts afresh");
}

#[test]
fn exact_queries_from_any_thread_are_right_while_frames_keep_coming() {
    let engine = Network::default().engine();
    let mut stream = Stream::new(&engine, &keeping(SECOND_NS)).unwrap();
    let reader = stream.reader();
    let done = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|asker: i64| {
                let (reader, done) = (&reader, &done);
                scope.spawn(move || {
                    let (mut found, mut number) = (Vec::new(), asker);
                    while !done.load(Relaxed) && found.len() < 100 {
                        let decided = reader.stats().samples as i64;
                        let from = (decided - 60 + 7 * number % 50).max(0);
                        let to = (from + 13 * number % 40).min(decided - 1);
                        number += 2;
                        if to >= from {
                            let (status, result) = ask(reader, from..=to, true, LONG);
                            found.push((from, to, status, result));
                        }
                    }
                    found
                })
            })
            .collect();
        let id = stream.begin().unwrap();
        for sample in 0..1000 {
            while stream.room() == 0 {
                std::thread::yield_now();
            }
            assert_eq!(push(&mut stream, sample, grey(sample)), Status::Ok);
        }
        assert_eq!(stream.end(), Status::Ok);
        assert_eq!(reader.wait(id, LONG, &mut reader.result()), Status::Ok);
        done.store(true, Relaxed);
        asking.into_iter().flat_map(|asker| asker.join().unwrap()).collect::<Vec<_>>()
    });
    let mut stream = Stream::new(&engine, &config()).unwrap();
    let mut whole = 0;
    for (from, to, status, result) in found {
        match status {
            Status::Ok => {
                whole += 1;
                let alone = acquire(&mut stream, (from..=to).map(|sample| (sample, grey(sample))));
                assert_same(&result, &alone);
            }
            // The stream went on so far meanwhile that the samples were overwritten.
            Status::Partial | Status::Empty => {}
            other => panic!("{from} to {to}: {other}"),
        }
    }
    assert!(whole > 10, "{whole} queries were whole");
}

#[test]
fn a_plain_query_waits_through_a_gap_for_what_still_comes() {
    let engine = Network::default().engine();
    let mut stream = Stream::new(&engine, &config()).unwrap();
    let reader = stream.reader();
    stream.begin().unwrap();
    (0..8).for_each(|sample| assert_eq!(push(&mut stream, sample, DARK), Status::Ok));
    // Before the worker has seen a frame nothing is there and nothing is known to come.
    while reader.stats().chunks == 0 {
        std::thread::yield_now();
    }
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&reader, 0..=111, false, LONG));
        (100..114).for_each(|sample| assert_eq!(push(&mut stream, sample, DARK), Status::Ok));
        let (status, found) = asked.join().unwrap();
        assert_eq!((status, found.chunks, found.last_time_ns), (Status::Ok, 5, 111 * INTERVAL_NS));
    });
    assert_eq!(stream.end(), Status::Ok);
}

#[test]
fn the_memory_that_is_named_grows_with_the_samples_that_are_kept() {
    let engine = Network::default().engine();
    let bytes = |span_ns| Stream::memory(&engine, &keeping(span_ns)).unwrap();
    let sample = size_of::<f32>();
    let kept = bytes(1000 * INTERVAL_NS) - bytes(0);
    assert!((1000 * sample..1000 * sample + 200 * CHUNK).contains(&kept), "{kept}");
}
