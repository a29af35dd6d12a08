//! Tests of early stop, view change and the window hop.

use super::network::{
    BRIGHT, CHUNK, CLIP, DARK, INTERVAL_NS, Network, Run, acquire, acquire_once, config, push, wait,
};
use crate::classifier::rules::{EarlyStop, ViewChange};
use crate::engine::Engine;
use crate::error::Status;
use crate::model::Mode;
use crate::result::{ResultFlags, ViewResult};
use crate::stream::Stream;
use crate::stream::config::StreamConfig;
use crate::stream::history::Coverage;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const CHUNKS_PER_CLIP: u32 = (CLIP / CHUNK) as u32;

fn with_early_stop(outputs: u32, margin: f32) -> StreamConfig {
    StreamConfig { early_stop: Some(EarlyStop { outputs, margin }), ..config() }
}

fn with_view_change(span: u32, outputs: u32, margin: f32) -> StreamConfig {
    StreamConfig { view_change: Some(ViewChange { span, outputs, margin }), ..config() }
}

fn create_logged(network: Network) -> (Engine, Arc<Mutex<Vec<Run>>>) {
    let runs = network.runs.clone().unwrap();
    (network.engine(), runs)
}

fn dark_then_bright(dark: i64, all: i64) -> impl Iterator<Item = (i64, u8)> {
    (0..all).map(move |sample| (sample, if sample < dark { DARK } else { BRIGHT }))
}

#[track_caller]
fn assert_flag(result: &ViewResult, flag: ResultFlags, is_set: bool) {
    assert_eq!(result.flags.contains(flag), is_set, "{:?}", result.flags);
}

#[test]
fn a_settled_label_stops_the_network() {
    let (engine, runs) = create_logged(Network::default());
    let mut stream = Stream::open(&engine, &with_early_stop(0, 0.5)).unwrap();
    let result = acquire(&mut stream, dark_then_bright(99, 99));
    assert_eq!(runs.lock().len(), CLIP / CHUNK, "the outputs of a clip agree, then nothing runs");
    assert_flag(&result, ResultFlags::SETTLED, true);
    assert_eq!((result.label, result.chunks, result.frames_used), (Some(0), CHUNKS_PER_CLIP, 99));
    assert_eq!(result.last_time_ns, (CLIP as i64 - 1) * INTERVAL_NS);
    assert_eq!(stream.reader.stats().samples, 99, "samples are still decided");
    // The rule starts again with the next acquisition.
    let again = acquire(&mut stream, dark_then_bright(0, 99));
    assert_eq!((again.label, again.chunks), (Some(1), CHUNKS_PER_CLIP));
}

#[test]
fn disagreement_or_a_small_margin_prevents_early_stop() {
    let (engine, runs) = create_logged(Network::with_memory(Mode::Stream, 0.0));
    // Every fourth chunk is bright, and all others are dark.
    let frames = (0..96).map(|sample| (sample, if sample / 4 % 4 == 3 { BRIGHT } else { DARK }));
    let result = acquire_once(&engine, &with_early_stop(0, 0.1), frames);
    assert_eq!(runs.lock().len(), 24);
    assert_flag(&result, ResultFlags::SETTLED, false);
    // The label is always the same, but the two logits differ by only 1.
    let grey = |sample: i64| (sample, 130);
    let margin = acquire_once(&engine, &config(), (0..96).map(grey)).margin;
    let result = acquire_once(&engine, &with_early_stop(0, margin + 0.01), (0..96).map(grey));
    assert_flag(&result, ResultFlags::SETTLED, false);
    let result = acquire_once(&engine, &with_early_stop(0, margin - 0.01), (0..96).map(grey));
    assert_flag(&result, ResultFlags::SETTLED, true);
}

#[test]
fn early_stop_can_require_more_outputs_than_a_clip() {
    let (engine, runs) = create_logged(Network::default());
    let result = acquire_once(&engine, &with_early_stop(9, 0.5), dark_then_bright(99, 99));
    assert_eq!((runs.lock().len(), result.chunks), (9, 9));
}

#[test]
fn a_mark_restarts_a_stopped_network_and_a_gap_does_not() {
    let (engine, runs) = create_logged(Network::default());
    let Stream { mut acquirer, reader, .. } =
        Stream::open(&engine, &with_early_stop(0, 0.5)).unwrap();
    let acquisition = acquirer.begin().unwrap();
    let push_all = |acquirer: &mut _, samples: std::ops::Range<i64>, grey| {
        samples.for_each(|sample| assert_eq!(push(acquirer, sample, grey), Ok(())));
    };
    push_all(&mut acquirer, 0..40, DARK);
    // The mean continues after a gap, so a settled label stays settled.
    push_all(&mut acquirer, 200..240, BRIGHT);
    assert_eq!(acquirer.mark(), Ok(()));
    push_all(&mut acquirer, 240..250, BRIGHT);
    assert_eq!(acquirer.end(), Ok(()));
    let result = wait(&reader, acquisition);
    let runs = runs.lock().clone();
    assert_eq!(runs.len(), 4 + 3, "four chunks, then two and a half after the mark");
    assert!(runs[4].is_fresh && runs[4].greys == [BRIGHT; 4]);
    assert_eq!((result.label, result.chunks), (Some(1), 3));
    assert_flag(&result, ResultFlags::SETTLED, false);
    assert_eq!(reader.stats().samples, 40 + 40 + 10);
}

#[test]
fn samples_are_kept_for_exact_queries_after_early_stop() {
    for mode in [Mode::Stream, Mode::Window] {
        let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
        let engine = Network::with_memory(mode, memory).engine();
        let config = StreamConfig { exact_history_ns: 2_000_000_000, ..with_early_stop(0, 0.5) };
        let mut stream = Stream::open(&engine, &config).unwrap();
        // Frames come at half the sample rate, so each frame becomes two samples.
        let frames = || dark_then_bright(60, 120).filter(|(sample, _)| sample % 2 == 0);
        assert_flag(&acquire(&mut stream, frames()), ResultFlags::SETTLED, true);
        let (from, to) = (50 * INTERVAL_NS, 118 * INTERVAL_NS);
        let (reader, mut scores) = (&stream.reader, vec![0.0; 2]);
        assert_eq!(reader.query(from, to, Duration::ZERO, &mut []), Err(Status::Empty));
        let answer = reader.query_exact(from, to, Duration::from_secs(60), &mut scores).unwrap();
        assert_eq!(answer.coverage, Coverage::Complete);
        let plain = StreamConfig { early_stop: None, ..config };
        let alone = acquire_once(&engine, &plain, frames().skip(25));
        assert_eq!((scores, answer.result.chunks), (alone.scores.clone(), alone.chunks));
    }
}

#[test]
fn a_view_change_restarts_the_mean_where_it_began() {
    let (engine, _) = create_logged(Network::with_memory(Mode::Stream, 0.0));
    // Twelve bright chunks follow twenty dark ones. Without the rule, the old view outweighs the
    // new one.
    let frames = || dark_then_bright(80, 128);
    let without = acquire_once(&engine, &config(), frames());
    assert_eq!((without.label, without.chunks), (Some(0), 32));
    assert_flag(&without, ResultFlags::VIEW_CHANGED, false);
    let mut stream = Stream::open(&engine, &with_view_change(4, 5, 0.5)).unwrap();
    let result = acquire(&mut stream, frames());
    assert_eq!(result.label, Some(1));
    assert_flag(&result, ResultFlags::VIEW_CHANGED, true);
    assert_flag(&result, ResultFlags::DISCONTINUITY, false);
    // Chunk 20 is the first bright one. The recent chunks favour the bright view only if at least
    // three of the last four are bright, so they first disagree with the mean at chunk 22.
    assert_eq!((result.chunks, result.first_time_ns), (32 - 22, 22 * 4 * INTERVAL_NS));
    let stats = stream.reader.stats();
    assert_eq!((stats.view_changes, stats.changes, stats.chunks), (1, 0, 32));
    let bright = acquire_once(&engine, &config(), (0..40).map(|s| (s, BRIGHT)));
    assert_eq!(result.scores, bright.scores, "the mean contains nothing of the old view");
}

#[test]
fn a_glance_or_a_small_margin_is_no_view_change() {
    let (engine, _) = create_logged(Network::with_memory(Mode::Stream, 0.0));
    let run = |config: StreamConfig, frames: &mut dyn Iterator<Item = (i64, u8)>| {
        let result = acquire_once(&engine, &config, frames);
        result.flags.contains(ResultFlags::VIEW_CHANGED)
    };
    let glance = |sample: i64| if (80..96).contains(&sample) { BRIGHT } else { DARK };
    assert!(!run(
        with_view_change(4, 5, 0.5),
        &mut (0..128).map(|sample| (sample, glance(sample)))
    ));
    // From sample 160, two of every three chunks are bright, but never three in a row.
    let restless = |sample: i64| if sample < 160 || sample / 4 % 3 == 0 { DARK } else { BRIGHT };
    assert!(!run(
        with_view_change(1, 3, 0.5),
        &mut (0..240).map(|sample| (sample, restless(sample)))
    ));
    assert!(run(
        with_view_change(1, 2, 0.5),
        &mut (0..240).map(|sample| (sample, restless(sample)))
    ));
    let faint = |sample: i64| if sample < 80 { DARK } else { 122 };
    let faint = || (0..160).map(|sample| (sample, faint(sample)));
    assert!(!run(with_view_change(4, 4, 0.5), &mut faint()), "the scores are 0.1 apart");
    assert!(run(with_view_change(4, 4, 0.05), &mut faint()));
}

#[test]
fn the_view_can_change_twice_in_both_modes() {
    for (mode, outputs) in [(Mode::Stream, 3), (Mode::Window, 2)] {
        let engine = Network::with_memory(mode, 0.0).engine();
        let config = StreamConfig { window_hop_samples: 8, ..with_view_change(2, outputs, 0.5) };
        let mut stream = Stream::open(&engine, &config).unwrap();
        let grey = |sample: i64| if (100..200).contains(&sample) { BRIGHT } else { DARK };
        let result = acquire(&mut stream, (0..300).map(|sample| (sample, grey(sample))));
        assert_eq!(result.label, Some(0), "{mode:?}");
        assert!(result.first_time_ns >= 200 * INTERVAL_NS - CLIP as i64 * INTERVAL_NS);
        assert_eq!(stream.reader.stats().view_changes, 2, "{mode:?}");
        let one = acquire(&mut stream, (0..50).map(|sample| (sample, DARK)));
        assert_flag(&one, ResultFlags::VIEW_CHANGED, false);
    }
}

#[test]
fn rule_settings_out_of_range_are_refused() {
    let engine = Network::default().engine();
    for config in [
        with_early_stop(1025, 0.5),
        with_early_stop(0, 1.1),
        with_early_stop(0, -0.1),
        with_early_stop(0, f32::NAN),
        with_view_change(1025, 0, 0.5),
        with_view_change(0, 1025, 0.5),
        with_view_change(0, 0, 2.0),
    ] {
        let error = Stream::open(&engine, &config).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
}

/// Runs windows over 100 samples, each with its number as its grey value. Returns the hop and the
/// first sample of each window.
fn run_windows(engine: &Engine, runs: &Mutex<Vec<Run>>, hop: usize) -> (u64, Vec<u8>) {
    let config = StreamConfig { window_hop_samples: hop, ..config() };
    let mut stream = Stream::open(engine, &config).unwrap();
    runs.lock().clear();
    acquire(&mut stream, (0..100).map(|sample| (sample, sample as u8)));
    let starts = runs.lock().iter().map(|run| run.greys[0]).collect();
    (stream.reader.stats().window_hop_samples, starts)
}

#[test]
fn the_hop_follows_the_measured_time_of_a_clip() {
    let ms = Duration::from_millis;
    // Samples are 10 ms apart, and a clip has 16 samples. The hop is 4 to 16 samples and, if
    // possible, long enough that the network runs for at most half of the time.
    for (takes, hop) in
        [(ms(1), 4), (ms(20), 4), (ms(21), 5), (ms(40), 8), (ms(80), 16), (ms(500), 16)]
    {
        let (engine, runs) = create_logged(Network::with_memory(Mode::Window, 0.0));
        assert_eq!(run_windows(&engine, &runs, 0).0, 8, "half a clip without a measurement");
        engine.set_step_time(takes);
        let (reported, starts) = run_windows(&engine, &runs, 0);
        assert_eq!(reported, hop, "{takes:?}");
        let mut expected: Vec<u8> = (0..=84).step_by(usize::try_from(hop).unwrap()).collect();
        if expected.last() != Some(&84) {
            expected.push(84);
        }
        assert_eq!(starts, expected, "the last window ends at the last sample");
        assert_eq!(engine.keeps_up(), Some(takes < ms(160)), "{takes:?}");
    }
}

#[test]
fn a_hop_of_the_host_overrides_the_measurement() {
    let (engine, runs) = create_logged(Network::with_memory(Mode::Window, 0.0));
    engine.set_step_time(Duration::from_nanos(1));
    assert_eq!(run_windows(&engine, &runs, 12), (12, vec![0, 12, 24, 36, 48, 60, 72, 84]));
    let config = StreamConfig { window_hop_samples: CLIP + 1, ..config() };
    assert_eq!(Stream::open(&engine, &config).err().unwrap().status(), Status::InvalidArgument);
    let engine = Network::default().engine();
    let stream = Stream::open(&engine, &config).unwrap();
    assert_eq!(stream.reader.stats().window_hop_samples, 0, "stream mode has no windows");
}
