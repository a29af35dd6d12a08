//! The accuracy and the macro F1 of each group of cines.

use super::confusion::Confusion;
use super::scored_cines::ScoredCines;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Maximum number of groups for an attribute whose values are not all numbers.
const MAX_TEXT_GROUPS: usize = 20;

/// Groups the cines by each attribute and computes the accuracy and the macro F1 of each group.
///
/// If all values of an attribute are numbers, and there are more than three different numbers, the
/// cines are grouped by tercile. Otherwise, they are grouped by value. Cines without a value belong
/// to no group. Attributes with only one value, or with more than 20 values that cannot be grouped
/// by tercile, are left out.
pub(super) fn compute_robustness(cines: &ScoredCines<'_>) -> Vec<Value> {
    let columns: BTreeSet<&String> =
        cines.rows.iter().flat_map(|row| row.attributes.keys()).collect();
    let mut groups = Vec::new();
    for column in columns {
        let texts: Vec<&str> = cines
            .rows
            .iter()
            .map(|row| row.attributes.get(column).map_or("", |text| text.trim()))
            .collect();
        let values: BTreeSet<&str> =
            texts.iter().copied().filter(|text| !text.is_empty()).collect();
        let numbers: Vec<Option<f64>> = texts.iter().map(|text| parse_number(text)).collect();
        if values.len() > 3 && values.iter().all(|text| parse_number(text).is_some()) {
            groups.extend(compute_terciles(cines, column, &numbers));
        } else if (2..=MAX_TEXT_GROUPS).contains(&values.len()) {
            for name in values {
                let group = cines.select(|cine| texts[cine] == name);
                groups.push(compute_group(&group, column, name, [None; 2]));
            }
        }
    }
    groups
}

fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Computes the figures of the cines in each tercile of a numeric attribute.
fn compute_terciles(cines: &ScoredCines<'_>, column: &str, numbers: &[Option<f64>]) -> Vec<Value> {
    let mut sorted: Vec<f64> = numbers.iter().copied().flatten().collect();
    sorted.sort_by(f64::total_cmp);
    let [lower, upper] = [1, 2].map(|third| sorted[third * sorted.len() / 3]);
    let edges = [f64::NEG_INFINITY, lower, upper, f64::INFINITY];
    let mut groups = Vec::new();
    for (name, edges) in ["low", "middle", "high"].into_iter().zip(edges.windows(2)) {
        let is_inside = |value: f64| edges[0] <= value && value < edges[1];
        let members: Vec<f64> = sorted.iter().copied().filter(|&value| is_inside(value)).collect();
        if let (Some(&first), Some(&last)) = (members.first(), members.last()) {
            let group = cines.select(|cine| numbers[cine].is_some_and(is_inside));
            groups.push(compute_group(&group, column, name, [Some(first), Some(last)]));
        }
    }
    groups
}

fn compute_group(
    cines: &ScoredCines<'_>,
    column: &str,
    group: &str,
    [from, to]: [Option<f64>; 2],
) -> Value {
    let [accuracy, _, _, f1] = Confusion::count(cines).headline();
    json!({
        "column": column,
        "group": group,
        "from": from,
        "to": to,
        "count": cines.len(),
        "patients": cines.patients().len(),
        "accuracy": accuracy,
        "macro_f1": f1,
    })
}
