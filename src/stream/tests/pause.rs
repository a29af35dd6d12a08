//! Tests of pausing and resuming an engine.

use super::network::{CHUNK, DARK, Network, acquire, config, push, wait};
use crate::error::Status;
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::acquirer::PushError;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::history::Coverage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

fn frames(count: usize) -> impl Iterator<Item = (i64, u8)> {
    (0..count as i64).map(|sample| (sample, DARK))
}

#[test]
fn no_step_runs_while_the_engine_is_paused() {
    let (paused, steps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (seen, counted) = (Arc::clone(&paused), Arc::clone(&steps));
    let during = move || {
        counted.fetch_add(1, SeqCst);
        for _ in 0..20 {
            assert!(!seen.load(SeqCst), "a step runs during a pause");
            std::thread::yield_now();
        }
        Ok(())
    };
    let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
    std::thread::scope(|scope| {
        let streams = [Drive::Wake, Drive::Poll, Drive::Wake].map(|drive| {
            let engine = &engine;
            scope.spawn(move || {
                let config = StreamConfig { drive, ..config() };
                let mut stream = Stream::open(engine, &config).unwrap();
                let mut chunks = 0;
                for _ in 0..8 {
                    let result = acquire(&mut stream, frames(10 * CHUNK));
                    assert_eq!(
                        (result.status, result.frames_used),
                        (Status::Ok, 10 * CHUNK as u64)
                    );
                    // On a busy machine, steps may be late and chunks may be skipped, so the test
                    // counts the chunks that ran.
                    chunks += result.chunks as usize;
                }
                chunks
            })
        });
        while !streams.iter().all(|stream| stream.is_finished()) {
            engine.pause().unwrap();
            paused.store(true, SeqCst);
            let before = steps.load(SeqCst);
            std::thread::sleep(Duration::from_micros(300));
            assert_eq!(steps.load(SeqCst), before);
            paused.store(false, SeqCst);
            engine.resume();
            std::thread::sleep(Duration::from_micros(300));
        }
        let chunks: usize = streams.map(|stream| stream.join().unwrap()).iter().sum();
        assert_eq!(steps.load(SeqCst), chunks);
    });
}

#[test]
fn frames_dropped_during_a_pause_are_counted() {
    let engine = Network::default().engine();
    let settings = StreamConfig { ring_slots: 8, gap_ns: 50_000_000, ..config() };
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &settings).unwrap();
    let acquisition = acquirer.begin().unwrap();
    engine.pause().unwrap();
    let mut dropped = 0;
    for sample in 0..40 {
        match push(&mut acquirer, sample, DARK) {
            Ok(()) => {}
            Err(PushError::Dropped) => dropped += 1,
            Err(other) => panic!("{other}"),
        }
    }
    // The ring holds eight frames, and the worker may have taken a few more before it began to wait
    // for its first step.
    assert!(dropped >= 40 - 8 - 2 * CHUNK as u64, "{dropped} dropped");
    assert_eq!(reader.wait(acquisition, SOON, &mut []), Err(Status::TimedOut));
    engine.resume();
    while acquirer.free_slots() < 8 {
        std::thread::yield_now();
    }
    for sample in 40..44 {
        assert_eq!(push(&mut acquirer, sample, DARK), Ok(()));
    }
    assert_eq!(acquirer.end(), Ok(()));
    let result = wait(&reader, acquisition);
    assert_eq!(
        (result.status, result.frames_used, result.frames_dropped),
        (Status::Ok, 44 - dropped, dropped)
    );
    let expected = ResultFlags::DROPPED | ResultFlags::DISCONTINUITY | ResultFlags::FINAL;
    let relevant = expected | ResultFlags::DEGRADED;
    assert_eq!(result.flags & relevant, expected, "one late step is not an overload");
}

#[test]
fn streams_can_be_closed_during_a_pause() {
    let engine = Network::default().engine();
    let mut streams: Vec<Stream> =
        (0..3).map(|_| Stream::open(&engine, &config()).unwrap()).collect();
    engine.pause().unwrap();
    for stream in &mut streams {
        stream.acquirer.begin().unwrap();
        for (sample, grey) in frames(2 * CHUNK) {
            assert_eq!(push(&mut stream.acquirer, sample, grey), Ok(()));
        }
    }
    while engine.scheduler().waiting() < 3 {
        std::thread::yield_now();
    }
    let mut last = streams.pop().unwrap();
    drop(streams);
    assert_eq!(engine.scheduler().waiting(), 1);
    // Dropping the engine ends the pause, because nothing could resume the last stream afterwards.
    drop(engine);
    assert_eq!(last.acquirer.end(), Ok(()));
    assert_eq!(wait(&last.reader, 1).chunks, 2);
}

#[test]
fn exact_queries_wait_through_a_pause_until_timeout() {
    let engine = Network::default().engine();
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, ..config() };
    let mut stream = Stream::open(&engine, &settings).unwrap();
    acquire(&mut stream, frames(4 * CHUNK));
    let reader = &stream.reader;
    let query = |timeout| {
        let answer = reader.query_exact(0, 1_000_000_000, timeout, &mut []);
        answer.map(|answer| (answer.coverage, answer.result.chunks))
    };
    engine.pause().unwrap();
    assert_eq!(query(SOON), Err(Status::TimedOut));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| query(Duration::MAX));
        std::thread::sleep(SOON);
        assert!(!waiting.is_finished());
        engine.resume();
        assert_eq!(waiting.join().unwrap(), Ok((Coverage::Complete, 4)));
    });
}
