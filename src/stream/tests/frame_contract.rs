//! Tests of streams with frame steps against the fixtures of the stream contract
//! (docs/stream-contract.md#fixtures).

use super::contract::{
    check_label, check_queries, config, create_config, push_events, set_decision,
};
use super::frame_network::{FrameNetwork, LABELS};
use super::network::{Labelled, push_at, wait};
use crate::error::Status;
use crate::model::part::Part;
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::driver::Driver;
use crate::stream::hooks::Hooks;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

fn integers(value: &Value) -> Vec<i64> {
    let values = value.as_array().map_or(&[][..], Vec::as_slice);
    values.iter().map(|value| value.as_i64().unwrap()).collect()
}

fn create_network(settings: &Value) -> FrameNetwork {
    let number = |key: &str| settings[key].as_u64().unwrap_or(0) as usize;
    let mut network = FrameNetwork::new(number("alpha"), number("reach"));
    network.spec.sample_interval_ns = settings["interval_ns"].as_i64().unwrap();
    network.spec.clip_samples = number("clip_samples");
    set_decision(&mut network.spec, settings);
    if settings["head"] == true {
        network.add_head();
    }
    network.fails_fast = integers(&settings["fails_fast"]);
    network.fails_slow = integers(&settings["fails_slow"]);
    network
}

/// How long the runs of each part take.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Even,
    SlowPartLags,
    FastPartLags,
}

fn set_pace(network: &mut FrameNetwork, pace: Pace) {
    network.during = Box::new(move |part, grey| {
        let delay = match (pace, part) {
            (Pace::SlowPartLags, Part::Slow) => 300 * (grey as u64 % 3),
            (Pace::FastPartLags, Part::Fast) => 100 * (grey as u64 % 3),
            _ => return Ok(()),
        };
        std::thread::sleep(Duration::from_micros(delay));
        Ok(())
    });
}

fn run_case(case: &Value, pace: Pace, drive: Drive) {
    let name = format!("{} ({pace:?}, {drive:?})", case["name"].as_str().unwrap());
    let (settings, expect) = (&case["settings"], &case["expect"]);
    let mut network = create_network(settings);
    set_pace(&mut network, pace);
    let engine = network.engine();
    let config = StreamConfig { drive, ..create_config(settings) };
    let Stream { mut acquirer, mut driver, reader } = Stream::open(&engine, &config).unwrap();
    let acquisition = acquirer.begin().unwrap();
    push_events(&mut acquirer, case);
    while driver.as_mut().is_some_and(|driver| driver.process().is_ok()) {}
    let result = wait(&reader, acquisition);
    let stats = reader.stats();
    let chunks = expect["chunks"].as_array().unwrap();
    let failed = chunks.iter().filter(|chunk| chunk["logits"].is_null()).count() as u64;
    assert_eq!((result.failed_chunks, stats.failed_chunks), (failed, failed), "{name}");
    assert_eq!(stats.chunks, chunks.len() as u64 - failed, "{name}: chunks");
    let samples: usize = expect["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| segment["samples"].as_array().unwrap().len())
        .sum();
    assert_eq!(stats.samples, samples as u64, "{name}: samples");
    assert_eq!(result.flags.contains(ResultFlags::FAILED_CHUNKS), failed > 0, "{name}");
    let has_error = expect["final"]["error"].as_bool().unwrap();
    assert_eq!(result.status == Status::Inference, has_error, "{name}: {:?}", result.status);
    check_label(&name, &expect["final"], &result);
    check_queries(&name, expect, &reader);
}

fn fixtures() -> Value {
    let text = include_str!("../../../tests/contract/stream_fixtures.json");
    let fixtures: Value = serde_json::from_str(text).unwrap();
    assert!(fixtures["frame_cases"].as_array().is_some_and(|cases| !cases.is_empty()));
    fixtures
}

#[test]
fn every_frame_fixture_passes_at_any_pace_and_with_any_drive() {
    for case in fixtures()["frame_cases"].as_array().unwrap() {
        for pace in [Pace::Even, Pace::SlowPartLags, Pace::FastPartLags] {
            for drive in [Drive::Wake, Drive::Poll, Drive::Host] {
                run_case(case, pace, drive);
            }
        }
    }
}

/// Processes everything that is waiting.
fn process_all(driver: &mut Driver) {
    while driver.process().is_ok() {}
}

#[test]
fn a_live_label_is_the_label_of_an_acquisition_that_ends_there() {
    let mut checked = 0;
    for case in fixtures()["frame_cases"].as_array().unwrap() {
        let (settings, expect) = (&case["settings"], &case["expect"]);
        let is_held = settings["partial"] == "hold";
        let name = case["name"].as_str().unwrap();
        let engine = create_network(settings).engine();
        let config = StreamConfig {
            drive: Drive::Host,
            publish_each_sample: true,
            ..create_config(settings)
        };
        let newest = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&newest);
        let hooks = Hooks {
            on_result: Some(Box::new(move |result, scores| {
                *seen.lock() = Some(Labelled { result: *result, scores: scores.to_vec() });
            })),
            ..Hooks::default()
        };
        let stream = Stream::open_with_hooks(&engine, &config, hooks).unwrap();
        let Stream { mut acquirer, driver, .. } = stream;
        let mut driver = driver.unwrap();
        acquirer.begin().unwrap();
        let mut accepted = 0u8;
        for (event, live) in
            case["events"].as_array().unwrap().iter().zip(expect["live"].as_array().unwrap())
        {
            if event[0] == "change" {
                acquirer.mark().unwrap();
                break;
            }
            if push_at(&mut acquirer, event[1].as_i64().unwrap(), accepted).is_ok() {
                accepted += 1;
            }
            process_all(&mut driver);
            let newest = newest.lock();
            let chunks = newest.as_ref().map_or(0, |result| result.chunks);
            let frame = format!("{name}, frame {accepted}");
            // In these cases, each frame is a sample and no run fails.
            if name.starts_with("reach") {
                let reach = settings["reach"].as_u64().unwrap() as u32;
                let (whole, accepted) = (u32::from(accepted) / 4, u32::from(accepted));
                let is_partial = whole == 0 && accepted > reach && !is_held;
                assert_eq!(chunks, whole + u32::from(is_partial), "{frame}");
            }
            // With `hold`, the fixtures contain the label of the completed chunk.
            if let Some(result) = newest.as_ref().filter(|_| chunks > 0 && !is_held) {
                check_label(&frame, live, result);
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "only {checked} live labels");
}

#[test]
fn the_same_frames_give_the_same_label_bit_for_bit() {
    let label = |seed: u64| {
        let mut network = FrameNetwork::new(4, 1);
        network.during = Box::new(move |_, grey| {
            let mixed = (seed ^ grey as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
            match mixed {
                0..=99 => {}
                100..=179 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(mixed)),
            }
            Ok(())
        });
        let mut stream = Stream::open(&network.engine(), &config(512)).unwrap();
        let acquisition = stream.acquirer.begin().unwrap();
        for index in 0..43u8 {
            push_at(&mut stream.acquirer, i64::from(index) * 10_000_000, index).unwrap();
        }
        stream.acquirer.end().unwrap();
        let result = wait(&stream.reader, acquisition);
        assert_eq!(result.scores.len(), LABELS);
        // Where this thread gets too little of a processor, the overload rule skips chunks.
        let is_whole = stream.reader.stats().skipped_chunks == 0;
        assert_eq!(is_whole, result.chunks == 10, "{} chunks", result.chunks);
        is_whole.then(|| result.scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>())
    };
    let labels: Vec<_> = (0..3000).filter_map(label).take(1000).collect();
    assert_eq!(labels.len(), 1000, "too many runs skipped chunks");
    for (run, label) in labels.iter().enumerate() {
        assert_eq!(label, &labels[0], "run {run}");
    }
}
