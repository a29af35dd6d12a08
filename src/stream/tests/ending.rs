//! Tests that every wait returns: after an internal error, after a handle was dropped, and for
//! acquisitions that have not begun.

use super::network::{CHUNK, DARK, INTERVAL_NS, Network, config, push};
use crate::engine::Engine;
use crate::error::{Result, Status};
use crate::result::ViewResult;
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::driver::Driver;
use crate::stream::history::Coverage;
use crate::stream::hooks::{Hooks, OnResult};
use crate::stream::reader::Reader;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

const NEVER: Duration = Duration::MAX;
const UNCHANGED: [f32; 2] = [7.0; 2];

fn host_driven() -> StreamConfig {
    StreamConfig { drive: Drive::Host, ..config() }
}

/// Begins an acquisition, pushes a chunk of frames and ends the acquisition.
fn acquire_chunk(acquirer: &mut Acquirer, first: i64) -> u64 {
    let acquisition = acquirer.begin().unwrap();
    push_chunk(acquirer, first);
    assert_eq!(acquirer.end(), Ok(()));
    acquisition
}

fn push_chunk(acquirer: &mut Acquirer, first: i64) {
    for sample in first..first + CHUNK as i64 {
        assert_eq!(push(acquirer, sample, DARK), Ok(()));
    }
}

/// Waits for a final result, and checks that a call without a result leaves the scores.
fn wait(reader: &Reader, acquisition: u64, timeout: Duration) -> Result<ViewResult, Status> {
    let mut scores = UNCHANGED;
    let found = reader.wait(acquisition, timeout, &mut scores);
    assert_eq!(scores == UNCHANGED, found.is_err(), "{found:?}");
    found
}

fn status_of(found: Result<ViewResult, Status>) -> Result<Status, Status> {
    found.map(|result| result.status)
}

/// Queries samples, and checks that a call without a result leaves the scores.
fn query(
    reader: &Reader,
    (first, last): (i64, i64),
    is_exact: bool,
    timeout: Duration,
) -> Result<Coverage, Status> {
    let (from, to, mut scores) = (first * INTERVAL_NS, last * INTERVAL_NS, UNCHANGED);
    let found = if is_exact {
        reader.query_exact(from, to, timeout, &mut scores)
    } else {
        reader.query(from, to, timeout, &mut scores)
    };
    assert_eq!(scores == UNCHANGED, found.is_err(), "{found:?}");
    found.map(|answer| answer.coverage)
}

fn process_all(driver: &mut Driver) -> Status {
    loop {
        if let Err(status) = driver.process() {
            return status;
        }
    }
}

/// Opens a stream whose network panics in its first run.
fn open_panicking(config: &StreamConfig, on_result: Option<OnResult>) -> Stream {
    let during = || panic!("on purpose");
    let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
    let hooks = Hooks { on_result, ..Hooks::default() };
    Stream::open_with_hooks(&engine, config, hooks).unwrap()
}

#[test]
fn after_a_panic_every_begun_acquisition_has_a_status() {
    let published = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&published);
    let on_result = move |result: &ViewResult, _: &[f32]| {
        log.lock().push((result.acquisition, result.status, result.is_final()));
    };
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, ..host_driven() };
    let Stream { mut acquirer, driver, reader } =
        open_panicking(&settings, Some(Box::new(on_result)));
    let mut driver = driver.unwrap();
    for acquisition in 1..=6 {
        assert_eq!(acquire_chunk(&mut acquirer, acquisition * 100), acquisition as u64);
    }
    assert_eq!(acquirer.begin(), Ok(7));
    assert_eq!(process_all(&mut driver), Status::Poisoned);
    for acquisition in 1..=4 {
        assert_eq!(status_of(wait(&reader, acquisition, NEVER)), Ok(Status::Poisoned));
    }
    for acquisition in 5..=7 {
        assert_eq!(status_of(wait(&reader, acquisition, NEVER)), Err(Status::Poisoned));
    }
    assert_eq!(status_of(wait(&reader, 8, NEVER)), Err(Status::InvalidArgument));
    let finals: Vec<_> = (1..=4).map(|number| (number, Status::Poisoned, true)).collect();
    assert_eq!(*published.lock(), finals);
    assert_eq!(query(&reader, (0, 9_000), false, NEVER), Err(Status::Poisoned));
    let exact = query(&reader, (700, 9_000), true, Duration::from_secs(60));
    assert_eq!(exact, Err(Status::Poisoned));
    assert_eq!(acquirer.end(), Err(Status::Poisoned));
    assert_eq!(acquirer.begin(), Err(Status::Poisoned));
    assert_eq!(process_all(&mut driver), Status::Poisoned);
}

#[test]
fn a_panic_ends_the_waits_that_are_in_progress() {
    let Stream { mut acquirer, reader, .. } = open_panicking(&config(), None);
    let reader = &reader;
    scope(|scope| {
        let first = acquirer.begin().unwrap();
        let waiting = scope.spawn(move || wait(reader, first, NEVER));
        let asking = scope.spawn(move || query(reader, (0, 9_000), false, NEVER));
        push_chunk(&mut acquirer, 0);
        assert_eq!(status_of(waiting.join().unwrap()), Ok(Status::Poisoned));
        assert_eq!(asking.join().unwrap(), Err(Status::Poisoned));
    });
}

#[test]
fn a_callback_that_panicked_is_not_called_again() {
    for panics_in in [1, 2] {
        let calls = Arc::new(Mutex::new(0));
        let count = Arc::clone(&calls);
        let on_result = move |_: &ViewResult, _: &[f32]| {
            *count.lock() += 1;
            assert!(*count.lock() < panics_in, "on purpose");
        };
        let hooks = Hooks { on_result: Some(Box::new(on_result)), ..Hooks::default() };
        let engine = Network::default().engine();
        let opened = Stream::open_with_hooks(&engine, &host_driven(), hooks);
        let Stream { mut acquirer, driver, reader } = opened.unwrap();
        let first = acquire_chunk(&mut acquirer, 0);
        let second = acquire_chunk(&mut acquirer, 100);
        assert_eq!(process_all(&mut driver.unwrap()), Status::Poisoned);
        assert_eq!(*calls.lock(), panics_in);
        // The second call reports the final result of the first acquisition, which stays valid.
        let expected = if panics_in == 1 { Status::Poisoned } else { Status::Ok };
        assert_eq!(status_of(wait(&reader, first, NEVER)), Ok(expected));
        assert_eq!(status_of(wait(&reader, second, NEVER)), Ok(Status::Poisoned));
    }
}

#[test]
fn a_panic_of_thread_start_poisons_the_stream() {
    let thread_start = |_: &str| panic!("on purpose");
    let hooks = Hooks { thread_start: Some(Arc::new(thread_start)), ..Hooks::default() };
    let engine = Network::default().engine();
    let Stream { mut acquirer, reader, .. } =
        Stream::open_with_hooks(&engine, &config(), hooks).unwrap();
    match acquirer.begin() {
        Ok(acquisition) => {
            let found = status_of(wait(&reader, acquisition, NEVER));
            assert!([Ok(Status::Poisoned), Err(Status::Poisoned)].contains(&found), "{found:?}");
        }
        Err(status) => assert_eq!(status, Status::Poisoned),
    }
}

#[test]
fn only_acquisitions_that_have_begun_can_be_awaited() {
    let engine = Network::default().engine();
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config()).unwrap();
    let never_begun = Err(Status::InvalidArgument);
    assert_eq!([0, 1, u64::MAX].map(|id| status_of(wait(&reader, id, NEVER))), [never_begun; 3]);
    assert_eq!(acquirer.begin(), Ok(1));
    assert_eq!(status_of(wait(&reader, 1, Duration::ZERO)), Err(Status::TimedOut));
    assert_eq!([0, 2].map(|id| status_of(wait(&reader, id, NEVER))), [never_begun; 2]);
}

#[test]
fn dropping_the_acquirer_ends_every_wait() {
    let engine = Network::default().engine();
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, ..config() };
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &settings).unwrap();
    let first = acquire_chunk(&mut acquirer, 0);
    assert_eq!(status_of(wait(&reader, first, NEVER)), Ok(Status::Ok));
    let second = acquirer.begin().unwrap();
    let reader = &reader;
    scope(|scope| {
        let waiting = scope.spawn(move || wait(reader, second, NEVER));
        let asking = [false, true]
            .map(|is_exact| scope.spawn(move || query(reader, (100, 200), is_exact, NEVER)));
        let covered = scope.spawn(move || query(reader, (0, 200), false, NEVER));
        // The waits may also begin after the drop. The result must be the same.
        sleep(Duration::from_millis(20));
        drop(acquirer);
        assert_eq!(status_of(waiting.join().unwrap()), Err(Status::Cancelled));
        let cancelled = Err(Status::Cancelled);
        assert_eq!(asking.map(|thread| thread.join().unwrap()), [cancelled; 2]);
        assert_eq!(covered.join().unwrap(), Ok(Coverage::Partial));
    });
    assert_eq!(status_of(wait(reader, first, NEVER)), Ok(Status::Ok), "the result stays");
}

#[test]
fn dropping_the_driver_ends_every_wait() {
    let engine = Network::default().engine();
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &host_driven()).unwrap();
    let acquisition = acquire_chunk(&mut acquirer, 0);
    let reader = &reader;
    scope(|scope| {
        let waiting = scope.spawn(move || wait(reader, acquisition, NEVER));
        let asking = scope.spawn(move || query(reader, (0, 200), false, NEVER));
        drop(driver);
        assert_eq!(status_of(waiting.join().unwrap()), Err(Status::Cancelled));
        assert_eq!(asking.join().unwrap(), Err(Status::Cancelled));
    });
}

#[test]
fn a_driver_finishes_what_a_dropped_acquirer_began() {
    let engine = Network::default().engine();
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &host_driven()).unwrap();
    acquire_chunk(&mut acquirer, 0);
    assert_eq!(acquirer.begin(), Ok(2));
    push_chunk(&mut acquirer, 100);
    drop(acquirer);
    assert_eq!(process_all(&mut driver.unwrap()), Status::NotReady);
    for acquisition in [1, 2] {
        let result = wait(&reader, acquisition, NEVER).unwrap();
        assert_eq!((result.status, result.frames_used), (Status::Ok, CHUNK as u64));
    }
}

#[test]
fn a_query_directly_after_begin_waits_for_its_interval() {
    let engine = Network::default().engine();
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, ..host_driven() };
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &settings).unwrap();
    let mut driver = driver.unwrap();
    let short = Duration::from_millis(20);
    for (is_exact, first) in [(false, 100), (true, 200)] {
        let (interval, reader) = ((first, first + 3), &reader);
        assert_eq!(query(reader, interval, is_exact, NEVER), Err(Status::Empty), "nothing began");
        acquirer.begin().unwrap();
        let start = Instant::now();
        assert_eq!(query(reader, interval, is_exact, short), Err(Status::Empty));
        assert!(start.elapsed() >= short, "the query did not wait");
        scope(|scope| {
            let asking = scope.spawn(move || query(reader, interval, is_exact, NEVER));
            push_chunk(&mut acquirer, first);
            assert_eq!(push(&mut acquirer, first + CHUNK as i64, DARK), Ok(()));
            assert_eq!(process_all(&mut driver), Status::NotReady);
            assert_eq!(asking.join().unwrap(), Ok(Coverage::Complete));
        });
        assert_eq!(acquirer.end(), Ok(()));
        assert_eq!(process_all(&mut driver), Status::NotReady);
        // The next acquisition has begun, but its frames are later than this interval.
        acquirer.begin().unwrap();
        assert_eq!(query(reader, interval, is_exact, NEVER), Ok(Coverage::Complete));
        // An acquisition without frames ends the wait, too.
        let later = (first + 10, first + 90);
        scope(|scope| {
            let asking = scope.spawn(move || query(reader, later, is_exact, NEVER));
            assert_eq!(acquirer.end(), Ok(()));
            assert_eq!(process_all(&mut driver), Status::NotReady);
            assert_eq!(asking.join().unwrap(), Err(Status::Empty));
        });
    }
}

#[test]
fn times_that_start_again_do_not_answer_from_before() {
    let engine = Network::default().engine();
    let settings = StreamConfig { frame_period_ns: INTERVAL_NS, ..host_driven() };
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &settings).unwrap();
    let mut driver = driver.unwrap();
    acquire_chunk(&mut acquirer, 0);
    assert_eq!(process_all(&mut driver), Status::NotReady);
    acquirer.begin().unwrap();
    let short = Duration::from_millis(20);
    let start = Instant::now();
    let _ = query(&reader, (0, 3), false, short);
    assert!(start.elapsed() >= short, "the query did not wait for the new acquisition");
}

#[test]
fn a_full_ring_begins_no_acquisition() {
    let engine = Network::default().engine();
    let settings = StreamConfig { ring_slots: 2, ..host_driven() };
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &settings).unwrap();
    for acquisition in 1..=4 {
        assert_eq!(acquirer.begin(), Ok(acquisition));
        assert_eq!(acquirer.end(), Ok(()));
    }
    assert_eq!(acquirer.begin(), Err(Status::RingFull));
    assert_eq!(reader.stats().dropped, 0);
    assert_eq!(status_of(wait(&reader, 5, NEVER)), Err(Status::InvalidArgument));
    assert_eq!(driver.unwrap().process(), Ok(()));
    assert_eq!(acquirer.begin(), Ok(5));
}

#[test]
fn closing_a_stream_during_a_pause_publishes_nothing() {
    let engine = Network::default().engine();
    for has_ended in [false, true] {
        let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config()).unwrap();
        engine.pause().unwrap();
        let acquisition = acquirer.begin().unwrap();
        push_chunk(&mut acquirer, 0);
        if has_ended {
            assert_eq!(acquirer.end(), Ok(()));
        }
        // The next frame decides the last sample of the chunk, or the end completes it.
        assert_eq!(push(&mut acquirer, CHUNK as i64, DARK).is_ok(), !has_ended);
        while engine.scheduler().waiting() == 0 {
            std::thread::yield_now();
        }
        let reader = &reader;
        scope(|scope| {
            let waiting = scope.spawn(move || wait(reader, acquisition, NEVER));
            let asking = scope.spawn(move || query(reader, (0, 200), false, NEVER));
            sleep(Duration::from_millis(20));
            drop(acquirer);
            assert_eq!(status_of(waiting.join().unwrap()), Err(Status::Cancelled));
            assert_eq!(asking.join().unwrap(), Err(Status::Cancelled));
        });
        assert_eq!(reader.poll(&mut [0.0; 2]), Err(Status::NotReady));
        engine.resume();
    }
}

/// Opens a stream on `engine`, acquires four chunks and waits for the final result.
fn open_filled(engine: &Engine, drive: Drive) -> Stream {
    let settings = StreamConfig { exact_history_ns: 1_000_000_000, drive, ..config() };
    let mut stream = Stream::open(engine, &settings).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    (0..4).for_each(|chunk| push_chunk(&mut stream.acquirer, chunk * CHUNK as i64));
    assert_eq!(stream.acquirer.end(), Ok(()));
    if let Some(driver) = &mut stream.driver {
        assert_eq!(process_all(driver), Status::NotReady);
    }
    assert_eq!(status_of(wait(&stream.reader, acquisition, NEVER)), Ok(Status::Ok));
    stream
}

#[test]
fn closing_a_stream_in_a_pause_ends_its_exact_queries() {
    for drive in [Drive::Wake, Drive::Host] {
        let engine = Network::default().engine();
        let Stream { acquirer, driver, reader } = open_filled(&engine, drive);
        engine.pause().unwrap();
        scope(|scope| {
            let asking = [(); 2].map(|()| scope.spawn(|| query(&reader, (0, 15), true, NEVER)));
            // The queries may also begin after the drop. The result must be the same.
            sleep(Duration::from_millis(20));
            drop((acquirer, driver));
            let cancelled = Err(Status::Cancelled);
            assert_eq!(asking.map(|thread| thread.join().unwrap()), [cancelled; 2]);
        });
        engine.resume();
        assert_eq!(query(&reader, (0, 15), true, NEVER), Err(Status::Cancelled), "{drive:?}");
    }
}

#[test]
fn an_exact_query_of_a_closed_stream_covers_what_ran() {
    for drive in [Drive::Wake, Drive::Host] {
        let handles = Arc::new(Mutex::new(None));
        let (closing, runs) = (Arc::clone(&handles), Mutex::new(0));
        let during = move || {
            let mut handles = closing.lock();
            *runs.lock() += i32::from(handles.is_some());
            // The stream is closed in the second run of the query.
            if *runs.lock() == 2 {
                drop(handles.take());
            }
            Ok(())
        };
        let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
        let Stream { acquirer, driver, reader } = open_filled(&engine, drive);
        *handles.lock() = Some((acquirer, driver));
        let answer = reader.query_exact(0, 15 * INTERVAL_NS, NEVER, &mut []).unwrap();
        assert_eq!((answer.coverage, answer.result.chunks), (Coverage::Partial, 2), "{drive:?}");
    }
}
