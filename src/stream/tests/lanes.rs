//! Tests of the two lanes of frame steps: what waits for what, and how the lanes end.

use super::frame_network::FrameNetwork;
use super::network::{Labelled, config, push_at, wait};
use crate::error::{Error, Status};
use crate::model::part::Part;
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::hooks::Hooks;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ALPHA: usize = 4;
const INTERVAL_NS: i64 = 10_000_000;
const SOON: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(20);

/// A gate that holds up the slow runs of chosen samples, at most for [`LONG`], so that a test that
/// fails ends.
#[derive(Default)]
struct Gate {
    open_from: Mutex<i64>,
    changed: Condvar,
}

impl Gate {
    /// Lets slow runs pass whose sample has a grey value below `grey`.
    fn open_below(&self, grey: i64) {
        *self.open_from.lock() = grey;
        self.changed.notify_all();
    }

    fn pass(&self, grey: i64) {
        let mut open = self.open_from.lock();
        while grey >= *open && !self.changed.wait_for(&mut open, LONG).timed_out() {}
    }
}

/// Creates a network whose slow runs wait at a gate.
fn create_network() -> (FrameNetwork, Arc<Gate>) {
    let mut network = FrameNetwork::new(ALPHA, 0);
    let gate = Arc::<Gate>::default();
    let held = Arc::clone(&gate);
    network.during = Box::new(move |part, grey| {
        if part == Part::Slow {
            held.pass(grey);
        }
        Ok(())
    });
    (network, gate)
}

/// Pushes frames whose grey values are their numbers.
fn push_frames(acquirer: &mut Acquirer, frames: std::ops::Range<u8>) {
    for frame in frames {
        push_at(acquirer, i64::from(frame) * INTERVAL_NS, frame).unwrap();
    }
}

/// Waits until `condition` holds.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_end_does_not_wait_for_a_chunk_that_is_left_out() {
    let (network, gate) = create_network();
    let runs = network.runs.clone().unwrap();
    let mut stream = Stream::open(&network.engine(), &config()).unwrap();
    gate.open_below(1);
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..6);
    // The slow run of the partial chunk is in progress when the acquisition ends.
    wait_until("the slow run begins", || {
        runs.lock().iter().any(|run| run.part == Part::Slow && run.grey == 4)
    });
    stream.acquirer.end().unwrap();
    let result = wait(&stream.reader, acquisition);
    assert_eq!((result.chunks, result.last_time_ns), (1, 3 * INTERVAL_NS));
    let expected = ResultFlags::FINAL | ResultFlags::SHORT | ResultFlags::NO_NOVELTY;
    assert_eq!(result.flags, expected);
    // The next acquisition starts from the initial states, although that run is still in progress.
    let next = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 10..14);
    stream.acquirer.end().unwrap();
    gate.open_below(100);
    let again = wait(&stream.reader, next);
    let fresh = acquire_alone(10..14);
    assert_eq!((again.chunks, &again.scores), (1, &fresh.scores));
}

#[test]
fn a_slow_run_that_no_longer_counts_does_not_begin() {
    let gate = Arc::<Gate>::default();
    let held = Arc::clone(&gate);
    let mut network = FrameNetwork::new(ALPHA, 0);
    network.during = Box::new(move |part, grey| {
        if part == Part::Fast {
            held.pass(grey);
        }
        Ok(())
    });
    let runs = network.runs.clone().unwrap();
    let mut stream = Stream::open(&network.engine(), &config()).unwrap();
    gate.open_below(4);
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..4);
    wait_until("the chunk counts", || stream.reader.stats().chunks == 1);
    push_frames(&mut stream.acquirer, 4..5);
    wait_until("the fast run begins", || runs.lock().iter().any(|run| run.grey == 4));
    // The acquisition ends during the fast run after which the second slow run would be due.
    stream.acquirer.end().unwrap();
    gate.open_below(100);
    assert_eq!(wait(&stream.reader, acquisition).chunks, 1);
    std::thread::sleep(SOON);
    let slow: Vec<i64> =
        runs.lock().iter().filter(|run| run.part == Part::Slow).map(|run| run.grey).collect();
    assert_eq!(slow, [0]);
}

/// Acquires frames on a stream of their own.
fn acquire_alone(frames: std::ops::Range<u8>) -> Labelled {
    let engine = FrameNetwork::new(ALPHA, 0).engine();
    let mut stream = Stream::open(&engine, &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, frames);
    stream.acquirer.end().unwrap();
    wait(&stream.reader, acquisition)
}

#[test]
fn the_slow_lane_may_lag_by_one_chunk_only() {
    let (network, gate) = create_network();
    let runs = network.runs.clone().unwrap();
    let fast_runs = || runs.lock().iter().filter(|run| run.part == Part::Fast).count();
    let mut stream = Stream::open(&network.engine(), &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..16);
    wait_until("two chunks of fast runs", || fast_runs() == 2 * ALPHA);
    std::thread::sleep(SOON);
    assert_eq!(fast_runs(), 2 * ALPHA, "the third chunk waits for the first");
    gate.open_below(4);
    wait_until("three chunks of fast runs", || fast_runs() == 3 * ALPHA);
    std::thread::sleep(SOON);
    assert_eq!(fast_runs(), 3 * ALPHA, "the fourth chunk waits for the second");
    gate.open_below(100);
    stream.acquirer.end().unwrap();
    let result = wait(&stream.reader, acquisition);
    assert_eq!(result.chunks, 4);
    assert_eq!(result.scores, acquire_alone(0..16).scores);
}

#[test]
fn a_provisional_result_follows_a_slow_run_without_a_frame() {
    let (network, gate) = create_network();
    let mut stream = Stream::open(&network.engine(), &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..4);
    std::thread::sleep(SOON);
    assert_eq!(stream.reader.stats().chunks, 0);
    gate.open_below(100);
    wait_until("the chunk counts", || stream.reader.stats().chunks == 1);
    stream.acquirer.end().unwrap();
    assert_eq!(wait(&stream.reader, acquisition).chunks, 1);
}

#[test]
fn a_panic_in_the_slow_lane_ends_every_wait() {
    for frames in [2, 4, 8] {
        let mut network = FrameNetwork::new(ALPHA, 0);
        network.during = Box::new(|part, grey| {
            assert!(part == Part::Fast || grey < 4, "on purpose");
            assert!(part == Part::Fast || grey > 0, "on purpose");
            Ok(())
        });
        let mut stream = Stream::open(&network.engine(), &config()).unwrap();
        let acquisition = stream.acquirer.begin().unwrap();
        for frame in 0..frames {
            // After the panic, pushes are refused.
            let _ = push_at(&mut stream.acquirer, i64::from(frame) * INTERVAL_NS, frame);
        }
        let _ = stream.acquirer.end();
        let result = stream.reader.wait(acquisition, LONG, &mut []).unwrap();
        assert_eq!((result.status, result.label), (Status::Poisoned, None));
        assert_eq!(stream.acquirer.begin(), Err(Status::Poisoned));
    }
}

#[test]
fn each_thread_of_a_stream_names_its_role() {
    let roles = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&roles);
    let thread_start = move |role: &str| {
        let thread = std::thread::current();
        assert_eq!(thread.name(), Some(role));
        seen.lock().push(role.to_owned());
    };
    let open = |network: FrameNetwork, drive| {
        let hooks = Hooks { thread_start: Some(Arc::new(thread_start.clone())), on_result: None };
        let config = StreamConfig { drive, ..config() };
        drop(Stream::open_with_hooks(&network.engine(), &config, hooks).unwrap());
        let mut roles = std::mem::take(&mut *roles.lock());
        roles.sort();
        roles
    };
    assert_eq!(open(FrameNetwork::new(ALPHA, 0), Drive::Wake), ["tteview", "tteview-slow"]);
    assert_eq!(open(FrameNetwork::new(1, 0), Drive::Poll), ["tteview"], "one pathway");
    assert_eq!(open(FrameNetwork::new(ALPHA, 0), Drive::Host), [""; 0]);
}

#[test]
fn a_panic_of_thread_start_in_the_slow_lane_poisons_the_stream() {
    let thread_start = |role: &str| assert_eq!(role, "tteview", "on purpose");
    let hooks = Hooks { thread_start: Some(Arc::new(thread_start)), on_result: None };
    let engine = FrameNetwork::new(ALPHA, 0).engine();
    let mut stream = Stream::open_with_hooks(&engine, &config(), hooks).unwrap();
    if let Ok(acquisition) = stream.acquirer.begin() {
        for frame in 0..8 {
            let _ = push_at(&mut stream.acquirer, i64::from(frame) * INTERVAL_NS, frame);
        }
        let _ = stream.acquirer.end();
        let result = stream.reader.wait(acquisition, LONG, &mut []);
        assert_eq!(result.map(|result| result.status), Ok(Status::Poisoned));
    }
}

#[test]
fn a_pause_waits_for_both_lanes() {
    let (network, gate) = create_network();
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let mut stream = Stream::open(&engine, &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..1);
    wait_until("the slow run begins", || runs.lock().iter().any(|run| run.part == Part::Slow));
    std::thread::scope(|scope| {
        let pause = scope.spawn(|| engine.pause());
        std::thread::sleep(SOON);
        assert!(!pause.is_finished(), "a slow run is in progress");
        gate.open_below(100);
        pause.join().unwrap().unwrap();
    });
    let before = runs.lock().len();
    push_frames(&mut stream.acquirer, 1..12);
    stream.acquirer.end().unwrap();
    std::thread::sleep(SOON);
    assert_eq!(runs.lock().len(), before, "no run begins during a pause");
    engine.resume();
    assert_eq!(wait(&stream.reader, acquisition).chunks, 3);
}

#[test]
fn a_stream_closes_while_both_lanes_wait_for_the_engine() {
    let engine = FrameNetwork::new(ALPHA, 0).engine();
    for frames in [1, 5] {
        let mut stream = Stream::open(&engine, &config()).unwrap();
        stream.acquirer.begin().unwrap();
        push_frames(&mut stream.acquirer, 0..frames);
        engine.pause().unwrap();
        push_frames(&mut stream.acquirer, frames..40);
        std::thread::sleep(Duration::from_millis(5));
        drop(stream);
        engine.resume();
    }
}

#[test]
fn fast_runs_of_two_streams_do_not_wait_for_slow_runs() {
    let (network, gate) = create_network();
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let mut streams = [0, 1].map(|_| Stream::open(&engine, &config()).unwrap());
    let acquisitions = streams.each_mut().map(|stream| stream.acquirer.begin().unwrap());
    for stream in &mut streams {
        push_frames(&mut stream.acquirer, 0..7);
    }
    let fast_runs = || runs.lock().iter().filter(|run| run.part == Part::Fast).count();
    wait_until("all fast runs", || fast_runs() == 14);
    let slow_runs = || runs.lock().iter().filter(|run| run.part == Part::Slow).count();
    wait_until("a slow run begins", || slow_runs() > 0);
    std::thread::sleep(SOON);
    assert_eq!(slow_runs(), 1, "the slow runs take turns");
    gate.open_below(100);
    for (stream, acquisition) in streams.iter_mut().zip(acquisitions) {
        stream.acquirer.end().unwrap();
        assert_eq!(wait(&stream.reader, acquisition).chunks, 1);
    }
}

#[test]
fn a_call_of_the_driver_makes_one_run_fast_ones_first() {
    let network = FrameNetwork::new(ALPHA, 1);
    let runs = network.runs.clone().unwrap();
    let config = StreamConfig { drive: Drive::Host, ..config() };
    let Stream { mut acquirer, driver, reader } = Stream::open(&network.engine(), &config).unwrap();
    let mut driver = driver.unwrap();
    let acquisition = acquirer.begin().unwrap();
    push_frames(&mut acquirer, 0..4);
    let parts = || runs.lock().iter().map(|run| run.part).collect::<Vec<_>>();
    for call in 1..=4 {
        driver.process().unwrap();
        assert_eq!(parts(), vec![Part::Fast; call]);
    }
    assert_eq!(reader.stats().chunks, 0, "the slow run is due");
    driver.process().unwrap();
    assert_eq!(parts().last(), Some(&Part::Slow));
    assert_eq!(reader.stats().chunks, 1);
    assert_eq!(driver.process(), Err(Status::NotReady));
    acquirer.end().unwrap();
    driver.process().unwrap();
    assert_eq!(wait(&reader, acquisition).chunks, 1);
}

#[test]
fn an_error_of_a_slow_run_fails_its_chunk_only() {
    let mut network = FrameNetwork::new(ALPHA, 0);
    network.during = Box::new(|part, grey| match (part, grey) {
        (Part::Slow, 4) => Err(Error::new(Status::Inference, "on purpose")),
        _ => Ok(()),
    });
    let mut stream = Stream::open(&network.engine(), &config()).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    push_frames(&mut stream.acquirer, 0..12);
    stream.acquirer.end().unwrap();
    let result = wait(&stream.reader, acquisition);
    assert_eq!((result.chunks, result.failed_chunks), (2, 1));
    assert!(result.flags.contains(ResultFlags::FAILED_CHUNKS));
}
