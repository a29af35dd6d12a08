//! Tests of steps that fail, of self-tests that fail, and of clock steps in queries.

use super::network::{
    BRIGHT, CHUNK, CLIP, DARK, INTERVAL_NS, Network, acquire, acquire_once, config, create_spec,
    push, push_at, wait,
};
use crate::classifier::rules::{EarlyStop, ViewChange};
use crate::engine::Engine;
use crate::error::{Error, Status};
use crate::model::{Mode, SelfTest};
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::acquirer::PushError;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::history::Coverage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Grey value of frames that make the network give an infinite logit.
const SPOILT: u8 = 255;

/// Creates a network that distinguishes dark from bright frames, and whose logits are not finite if
/// a sample is spoilt.
fn create_network(mode: Mode) -> Network {
    let plain = Network::with_memory(mode, 0.0).compute;
    Network::new(create_spec(mode, 2), move |slow, fast, state, logits| {
        plain(slow, fast, state, logits);
        if fast.iter().any(|&grey| grey.round() as u8 == SPOILT) {
            logits[1] = f32::INFINITY;
            // A network for window mode has no state that a stream could reset.
            if mode == Mode::Stream {
                state.fill(f32::NAN);
            }
        }
    })
}

/// Returns frames whose chunks have these grey values.
fn chunks(greys: &[u8]) -> impl Iterator<Item = (i64, u8)> {
    let samples = greys.iter().flat_map(|&grey| [grey; CHUNK]).collect::<Vec<_>>();
    (0..).zip(samples)
}

#[test]
fn a_failed_window_is_left_out_of_the_mean() {
    let engine = create_network(Mode::Window).engine();
    let config = StreamConfig { window_hop_samples: CLIP, ..config() };
    let clip = |grey: u8| [grey; CLIP / CHUNK];
    let greys = [clip(DARK), clip(SPOILT), clip(DARK)].concat();
    let result = acquire_once(&engine, &config, chunks(&greys));
    assert_eq!((result.status, result.label), (Status::Ok, Some(0)));
    assert_eq!((result.chunks, result.failed_chunks), (2, 1));
    assert!(result.flags.contains(ResultFlags::FAILED_CHUNKS));
    assert!(result.scores.iter().all(|score| score.is_finite()));
    let result = acquire_once(&engine, &config, chunks(&clip(SPOILT)));
    assert_eq!((result.status, result.label), (Status::Inference, None));
    assert_eq!((result.chunks, result.failed_chunks), (0, 1));
    assert_eq!(result.scores, [0.0, 0.0]);
}

#[test]
fn a_failed_chunk_restarts_early_stop_and_view_change() {
    let early_stop = Some(EarlyStop { outputs: 4, margin: 0.5 });
    let config_with_stop = StreamConfig { early_stop, ..config() };
    let engine = create_network(Mode::Stream).engine();
    let greys = [DARK, DARK, DARK, SPOILT, DARK, DARK, DARK];
    let result = acquire_once(&engine, &config_with_stop, chunks(&greys));
    assert!(!result.flags.contains(ResultFlags::SETTLED), "{:?}", result.flags);
    assert_eq!((result.chunks, result.failed_chunks), (6, 1));
    let result = acquire_once(&engine, &config_with_stop, chunks(&[&greys[..], &[DARK]].concat()));
    assert!(result.flags.contains(ResultFlags::SETTLED), "{:?}", result.flags);

    let view_change = Some(ViewChange { span: 1, outputs: 3, margin: 0.5 });
    let config = StreamConfig { view_change, ..config() };
    let dark = [DARK; 9];
    let interrupted = [&dark[..], &[BRIGHT, BRIGHT, SPOILT, BRIGHT, BRIGHT]].concat();
    let result = acquire_once(&engine, &config, chunks(&interrupted));
    assert!(!result.flags.contains(ResultFlags::VIEW_CHANGED));
    let result = acquire_once(&engine, &config, chunks(&[&interrupted[..], &[BRIGHT]].concat()));
    assert!(result.flags.contains(ResultFlags::VIEW_CHANGED));
    assert_eq!((result.label, result.chunks), (Some(1), 3));
}

#[test]
fn exact_queries_report_failed_chunks() {
    let engine = create_network(Mode::Stream).engine();
    let config = StreamConfig { exact_history_ns: 1_000 * INTERVAL_NS, ..config() };
    let mut stream = Stream::open(&engine, &config).unwrap();
    acquire(&mut stream, chunks(&[DARK, SPOILT, DARK]));
    let query = |from: i64, to: i64| {
        let (from, to) = (from * INTERVAL_NS, to * INTERVAL_NS);
        stream.reader.query_exact(from, to, Duration::from_secs(60), &mut [])
    };
    let answer = query(0, 11).unwrap();
    assert_eq!(answer.coverage, Coverage::Complete);
    assert_eq!((answer.result.chunks, answer.result.failed_chunks), (2, 1));
    assert_eq!(answer.result.flags, ResultFlags::FAILED_CHUNKS | ResultFlags::NO_NOVELTY);
    assert_eq!(query(4, 7), Err(Status::Inference));
    assert_eq!(query(8, 11).unwrap().result.failed_chunks, 0);
}

#[test]
fn provisional_results_report_a_failure_at_once() {
    let engine = create_network(Mode::Stream).engine();
    let config = StreamConfig { drive: Drive::Host, ..config() };
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &config).unwrap();
    let mut driver = driver.unwrap();
    acquirer.begin().unwrap();
    chunks(&[SPOILT]).for_each(|(sample, grey)| push(&mut acquirer, sample, grey).unwrap());
    while driver.process().is_ok() {}
    let result = reader.poll(&mut []).unwrap();
    let expected =
        ResultFlags::PROVISIONAL | ResultFlags::FAILED_CHUNKS | ResultFlags::DISCONTINUITY;
    assert_eq!(result.flags - ResultFlags::SHORT - ResultFlags::NO_NOVELTY, expected);
    assert_eq!((result.status, result.label, result.failed_chunks), (Status::Ok, None, 1));
    assert_eq!(reader.last_event(), Status::Inference);
}

/// Creates an engine that passes its self-test while `is_right` is set.
fn create_testable(is_right: &Arc<AtomicBool>) -> Engine {
    let is_right = Arc::clone(is_right);
    let mut spec = create_spec(Mode::Stream, 2);
    let logits = vec![0.0; 2];
    spec.self_test = SelfTest { seed: 1, logits, tolerance_fp32: 0.1, tolerance_fp16: 0.1 };
    Network::new(spec, move |_, _, state, logits| {
        state.fill(0.0);
        logits.fill(if is_right.load(Relaxed) { 0.0 } else { 1.0 });
    })
    .engine()
}

#[test]
fn an_engine_that_failed_its_self_test_gives_no_label() {
    let is_right = Arc::new(AtomicBool::new(false));
    let engine = create_testable(&is_right);
    let config = StreamConfig { exact_history_ns: INTERVAL_NS, drive: Drive::Host, ..config() };
    let Stream { mut acquirer, driver, reader } =
        Stream::open(&engine, &config).expect("the self-test has not run");
    let mut driver = driver.unwrap();
    let acquisition = acquirer.begin().unwrap();
    chunks(&[DARK; 2]).for_each(|(sample, grey)| push(&mut acquirer, sample, grey).unwrap());
    while driver.process().is_ok() {}
    assert_eq!(reader.poll(&mut []).unwrap().chunks, 2);

    assert_eq!(engine.prepare().map_err(|error| error.status()), Err(Status::SelfTest));
    let error = Stream::open(&engine, &config).err().expect("refused");
    assert_eq!(error.status(), Status::SelfTest);
    assert!(error.message().contains("logit 0 must be 0 within 0.1 (fp32), got 1"), "{error}");
    // The acquisition in progress ends with the next frame, and the worker takes no lock.
    let held = engine.self_test().hold_failure();
    push(&mut acquirer, 8, DARK).unwrap();
    while driver.process().is_ok() {}
    drop(held);
    let polled = reader.poll(&mut []).unwrap();
    assert_eq!((polled.status, polled.label), (Status::SelfTest, None));
    assert!(polled.flags.contains(ResultFlags::PROVISIONAL));
    acquirer.end().unwrap();
    while driver.process().is_ok() {}
    let last = wait(&reader, acquisition);
    assert_eq!((last.status, last.label, last.frames_used), (Status::SelfTest, None, 9));
    assert_eq!(reader.last_event(), Status::SelfTest);
    assert_eq!(acquirer.begin(), Err(Status::SelfTest));
    let all = |is_exact| {
        let wait = Duration::ZERO;
        let query = if is_exact {
            reader.query_exact(i64::MIN, i64::MAX, wait, &mut [])
        } else {
            reader.query(i64::MIN, i64::MAX, wait, &mut [])
        };
        query.map(|answer| answer.result.chunks)
    };
    assert_eq!([all(false), all(true)], [Err(Status::SelfTest); 2]);

    is_right.store(true, Relaxed);
    engine.prepare().expect("the self-test succeeds");
    assert_eq!(all(false), Ok(2));
    let acquisition = acquirer.begin().unwrap();
    push(&mut acquirer, 0, DARK).unwrap();
    acquirer.end().unwrap();
    while driver.process().is_ok() {}
    assert_eq!(wait(&reader, acquisition).status, Status::Ok);
    assert!(Stream::open(&engine, &config).is_ok());
}

#[test]
fn images_that_give_no_finite_logit_fail_the_self_test() {
    let mut spec = create_spec(Mode::Stream, 2);
    let logits = vec![0.0; 2];
    spec.self_test = SelfTest { seed: 1, logits, tolerance_fp32: 0.1, tolerance_fp16: 0.1 };
    // The input of the package's self-test is at most 1, so only an image overflows.
    let engine = Network::new(spec, |_, fast, state, logits| {
        let brightest = fast.iter().copied().fold(0.0, f32::max);
        state.fill(0.0);
        logits.fill(if brightest > 254.0 { f32::NEG_INFINITY } else { 0.0 });
    })
    .engine();
    let error = engine.prepare().expect_err("white images overflow");
    assert_eq!(error.status(), Status::SelfTest);
    assert!(error.message().contains("must be finite, got -inf"), "{error}");
}

#[test]
fn a_self_test_that_cannot_run_changes_nothing() {
    let during = || Err(Error::new(Status::Inference, "device lost"));
    let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
    assert_eq!(engine.prepare().map_err(|error| error.status()), Err(Status::Inference));
    assert!(Stream::open(&engine, &config()).is_ok());
}

#[test]
fn an_exact_query_covers_the_samples_since_a_clock_step() {
    let engine = create_network(Mode::Stream).engine();
    let config = StreamConfig { exact_history_ns: 1_000 * INTERVAL_NS, ..config() };
    let mut stream = Stream::open(&engine, &config).unwrap();
    let acquisition = stream.acquirer.begin().unwrap();
    for sample in 0..16 {
        push(&mut stream.acquirer, sample, DARK).unwrap();
    }
    // The clock steps back by 11 samples. The first four frames after the step are refused.
    let pushed: Vec<bool> = (5..37)
        .map(|sample| push_at(&mut stream.acquirer, sample * INTERVAL_NS, BRIGHT).is_ok())
        .collect();
    assert_eq!(pushed.iter().filter(|&&accepted| !accepted).count(), 4);
    stream.acquirer.end().unwrap();
    let result = wait(&stream.reader, acquisition);
    assert!(result.flags.contains(ResultFlags::CLOCK_STEP | ResultFlags::DISCONTINUITY));
    assert_eq!((result.chunks, result.first_time_ns), (11, 0));
    assert_eq!(result.last_time_ns, 36 * INTERVAL_NS);
    let query = |from: i64, to: i64| {
        let (from, to) = (from * INTERVAL_NS, to * INTERVAL_NS);
        let exact = stream.reader.query_exact(from, to, Duration::from_secs(60), &mut []).unwrap();
        let plain = stream.reader.query(from, to, Duration::ZERO, &mut []).unwrap();
        assert_eq!(plain.coverage, exact.coverage);
        assert_eq!((plain.result.chunks, plain.result.label), (exact.result.chunks, Some(1)));
        (exact.coverage, exact.result.chunks)
    };
    assert_eq!(query(9, 36), (Coverage::Complete, 7));
    assert_eq!(query(0, 36), (Coverage::Partial, 7));
}

#[test]
fn a_refused_push_has_the_text_of_its_status() {
    let status =
        [Status::RingFull, Status::FrameRefused, Status::UnsupportedFormat].map(PushError::from);
    assert_eq!(
        status,
        [PushError::Dropped, PushError::Refused, PushError::Invalid(Status::UnsupportedFormat)]
    );
    for error in status {
        assert_eq!(error.to_string(), error.status().to_string());
    }
}
