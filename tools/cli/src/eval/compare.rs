//! `tteview eval compare`: compares two files of predictions.

use super::decision::largest_group;
use super::predictions::{Groups, Predictions, Row};
use super::scored_cines::index_of_largest;
use crate::failure::Failure;
use crate::output::print_line;
use crate::terminal::{escape_name, escape_path};
use clap::Args;
use ndarray::{ArrayView1, Zip};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Maximum number of cines in the list of the largest differences.
const MAX_LISTED: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Predictions from `tteview eval` or `tteview_train predict`
    file: PathBuf,
    /// Other predictions for the same cines
    other: PathBuf,
    /// Fail if the share of cines with the same label in both files is smaller than SHARE, a number
    /// from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    same_labels: Option<f64>,
    /// Fail if a score differs by more than DIFFERENCE, a number from 0 to 1
    #[arg(long, value_name = "DIFFERENCE", value_parser = parse_share)]
    scores: Option<f64>,
}

/// The difference between the two predictions for a cine.
struct Difference<'a> {
    path: &'a str,
    /// Indices of the two labels.
    labels: [usize; 2],
    /// Largest difference between corresponding scores at the end of the cine.
    at_end: f64,
    /// Largest difference between corresponding scores after any chunk.
    largest: f64,
}

impl Compare {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (one, other) = (Predictions::read(&self.file)?, Predictions::read(&self.other)?);
        let labels = &one.header.labels;
        if *labels != other.header.labels {
            let cause = format!("the labels differ from those of {}", escape_path(&self.file));
            return Err(Failure::file(&self.other, cause));
        }
        let mut differences = self.compare_rows(&one.rows, &other.rows)?;
        let cines = differences.len();
        let same = differences.iter().filter(|cine| cine.labels[0] == cine.labels[1]).count();
        let share = same as f64 / cines as f64;
        let groups =
            one.header.groups.as_ref().filter(|_| one.header.groups == other.header.groups);
        let same_groups = groups.map(|groups| count_same_groups(groups, &one.rows, &other.rows));
        let at_end = differences.iter().map(|cine| cine.at_end).fold(0.0, f64::max);
        let largest = differences.iter().map(|cine| cine.largest).fold(0.0, f64::max);
        print_line(&format!(
            "{same} of {cines} cines have the same label ({:.2} %)",
            100.0 * share
        ))?;
        if let Some(same) = same_groups {
            print_line(&format!("{same} of {cines} cines have the same group"))?;
        }
        if let Some(difference) = compare_novelty(&one.rows, &other.rows) {
            print_line(&format!("largest relative difference of the novelty: {difference:.1e}"))?;
        }
        print_line(&format!(
            "largest score difference: {at_end:.1e} at the end, {largest:.1e} after any chunk"
        ))?;
        differences.sort_by(|a, b| b.largest.total_cmp(&a.largest));
        for cine in differences.iter().filter(|cine| cine.largest > 0.0).take(MAX_LISTED) {
            let [one, two] = cine
                .labels
                .map(|label| labels.get(label).map_or("?".into(), |code| escape_name(code)));
            print_line(&format!(
                "  {:.1e}  {one:10} {two:10} {}",
                cine.largest,
                escape_name(cine.path)
            ))?;
        }
        if let Some(bound) = self.same_labels.filter(|&bound| share < bound) {
            let cause = format!(
                "the share of cines with the same label must be at least {bound}, got {share}"
            );
            return Err(Failure::file(&self.other, cause));
        }
        if let Some(bound) = self.scores.filter(|&bound| largest > bound) {
            let cause = format!("scores must differ by at most {bound}, got {largest:.1e}");
            return Err(Failure::file(&self.other, cause));
        }
        Ok(())
    }

    /// Compares the two rows of each cine.
    ///
    /// # Errors
    /// Returns an error if a cine is missing from one of the files, if its two rows cannot be
    /// compared, or if there is no cine.
    fn compare_rows<'a>(
        &self,
        one: &'a [Row],
        other: &[Row],
    ) -> Result<Vec<Difference<'a>>, Failure> {
        let others = other.iter().filter(|row| row.is_cine());
        let mut others: BTreeMap<String, &Row> = others.map(|row| (row.key(), row)).collect();
        let mut differences = Vec::new();
        for row in one.iter().filter(|row| row.is_cine()) {
            let key = row.key();
            let other = others
                .remove(&key)
                .ok_or_else(|| Failure::file(&self.other, format!("the cine {key} is missing")))?;
            let difference = compare_cine(row, other);
            differences.push(difference.map_err(|cause| Failure::file(&self.other, cause))?);
        }
        if let Some(key) = others.into_keys().next() {
            return Err(Failure::file(&self.file, format!("the cine {key} is missing")));
        }
        if differences.is_empty() {
            return Err(Failure::file(&self.file, "the predictions have no cines"));
        }
        Ok(differences)
    }
}

/// Counts the cines whose group with the largest confidence is the same in both files.
fn count_same_groups(groups: &Groups, one: &[Row], other: &[Row]) -> usize {
    let groups_of = |rows: &[Row]| -> BTreeMap<String, usize> {
        let cines = rows.iter().filter(|row| row.is_cine());
        let group = |row: &Row| {
            let last = row.log_posterior.last().map(Vec::as_slice).unwrap_or_default();
            (row.key(), largest_group(groups, last.iter().copied()).0)
        };
        cines.map(group).collect()
    };
    let (one, other) = (groups_of(one), groups_of(other));
    one.iter().filter(|(key, group)| other.get(*key) == Some(*group)).count()
}

/// Returns the largest difference between the novelty scores at the end of the cines, relative to
/// the larger score or to 1. Returns `None` if a cine has no score.
fn compare_novelty(one: &[Row], other: &[Row]) -> Option<f64> {
    let scores = |rows: &[Row]| -> Option<BTreeMap<String, f64>> {
        let cines = rows.iter().filter(|row| row.is_cine());
        cines.map(|row| Some((row.key(), *row.novelty.last()?))).collect()
    };
    let (one, other) = (scores(one)?, scores(other)?);
    let difference = |(key, score): (&String, &f64)| {
        let other = other.get(key).copied().unwrap_or(f64::INFINITY);
        (score - other).abs() / score.abs().max(other.abs()).max(1.0)
    };
    Some(one.iter().map(difference).fold(0.0, f64::max))
}

fn compare_cine<'a>(row: &'a Row, other: &Row) -> Result<Difference<'a>, String> {
    let [chunks, other_chunks] = [row, other].map(|row| row.log_posterior.len());
    if chunks != other_chunks {
        return Err(format!("{}: the row must have {chunks} chunks, got {other_chunks}", row.path));
    }
    let differences: Vec<f64> = row
        .log_posterior
        .iter()
        .zip(&other.log_posterior)
        .map(|(a, b)| max_difference(a, b))
        .collect();
    let (Some(one), Some(two), Some(&at_end)) =
        (row.log_posterior.last(), other.log_posterior.last(), differences.last())
    else {
        return Err(format!("{}: the row has no chunks", row.path));
    };
    let labels = [one, two].map(index_of_largest);
    let largest = differences.into_iter().fold(0.0, f64::max);
    Ok(Difference { path: &row.path, labels, at_end, largest })
}

/// Returns the largest difference between the scores of two posteriors, which are given as
/// logarithms. Returns infinity if the posteriors cannot be compared.
fn max_difference(one: &[f64], other: &[f64]) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    Zip::from(ArrayView1::from(one)).and(ArrayView1::from(other)).fold(0.0, |largest, a, b| {
        let difference = (a.exp() - b.exp()).abs();
        if difference.is_nan() { f64::INFINITY } else { difference.max(largest) }
    })
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "the value must be 0 to 1".into())
}
