//! Cines with their true labels and the last posteriors of the model.

use super::predictions::Row;
use ndarray::{Array2, ArrayView1, Axis};
use std::collections::BTreeSet;

/// Cines with their true labels and the last posteriors of the model. Entry `i` of each list and
/// row `i` of the matrix belong to cine `i`.
///
/// The predicted label is the one with the largest value in the last posterior, or the first such
/// label if several values are equal. A predicted label counts even if the model withholds it.
pub(super) struct ScoredCines<'a> {
    pub(super) rows: Vec<&'a Row>,
    /// Indices of the true labels.
    pub(super) truth: Vec<usize>,
    /// Indices of the predicted labels.
    pub(super) predicted: Vec<usize>,
    /// Logarithms of the posteriors after the last chunk, with one row for each cine and one column
    /// for each label.
    pub(super) log_posterior: Array2<f64>,
}

impl<'a> ScoredCines<'a> {
    /// Creates the list from the rows of single cines.
    ///
    /// # Errors
    /// Returns an error if a label is unknown, if a cine does not have exactly one posterior for
    /// each time, or if a posterior does not have exactly one value for each label. The message
    /// begins with the path of the cine.
    pub(super) fn new(
        labels: &[String],
        rows: impl Iterator<Item = &'a Row>,
    ) -> Result<Self, String> {
        let mut cines = Self {
            rows: Vec::new(),
            truth: Vec::new(),
            predicted: Vec::new(),
            log_posterior: Array2::zeros((0, labels.len())),
        };
        for row in rows {
            let truth = labels.iter().position(|code| *code == row.label).ok_or_else(|| {
                format!(
                    "{}: the label must be one of {}, got \"{}\"",
                    row.path,
                    labels.join(", "),
                    row.label
                )
            })?;
            let last = check_posteriors(labels, row)?;
            cines.rows.push(row);
            cines.truth.push(truth);
            cines.predicted.push(index_of_largest(last));
            let last = ArrayView1::from(last);
            cines.log_posterior.push_row(last).map_err(|error| format!("{}: {error}", row.path))?;
        }
        Ok(cines)
    }

    /// Returns the number of cines.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of labels.
    pub(super) fn label_count(&self) -> usize {
        self.log_posterior.ncols()
    }

    /// Returns only the cines for which `keep` returns true. The argument of `keep` is the index of
    /// a cine.
    pub(super) fn select(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|&cine| keep(cine)).collect();
        Self {
            rows: kept.iter().map(|&cine| self.rows[cine]).collect(),
            truth: kept.iter().map(|&cine| self.truth[cine]).collect(),
            predicted: kept.iter().map(|&cine| self.predicted[cine]).collect(),
            log_posterior: self.log_posterior.select(Axis(0), &kept),
        }
    }

    /// Returns the sorted names of the patients.
    pub(super) fn patients(&self) -> Vec<&'a str> {
        self.rows
            .iter()
            .map(|row| row.patient.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Returns the largest value of the last posterior of a cine.
    pub(super) fn confidence(&self, cine: usize) -> f64 {
        self.log_posterior[[cine, self.predicted[cine]]].exp()
    }

    /// Returns whether the predicted label of a cine is the true label.
    pub(super) fn is_correct(&self, cine: usize) -> bool {
        self.predicted[cine] == self.truth[cine]
    }
}

/// Checks that a row has a posterior over all labels for each time, and returns the last posterior.
pub(super) fn check_posteriors<'a>(labels: &[String], row: &'a Row) -> Result<&'a [f64], String> {
    let (times, posteriors) = (row.times_ns.len(), row.log_posterior.len());
    if times != posteriors {
        return Err(format!(
            "{}: the row must have {times} posteriors, got {posteriors}",
            row.path
        ));
    }
    if let Some(wrong) = row.log_posterior.iter().find(|posterior| posterior.len() != labels.len())
    {
        let (expected, found) = (labels.len(), wrong.len());
        return Err(format!("{}: a posterior must have {expected} values, got {found}", row.path));
    }
    let last = row.log_posterior.last().map(Vec::as_slice);
    last.ok_or_else(|| format!("{}: the row has no posterior", row.path))
}

/// Returns the index of the largest value, or the first such index if several values are equal.
pub(super) fn index_of_largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> usize {
    let mut largest = (0, f64::NEG_INFINITY);
    for (index, &value) in values.into_iter().enumerate() {
        if value > largest.1 {
            largest = (index, value);
        }
    }
    largest.0
}
