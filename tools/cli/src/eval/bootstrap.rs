//! The headline figures, and their intervals by resampling patients.

use super::metrics::Judged;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) const RESAMPLES: usize = 1000;
pub(super) const SEED: u64 = 1;

/// Names of the headline figures, in the order of [`headline`].
pub(super) const HEADLINE: [&str; 4] = ["accuracy", "macro_precision", "macro_recall", "macro_f1"];

/// Counts: a row for each true label and a column for each predicted one.
pub(super) type Confusion = Vec<Vec<u64>>;

/// Counts each cine as often as `weight` says.
pub(super) fn confusion(judged: &Judged<'_>, labels: usize, weight: impl Fn(usize) -> u64) -> Confusion {
    let mut table = vec![vec![0; labels]; labels];
    for (cine, (&truth, &predicted)) in judged.truth.iter().zip(&judged.predicted).enumerate() {
        table[truth][predicted] += weight(cine);
    }
    table
}

/// What the truth, and what the predictions have of a label.
pub(super) fn marginals(table: &Confusion, label: usize) -> (u64, u64) {
    (table[label].iter().sum(), table.iter().map(|row| row[label]).sum())
}

/// Accuracy, macro precision, recall and F1 over the labels that the truth has. The precision of a label that is never
/// predicted is 0.
pub(super) fn headline(table: &Confusion) -> [f64; 4] {
    let (mut hits, mut total, mut classes) = (0, 0, 0.0);
    let mut sums = [0.0; 3];
    for label in 0..table.len() {
        let (hit, (count, predicted)) = (table[label][label], marginals(table, label));
        if count == 0 {
            continue;
        }
        hits += hit;
        total += count;
        classes += 1.0;
        sums[0] += hit as f64 / predicted.max(1) as f64;
        sums[1] += hit as f64 / count as f64;
        sums[2] += 2.0 * hit as f64 / (count + predicted) as f64;
    }
    [hits as f64 / total as f64, sums[0] / classes, sums[1] / classes, sums[2] / classes]
}

/// Output `index` of SplitMix64 (Steele, Lea, Flood 2014), which can begin anywhere.
fn splitmix64(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Headline figures with the 2.5 and 97.5 percentiles of resamples of patients, drawn with replacement.
///
/// Draw `j` of resample `r` of `P` patients, in the order of their names, is output `r * P + j` of SplitMix64
/// modulo `P`. Percentiles are interpolated linearly between order statistics.
pub(super) fn intervals(judged: &Judged<'_>, labels: usize) -> Value {
    let patients = judged.patients();
    let index: BTreeMap<&str, usize> = patients.iter().copied().zip(0..).collect();
    let patient: Vec<usize> = judged.rows.iter().map(|row| index[row.patient.as_str()]).collect();
    let count = patients.len() as u64;
    let mut found: [Vec<f64>; 4] = Default::default();
    for resample in 0..RESAMPLES as u64 {
        let mut weights = vec![0; patients.len()];
        for draw in 0..count {
            weights[(splitmix64(SEED, resample * count + draw) % count) as usize] += 1;
        }
        let figures = headline(&confusion(judged, labels, |cine| weights[patient[cine]]));
        found.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    let values = headline(&confusion(judged, labels, |_| 1));
    let figure = |((name, mut all), value): ((&str, Vec<f64>), f64)| {
        all.sort_by(f64::total_cmp);
        let interval =
            json!({ "value": value, "low": percentile(&all, 0.025), "high": percentile(&all, 0.975) });
        (name.to_owned(), interval)
    };
    Value::Object(HEADLINE.into_iter().zip(found).zip(values).map(figure).collect::<Map<_, _>>())
}

fn percentile(ordered: &[f64], part: f64) -> f64 {
    let at = part * (ordered.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(ordered.len() - 1);
    ordered[low] + (at - low as f64) * (ordered[high] - ordered[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // Reference outputs for seed 1234567.
        let outputs = [0, 1, 2].map(|index| splitmix64(1_234_567, index));
        assert_eq!(outputs, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn labels_that_the_truth_does_not_have_are_no_class() {
        let table = vec![vec![1, 1, 0], vec![0, 2, 0], vec![0, 0, 0]];
        let expected = [0.75, (1.0 + 2.0 / 3.0) / 2.0, 0.75, (2.0 / 3.0 + 0.8) / 2.0];
        for (found, expected) in headline(&table).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
