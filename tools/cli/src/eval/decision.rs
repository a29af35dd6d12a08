//! The labels and groups that the model gives at its thresholds. The rule is that of
//! docs/stream-contract.md#label-and-group. It is applied to the predictions and not taken from the
//! library's results, so that `tteview_train` computes the same figures from the same file.

use super::predictions::{Groups, Header};
use super::scored_cines::{ScoredCines, index_of_largest};
use super::tally::Tally;
use serde_json::{Value, json};

/// The decision for one cine.
pub(super) struct Decision {
    abstains: bool,
    /// Whether the novelty score is above its threshold.
    is_novel: bool,
    /// The group, if the model has groups.
    group: Option<GroupDecision>,
}

/// The group with the largest confidence.
struct GroupDecision {
    group: usize,
    confidence: f64,
    /// Whether the label lies outside the group.
    is_outside: bool,
    abstains: bool,
}

impl Decision {
    fn gives_label(&self) -> bool {
        let fits = |group: &GroupDecision| !group.is_outside && !group.abstains;
        !self.abstains && !self.is_novel && self.group.as_ref().is_none_or(fits)
    }
}

/// Computes how many labels and groups are given, and how many of them are right.
pub(super) fn compute_decision(header: &Header, cines: &ScoredCines<'_>) -> Value {
    let decisions: Vec<Decision> =
        (0..cines.len()).map(|cine| decide(header, cines, cine)).collect();
    let count = |is_counted: fn(&Decision) -> bool| -> usize {
        decisions.iter().filter(|decision| is_counted(decision)).count()
    };
    let given = decisions.iter().enumerate().filter(|(_, decision)| decision.gives_label());
    let label = given.map(|(cine, _)| cines.is_correct(cine)).collect();
    let of_label = header.groups.as_ref().map(|groups| &groups.of_label);
    // For each cine, the confidence of its group, whether the group is given, and whether it is
    // the group of the true label.
    let groups: Vec<(f64, bool, bool)> = decisions
        .iter()
        .enumerate()
        .filter_map(|(cine, decision)| {
            let (group, of_label) = (decision.group.as_ref()?, of_label?);
            let is_right = of_label.get(cines.truth[cine]) == Some(&group.group);
            Some((group.confidence, !group.abstains && !decision.is_novel, is_right))
        })
        .collect();
    let level = |is_given: &dyn Fn(&(f64, bool, bool)) -> bool| {
        let given = groups.iter().filter(|group| is_given(group));
        describe_level(given.map(|&(.., is_right)| is_right).collect(), cines.len())
    };
    let at_threshold = |step: i32| {
        let threshold = f64::from(step * 5) / 100.0;
        let mut level = level(&|&(confidence, ..)| confidence >= threshold);
        level["threshold"] = threshold.into();
        level
    };
    json!({
        "label": describe_level(label, cines.len()),
        "group": of_label.map(|_| level(&|&(_, is_given, _)| is_given)),
        "withheld": {
            "abstained": count(|decision| decision.abstains),
            "outside_group": count(|decision| {
                decision.group.as_ref().is_some_and(|group| group.is_outside)
            }),
            "group_abstained": count(|decision| {
                decision.group.as_ref().is_some_and(|group| group.abstains)
            }),
            "novel": count(|decision| decision.is_novel),
        },
        "group_coverage": of_label.map(|_| (0..20).map(at_threshold).collect::<Vec<_>>()),
    })
}

fn describe_level(tally: Tally, cines: usize) -> Value {
    json!({
        "count": tally.count,
        "coverage": tally.count as f64 / cines as f64,
        "accuracy": tally.accuracy(),
    })
}

fn decide(header: &Header, cines: &ScoredCines<'_>, cine: usize) -> Decision {
    let group = header.groups.as_ref().map(|groups| {
        let posterior = cines.log_posterior.row(cine);
        let (group, confidence) = largest_group(groups, posterior.iter().copied());
        GroupDecision {
            group,
            confidence,
            is_outside: groups.of_label.get(cines.predicted[cine]) != Some(&group),
            abstains: confidence < groups.exact_threshold(),
        }
    });
    let score = cines.rows[cine].novelty.last();
    let is_novel = score.zip(header.novelty_threshold).is_some_and(|(&score, limit)| score > limit);
    Decision { abstains: cines.confidence(cine) < header.exact_threshold(), is_novel, group }
}

/// Returns the index and the confidence of the group with the largest confidence.
pub(super) fn largest_group(
    groups: &Groups,
    log_posterior: impl Iterator<Item = f64>,
) -> (usize, f64) {
    let mut sums = vec![0.0; groups.codes.len()];
    for (&group, log) in groups.of_label.iter().zip(log_posterior) {
        if let Some(sum) = sums.get_mut(group) {
            *sum += log.exp();
        }
    }
    // The sum of a posterior may exceed 1 by a rounding error.
    sums.iter_mut().for_each(|sum| *sum = f64::min(*sum, 1.0));
    let group = index_of_largest(&sums);
    (group, sums.get(group).copied().unwrap_or_default())
}
