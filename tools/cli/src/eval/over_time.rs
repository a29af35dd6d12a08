//! The accuracy of the live label over the course of an acquisition.

use super::predictions::Row;
use super::scored_cines::{ScoredCines, index_of_largest};
use super::tally::Tally;
use serde_json::{Value, json};

/// Times at which the live label is evaluated.
const SECONDS: [f64; 4] = [0.5, 2.0, 10.0, 60.0];

/// Maximum number of chunks that are evaluated.
const MAX_CHUNKS: usize = 500;

/// Computes the accuracy of the label after each chunk, over the cines that have that many chunks.
pub(super) fn compute_by_chunk(cines: &ScoredCines<'_>) -> Vec<Value> {
    let longest = cines.rows.iter().map(|row| row.times_ns.len()).max().unwrap_or(0);
    let at_chunk = |chunk: usize| {
        let posterior_of = |row: &'_ Row| row.log_posterior.get(chunk).map(index_of_largest);
        let tally: Tally = labels_at(cines, posterior_of).collect();
        json!({ "chunk": chunk, "count": tally.count, "accuracy": tally.accuracy() })
    };
    (0..longest.min(MAX_CHUNKS)).map(at_chunk).collect()
}

/// Computes the accuracy of the live label at several times, over the cines that last that long.
pub(super) fn compute_at_times(cines: &ScoredCines<'_>) -> Vec<Value> {
    let at_time = |seconds: f64| {
        let label_of = |row: &Row| posterior_at(row, seconds * 1e9).map(index_of_largest);
        let tally: Tally = labels_at(cines, label_of).collect();
        json!({ "seconds": seconds, "count": tally.count, "accuracy": tally.accuracy() })
    };
    SECONDS.into_iter().map(at_time).collect()
}

/// Yields, for each cine for which `label_of` returns a label, whether this label is correct.
fn labels_at<'a>(
    cines: &'a ScoredCines<'_>,
    label_of: impl Fn(&Row) -> Option<usize> + 'a,
) -> impl Iterator<Item = bool> + 'a {
    cines
        .rows
        .iter()
        .zip(&cines.truth)
        .filter_map(move |(row, &truth)| Some(label_of(row)? == truth))
}

/// Returns the posterior after the last chunk that ends at `time_ns` or earlier. Returns `None` if
/// no chunk ends that early, or if the last chunk of the acquisition ends before `time_ns`.
pub(super) fn posterior_at(row: &Row, time_ns: f64) -> Option<&[f64]> {
    row.times_ns.last().filter(|&&last| last as f64 >= time_ns)?;
    let chunk = row.times_ns.iter().rposition(|&time| time as f64 <= time_ns)?;
    Some(row.log_posterior[chunk].as_slice())
}
