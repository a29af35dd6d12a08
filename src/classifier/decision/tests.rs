//! Tests of the decision which label and which group a result gives.

use super::*;
use crate::model::{Group, Mode};
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
    decide(&mut result, &spec, &posterior);
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
        assert_eq!((result.label, result.group, result.flags), expected, "{posterior:?}");
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
    assert_eq!((result.flags, result.group_confidence), (ResultFlags::empty(), 0.0));
    let withheld = decide_in([None; 4], [0.7, 0.0], [0.6, 0.25, 0.1, 0.05]);
    assert_eq!((withheld.label, withheld.flags), (None, ResultFlags::ABSTAINED));
}

#[test]
fn a_new_decision_replaces_the_one_before() {
    let mut spec = create_spec(Mode::Stream, 2);
    spec.threshold = 0.9;
    let mut result = ViewResult { flags: ResultFlags::SHORT, ..ViewResult::new(1) };
    decide(&mut result, &spec, &[0.5, 0.5]);
    assert_eq!(result.flags, ResultFlags::SHORT | ResultFlags::ABSTAINED);
    decide(&mut result, &spec, &[0.05, 0.95]);
    assert_eq!((result.label, result.flags), (Some(1), ResultFlags::SHORT));
    clear_decision(&mut result);
    assert_eq!(result, ViewResult { flags: ResultFlags::SHORT, ..ViewResult::new(1) });
}
