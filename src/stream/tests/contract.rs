//! Tests of whole streams against the fixtures of the stream contract
//! (docs/stream-contract.md#fixtures). Every pixel of a frame has the frame's index as its grey
//! value. A sample is a single pixel in these tests, so its value shows from which frame it was
//! taken.

use super::network::{self, Labelled, Network, Run, SIDE, push_at, wait};
use crate::classifier::posterior::softmax;
use crate::error::{Error, Result, Status};
use crate::model::{Group, LabelRule, Mode, ModelSpec, Novelty, NoveltyKind};
use crate::result::ResultFlags;
use crate::sampling::PartialChunk;
use crate::stream::Stream;
use crate::stream::acquirer::{Acquirer, PushError};
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::history::Coverage;
use crate::stream::reader::Reader;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const LABELS: usize = 4;

/// Creates the network that the contract defines, with the settings of a case. The network gives
/// no finite logits for a chunk that contains one of the frames `fails`.
fn create_network(settings: &Value) -> Network {
    let fails: Vec<i64> = settings["fails"]
        .as_array()
        .map(|frames| frames.iter().map(|frame| frame.as_i64().unwrap()).collect())
        .unwrap_or_default();
    let number = |key: &str| settings[key].as_u64().unwrap() as usize;
    let mut spec = ModelSpec {
        sample_interval_ns: settings["interval_ns"].as_i64().unwrap(),
        alpha: number("alpha"),
        clip_samples: number("clip_samples"),
        ..network::create_spec(Mode::Stream, LABELS)
    };
    set_decision(&mut spec, settings);
    Network::new(spec, move |slow, fast, state, logits| {
        let fast: Vec<i64> = fast.iter().map(|&grey| grey.round() as i64).collect();
        let next = compute_logits(slow[0].round() as i64, &fast, state);
        logits.copy_from_slice(&next);
        if fast.iter().any(|frame| fails.contains(frame)) {
            // The state is spoilt, too, so that a stream that does not reset it fails again.
            let spoilt = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][fast[0] as usize % 3];
            logits[fast[0] as usize % LABELS] = spoilt;
            state.fill(f32::NAN);
            return;
        }
        state.iter_mut().zip(next).for_each(|(state, logit)| *state = logit / 2.0);
    })
}

/// Sets what the settings of a case say about the decision which label is given.
pub(super) fn set_decision(spec: &mut ModelSpec, settings: &Value) {
    let number = |key: &str| settings[key].as_f64().map(|value| value as f32);
    spec.label_rule = match settings["label_rule"].as_str() {
        None => LabelRule::MeanLogits,
        Some("mean_probabilities") => LabelRule::MeanProbabilities,
        Some("newest") => LabelRule::Newest,
        Some(other) => panic!("label rule {other}"),
    };
    spec.temperature = number("temperature").unwrap_or(1.0);
    spec.threshold = number("threshold").unwrap_or(0.0);
    spec.group_threshold = number("group_threshold").unwrap_or(0.0);
    let groups = settings["groups"].as_array().map_or(&[][..], Vec::as_slice);
    for (label, group) in spec.labels.iter_mut().zip(groups) {
        label.group = Some(group.as_u64().unwrap() as usize);
    }
    let count = spec.labels.iter().filter_map(|label| label.group).max().map_or(0, |last| last + 1);
    spec.novelty = create_novelty(settings);
    let group = |index| Group { code: format!("G{index}"), name: String::new(), scheme: None };
    spec.groups = (0..count).map(group).collect();
}

fn create_novelty(settings: &Value) -> Option<Novelty> {
    let means: Vec<Vec<f32>> =
        serde_json::from_value(settings["means"].clone()).unwrap_or_default();
    let kind = match (settings["energy"].as_bool(), means.len()) {
        (Some(true), _) => NoveltyKind::Energy,
        (_, 0) => return None,
        (_, 1) => NoveltyKind::Residual,
        _ => NoveltyKind::Mahalanobis,
    };
    let values = means.first().map_or(0, Vec::len);
    let threshold = settings["novelty_threshold"].as_f64().unwrap();
    Some(Novelty { kind, values, means: means.concat(), threshold })
}

/// Computes the output of a chunk with the formula from the contract.
fn compute_logits(slow: i64, fast: &[i64], state: &[f32]) -> Vec<f32> {
    let output = |(j, state): (i64, &f32)| {
        let sum: i64 = (0i64..).zip(fast).map(|(i, f)| (f * (j + 3) + i) % 11).sum();
        (sum + (slow * (j + 1)) % 5) as f32 + 0.5 * state
    };
    (0i64..).zip(state).map(output).collect()
}

pub(super) fn config(ring_slots: usize) -> StreamConfig {
    StreamConfig { ring_slots, max_width_px: SIDE, max_height_px: SIDE, ..StreamConfig::default() }
}

/// Creates a stream's settings from those of a case.
pub(super) fn create_config(settings: &Value) -> StreamConfig {
    StreamConfig {
        label_span_ns: settings["span_ns"].as_i64().unwrap_or(0),
        gap_ns: settings["gap_ns"].as_i64().unwrap_or(StreamConfig::default().gap_ns),
        partial_chunk: match settings["partial"].as_str() {
            None | Some("auto") => PartialChunk::Auto,
            Some("drop") => PartialChunk::Drop,
            Some("hold") => PartialChunk::Hold,
            Some(other) => panic!("partial {other}"),
        },
        ..config(512)
    }
}

/// Makes the calls of a case. The grey value of a frame is its number among the accepted ones.
pub(super) fn push_events(acquirer: &mut Acquirer, case: &Value) {
    let name = case["name"].as_str().unwrap();
    let mut accepted = 0u8;
    for event in case["events"].as_array().unwrap() {
        match event[0].as_str().unwrap() {
            "frame" => match push_at(acquirer, event[1].as_i64().unwrap(), accepted) {
                Ok(()) => accepted += 1,
                Err(error) => assert_eq!(error, PushError::Refused, "{name}"),
            },
            "change" => assert_eq!(acquirer.mark(), Ok(())),
            "end" => assert_eq!(acquirer.end(), Ok(())),
            other => panic!("event {other}"),
        }
    }
}

fn run_case(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let (settings, expect) = (&case["settings"], &case["expect"]);
    let network = create_network(settings);
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let config = create_config(settings);
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config).unwrap();

    let acquisition = acquirer.begin().unwrap();
    push_events(&mut acquirer, case);
    let result = wait(&reader, acquisition);
    let stats = reader.stats();

    assert_eq!(stats.refused, expect["refused"].as_u64().unwrap(), "{name}: refused");
    let segments = expect["segments"].as_array().unwrap();
    let samples: usize = segments.iter().map(|s| s["samples"].as_array().unwrap().len()).sum();
    assert_eq!(stats.samples, samples as u64, "{name}: samples");
    let expected = expect["chunks"].as_array().unwrap();
    let seen = runs.lock().clone();
    assert_eq!(seen.len(), expected.len(), "{name}: chunks");
    for (index, (run, expected)) in seen.iter().zip(expected).enumerate() {
        let integers = |key: &str| -> Vec<i64> {
            expected[key].as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect()
        };
        let fast: Vec<i64> = run.greys.iter().map(|&grey| grey.into()).collect();
        assert_eq!(
            i64::from(run.slow_grey),
            expected["slow"].as_i64().unwrap(),
            "{name}: chunk {index}"
        );
        assert_eq!(fast, integers("fast"), "{name}: chunk {index}");
        if expected["logits"].is_null() {
            assert!(run.logits.iter().any(|logit| !logit.is_finite()), "{name}: chunk {index}");
            continue;
        }
        for (logit, expected) in run.logits.iter().zip(expected["logits"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap() as f32;
            let is_close = (logit - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            assert!(is_close, "{name}: chunk {index}: {logit} for {expected}");
        }
    }
    let last = &expect["final"];
    let failed = expected.iter().filter(|chunk| chunk["logits"].is_null()).count() as u64;
    assert_eq!((result.failed_chunks, stats.failed_chunks), (failed, failed), "{name}");
    assert_eq!(stats.chunks, seen.len() as u64 - failed, "{name}: chunks that ran");
    let steps = expect["clock_steps"].as_u64().unwrap();
    assert_eq!(stats.clock_steps, steps, "{name}: clock steps");
    let has = |flag| result.flags.contains(flag);
    assert_eq!(has(ResultFlags::CLOCK_STEP), steps > 0, "{name}");
    assert_eq!(has(ResultFlags::FAILED_CHUNKS), failed > 0, "{name}");
    let has_error = last["error"].as_bool().unwrap();
    assert_eq!(result.status == Status::Inference, has_error, "{name}: {:?}", result.status);
    check_label(name, last, &result);
    check_queries(name, expect, &reader);
}

pub(super) fn check_label(name: &str, expect: &Value, result: &Labelled) {
    assert_eq!(
        result.label.map_or(-1, i64::from),
        expect["label"].as_i64().unwrap(),
        "{name}: label"
    );
    assert_eq!(
        u64::from(result.chunks),
        expect["chunks"].as_u64().unwrap(),
        "{name}: chunks of the label"
    );
    if result.chunks == 0 {
        return;
    }
    check_decision(name, expect, result);
    assert_eq!(result.first_time_ns, expect["first_ns"].as_i64().unwrap(), "{name}: first");
    assert_eq!(result.last_time_ns, expect["last_ns"].as_i64().unwrap(), "{name}: last");
    for (score, expected) in result.scores.iter().zip(expect["posterior"].as_array().unwrap()) {
        let expected = expected.as_f64().unwrap() as f32;
        assert!((score - expected).abs() < 1e-4, "{name}: score {score} for {expected}");
    }
}

fn check_decision(name: &str, expect: &Value, result: &Labelled) {
    let group = expect["group"].as_i64().unwrap_or(-1);
    assert_eq!(result.group.map_or(-1, i64::from), group, "{name}: group");
    let confidence = expect["group_confidence"].as_f64().unwrap_or(0.0) as f32;
    let found = result.group_confidence;
    assert!((found - confidence).abs() < 1e-4, "{name}: {found} for {confidence}");
    let novelty = expect["novelty"].as_f64();
    assert!((result.novelty - novelty.unwrap_or(0.0)).abs() < 1e-3, "{name}: {}", result.novelty);
    assert_eq!(result.flags.contains(ResultFlags::NO_NOVELTY), novelty.is_none(), "{name}");
    let reasons = [
        ("abstained", ResultFlags::ABSTAINED),
        ("outside_group", ResultFlags::OUTSIDE_GROUP),
        ("group_abstained", ResultFlags::GROUP_ABSTAINED),
        ("novel", ResultFlags::NOVEL),
    ];
    let withheld: Vec<&str> =
        expect["withheld"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(withheld.iter().all(|text| reasons.iter().any(|(name, _)| name == text)), "{name}");
    for (reason, flag) in reasons {
        assert_eq!(result.flags.contains(flag), withheld.contains(&reason), "{name}: {reason}");
    }
}

pub(super) fn check_queries(name: &str, expect: &Value, reader: &Reader) {
    for query in expect["queries"].as_array().unwrap() {
        let (from, to) = (query["from_ns"].as_i64().unwrap(), query["to_ns"].as_i64().unwrap());
        let mut scores = vec![0.0; LABELS];
        let answer = reader.query(from, to, Duration::ZERO, &mut scores);
        let coverage = match query["coverage"].as_str().unwrap() {
            "complete" => Ok(Coverage::Complete),
            "partial" => Ok(Coverage::Partial),
            "empty" => Err(Status::Empty),
            "error" => Err(Status::Inference),
            other => panic!("coverage {other}"),
        };
        assert_eq!(answer.map(|answer| answer.coverage), coverage, "{name}: {from} to {to}");
        let Ok(answer) = answer else { continue };
        let failed = query["failed"].as_u64().unwrap();
        assert_eq!(answer.result.failed_chunks, failed, "{name}: {from} to {to}");
        check_label(name, &query["result"], &Labelled { result: answer.result, scores });
    }
}

#[test]
fn every_fixture_passes_from_push_to_label() {
    let fixtures: Value =
        serde_json::from_str(include_str!("../../../tests/contract/stream_fixtures.json")).unwrap();
    let cases = fixtures["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.iter().for_each(run_case);
}

#[test]
fn overload_gives_the_mean_of_the_chunks_that_ran() {
    const INTERVAL_NS: i64 = 100_000;
    let settings = serde_json::json!({"interval_ns": INTERVAL_NS, "alpha": 4, "clip_samples": 16});
    let network = Network { takes: Duration::from_millis(1), ..create_network(&settings) };
    let runs = network.runs.clone().unwrap();
    let engine = network.engine();
    let config = StreamConfig { drive: Drive::Host, ..config(64) };
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &config).unwrap();
    let mut driver = driver.expect("a host-driven stream");
    let acquisition = acquirer.begin().unwrap();
    // Three chunks arrive while the network processes one.
    for index in 0..240u8 {
        let time_ns = i64::from(index) * INTERVAL_NS;
        assert_eq!(push_at(&mut acquirer, time_ns, index), Ok(()), "frame {index}");
        if index % 12 == 11 {
            let before = runs.lock().len();
            while runs.lock().len() == before && driver.process().is_ok() {}
        }
    }
    assert_eq!(acquirer.end(), Ok(()));
    while driver.process().is_ok() {}
    let result = wait(&reader, acquisition);

    let ran = runs.lock().clone();
    let stats = reader.stats();
    assert!(result.flags.contains(ResultFlags::DEGRADED));
    assert_eq!(result.frames_used, 240, "every accepted frame is accounted for");
    assert_eq!(u64::from(result.chunks), stats.chunks);
    assert_eq!(stats.chunks, ran.len() as u64);
    assert!(stats.skipped_chunks >= 20, "{} chunks skipped", stats.skipped_chunks);
    // Two chunks are consecutive if the second begins four frames after the first. Each sequence of
    // consecutive chunks, except possibly the last, must be at least as long as a clip.
    let follows = |before: &Run, after: &Run| after.slow_grey == before.slow_grey + 4;
    let mut lengths = vec![1];
    for (before, after) in ran.iter().zip(&ran[1..]) {
        if follows(before, after) { *lengths.last_mut().unwrap() += 1 } else { lengths.push(1) }
    }
    assert!(ran.iter().all(|run| run.greys.windows(2).all(|pair| pair[1] - pair[0] <= 1)));
    let (_, all_but_last) = lengths.split_last().unwrap();
    assert!(lengths.len() > 2 && all_but_last.iter().all(|&length| length >= 4), "{lengths:?}");
    // Apply the formula from the contract to the chunks that ran, with the initial state at the
    // start of each sequence of consecutive chunks.
    let mut state = [0.0f32; LABELS];
    let mut sums = [0.0f32; LABELS];
    for (index, run) in ran.iter().enumerate() {
        if index > 0 && !follows(&ran[index - 1], run) {
            state = [0.0; LABELS];
        }
        let fast: Vec<i64> = run.greys.iter().map(|&grey| grey.into()).collect();
        let expected = compute_logits(run.slow_grey.into(), &fast, &state);
        for (label, (&logit, expected)) in run.logits.iter().zip(expected).enumerate() {
            assert!((logit - expected).abs() < 1e-3, "chunk {index}: {logit} for {expected}");
            state[label] = expected / 2.0;
            sums[label] += expected / ran.len() as f32;
        }
    }
    softmax(&mut sums, 1.0);
    for (score, expected) in result.scores.iter().zip(sums) {
        assert!((score - expected).abs() < 1e-4, "score {score} for {expected}");
    }
}

/// Acquires eight chunks on a network that fails in its third run, and then eight more.
fn acquire_twice_with_failure(
    failure: fn() -> Result<()>,
) -> (Labelled, Status, Result<Labelled, Status>) {
    let settings = serde_json::json!({"interval_ns": 1_000_000, "alpha": 4, "clip_samples": 16});
    let runs = AtomicUsize::new(0);
    let fail_once = move || if runs.fetch_add(1, Relaxed) == 2 { failure() } else { Ok(()) };
    let engine =
        Network { during: Some(Box::new(fail_once)), ..create_network(&settings) }.engine();
    let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &config(64)).unwrap();
    let mut acquire = |first: i64| -> Result<Labelled, Status> {
        let acquisition = acquirer.begin()?;
        let may_be_poisoned = |outcome: Result<(), Status>| {
            assert!(matches!(outcome, Ok(()) | Err(Status::Poisoned)), "{outcome:?}");
        };
        for index in first..first + 32 {
            let pushed = push_at(&mut acquirer, index * 1_000_000, 7);
            may_be_poisoned(pushed.map_err(PushError::status));
        }
        may_be_poisoned(acquirer.end());
        Ok(wait(&reader, acquisition))
    };
    let first = acquire(0).unwrap();
    let second = acquire(100);
    (first, reader.last_event(), second)
}

#[test]
fn an_error_of_the_runtime_fails_its_chunk_only() {
    let fail = || Err(Error::new(Status::Inference, "out of GPU memory"));
    let (first, event, next) = acquire_twice_with_failure(fail);
    assert_eq!((first.status, first.chunks, first.failed_chunks), (Status::Ok, 7, 1));
    assert!(first.label.is_some());
    let last = ResultFlags::FINAL | ResultFlags::NO_NOVELTY;
    assert_eq!(first.flags, ResultFlags::FAILED_CHUNKS | ResultFlags::DISCONTINUITY | last);
    assert_eq!(event, Status::Inference);
    let next = next.expect("the next acquisition works");
    assert_eq!((next.status, next.chunks, next.failed_chunks), (Status::Ok, 8, 0));
    assert_eq!(next.flags, last);
}

#[test]
fn a_panic_of_the_worker_poisons_its_stream_only() {
    let (failed, event, next) = acquire_twice_with_failure(|| panic!("on purpose"));
    assert_eq!((failed.status, failed.label), (Status::Poisoned, None));
    assert_eq!(event, Status::Poisoned);
    assert_eq!(next, Err(Status::Poisoned));
}
