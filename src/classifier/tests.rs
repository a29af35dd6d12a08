//! Tests of the rules, the hop and the posterior at the limits of their conditions.

use super::interface::{ClassifierSettings, Step};
use super::posterior::{PosteriorRule, largest, softmax};
use super::rules::{EarlyStop, RuleMonitor, Rules, ViewChange};
use super::timing::{choose_window_hop, output_interval_ns};
use super::*;
use crate::error::{Error, Status};
use crate::model::part::Part;
use crate::model::{LabelRule, ModelSpec};
use crate::sampling::{Grid, PartialChunk};
use crate::stream::history::{History, Span};
use crate::stream::tests::network::{CHUNK, CLIP, INTERVAL_NS, Network, create_spec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const EARLY_STOP: EarlyStop = EarlyStop { outputs: 2, margin: 0.5 };
const VIEW_CHANGE: ViewChange = ViewChange { span: 2, outputs: 3, margin: 0.25 };

#[test]
fn the_hop_lets_the_network_run_half_of_the_time() {
    let mut spec = create_spec(Mode::Window, 2);
    (spec.clip_samples, spec.sample_interval_ns) = (16, 10);
    let hop = |nanos| choose_window_hop(&spec, Some(Duration::from_nanos(nanos)));
    assert_eq!([0, 20, 21, 25, 26].map(hop), [4, 4, 5, 5, 6]);
    assert_eq!([79, 80, 81, u64::MAX].map(hop), [16; 4]);
    assert_eq!(hop(75), 15);
    assert_eq!(choose_window_hop(&spec, None), 8);
    spec.clip_samples = 1;
    assert_eq!(choose_window_hop(&spec, None), 1);
    assert_eq!(choose_window_hop(&spec, Some(Duration::ZERO)), 1);
}

#[test]
fn an_output_lasts_a_chunk_or_a_hop() {
    let interval = |mode| output_interval_ns(&create_spec(mode, 2), 3);
    assert_eq!(interval(Mode::Stream), INTERVAL_NS * CHUNK as i64);
    assert_eq!(interval(Mode::Window), INTERVAL_NS * 3);
}

#[test]
fn a_softmax_divides_by_the_temperature() {
    let mut values = [2.0, 2.0 + 3.0 * 4f32.ln(), 2.0 + 3.0 * 5f32.ln()];
    softmax(&mut values, 3.0);
    for (value, expected) in values.into_iter().zip([0.1, 0.4, 0.5]) {
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
    let mut large = [1e30, 1e30];
    softmax(&mut large, 1.0);
    assert_eq!(large, [0.5, 0.5]);
}

#[test]
fn posteriors_are_averaged_with_the_rule_for_it_and_for_windows() {
    for (mode, rule, is_first) in [
        (Mode::Stream, LabelRule::MeanLogits, false),
        (Mode::Stream, LabelRule::Newest, false),
        (Mode::Stream, LabelRule::MeanProbabilities, true),
        (Mode::Window, LabelRule::MeanLogits, true),
    ] {
        let spec = ModelSpec { label_rule: rule, ..create_spec(mode, 2) };
        let rule = PosteriorRule::of(&spec);
        let (mut output, posterior) = ([0.0, 3f32.ln(), 7.0], [0.25, 0.75, 7.0]);
        let is_posterior =
            |values: &[f32]| values.iter().zip(posterior).all(|(v, p)| (v - p).abs() < 1e-6);
        rule.convert_output(&mut output[..2]);
        assert_eq!(is_posterior(&output), is_first, "{mode:?} {rule:?}");
        rule.apply(&mut output);
        assert!(is_posterior(&output), "{mode:?} {rule:?} {output:?}");
    }
}

#[test]
fn the_first_of_equal_values_is_the_largest() {
    assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), Some((1, 3.0)));
    assert_eq!(largest(&[-1.0]), Some((0, -1.0)));
    assert_eq!(largest(&[]), None);
}

#[test]
fn settings_of_the_rules_have_ranges() {
    let early = |early_stop| Rules { early_stop: Some(early_stop), view_change: None }.check();
    let view = |view_change| Rules { early_stop: None, view_change: Some(view_change) }.check();
    assert_eq!(early(EarlyStop { outputs: 1024, margin: 1.0 }), Ok(()));
    assert_eq!(early(EarlyStop { outputs: 0, margin: f32::MIN_POSITIVE }), Ok(()));
    assert_eq!(view(ViewChange { span: 1024, outputs: 1024, margin: 1.0 }), Ok(()));
    let refusals = [
        (early(EarlyStop { outputs: 1025, ..EARLY_STOP }), "early_stop_outputs must be 0 to 1024"),
        (early(EarlyStop { margin: 0.0, ..EARLY_STOP }), "early_stop_margin must be greater than"),
        (early(EarlyStop { margin: 1.5, ..EARLY_STOP }), "at most 1, got 1.5"),
        (early(EarlyStop { margin: f32::NAN, ..EARLY_STOP }), "at most 1, got NaN"),
        (view(ViewChange { span: 1025, ..VIEW_CHANGE }), "view_change_span must be 0 to 1024"),
        (view(ViewChange { outputs: 1025, ..VIEW_CHANGE }), "view_change_outputs must be 0 to"),
        (view(ViewChange { margin: -1.0, ..VIEW_CHANGE }), "view_change_margin must be greater"),
    ];
    for (outcome, message) in refusals {
        let error = outcome.expect_err(message);
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains(message), "{error}");
    }
}

fn create_monitor(rules: Rules, threshold: f32, outputs_per_clip: usize) -> RuleMonitor {
    RuleMonitor::new(rules, threshold, 2, outputs_per_clip).unwrap().expect("a rule is set")
}

#[test]
fn a_label_settles_at_the_limits_of_its_conditions() {
    let settles = |outputs, margin, threshold, mean: [f32; 2]| {
        let rule = EarlyStop { outputs, margin };
        let rules = Rules { early_stop: Some(rule), view_change: None };
        let mut monitor = create_monitor(rules, threshold, 2);
        (1..9).find(|_| {
            monitor.check_settled(&mean, &mean);
            monitor.outcome.is_settled
        })
    };
    assert_eq!(settles(0, 0.5, 0.75, [0.75, 0.25]), Some(2), "the outputs of a clip");
    assert_eq!(settles(3, 0.5, 0.75, [0.25, 0.75]), Some(3));
    assert_eq!(settles(0, 0.5625, 0.75, [0.75, 0.25]), None, "the margin is too small");
    assert_eq!(settles(0, 0.5, 0.875, [0.75, 0.25]), None, "the confidence is too small");
}

#[test]
fn another_label_or_an_interruption_delays_the_settled_label() {
    let rules = Rules { early_stop: Some(EARLY_STOP), view_change: None };
    let mut monitor = create_monitor(rules, 0.0, 1);
    let mean = [0.875, 0.125];
    monitor.check_settled(&mean, &mean);
    monitor.check_settled(&[0.25, 0.75], &mean);
    monitor.check_settled(&mean, &mean);
    monitor.interrupt();
    monitor.check_settled(&mean, &mean);
    assert!(!monitor.outcome.is_settled);
    monitor.check_settled(&mean, &mean);
    assert!(monitor.outcome.is_settled);
    monitor.check_settled(&[0.25, 0.75], &mean);
    assert!(monitor.outcome.is_settled, "a settled label stays settled");
    monitor.restart();
    assert!(!monitor.outcome.is_settled);
}

#[test]
fn a_view_changes_at_the_limits_of_its_conditions() {
    let rules = Rules { early_stop: None, view_change: Some(VIEW_CHANGE) };
    let mut monitor = create_monitor(rules, 0.0, 4);
    assert_eq!(monitor.recent_outputs(), Some(2));
    let mean = [0.75, 0.25];
    let mut detect = |recent: [f32; 2]| monitor.detect_view_change(&recent, &mean);
    let (other, close) = ([0.375, 0.625], [0.4375, 0.5625]);
    assert_eq!([other, other, close, other, other, mean].map(&mut detect), [None; 6]);
    assert_eq!([other; 4].map(&mut detect), [None, None, Some(3), None]);
    assert_eq!(monitor.outcome.view_changes, 1);
    monitor.begin();
    assert_eq!(monitor.outcome.view_changes, 0);
    assert_eq!(
        [other; 3].map(|recent| monitor.detect_view_change(&recent, &mean)).last(),
        Some(&Some(3))
    );
}

#[test]
fn a_monitor_sums_the_newest_outputs() {
    let rules = Rules { early_stop: None, view_change: Some(VIEW_CHANGE) };
    let mut monitor = create_monitor(rules, 0.0, 1);
    // The ring holds three outputs, so the first two are overwritten.
    for output in 0..5_u8 {
        let first_ns = i64::from(output) * 10;
        let values = [output.into(), 1.0];
        monitor.keep_output(&values, Span { first_ns, last_ns: first_ns + 9 });
    }
    let mut sums = [7.0; 2];
    assert_eq!((monitor.sum_outputs(3, &mut sums), sums), (Some(20), [9.0, 3.0]));
    assert_eq!((monitor.sum_outputs(1, &mut sums), sums), (Some(40), [4.0, 1.0]));
}

fn create_settings(hop: usize) -> ClassifierSettings {
    ClassifierSettings {
        history: Arc::new(History::new(2, 1000, 10).unwrap()),
        partial: PartialChunk::default(),
        label_span_ns: 0,
        hop,
        rules: Rules::default(),
    }
}

#[test]
fn a_clip_that_does_not_fit_the_graph_is_refused() {
    let network = Network::with_memory(Mode::Window, 0.0);
    let mut spec = network.spec.clone();
    spec.clip_samples = CLIP + 1;
    let session = network.engine().backend().create_session(Part::Whole).unwrap();
    let error = create_classifier(&spec, Sessions::Whole(session), &create_settings(1))
        .err()
        .expect("refused");
    assert_eq!(error.status(), Status::ModelMismatch);
    let message = "the input \"fast\" must hold 17 values for 17 samples, got 16";
    assert!(error.message().contains(message), "{error}");
}

#[test]
fn a_window_that_fails_counts_until_the_mean_restarts() {
    let fails = Arc::new(AtomicBool::new(true));
    let mut network = Network::with_memory(Mode::Window, 0.0);
    let during = Arc::clone(&fails);
    network.during = Some(Box::new(move || match during.load(Relaxed) {
        true => Err(Error::new(Status::Inference, "on purpose")),
        false => Ok(()),
    }));
    let spec = network.spec.clone();
    let session = network.engine().backend().create_session(Part::Whole).unwrap();
    let mut classifier =
        create_classifier(&spec, Sessions::Whole(session), &create_settings(2)).unwrap();
    classifier.begin();
    classifier.start_segment(Grid { start_ns: 0, interval_ns: INTERVAL_NS }).unwrap();
    let mut commit = |grey: f32| {
        classifier.next_sample().fill(grey);
        classifier.commit_sample().unwrap()
    };
    assert!((1..CLIP).all(|_| commit(40.0) == Step::Idle));
    assert!(matches!(commit(40.0), Step::Failed(error) if error.status() == Status::Inference));
    fails.store(false, Relaxed);
    assert_eq!([commit(200.0), commit(200.0)], [Step::Idle, Step::Ran]);
    let mut posterior = [0.0; 2];
    let covered = classifier.read_mean(&mut posterior).unwrap().expect("one window counts");
    assert_eq!((covered.outputs, covered.failed, classifier.failed_outputs()), (1, 1, 1));
    let last_ns = (CLIP as i64 + 1) * INTERVAL_NS;
    assert_eq!(covered.span, Span { first_ns: 2 * INTERVAL_NS, last_ns });
    assert!(posterior[0] > posterior[1], "most samples of the window are dark");
    assert_eq!(classifier.end_segment().unwrap(), Step::Idle, "the last window has run");
    classifier.restart_mean();
    assert_eq!(classifier.failed_outputs(), 0);
    assert_eq!(classifier.read_mean(&mut posterior).unwrap(), None);
}
