//! Adjustments of a package that is already compiled, which need no new training: the groups of its
//! labels, its thresholds, its temperature and its novelty score.

use crate::entries::{decode_package, read_entry, set_entries};
use crate::error::{CompileError, Result, fail_spec};
use crate::labels::{Label, LabelSet};
use crate::novelty::Novelty;
use crate::options::check_threshold;
use serde_json::json;

/// New values of a package. A value that is `None` stays the same.
#[derive(Clone, Debug, Default)]
pub struct Adjustments {
    /// Labels and their groups. The codes of the labels must stay the same.
    pub labels: Option<LabelSet>,
    /// Confidence below which the label is withheld.
    pub threshold: Option<f64>,
    /// Confidence of a group below which the group and the label are withheld.
    pub group_threshold: Option<f64>,
    /// Divisor of the logits before the softmax.
    pub temperature: Option<f64>,
    /// Novelty score. A projection must have as many values as that of the package.
    pub novelty: Option<Novelty>,
    /// Threshold of the novelty score.
    pub novelty_threshold: Option<f64>,
}

/// Returns a copy of a package with new values. The graph and its hash stay the same; the SHA-256
/// of the package changes.
///
/// # Errors
/// Returns [`CompileError::File`] if `package` is not a package, or [`CompileError::Spec`] if a
/// value is out of range, if the codes of the labels differ, or if a group threshold does not fit
/// the groups.
pub fn adjust_package(package: &[u8], adjustments: &Adjustments) -> Result<Vec<u8>> {
    let model = decode_package(package)?;
    let mut values: Vec<(&str, String)> = Vec::new();
    if let Some(LabelSet { labels, groups }) = &adjustments.labels {
        check_codes(read_entry(&model, "labels"), labels)?;
        if groups.is_empty() {
            return fail_spec("the labels must have groups, got none");
        }
        values.push(("labels", json!(labels).to_string()));
        values.push(("groups", json!(groups).to_string()));
        if adjustments.group_threshold.is_none() && read_entry(&model, "group_threshold").is_none()
        {
            return fail_spec("group_threshold is missing; the package has none yet");
        }
    }
    if let Some(threshold) = adjustments.threshold {
        check_threshold("threshold", threshold)?;
        values.push(("threshold", json!(threshold).to_string()));
    }
    if let Some(threshold) = adjustments.group_threshold {
        check_threshold("group_threshold", threshold)?;
        if adjustments.labels.is_none() && read_entry(&model, "groups").is_none() {
            return fail_spec("group_threshold needs groups; add labels with groups");
        }
        values.push(("group_threshold", json!(threshold).to_string()));
    }
    if let Some(temperature) = adjustments.temperature {
        if !(0.001..=1000.0).contains(&temperature) {
            return fail_spec(format!("temperature must be 0.001 to 1000, got {temperature}"));
        }
        values.push(("temperature", json!(temperature).to_string()));
    }
    if let Some(novelty) = adjust_novelty(read_entry(&model, "novelty"), adjustments)? {
        values.push(("novelty", json!(novelty).to_string()));
    }
    set_entries(package, &values)
}

/// Returns the new novelty score, or `None` if it stays the same. `old` is the value of the
/// package.
fn adjust_novelty(old: Option<&str>, adjustments: &Adjustments) -> Result<Option<Novelty>> {
    let old = old.map(Novelty::from_json).transpose()?;
    let values = old.as_ref().map_or(0, Novelty::values);
    let novelty = match (&adjustments.novelty, adjustments.novelty_threshold) {
        (None, None) => return Ok(None),
        (novelty, threshold) => {
            let Some(mut novelty) = novelty.clone().or(old) else {
                return fail_spec("novelty_threshold needs a novelty score; set novelty, too");
            };
            novelty.threshold = threshold.unwrap_or(novelty.threshold);
            novelty
        }
    };
    novelty.check()?;
    if novelty.values() != values {
        let found = novelty.values();
        return fail_spec(format!(
            "novelty.means must have {values} numbers in each mean, like the projection of the \
             package, got {found}"
        ));
    }
    Ok(Some(novelty))
}

/// Checks that new labels have the codes of the old ones, in the same order.
fn check_codes(old: Option<&str>, new: &[Label]) -> Result<()> {
    let old: Vec<Label> = serde_json::from_str(old.unwrap_or("[]"))
        .map_err(|error| CompileError::File(format!("the labels are malformed: {error}")))?;
    let codes = |labels: &[Label]| -> Vec<String> {
        labels.iter().map(|label| label.code.clone()).collect()
    };
    let (old, new) = (codes(&old), codes(new));
    if old == new {
        return Ok(());
    }
    let (old, new) = (old.join(", "), new.join(", "));
    fail_spec(format!("the labels must have the codes of the package, {old}, got {new}"))
}

#[cfg(test)]
mod tests;
