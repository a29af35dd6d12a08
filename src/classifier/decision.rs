//! The decision which label and which group a result gives. This module implements
//! docs/stream-contract.md#label-and-group.

use super::novelty::compute_novelty;
use super::posterior::{PosteriorRule, largest};
use crate::model::ModelSpec;
use crate::result::{ResultFlags, ViewResult};

/// The flags that a decision sets. All but the last are reasons why a label is withheld.
const FLAGS: ResultFlags = ResultFlags::ABSTAINED
    .union(ResultFlags::OUTSIDE_GROUP)
    .union(ResultFlags::GROUP_ABSTAINED)
    .union(ResultFlags::NOVEL)
    .union(ResultFlags::NO_NOVELTY);

/// The reasons why a group is withheld.
const GROUP_REASONS: ResultFlags = ResultFlags::GROUP_ABSTAINED.union(ResultFlags::NOVEL);

/// Converts the mean of the network's outputs to a posterior in place, and sets the novelty score,
/// the label, the group and their confidences. The posterior is the beginning of `mean`, with one
/// value for each label.
pub(crate) fn conclude(result: &mut ViewResult, spec: &ModelSpec, mean: &mut [f32]) {
    let novelty = compute_novelty(spec, mean);
    PosteriorRule::of(spec).apply(mean);
    let posterior = mean.get(..spec.labels.len()).unwrap_or_default();
    decide(result, spec, posterior, novelty);
}

/// Sets the label, the group and their confidences from a posterior with at least one value, and a
/// flag for each reason to withhold them.
fn decide(result: &mut ViewResult, spec: &ModelSpec, posterior: &[f32], novelty: Option<f64>) {
    clear_decision(result, spec);
    let Some((view, confidence)) = largest(posterior) else { return };
    let others = posterior.iter().enumerate().filter(|&(index, _)| index != view);
    let second = others.map(|(_, &value)| value).reduce(f32::max).unwrap_or_default();
    (result.confidence, result.margin) = (confidence, confidence - second);
    let mut reasons = ResultFlags::empty();
    reasons.set(ResultFlags::ABSTAINED, below(confidence, spec.threshold));
    let group = largest_group(spec, posterior);
    if let Some((group, confidence)) = group {
        result.group_confidence = confidence;
        let home = spec.labels.get(view).and_then(|label| label.group);
        reasons.set(ResultFlags::OUTSIDE_GROUP, home != Some(group));
        reasons.set(ResultFlags::GROUP_ABSTAINED, below(confidence, spec.group_threshold));
    }
    if let Some((score, limits)) = novelty.zip(spec.novelty.as_ref()) {
        result.novelty = score;
        reasons.set(ResultFlags::NOVEL, score.is_nan() || score > limits.threshold);
    }
    result.flags |= reasons;
    if reasons.is_empty() {
        result.label = u32::try_from(view).ok();
    }
    if !reasons.intersects(GROUP_REASONS) {
        result.group = group.and_then(|(group, _)| u32::try_from(group).ok());
    }
}

/// Sets the decision of a result that covers no output.
pub(crate) fn clear_decision(result: &mut ViewResult, spec: &ModelSpec) {
    result.withhold();
    (result.confidence, result.margin, result.group_confidence) = (0.0, 0.0, 0.0);
    result.novelty = 0.0;
    result.flags.remove(FLAGS);
    result.flags.set(ResultFlags::NO_NOVELTY, spec.novelty.is_none());
}

/// Returns whether a confidence fails a threshold. A confidence that is not a number fails.
fn below(confidence: f32, threshold: f32) -> bool {
    confidence.is_nan() || confidence < threshold
}

/// Returns the index and the confidence of the group with the largest confidence, or of the first
/// such group if several are equal. Returns `None` if the package has no groups.
fn largest_group(spec: &ModelSpec, posterior: &[f32]) -> Option<(usize, f32)> {
    let confidence = |group: usize| {
        let members = spec.labels.iter().zip(posterior);
        let members = members.filter(|(label, _)| label.group == Some(group));
        // The sum of a posterior may exceed 1 by a rounding error.
        members.map(|(_, &value)| f64::from(value)).sum::<f64>().min(1.0) as f32
    };
    let groups = (0..spec.groups.len()).map(|group| (group, confidence(group)));
    groups.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(all(test, not(loom)))]
mod tests;
