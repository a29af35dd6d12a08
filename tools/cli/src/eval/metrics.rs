//! What predictions come to. `tteview_train.metrics` computes the same numbers; both are held to one fixture.
//!
//! A cine's label is the largest value of its last posterior, the first of equals; what the model withholds counts as
//! given, except under coverage.

use super::bootstrap::{RESAMPLES, SEED, confusion, headline, intervals, marginals};
use super::calibration::calibration;
use super::predictions::{Header, Row};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECONDS: [f64; 4] = [0.5, 2.0, 10.0, 60.0];
const SECONDS_AFTER_CHANGE: [Option<f64>; 4] = [Some(0.5), Some(1.0), Some(2.0), None];
const MOST_CHUNKS: usize = 500;
const MOST_ERRORS: usize = 20;
const MOST_TEXT_GROUPS: usize = 20;

/// Cines with what was said of them; each vector has one entry a cine.
pub(super) struct Judged<'a> {
    pub(super) rows: Vec<&'a Row>,
    pub(super) truth: Vec<usize>,
    pub(super) predicted: Vec<usize>,
    /// Logarithms of the posterior after the last chunk.
    pub(super) last: Vec<&'a [f64]>,
}

impl<'a> Judged<'a> {
    /// # Errors
    /// An unknown label, posteriors or times that do not fit; the message names the cine.
    fn new(labels: &[String], rows: impl Iterator<Item = &'a Row>) -> Result<Self, String> {
        let mut judged = Self { rows: vec![], truth: vec![], predicted: vec![], last: vec![] };
        for row in rows {
            let path = &row.path;
            let truth = labels.iter().position(|code| *code == row.label);
            let truth = truth.ok_or_else(|| format!("{path}: the model has no label {}", row.label))?;
            let last = check(labels, row)?;
            judged.rows.push(row);
            judged.truth.push(truth);
            judged.predicted.push(largest(last));
            judged.last.push(last);
        }
        Ok(judged)
    }

    pub(super) fn select(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut chosen = Self { rows: vec![], truth: vec![], predicted: vec![], last: vec![] };
        for cine in (0..self.rows.len()).filter(|&cine| keep(cine)) {
            chosen.rows.push(self.rows[cine]);
            chosen.truth.push(self.truth[cine]);
            chosen.predicted.push(self.predicted[cine]);
            chosen.last.push(self.last[cine]);
        }
        chosen
    }

    /// Names of the patients, in order.
    pub(super) fn patients(&self) -> Vec<&'a str> {
        self.rows.iter().map(|row| row.patient.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn confidence(&self, cine: usize) -> f64 {
        self.last[cine][self.predicted[cine]].exp()
    }

    fn right(&self, cine: usize) -> bool {
        self.predicted[cine] == self.truth[cine]
    }
}

fn check<'a>(labels: &[String], row: &'a Row) -> Result<&'a [f64], String> {
    if row.times_ns.len() != row.log_posterior.len() {
        return Err(format!("{}: needs one time for each posterior", row.path));
    }
    if row.log_posterior.iter().any(|posterior| posterior.len() != labels.len()) {
        return Err(format!("{}: a posterior needs {} values", row.path, labels.len()));
    }
    row.log_posterior.last().map(Vec::as_slice).ok_or_else(|| format!("{}: no posterior", row.path))
}

/// All metrics of predictions: what metrics.json holds. Split `val` only sets the temperature where there is another.
///
/// # Errors
/// Rows that do not fit the header, or none; the message names the cine.
pub(super) fn metrics(header: &Header, rows: &[Row]) -> Result<Value, String> {
    let labels = &header.labels;
    let plain = rows.iter().filter(|row| row.change.is_none() && row.unreadable.is_none());
    let all = Judged::new(labels, plain)?;
    let validates = |cine: usize| all.rows[cine].split == "val";
    let only_validation = (0..all.rows.len()).all(validates);
    let cines = all.select(|cine| only_validation || !validates(cine));
    let validation = all.select(|cine| !only_validation && validates(cine));
    if cines.rows.is_empty() {
        return Err("no cines".into());
    }
    let table = confusion(&cines, labels.len(), |_| 1);
    let coverages: Vec<Value> = (0..20).map(|step| coverage(&cines, f64::from(step * 5) / 100.0)).collect();
    let threshold = header.threshold.to_string().parse().unwrap_or(f64::from(header.threshold));
    Ok(json!({
        "metrics": 1,
        "model": header.model,
        "labels": labels,
        "splits": cines.rows.iter().map(|row| row.split.as_str()).collect::<BTreeSet<_>>(),
        "cines": cines.rows.len(),
        "patients": cines.patients().len(),
        "unreadable": rows.iter().filter(|row| row.unreadable.is_some()).count(),
        "headline": intervals(&cines, labels.len()),
        "bootstrap": { "resamples": RESAMPLES, "generator": "SplitMix64", "seed": SEED },
        "classes": (0..labels.len()).map(|label| {
            let (hits, (count, predicted)) = (table[label][label], marginals(&table, label));
            json!({
                "label": labels[label],
                "count": count,
                "predicted": predicted,
                "precision": hits as f64 / predicted.max(1) as f64,
                "recall": ratio(hits, count),
                "f1": (count > 0).then(|| 2.0 * hits as f64 / (count + predicted) as f64),
            })
        }).collect::<Vec<_>>(),
        "confusion": table,
        "calibration": calibration(&cines, &validation),
        "coverage": coverages,
        "package_threshold": coverage(&cines, threshold),
        "chunks": by_chunk(&cines),
        "durations": SECONDS.map(|seconds| at_duration(&cines, seconds)),
        "robustness": robustness(&cines, labels.len()),
        "changes": changes(labels, rows)?,
        "errors": errors(labels, &cines),
    }))
}

/// Index of the largest value, the first of equals.
pub(super) fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
}

/// Null where nothing is counted.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Part of the cines whose confidence is at least the threshold, and how many of those are right.
fn coverage(cines: &Judged<'_>, threshold: f64) -> Value {
    let given = || (0..cines.rows.len()).filter(|&cine| cines.confidence(cine) >= threshold);
    let count = given().count() as u64;
    let right = given().filter(|&cine| cines.right(cine)).count() as u64;
    json!({
        "threshold": threshold,
        "count": count,
        "coverage": count as f64 / cines.rows.len() as f64,
        "accuracy": ratio(right, count),
    })
}

/// Accuracy of the label after each chunk, over the cines that have so many.
fn by_chunk(cines: &Judged<'_>) -> Vec<Value> {
    let longest = cines.rows.iter().map(|row| row.times_ns.len()).max().unwrap_or(0);
    let chunk = |chunk: usize| {
        let said = || cines.rows.iter().zip(&cines.truth).filter(|(row, _)| row.times_ns.len() > chunk);
        let right =
            said().filter(|&(row, &truth)| largest(&row.log_posterior[chunk]) == truth).count() as u64;
        let count = said().count() as u64;
        json!({ "chunk": chunk, "count": count, "accuracy": ratio(right, count) })
    };
    (0..longest.min(MOST_CHUNKS)).map(chunk).collect()
}

/// The last chunk that had ended by then, of an acquisition that went on as long.
fn said_at(row: &Row, time_ns: f64) -> Option<&[f64]> {
    let chunk = row.times_ns.iter().rposition(|&time| time as f64 <= time_ns)?;
    let long = row.times_ns.last().is_some_and(|&last| last as f64 >= time_ns);
    long.then(|| row.log_posterior[chunk].as_slice())
}

/// Accuracy of the last chunk that had ended by then, over the cines whose last chunk ends no earlier.
fn at_duration(cines: &Judged<'_>, seconds: f64) -> Value {
    let (mut count, mut right) = (0, 0);
    for (row, &truth) in cines.rows.iter().zip(&cines.truth) {
        if let Some(posterior) = said_at(row, seconds * 1e9) {
            count += 1;
            right += u64::from(largest(posterior) == truth);
        }
    }
    json!({ "seconds": seconds, "count": count, "accuracy": ratio(right, count) })
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Groups of each attribute: terciles of numbers with more than three values, else one group a value. Cines without a
/// value are left out of its column; so are columns with one value, or more than 20 texts.
fn robustness(cines: &Judged<'_>, labels: usize) -> Vec<Value> {
    let columns: BTreeSet<&String> = cines.rows.iter().flat_map(|row| row.attributes.keys()).collect();
    let mut found = Vec::new();
    for column in columns {
        let texts: Vec<&str> =
            cines.rows.iter().map(|row| row.attributes.get(column).map_or("", |text| text.trim())).collect();
        let given: BTreeSet<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
        let numbers: Vec<Option<f64>> = texts.iter().map(|text| number(text)).collect();
        if given.len() > 3 && given.iter().all(|text| number(text).is_some()) {
            let mut values: Vec<f64> = numbers.iter().copied().flatten().collect();
            values.sort_by(f64::total_cmp);
            let [lower, upper] = [1, 2].map(|third| values[third * values.len() / 3]);
            let cuts = [f64::NEG_INFINITY, lower, upper, f64::INFINITY];
            for (name, cut) in ["low", "middle", "high"].into_iter().zip(cuts.windows(2)) {
                let inside = |value: f64| cut[0] <= value && value < cut[1];
                let members: Vec<f64> = values.iter().copied().filter(|&value| inside(value)).collect();
                let range = [members.first().copied(), members.last().copied()];
                if !members.is_empty() {
                    let group = cines.select(|cine| numbers[cine].is_some_and(inside));
                    found.push(group_row(&group, labels, column, name, range));
                }
            }
        } else if (2..=MOST_TEXT_GROUPS).contains(&given.len()) {
            for name in given {
                let group = cines.select(|cine| texts[cine] == name);
                found.push(group_row(&group, labels, column, name, [None; 2]));
            }
        }
    }
    found
}

fn group_row(
    cines: &Judged<'_>,
    labels: usize,
    column: &str,
    group: &str,
    [from, to]: [Option<f64>; 2],
) -> Value {
    let [accuracy, _, _, f1] = headline(&confusion(cines, labels, |_| 1));
    json!({
        "column": column,
        "group": group,
        "from": from,
        "to": to,
        "count": cines.rows.len(),
        "patients": cines.patients().len(),
        "accuracy": accuracy,
        "macro_f1": f1,
    })
}

/// The live label after the view changed without a mark, with the library's rule for that off and on. `after_s` null is
/// the end of the acquisition; at a time, over the pairs that go on as long.
fn changes(labels: &[String], rows: &[Row]) -> Result<Option<Value>, String> {
    let all = || rows.iter().filter_map(|row| row.change.as_ref().map(|change| (row, change)));
    if all().next().is_none() {
        return Ok(None);
    }
    let judged = || all().filter(|(_, change)| change.left_out.is_none());
    for (row, _) in judged() {
        check(labels, row)?;
    }
    let mut table = Vec::new();
    for rule in ["off", "on"] {
        for after_s in SECONDS_AFTER_CHANGE {
            let (mut count, mut right) = (0, 0);
            for (row, change) in judged().filter(|(_, change)| change.rule == rule) {
                let end = row.times_ns.last().map_or(0.0, |&time| time as f64);
                let time_ns = after_s.map_or(end, |seconds| change.time_ns as f64 + seconds * 1e9);
                if let Some(posterior) = said_at(row, time_ns) {
                    count += 1;
                    right += u64::from(labels[largest(posterior)] == row.label);
                }
            }
            table.push(
                json!({ "rule": rule, "after_s": after_s, "count": count, "accuracy": ratio(right, count) }),
            );
        }
    }
    Ok(Some(json!({
        "pairs": judged().filter(|(_, change)| change.rule == "off").count(),
        "left_out": all().count() - judged().count(),
        "rows": table,
    })))
}

/// Wrong labels, the most confident first, 20 at most.
fn errors(labels: &[String], cines: &Judged<'_>) -> Vec<Value> {
    let mut wrong: Vec<usize> = (0..cines.rows.len()).filter(|&cine| !cines.right(cine)).collect();
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
    wrong.iter().take(MOST_ERRORS).map(error).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::eval::predictions;
    use std::path::Path;

    fn assert_close(found: &Value, expected: &Value, place: &str) {
        match (found, expected) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(a.keys().collect::<BTreeSet<_>>(), b.keys().collect::<BTreeSet<_>>(), "{place}");
                b.iter().for_each(|(key, value)| assert_close(&a[key], value, &format!("{place}.{key}")));
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
    fn the_metrics_are_those_that_the_python_side_computes() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training/tests/fixtures");
        let (header, rows, _) = predictions::read(&fixtures.join("predictions.jsonl")).unwrap();
        let expected = std::fs::read(fixtures.join("metrics.json")).unwrap();
        let found = metrics(&header, &rows).unwrap();
        assert_close(&found, &serde_json::from_slice(&expected).unwrap(), "metrics");
    }

    #[test]
    fn rows_that_do_not_fit_the_header_are_named() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training/tests/fixtures");
        let (header, rows, _) = predictions::read(&fixtures.join("predictions.jsonl")).unwrap();
        let wrong = |change: fn(&mut Row)| {
            let mut rows = rows.clone();
            change(&mut rows[3]);
            metrics(&header, &rows).unwrap_err()
        };
        for cause in [
            wrong(|row| row.label = "A9C".into()),
            wrong(|row| row.log_posterior[0].truncate(2)),
            wrong(|row| row.times_ns.truncate(1)),
        ] {
            assert!(cause.starts_with("cine_003: "), "{cause}");
        }
    }
}
