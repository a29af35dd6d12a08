//! Tests of the decision which label and which group a result gives.

use super::*;
use crate::model::{Group, Mode, Novelty, NoveltyKind};
use crate::stream::tests::network::create_spec;

const GROUPED: [Option<usize>; 4] = [Some(0), Some(0), Some(1), Some(1)];

/// Decides with the thresholds of the label and of the group.
fn decide_in(groups: [Option<usize>; 4], thresholds: [f32; 2], posterior: [f32; 4]) -> ViewResult {
    let mut spec = create_spec(Mode::Stream, 4);
    [spec.threshold, spec.group_threshold] = thresholds;
    for (label, group) in spec.labels.iter_mut().zip(groups) {
        label.group = group;
    }
    let group =
        |index: usize| Group { code: format!("G{index}"), name: String::new(), scheme: None };
    let count = groups.iter().flatten().max().map_or(0, |last| last + 1);
    spec.groups = (0..count).map(group).collect();
    let mut result = ViewResult::new(1);
    decide(&mut result, &spec, &posterior, None);
    result
}

#[test]
fn each_reason_to_withhold_has_a_flag() {
    let (none, outside) = (ResultFlags::empty(), ResultFlags::OUTSIDE_GROUP);
    let (label, group) = (ResultFlags::ABSTAINED, ResultFlags::GROUP_ABSTAINED);
    // Thresholds, posterior, label, group, flags.
    for (thresholds, posterior, expected) in [
        ([0.5, 0.8], [0.6, 0.25, 0.1, 0.05], (Some(0), Some(0), none)),
        ([0.5, 0.8], [0.45, 0.4, 0.1, 0.05], (None, Some(0), label)),
        ([0.5, 0.8], [0.6, 0.1, 0.2, 0.1], (None, None, group)),
        ([0.5, 0.8], [0.4, 0.2, 0.25, 0.15], (None, None, label | group)),
        ([0.3, 0.5], [0.4, 0.0, 0.3, 0.3], (None, Some(1), outside)),
        ([0.5, 0.5], [0.4, 0.0, 0.3, 0.3], (None, Some(1), label | outside)),
        ([0.5, 0.8], [0.4, 0.0, 0.3, 0.3], (None, None, label | outside | group)),
        ([0.0, 0.0], [0.25; 4], (Some(0), Some(0), none)),
    ] {
        let result = decide_in(GROUPED, thresholds, posterior);
        let flags = result.flags - ResultFlags::NO_NOVELTY;
        assert_eq!((result.label, result.group, flags), expected, "{posterior:?}");
    }
}

#[test]
fn group_confidence_is_the_sum_over_its_labels() {
    let result = decide_in(GROUPED, [0.0, 0.0], [0.4, 0.0, 0.35, 0.25]);
    assert!((result.group_confidence - 0.6).abs() < 1e-6, "{}", result.group_confidence);
    assert_eq!((result.confidence, result.margin), (0.4, 0.4 - 0.35));
    let whole = decide_in([Some(0); 4], [0.0, 1.0], [0.7, 0.1, 0.1, 0.1]);
    assert_eq!((whole.group, whole.group_confidence), (Some(0), 1.0));
}

#[test]
fn package_without_groups_gives_no_group_and_no_flag() {
    let result = decide_in([None; 4], [0.5, 0.0], [0.6, 0.25, 0.1, 0.05]);
    assert_eq!((result.label, result.group), (Some(0), None));
    assert_eq!((result.flags, result.group_confidence), (ResultFlags::NO_NOVELTY, 0.0));
    let withheld = decide_in([None; 4], [0.7, 0.0], [0.6, 0.25, 0.1, 0.05]);
    assert_eq!(withheld.label, None);
    assert_eq!(withheld.flags, ResultFlags::ABSTAINED | ResultFlags::NO_NOVELTY);
}

#[test]
fn a_new_decision_replaces_the_one_before() {
    let mut spec = create_spec(Mode::Stream, 2);
    spec.threshold = 0.9;
    let (short, none) = (ResultFlags::SHORT, ResultFlags::NO_NOVELTY);
    let mut result = ViewResult { flags: short, ..ViewResult::new(1) };
    decide(&mut result, &spec, &[0.5, 0.5], None);
    assert_eq!(result.flags, short | none | ResultFlags::ABSTAINED);
    decide(&mut result, &spec, &[0.05, 0.95], None);
    assert_eq!((result.label, result.flags), (Some(1), short | none));
    clear_decision(&mut result, &spec);
    assert_eq!(result, ViewResult { flags: short | none, ..ViewResult::new(1) });
}

/// Returns a specification with two labels in one group and a novelty score.
fn novel_spec(mode: Mode, kind: NoveltyKind, means: &[f32], threshold: f64) -> ModelSpec {
    let mut spec = create_spec(mode, 2);
    spec.groups = vec![Group { code: "G".into(), name: String::new(), scheme: None }];
    spec.labels.iter_mut().for_each(|label| label.group = Some(0));
    let values = if kind == NoveltyKind::Energy { 0 } else { 2 };
    spec.novelty = Some(Novelty { kind, values, means: means.to_vec(), threshold });
    spec
}

fn conclude_mean(spec: &ModelSpec, mean: &[f32]) -> ViewResult {
    let mut result = ViewResult::new(1);
    conclude(&mut result, spec, &mut mean.to_vec());
    result
}

#[test]
fn novelty_is_the_squared_distance_from_the_nearest_mean() {
    let kind = NoveltyKind::Mahalanobis;
    let spec = novel_spec(Mode::Stream, kind, &[0.0, 0.0, 3.0, 4.0], 2.0);
    let near = conclude_mean(&spec, &[2.0, 1.0, 3.0, 5.0]);
    assert_eq!((near.novelty, near.label, near.group), (1.0, Some(0), Some(0)));
    assert_eq!(near.flags, ResultFlags::empty());
    let far = conclude_mean(&spec, &[2.0, 1.0, 0.0, -2.0]);
    assert_eq!((far.novelty, far.label, far.group), (4.0, None, None));
    assert_eq!(far.flags, ResultFlags::NOVEL);
    assert_eq!(far.confidence, near.confidence, "the projection is no part of the posterior");
    let residual = novel_spec(Mode::Window, NoveltyKind::Residual, &[1.0, 1.0], 2.0);
    assert_eq!(conclude_mean(&residual, &[0.5, 0.5, 2.0, 2.0]).novelty, 2.0);
    assert_eq!(conclude_mean(&residual, &[0.5, 0.5, 2.0, 2.0]).flags, ResultFlags::empty());
}

#[test]
fn energy_comes_from_the_logits_or_from_the_windows() {
    let mut spec = novel_spec(Mode::Stream, NoveltyKind::Energy, &[], -1.0);
    spec.temperature = 2.0;
    // -2 * ln(e^(4/2) + e^(2/2))
    let expected = -2.0 * (2f64.exp() + 1f64.exp()).ln();
    let result = conclude_mean(&spec, &[4.0, 2.0]);
    assert!((result.novelty - expected).abs() < 1e-6, "{}", result.novelty);
    assert_eq!(result.label, Some(0));
    assert_eq!(conclude_mean(&spec, &[-4.0, -2.0]).flags, ResultFlags::NOVEL);
    let window = novel_spec(Mode::Window, NoveltyKind::Energy, &[], -1.0);
    assert_eq!(window.averaged_len(), 3);
    assert_eq!(conclude_mean(&window, &[0.75, 0.25, -0.5]).novelty, -0.5);
}
