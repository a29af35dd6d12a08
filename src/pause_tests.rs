//! Pause and resume of an engine, through whole streams.

use crate::result::flags;
use crate::stream::Drive;
use crate::test_network::{CHUNK, DARK, Network, acquire, config, push};
use crate::{Status, Stream, StreamConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

fn frames(count: usize) -> impl Iterator<Item = (i64, u8)> {
    (0..count as i64).map(|sample| (sample, DARK))
}

#[test]
fn no_step_runs_while_the_engine_is_paused_and_every_acquisition_gets_its_label() {
    let (paused, steps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (seen, counted) = (Arc::clone(&paused), Arc::clone(&steps));
    let during = move || {
        counted.fetch_add(1, SeqCst);
        for _ in 0..20 {
            assert!(!seen.load(SeqCst), "a step runs in a pause");
            std::thread::yield_now();
        }
    };
    let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
    std::thread::scope(|scope| {
        let streams = [Drive::Park, Drive::Poll, Drive::Park].map(|drive| {
            let engine = &engine;
            scope.spawn(move || {
                let mut stream = Stream::new(engine, &StreamConfig { drive, ..config() }).unwrap();
                let mut chunks = 0;
                for _ in 0..8 {
                    let result = acquire(&mut stream, frames(10 * CHUNK));
                    assert_eq!((result.status, result.frames_used), (Status::Ok, 10 * CHUNK as u64));
                    // On a busy machine steps are late, and chunks are skipped.
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
fn frames_that_find_no_room_in_a_pause_are_counted_and_what_follows_is_a_new_segment() {
    let engine = Network::default().engine();
    let settings = StreamConfig { ring_slots: 8, gap_ns: 50_000_000, ..config() };
    let mut stream = Stream::new(&engine, &settings).unwrap();
    let reader = stream.reader();
    let mut result = reader.result();
    let id = stream.begin().unwrap();
    engine.pause().unwrap();
    let mut dropped = 0;
    for sample in 0..40 {
        match push(&mut stream, sample, DARK) {
            Status::Ok => {}
            Status::RingFull => dropped += 1,
            other => panic!("{other}"),
        }
    }
    // At most the ring and what the worker had taken before it came to its first step.
    assert!(dropped >= 40 - 8 - 2 * CHUNK as u64, "{dropped} dropped");
    assert_eq!(reader.wait(id, SOON, &mut result), Status::TimedOut);
    engine.resume();
    while stream.room() < 8 {
        std::thread::yield_now();
    }
    for sample in 40..44 {
        assert_eq!(push(&mut stream, sample, DARK), Status::Ok);
    }
    assert_eq!(stream.end(), Status::Ok);
    assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
    assert_eq!(
        (result.status, result.frames_used, result.frames_dropped),
        (Status::Ok, 44 - dropped, dropped)
    );
    let expected = flags::DROPPED | flags::DISCONTINUITY | flags::FINAL;
    assert_eq!(result.flags & (expected | flags::DEGRADED), expected, "one late step is no overload");
}

#[test]
fn a_paused_engine_keeps_nobody_from_leaving() {
    let engine = Network::default().engine();
    let mut streams: Vec<Stream> = (0..3).map(|_| Stream::new(&engine, &config()).unwrap()).collect();
    engine.pause().unwrap();
    for stream in &mut streams {
        stream.begin().unwrap();
        for (sample, grey) in frames(2 * CHUNK) {
            assert_eq!(push(stream, sample, grey), Status::Ok);
        }
    }
    while engine.turn.waiting() < 3 {
        std::thread::yield_now();
    }
    let mut last = streams.pop().unwrap();
    drop(streams);
    assert_eq!(engine.turn.waiting(), 1);
    // Nobody could resume the last one any more.
    drop(engine);
    assert_eq!(last.end(), Status::Ok);
    let reader = last.reader();
    let mut result = reader.result();
    assert_eq!(reader.wait(1, Duration::from_secs(60), &mut result), Status::Ok);
    assert_eq!(result.chunks, 2);
}

#[test]
fn an_exact_query_waits_through_a_pause_until_its_timeout() {
    let engine = Network::default().engine();
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, ..config() };
    let mut stream = Stream::new(&engine, &settings).unwrap();
    acquire(&mut stream, frames(4 * CHUNK));
    let reader = stream.reader();
    let mut result = reader.result();
    engine.pause().unwrap();
    assert_eq!(reader.query_exact(0, 1_000_000_000, SOON, &mut result), Status::TimedOut);
    std::thread::scope(|scope| {
        let reader = reader.clone();
        let mut later = reader.result();
        let query = scope.spawn(move || {
            let status = reader.query_exact(0, 1_000_000_000, Duration::MAX, &mut later);
            (status, later.chunks)
        });
        std::thread::sleep(SOON);
        assert!(!query.is_finished());
        engine.resume();
        assert_eq!(query.join().unwrap(), (Status::Ok, 4));
    });
}
