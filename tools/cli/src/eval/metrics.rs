//! The metrics of a predictions file. `tteview_train.metrics` computes the same figures, and the
//! same fixture tests both implementations.

use super::bootstrap::{RESAMPLES, SEED, compute_intervals};
use super::calibration::compute_calibration;
use super::confusion::Confusion;
use super::decision::compute_decision;
use super::over_time::{compute_at_times, compute_by_chunk};
use super::predictions::{Header, Row};
use super::robustness::compute_robustness;
use super::scored_cines::ScoredCines;
use super::tally::Tally;
use super::view_changes::compute_view_changes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Split that is used only to fit the temperature, unless it is the only split.
const VALIDATION_SPLIT: &str = "val";

/// Maximum number of wrong labels that are listed.
const MAX_ERRORS: usize = 20;

/// Computes the content of metrics.json.
///
/// # Errors
/// Returns an error if a row contradicts the header, or if there is no cine. If a row is wrong, the
/// message begins with the path of its cine.
pub(super) fn compute_metrics(header: &Header, rows: &[Row]) -> Result<Value, String> {
    let labels = &header.labels;
    let all = ScoredCines::new(labels, rows.iter().filter(|row| row.is_cine()))?;
    let is_validation = |cine: usize| all.rows[cine].split == VALIDATION_SPLIT;
    let has_one_split = (0..all.len()).all(is_validation);
    let cines = all.select(|cine| has_one_split || !is_validation(cine));
    let validation = all.select(|cine| !has_one_split && is_validation(cine));
    if cines.len() == 0 {
        return Err("the predictions have no cines".into());
    }
    let confusion = Confusion::count(&cines);
    let thresholds = (0..20).map(|step| f64::from(step * 5) / 100.0);
    let threshold = header.exact_threshold();
    Ok(json!({
        "metrics": 1,
        "model": header.model,
        "labels": labels,
        "splits": cines.rows.iter().map(|row| row.split.as_str()).collect::<BTreeSet<_>>(),
        "cines": cines.len(),
        "patients": cines.patients().len(),
        "unreadable": rows.iter().filter(|row| row.unreadable.is_some()).count(),
        "headline": compute_intervals(&cines),
        "bootstrap": { "resamples": RESAMPLES, "generator": "SplitMix64", "seed": SEED },
        "classes": compute_classes(labels, &confusion),
        "confusion": confusion.to_json(),
        "calibration": compute_calibration(&cines, &validation),
        "coverage": thresholds.map(|step| compute_coverage(&cines, step)).collect::<Vec<_>>(),
        "package_threshold": compute_coverage(&cines, threshold),
        "decision": compute_decision(header, &cines),
        "chunks": compute_by_chunk(&cines),
        "durations": compute_at_times(&cines),
        "robustness": compute_robustness(&cines),
        "changes": compute_view_changes(labels, rows)?,
        "errors": list_errors(labels, &cines),
    }))
}

/// Computes precision, recall and F1 of each label.
fn compute_classes(labels: &[String], confusion: &Confusion) -> Vec<Value> {
    let counts = confusion.true_counts().into_iter().zip(confusion.predicted_counts());
    let classes = labels.iter().zip(confusion.correct()).zip(counts);
    let class = |((label, &correct), (count, predicted)): ((&String, &u64), (u64, u64))| {
        json!({
            "label": label,
            "count": count,
            "predicted": predicted,
            "precision": correct as f64 / predicted.max(1) as f64,
            "recall": (count > 0).then(|| correct as f64 / count as f64),
            "f1": (count > 0).then(|| 2.0 * correct as f64 / (count + predicted) as f64),
        })
    };
    classes.map(class).collect()
}

/// Computes the share of cines whose confidence is at least the threshold, and the accuracy on
/// these cines.
fn compute_coverage(cines: &ScoredCines<'_>, threshold: f64) -> Value {
    let covered = (0..cines.len()).filter(|&cine| cines.confidence(cine) >= threshold);
    let tally: Tally = covered.map(|cine| cines.is_correct(cine)).collect();
    json!({
        "threshold": threshold,
        "count": tally.count,
        "coverage": tally.count as f64 / cines.len() as f64,
        "accuracy": tally.accuracy(),
    })
}

/// Lists the cines with a wrong label in descending order of confidence.
fn list_errors(labels: &[String], cines: &ScoredCines<'_>) -> Vec<Value> {
    let mut wrong: Vec<usize> = (0..cines.len()).filter(|&cine| !cines.is_correct(cine)).collect();
    wrong.sort_by(|&a, &b| {
        let confidence = cines.confidence(b).total_cmp(&cines.confidence(a));
        confidence.then_with(|| cines.rows[a].path.cmp(&cines.rows[b].path))
    });
    let error = |&cine: &usize| {
        json!({
            "path": cines.rows[cine].path,
            "label": labels[cines.truth[cine]],
            "predicted": labels[cines.predicted[cine]],
            "confidence": cines.confidence(cine),
        })
    };
    wrong.iter().take(MAX_ERRORS).map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::predictions::Predictions;
    use std::path::{Path, PathBuf};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training/tests/fixtures").join(name)
    }

    fn assert_close(found: &Value, expected: &Value, place: &str) {
        match (found, expected) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(
                    a.keys().collect::<BTreeSet<_>>(),
                    b.keys().collect::<BTreeSet<_>>(),
                    "{place}"
                );
                b.iter().for_each(|(key, value)| {
                    assert_close(&a[key], value, &format!("{place}.{key}"))
                });
            }
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len(), "{place}");
                a.iter()
                    .zip(b)
                    .enumerate()
                    .for_each(|(i, (a, b))| assert_close(a, b, &format!("{place}[{i}]")));
            }
            _ => match (found.as_f64(), expected.as_f64()) {
                (Some(a), Some(b)) => assert!((a - b).abs() <= 1e-9, "{place}: {a} {b}"),
                _ => assert_eq!(found, expected, "{place}"),
            },
        }
    }

    #[test]
    fn the_metrics_are_those_of_the_python_implementation() {
        let Predictions { header, rows, .. } =
            Predictions::read(&fixture("predictions.jsonl")).unwrap();
        let expected = std::fs::read(fixture("metrics.json")).unwrap();
        let found = compute_metrics(&header, &rows).unwrap();
        assert_close(&found, &serde_json::from_slice(&expected).unwrap(), "metrics");
    }

    #[test]
    fn a_row_that_does_not_fit_the_header_is_named() {
        let Predictions { header, rows, .. } =
            Predictions::read(&fixture("predictions.jsonl")).unwrap();
        let alter_row = |alter: fn(&mut Row)| {
            let mut rows = rows.clone();
            alter(&mut rows[3]);
            compute_metrics(&header, &rows).unwrap_err()
        };
        for cause in [
            alter_row(|row| row.label = "A9C".into()),
            alter_row(|row| row.log_posterior[0].truncate(2)),
            alter_row(|row| row.times_ns.truncate(1)),
        ] {
            assert!(cause.starts_with("cine_003: "), "{cause}");
        }
    }
}
