//! The confusion matrix and the headline figures.

use super::scored_cines::ScoredCines;
use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};
use serde_json::{Value, json};

/// Names of the headline figures, in the order of [`Confusion::headline`].
pub(super) const HEADLINE_NAMES: [&str; 4] =
    ["accuracy", "macro_precision", "macro_recall", "macro_f1"];

/// Number of cines by true label (rows) and predicted label (columns).
pub(super) struct Confusion(Array2<u64>);

impl Confusion {
    /// Counts each cine once.
    pub(super) fn count(cines: &ScoredCines<'_>) -> Self {
        Self::count_weighted(cines, |_| 1)
    }

    /// Counts each cine `weight(cine)` times.
    pub(super) fn count_weighted(cines: &ScoredCines<'_>, weight: impl Fn(usize) -> u64) -> Self {
        let mut counts = Array2::zeros([cines.label_count(); 2]);
        for cine in 0..cines.len() {
            counts[[cines.truth[cine], cines.predicted[cine]]] += weight(cine);
        }
        Self(counts)
    }

    /// Returns the number of correctly labelled cines for each label.
    pub(super) fn correct(&self) -> ArrayView1<'_, u64> {
        self.0.diag()
    }

    /// Returns the number of cines for each true label.
    pub(super) fn true_counts(&self) -> Array1<u64> {
        self.0.sum_axis(Axis(1))
    }

    /// Returns the number of cines for each predicted label.
    pub(super) fn predicted_counts(&self) -> Array1<u64> {
        self.0.sum_axis(Axis(0))
    }

    /// Returns accuracy, macro precision, macro recall and macro F1. The macro figures are means
    /// over the labels that occur as true labels. The precision of a label that is never predicted
    /// is 0.
    pub(super) fn headline(&self) -> [f64; 4] {
        let (mut correct_sum, mut total, mut labels) = (0, 0, 0.0);
        let mut sums = [0.0; 3];
        Zip::from(self.correct()).and(&self.true_counts()).and(&self.predicted_counts()).for_each(
            |&correct, &count, &predicted| {
                if count > 0 {
                    correct_sum += correct;
                    total += count;
                    labels += 1.0;
                    sums[0] += correct as f64 / predicted.max(1) as f64;
                    sums[1] += correct as f64 / count as f64;
                    sums[2] += 2.0 * correct as f64 / (count + predicted) as f64;
                }
            },
        );
        let [precision, recall, f1] = sums.map(|sum| sum / labels);
        [correct_sum as f64 / total as f64, precision, recall, f1]
    }

    /// Returns the matrix as a list of rows.
    pub(super) fn to_json(&self) -> Value {
        self.0.rows().into_iter().map(|row| json!(row.to_vec())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn labels_that_do_not_occur_are_not_in_the_means() {
        let confusion = Confusion(array![[1, 1, 0], [0, 2, 0], [0, 0, 0]]);
        let expected = [0.75, (1.0 + 2.0 / 3.0) / 2.0, 0.75, (2.0 / 3.0 + 0.8) / 2.0];
        for (found, expected) in confusion.headline().into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
