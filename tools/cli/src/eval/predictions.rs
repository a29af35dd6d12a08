//! The predictions of a model as JSON Lines: a header, followed by one object per row.

use crate::failure::Failure;
use crate::input_file::MAX_PREDICTIONS_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use tteview::regular_file;

/// Version of the format.
pub(super) const VERSION: u32 = 1;

/// Maximum number of labels in a file of predictions. The confusion matrix grows with its square.
const MAX_LABELS: usize = 1024;

/// The first line of a predictions file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Version of the format.
    pub(super) predictions: u32,
    /// Codes of the labels in the order of the posteriors.
    pub(super) labels: Vec<String>,
    /// SHA-256 of the package.
    pub(super) model: Option<String>,
    pub(super) temperature: f32,
    /// Confidence below which the model withholds its label.
    pub(super) threshold: f32,
    /// Groups of the labels, if the model has groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<Groups>,
    /// Novelty score above which the model withholds the label and the group, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) novelty_threshold: Option<f64>,
    /// Settings of the run, which only files from `tteview eval` contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunInfo>,
}

impl Header {
    /// Returns the threshold of the labels.
    pub(super) fn exact_threshold(&self) -> f64 {
        to_exact(self.threshold)
    }
}

/// Converts a 32-bit threshold to the number that its shortest decimal form denotes, because the
/// Python implementation reads this form.
fn to_exact(threshold: f32) -> f64 {
    threshold.to_string().parse().unwrap_or(f64::from(threshold))
}

/// The groups of the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Groups {
    /// Codes of the groups.
    pub(super) codes: Vec<String>,
    /// Index of each label's group.
    pub(super) of_label: Vec<usize>,
    /// Confidence of a group below which the model withholds the group.
    pub(super) threshold: f32,
}

impl Groups {
    /// Returns the threshold of the groups.
    pub(super) fn exact_threshold(&self) -> f64 {
        to_exact(self.threshold)
    }

    /// Returns whether each label has a group.
    fn fits(&self, labels: usize) -> bool {
        let is_group = |&group: &usize| group < self.codes.len();
        self.codes.len() <= labels
            && self.of_label.len() == labels
            && self.of_label.iter().all(is_group)
    }
}

/// The settings of the run that computed the predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunInfo {
    /// Shard number, counted from 1, and number of shards.
    pub(super) shard: [usize; 2],
    /// Number of rows in all shards together.
    pub(super) rows: usize,
    /// Provider that ran the network.
    pub(super) provider: String,
    /// Mode of the network, `stream` or `window`.
    pub(super) mode: String,
    /// Margin of the view-change rule, for the rows in which the rule is on.
    pub(super) change_margin: f32,
}

/// The predictions for one acquisition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) patient: String,
    pub(super) split: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, String>,
    /// Time from the first frame to the end of each chunk.
    #[serde(default)]
    pub(super) times_ns: Vec<i64>,
    /// Logarithm of the posterior after each chunk.
    #[serde(default)]
    pub(super) log_posterior: Vec<Vec<f64>>,
    /// Novelty score after each chunk, if the model has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) novelty: Vec<f64>,
    /// The change of the view, if the acquisition consists of two cines. `label` is then the label
    /// of the second cine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
    /// Reason why the cine cannot be read. If this field is set, the row has no posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unreadable: Option<String>,
}

/// A change of the view during an acquisition. The host does not mark this change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// State of the library's view-change rule.
    pub(super) rule: RuleState,
    /// Label of the first cine.
    #[serde(default)]
    pub(super) from: String,
    /// Time from the first frame of the first cine to the first frame of the second cine.
    #[serde(default)]
    pub(super) time_ns: i64,
    /// Reason why the two cines cannot form one acquisition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left_out: Option<String>,
}

/// Whether the library's view-change rule is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RuleState {
    Off,
    On,
}

impl RuleState {
    pub(super) const ALL: [Self; 2] = [Self::Off, Self::On];
}

impl fmt::Display for RuleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
        })
    }
}

impl Row {
    /// Returns the key, which distinguishes the row from the other rows in its file.
    pub(super) fn key(&self) -> String {
        match &self.change {
            None => self.path.clone(),
            Some(change) => format!("{} ({})", self.path, change.rule),
        }
    }

    /// Returns whether the row belongs to a single cine that could be read.
    pub(super) fn is_cine(&self) -> bool {
        self.change.is_none() && self.unreadable.is_none()
    }
}

/// A file of predictions in memory.
pub(super) struct Predictions {
    pub(super) header: Header,
    pub(super) rows: Vec<Row>,
    /// Total size of the complete lines in bytes. An interrupted run may leave an incomplete last
    /// line, which is ignored.
    pub(super) complete_bytes: u64,
}

impl Predictions {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(path, &read_content(path)?)
    }

    /// Parses the content of the file `path`.
    pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Self, Failure> {
        let end = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let complete = str::from_utf8(content.get(..end).unwrap_or_default())
            .map_err(|_| Failure::file(path, "the predictions must be UTF-8"))?;
        let mut lines = complete.lines().zip(1..);
        let line_failure = |line: usize, error: serde_json::Error| {
            Failure::file(path, format!("line {line}: {error}"))
        };
        let (first, number) = lines.next().ok_or_else(|| {
            Failure::file(path, "the file has no header; name a file of predictions")
        })?;
        let header: Header =
            serde_json::from_str(first).map_err(|error| line_failure(number, error))?;
        if header.predictions != VERSION {
            let found = header.predictions;
            let cause = format!("the version of the predictions must be {VERSION}, got {found}");
            return Err(Failure::file(path, cause));
        }
        if header.labels.len() > MAX_LABELS {
            let found = header.labels.len();
            let cause = format!("the number of labels must be at most {MAX_LABELS}, got {found}");
            return Err(Failure::file(path, cause));
        }
        let fits = |groups: &Groups| groups.fits(header.labels.len());
        if !header.groups.as_ref().is_none_or(fits) {
            let cause = "the groups must have one index of a group for each label";
            return Err(Failure::file(path, cause));
        }
        let rows = lines
            .map(|(line, number)| {
                serde_json::from_str(line).map_err(|error| line_failure(number, error))
            })
            .collect::<Result<Vec<Row>, Failure>>()?;
        Ok(Self { header, rows, complete_bytes: complete.len() as u64 })
    }
}

/// Reads the bytes of a file of predictions.
pub(super) fn read_content(path: &Path) -> Result<Vec<u8>, Failure> {
    regular_file::read(path, MAX_PREDICTIONS_BYTES).map_err(|error| Failure::file(path, error))
}

/// Returns the logarithms of a posterior, rounded to six decimal places.
pub(super) fn round_logarithms(posterior: &[f32]) -> Vec<f64> {
    let log = |&score: &f32| (f64::from(score.max(f32::MIN_POSITIVE)).ln() * 1e6).round() / 1e6;
    posterior.iter().map(log).collect()
}
