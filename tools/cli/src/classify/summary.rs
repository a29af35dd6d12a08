//! The number of cines by outcome.

use crate::label::Reason;
use std::collections::BTreeMap;
use std::time::Duration;
use tteview::{ModelSpec, ViewResult};

/// The number of cines by outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) labelled: usize,
    pub(super) withheld: usize,
    /// Number of cines that are so short that the network never ran.
    too_short: usize,
    /// Number of cines for each reason to withhold a label. A cine can have several.
    reasons: BTreeMap<Reason, usize>,
    pub(super) unreadable: usize,
    /// Number of files in folders that are not cines.
    pub(super) skipped: usize,
    /// Number of cines by the index of their label.
    views: BTreeMap<u32, usize>,
}

impl Summary {
    /// Counts a cine that was read.
    pub(super) fn add(&mut self, result: &ViewResult) {
        if let Some(label) = result.label {
            self.labelled += 1;
            *self.views.entry(label).or_default() += 1;
            return;
        }
        self.withheld += 1;
        self.too_short += usize::from(result.chunks == 0);
        for reason in Reason::list(result.flags) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Returns the number of cines.
    pub(super) const fn cines(&self) -> usize {
        self.labelled + self.withheld + self.unreadable
    }

    /// Returns the reasons why labels are withheld, with their numbers.
    fn list_reasons(&self) -> String {
        let reasons =
            self.reasons.iter().map(|(reason, count)| format!("{count} {}", reason.name()));
        let short = (self.too_short > 0).then(|| format!("{} too short", self.too_short));
        reasons.chain(short).collect::<Vec<_>>().join(", ")
    }

    /// Returns the line that is printed after several cines.
    pub(super) fn to_line(&self, elapsed: Duration) -> String {
        let cines = self.cines();
        let mut line = format!(
            "{cines} {} in {:.1} s: {} with a label, {} withheld",
            if cines == 1 { "cine" } else { "cines" },
            elapsed.as_secs_f64(),
            self.labelled,
            self.withheld
        );
        if self.withheld > 0 {
            line += &format!(" ({})", self.list_reasons());
        }
        line += &format!(", {} unreadable", self.unreadable);
        match self.skipped {
            0 => line,
            1 => line + "; 1 other file skipped",
            count => format!("{line}; {count} other files skipped"),
        }
    }

    /// Returns the lines of the page next to the counts.
    pub(super) fn to_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.withheld > 0 {
            notes.push(format!("Reasons to withhold a label: {}.", self.list_reasons()));
        }
        if self.skipped > 0 {
            notes.push(format!(
                "Other files in the folders, which are not cines: {}.",
                self.skipped
            ));
        }
        notes
    }

    /// Returns the number of cines of each view that occurs, in the order of the labels.
    pub(super) fn list_views(&self, spec: &ModelSpec) -> Vec<(String, usize)> {
        let code = |index: u32| spec.labels.get(index as usize).map(|label| label.code.clone());
        self.views.iter().filter_map(|(&index, &count)| Some((code(index)?, count))).collect()
    }
}
