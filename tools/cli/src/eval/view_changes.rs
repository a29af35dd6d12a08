//! The accuracy of the live label after a change of the view during an acquisition.

use super::over_time::posterior_at;
use super::predictions::{Change, Row, RuleState};
use super::scored_cines::{check_posteriors, index_of_largest};
use super::tally::Tally;
use serde_json::{Value, json};

/// Times, in seconds after the change, at which the live label is evaluated. `None` means the end
/// of the acquisition.
const SECONDS_AFTER_CHANGE: [Option<f64>; 4] = [Some(0.5), Some(1.0), Some(2.0), None];

/// Computes the accuracy after a change of the view that the host does not mark, with the library's
/// view-change rule off and on. The accuracy at each time covers only the acquisitions that last
/// that long after the change. Returns `None` if no row contains a change.
///
/// # Errors
/// Returns an error if the posteriors of a row do not match its times or the labels. The message
/// begins with the path of the row.
pub(super) fn compute_view_changes(
    labels: &[String],
    rows: &[Row],
) -> Result<Option<Value>, String> {
    let all: Vec<(&Row, &Change)> =
        rows.iter().filter_map(|row| Some((row, row.change.as_ref()?))).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let acquired: Vec<(&Row, &Change)> =
        all.iter().copied().filter(|(_, change)| change.left_out.is_none()).collect();
    for (row, _) in &acquired {
        check_posteriors(labels, row)?;
    }
    let mut table = Vec::new();
    for rule in RuleState::ALL {
        for after_s in SECONDS_AFTER_CHANGE {
            let pairs = acquired.iter().filter(|(_, change)| change.rule == rule);
            let is_correct = |&(row, change): &(&Row, &Change)| {
                let end = row.times_ns.last().map_or(0.0, |&time| time as f64);
                let time_ns = after_s.map_or(end, |seconds| change.time_ns as f64 + seconds * 1e9);
                posterior_at(row, time_ns)
                    .map(|posterior| labels[index_of_largest(posterior)] == row.label)
            };
            let tally: Tally = pairs.filter_map(is_correct).collect();
            table.push(json!({
                "rule": rule,
                "after_s": after_s,
                "count": tally.count,
                "accuracy": tally.accuracy(),
            }));
        }
    }
    Ok(Some(json!({
        "pairs": acquired.iter().filter(|(_, change)| change.rule == RuleState::Off).count(),
        "left_out": all.len() - acquired.len(),
        "rows": table,
    })))
}
