//! Early stop, the view change by posterior and the hop of windows, through whole streams.

use crate::model::Mode;
use crate::result::flags;
use crate::test_network::{BRIGHT, CHUNK, CLIP, DARK, INTERVAL_NS, Network, Run, acquire, config, push};
use crate::{EarlyStop, Engine, Status, Stream, StreamConfig, ViewChange, ViewResult};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const CHUNKS_OF_A_CLIP: u32 = (CLIP / CHUNK) as u32;

fn early(outputs: u32, margin: f32) -> StreamConfig {
    StreamConfig { early_stop: Some(EarlyStop { outputs, margin }), ..config() }
}

fn changing(span: u32, outputs: u32, margin: f32) -> StreamConfig {
    StreamConfig { view_change: Some(ViewChange { span, outputs, margin }), ..config() }
}

fn logged(network: Network) -> (Engine, Arc<Mutex<Vec<Run>>>) {
    let runs = network.runs.clone().unwrap();
    (network.engine(), runs)
}

fn dark_then_bright(dark: i64, all: i64) -> impl Iterator<Item = (i64, u8)> {
    (0..all).map(move |sample| (sample, if sample < dark { DARK } else { BRIGHT }))
}

#[track_caller]
fn assert_flag(result: &ViewResult, flag: u32, set: bool) {
    assert_eq!(result.flags & flag != 0, set, "flags {:#x}", result.flags);
}

#[test]
fn a_settled_label_stops_the_network_and_leaves_the_end_nothing_to_run() {
    let (engine, runs) = logged(Network::default());
    let mut stream = Stream::new(&engine, &early(0, 0.5)).unwrap();
    let result = acquire(&mut stream, dark_then_bright(99, 99));
    assert_eq!(runs.lock().len(), CLIP / CHUNK, "the outputs of a clip agree, and then nothing runs");
    assert_flag(&result, flags::SETTLED, true);
    assert_eq!((result.label, result.chunks, result.frames_used), (Some(0), CHUNKS_OF_A_CLIP, 99));
    assert_eq!(result.last_time_ns, (CLIP as i64 - 1) * INTERVAL_NS);
    assert_eq!(stream.reader().stats().samples, 99, "samples are still decided");
    // The rule is armed again in the next acquisition.
    let again = acquire(&mut stream, dark_then_bright(0, 99));
    assert_eq!((again.label, again.chunks), (Some(1), CHUNKS_OF_A_CLIP));
}

#[test]
fn outputs_that_disagree_or_a_small_margin_keep_the_network_running() {
    let (engine, runs) = logged(Network { memory: 0.0, ..Network::default() });
    // The view changes from chunk to chunk: three chunks dark, one bright.
    let frames = (0..96).map(|sample| (sample, if sample / 4 % 4 == 3 { BRIGHT } else { DARK }));
    let result = acquire(&mut Stream::new(&engine, &early(0, 0.1)).unwrap(), frames);
    assert_eq!(runs.lock().len(), 24);
    assert_flag(&result, flags::SETTLED, false);
    // Always the same label, but never by so much: the logits are 1 apart.
    let grey = |sample: i64| (sample, 130);
    let margin = acquire(&mut Stream::new(&engine, &config()).unwrap(), (0..96).map(grey)).margin;
    let result = acquire(&mut Stream::new(&engine, &early(0, margin + 0.01)).unwrap(), (0..96).map(grey));
    assert_flag(&result, flags::SETTLED, false);
    let result = acquire(&mut Stream::new(&engine, &early(0, margin - 0.01)).unwrap(), (0..96).map(grey));
    assert_flag(&result, flags::SETTLED, true);
}

#[test]
fn more_outputs_than_a_clip_has_may_be_asked_to_agree() {
    let (engine, runs) = logged(Network::default());
    let result = acquire(&mut Stream::new(&engine, &early(9, 0.5)).unwrap(), dark_then_bright(99, 99));
    assert_eq!((runs.lock().len(), result.chunks), (9, 9));
}

#[test]
fn a_mark_arms_the_network_again_after_an_early_stop_and_a_gap_does_not() {
    let (engine, runs) = logged(Network::default());
    let mut stream = Stream::new(&engine, &early(0, 0.5)).unwrap();
    let reader = stream.reader();
    let id = stream.begin().unwrap();
    (0..40).for_each(|sample| assert_eq!(push(&mut stream, sample, DARK), Status::Ok));
    // After a gap the mean goes on, so what is settled stays settled.
    (200..240).for_each(|sample| assert_eq!(push(&mut stream, sample, BRIGHT), Status::Ok));
    assert_eq!(stream.mark(), Status::Ok);
    (240..250).for_each(|sample| assert_eq!(push(&mut stream, sample, BRIGHT), Status::Ok));
    assert_eq!(stream.end(), Status::Ok);
    let mut result = reader.result();
    assert_eq!(reader.wait(id, Duration::from_secs(60), &mut result), Status::Ok);
    let runs = runs.lock().clone();
    assert_eq!(runs.len(), 4 + 3, "four chunks, then two and a half after the mark");
    assert!(runs[4].fresh && runs[4].greys == [BRIGHT; 4]);
    assert_eq!((result.label, result.chunks), (Some(1), 3));
    assert_flag(&result, flags::SETTLED, false);
    assert_eq!(reader.stats().samples, 40 + 40 + 10);
}

#[test]
fn samples_are_kept_for_exact_queries_after_an_early_stop() {
    for mode in [Mode::Stream, Mode::Window] {
        let memory = if mode == Mode::Stream { 0.5 } else { 0.0 };
        let engine = Network { mode, memory, ..Network::default() }.engine();
        let config = StreamConfig { exact_history_ns: 2_000_000_000, ..early(0, 0.5) };
        let mut stream = Stream::new(&engine, &config).unwrap();
        // Frames of half the rate, so that each serves twice.
        let frames = || dark_then_bright(60, 120).filter(|(sample, _)| sample % 2 == 0);
        assert_flag(&acquire(&mut stream, frames()), flags::SETTLED, true);
        let reader = stream.reader();
        let mut found = reader.result();
        let (from, to) = (50 * INTERVAL_NS, 118 * INTERVAL_NS);
        assert_eq!(reader.query(from, to, Duration::ZERO, &mut found), Status::Empty);
        assert_eq!(reader.query_exact(from, to, Duration::from_secs(60), &mut found), Status::Ok);
        let plain = StreamConfig { early_stop: None, ..config };
        let alone = acquire(&mut Stream::new(&engine, &plain).unwrap(), frames().skip(25));
        assert_eq!((found.scores, found.chunks), (alone.scores, alone.chunks));
    }
}

#[test]
fn a_moved_probe_begins_the_mean_at_the_first_output_that_disagreed() {
    let (engine, _) = logged(Network { memory: 0.0, ..Network::default() });
    // Twenty chunks dark, then twelve bright: the old view outweighs the new one without the rule.
    let frames = || dark_then_bright(80, 128);
    let without = acquire(&mut Stream::new(&engine, &config()).unwrap(), frames());
    assert_eq!((without.label, without.chunks), (Some(0), 32));
    assert_flag(&without, flags::VIEW_CHANGED, false);
    let mut stream = Stream::new(&engine, &changing(4, 5, 0.5)).unwrap();
    let result = acquire(&mut stream, frames());
    assert_eq!(result.label, Some(1));
    assert_flag(&result, flags::VIEW_CHANGED, true);
    assert_flag(&result, flags::DISCONTINUITY, false);
    // Of the last four chunks two bright ones are no majority, three are: chunk 22 is the first that disagrees.
    assert_eq!((result.chunks, result.first_time_ns), (32 - 22, 22 * 4 * INTERVAL_NS));
    let stats = stream.reader().stats();
    assert_eq!((stats.view_changes, stats.changes, stats.chunks), (1, 0, 32));
    let bright = acquire(&mut Stream::new(&engine, &config()).unwrap(), (0..40).map(|s| (s, BRIGHT)));
    assert_eq!(result.scores, bright.scores, "nothing of the old view is left in the mean");
}

#[test]
fn a_short_look_elsewhere_or_a_small_margin_is_no_view_change() {
    let (engine, _) = logged(Network { memory: 0.0, ..Network::default() });
    let run = |config: StreamConfig, frames: &mut dyn Iterator<Item = (i64, u8)>| {
        let result = acquire(&mut Stream::new(&engine, &config).unwrap(), frames);
        result.flags & flags::VIEW_CHANGED != 0
    };
    let glance = |sample: i64| if (80..96).contains(&sample) { BRIGHT } else { DARK };
    assert!(!run(changing(4, 5, 0.5), &mut (0..128).map(|sample| (sample, glance(sample)))));
    // Two chunks of every three are bright, but never three in a row.
    let restless = |sample: i64| if sample < 160 || sample / 4 % 3 == 0 { DARK } else { BRIGHT };
    assert!(!run(changing(1, 3, 0.5), &mut (0..240).map(|sample| (sample, restless(sample)))));
    assert!(run(changing(1, 2, 0.5), &mut (0..240).map(|sample| (sample, restless(sample)))));
    let faint = |sample: i64| if sample < 80 { DARK } else { 122 };
    let faint = || (0..160).map(|sample| (sample, faint(sample)));
    assert!(!run(changing(4, 4, 0.5), &mut faint()), "the scores are 0.1 apart");
    assert!(run(changing(4, 4, 0.05), &mut faint()));
}

#[test]
fn the_view_can_change_again_and_windows_see_it_too() {
    for (mode, outputs) in [(Mode::Stream, 3), (Mode::Window, 2)] {
        let engine = Network { mode, memory: 0.0, ..Network::default() }.engine();
        let config = StreamConfig { window_hop_samples: 8, ..changing(2, outputs, 0.5) };
        let mut stream = Stream::new(&engine, &config).unwrap();
        let grey = |sample: i64| if (100..200).contains(&sample) { BRIGHT } else { DARK };
        let result = acquire(&mut stream, (0..300).map(|sample| (sample, grey(sample))));
        assert_eq!(result.label, Some(0), "{mode:?}");
        assert!(result.first_time_ns >= 200 * INTERVAL_NS - CLIP as i64 * INTERVAL_NS);
        assert_eq!(stream.reader().stats().view_changes, 2, "{mode:?}");
        let one = acquire(&mut stream, (0..50).map(|sample| (sample, DARK)));
        assert_flag(&one, flags::VIEW_CHANGED, false);
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let engine = Network::default().engine();
    for config in [
        early(1025, 0.5),
        early(0, 1.1),
        early(0, -0.1),
        early(0, f32::NAN),
        changing(1025, 0, 0.5),
        changing(0, 1025, 0.5),
        changing(0, 0, 2.0),
    ] {
        let error = Stream::new(&engine, &config).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
}

/// Starts of the windows that ran over 100 samples whose greys are their numbers.
fn windows(engine: &Engine, runs: &Mutex<Vec<Run>>, hop: usize) -> (u64, Vec<u8>) {
    let config = StreamConfig { window_hop_samples: hop, ..config() };
    let mut stream = Stream::new(engine, &config).unwrap();
    runs.lock().clear();
    acquire(&mut stream, (0..100).map(|sample| (sample, sample as u8)));
    let starts = runs.lock().iter().map(|run| run.greys[0]).collect();
    (stream.reader().stats().window_hop_samples, starts)
}

#[test]
fn the_hop_follows_the_time_of_a_clip_between_a_quarter_of_one_and_a_whole() {
    let ms = Duration::from_millis;
    // A sample lasts 10 ms, a clip has 16: windows may take half of the time.
    for (takes, hop) in [(ms(1), 4), (ms(20), 4), (ms(21), 5), (ms(40), 8), (ms(80), 16), (ms(500), 16)] {
        let (engine, runs) = logged(Network { mode: Mode::Window, memory: 0.0, ..Network::default() });
        assert_eq!(windows(&engine, &runs, 0).0, 8, "half a clip before anything is measured");
        engine.step_ns.store(i64::try_from(takes.as_nanos()).unwrap(), std::sync::atomic::Ordering::Relaxed);
        let (reported, starts) = windows(&engine, &runs, 0);
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
fn a_hop_that_the_host_names_stays_whatever_is_measured() {
    let (engine, runs) = logged(Network { mode: Mode::Window, memory: 0.0, ..Network::default() });
    engine.step_ns.store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(windows(&engine, &runs, 12), (12, vec![0, 12, 24, 36, 48, 60, 72, 84]));
    let config = StreamConfig { window_hop_samples: CLIP + 1, ..config() };
    assert_eq!(Stream::new(&engine, &config).err().unwrap().status(), Status::InvalidArgument);
    let engine = Network::default().engine();
    let stream = Stream::new(&engine, &config).unwrap();
    assert_eq!(stream.reader().stats().window_hop_samples, 0, "stream mode has no windows");
}
