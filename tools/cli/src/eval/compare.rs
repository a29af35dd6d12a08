//! Two files of predictions side by side: the same model on two runtimes, or a checkpoint and its package.

use super::predictions::{self, Row};
use crate::{Failure, output};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Cines named where the two differ most.
const NAMED: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Predictions of `tteview eval` or of `tteview_train predict`
    file: PathBuf,
    /// Others of the same cines
    other: PathBuf,
    /// Fail where fewer cines have the same label: a part of 1
    #[arg(long, value_name = "PART")]
    same_labels: Option<f64>,
    /// Fail where a score differs by more
    #[arg(long, value_name = "DIFFERENCE")]
    scores: Option<f64>,
}

/// How two acquisitions of one cine differ.
struct Difference<'a> {
    path: &'a str,
    labels: [usize; 2],
    /// Largest difference of a score at the end, and after any chunk.
    last: f64,
    any: f64,
}

impl Compare {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (header, rows, _) = predictions::read(&self.file)?;
        let (other_header, other_rows, _) = predictions::read(&self.other)?;
        if header.labels != other_header.labels {
            return Err(Failure::file(&self.other, format!("other labels than {}", self.file.display())));
        }
        let mut others: BTreeMap<String, &Row> = cines(&other_rows).map(|row| (row.key(), row)).collect();
        let mut found = Vec::new();
        for row in cines(&rows) {
            let other = others
                .remove(&row.key())
                .ok_or_else(|| Failure::file(&self.other, format!("{} is missing", row.key())))?;
            found.push(difference(row, other).map_err(|cause| Failure::file(&self.other, cause))?);
        }
        if let Some(key) = others.into_keys().next() {
            return Err(Failure::file(&self.file, format!("{key} is missing")));
        }
        if found.is_empty() {
            return Err(Failure::file(&self.file, "no cines"));
        }
        let same = found.iter().filter(|cine| cine.labels[0] == cine.labels[1]).count();
        let part = same as f64 / found.len() as f64;
        let last = found.iter().map(|cine| cine.last).fold(0.0, f64::max);
        let any = found.iter().map(|cine| cine.any).fold(0.0, f64::max);
        output::line(&format!(
            "{same} of {} cines have the same label ({:.2} %)",
            found.len(),
            100.0 * part
        ))?;
        output::line(&format!(
            "largest difference of a score: {last:.1e} at the end, {any:.1e} after any chunk"
        ))?;
        found.sort_by(|a, b| b.any.total_cmp(&a.any));
        for cine in found.iter().filter(|cine| cine.any > 0.0).take(NAMED) {
            let [one, two] = cine.labels.map(|label| header.labels.get(label).map_or("?", String::as_str));
            output::line(&format!("  {:.1e}  {one:10} {two:10} {}", cine.any, cine.path))?;
        }
        let few =
            self.same_labels.filter(|&wanted| part < wanted).map(|wanted| format!("labels under {wanted}"));
        let far =
            self.scores.filter(|&allowed| any > allowed).map(|allowed| format!("scores over {allowed}"));
        match few.or(far) {
            Some(which) => Err(Failure::file(&self.other, format!("does not agree: {which}"))),
            None => Ok(()),
        }
    }
}

/// The rows that are one cine each and were read.
fn cines(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.change.is_none() && row.unreadable.is_none())
}

fn difference<'a>(row: &'a Row, other: &Row) -> Result<Difference<'a>, String> {
    let chunks = [row, other].map(|row| row.log_posterior.len());
    if chunks[0] != chunks[1] {
        return Err(format!("{}: {} chunks, {} in the other file", row.path, chunks[1], chunks[0]));
    }
    let (Some(one), Some(two)) = (row.log_posterior.last(), other.log_posterior.last()) else {
        return Err(format!("{}: no chunks", row.path));
    };
    let any =
        row.log_posterior.iter().zip(&other.log_posterior).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
    Ok(Difference {
        path: &row.path,
        labels: [one, two].map(|scores| largest(scores)),
        last: apart(one, two),
        any,
    })
}

/// Index of the largest value.
fn largest(values: &[f64]) -> usize {
    values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

/// Largest difference of a score of two posteriors given by their logarithms; infinite where they do not compare.
fn apart(one: &[f64], two: &[f64]) -> f64 {
    if one.len() != two.len() {
        return f64::INFINITY;
    }
    let differences = one.iter().zip(two).map(|(a, b)| (a.exp() - b.exp()).abs());
    differences.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}
