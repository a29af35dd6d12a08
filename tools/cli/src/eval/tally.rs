//! Counts of correct labels.

/// The number of labels, and the number of correct labels among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    correct: u64,
}

impl Tally {
    /// Returns the share of correct labels, or `None` if there are no labels.
    pub(super) fn accuracy(self) -> Option<f64> {
        (self.count > 0).then(|| self.correct as f64 / self.count as f64)
    }
}

impl FromIterator<bool> for Tally {
    /// Counts labels. `labels` yields one value for each label, which is true if the label is
    /// correct.
    fn from_iter<T: IntoIterator<Item = bool>>(labels: T) -> Self {
        let mut tally = Self::default();
        for is_correct in labels {
            tally.count += 1;
            tally.correct += u64::from(is_correct);
        }
        tally
    }
}
