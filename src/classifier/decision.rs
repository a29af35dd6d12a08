//! The decision which label and which group a result gives. This module implements
//! docs/stream-contract.md#label-and-group.

use super::posterior::largest;
use crate::model::ModelSpec;
use crate::result::{ResultFlags, ViewResult};

/// The flags that a decision sets, each of which is a reason why a label is withheld.
const REASONS: ResultFlags =
    ResultFlags::ABSTAINED.union(ResultFlags::OUTSIDE_GROUP).union(ResultFlags::GROUP_ABSTAINED);

/// Sets the label, the group and their confidences from a posterior with at least one value, and a
/// flag for each reason to withhold them.
pub(crate) fn decide(result: &mut ViewResult, spec: &ModelSpec, posterior: &[f32]) {
    clear_decision(result);
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
    result.flags |= reasons;
    if reasons.is_empty() {
        result.label = u32::try_from(view).ok();
    }
    if !reasons.contains(ResultFlags::GROUP_ABSTAINED) {
        result.group = group.and_then(|(group, _)| u32::try_from(group).ok());
    }
}

/// Sets the decision of a result that no output counts for.
pub(crate) fn clear_decision(result: &mut ViewResult) {
    result.withhold();
    (result.confidence, result.margin, result.group_confidence) = (0.0, 0.0, 0.0);
    result.flags.remove(REASONS);
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
