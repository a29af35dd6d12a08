//! The human-readable table.

use super::labelled_cine::LabelledCine;
use crate::terminal::{escape_name, escape_path};
use std::path::Path;
use tteview::Engine;

/// Text in the column `view` if the model withholds the label.
const WITHHELD: &str = "withheld";

/// The human-readable table. The columns for the file, the view and the group are as wide as their
/// longest entry. A model without groups has no columns for them.
pub(super) struct Table {
    file_width: usize,
    view_width: usize,
    group_width: Option<usize>,
}

impl Table {
    /// Creates a table for files whose printed names have at most `file_width` characters.
    pub(super) fn new(file_width: usize, engine: &Engine) -> Self {
        let widest = |codes: Vec<&String>| {
            let codes = codes.into_iter().map(|code| width(&escape_name(code)));
            codes.chain([width(WITHHELD)]).max().unwrap_or(0)
        };
        let (labels, groups) = (&engine.spec().labels, &engine.spec().groups);
        let view_width = widest(labels.iter().map(|label| &label.code).collect());
        let group_width = widest(groups.iter().map(|group| &group.code).collect());
        let group_width = (!groups.is_empty()).then_some(group_width);
        Self { file_width: file_width.max(4), view_width, group_width }
    }

    pub(super) fn header(&self) -> String {
        self.line(
            ["file", "view", "confidence", "margin", "group", "confidence"].map(String::from),
            ["frames", "chunks", "seconds"].map(String::from),
        )
    }

    pub(super) fn row(&self, path: &Path, cine: &LabelledCine, engine: &Engine) -> String {
        let result = &cine.label.result;
        let spec = engine.spec();
        let label = result.label.and_then(|index| spec.labels.get(index as usize));
        let group = result.group.and_then(|index| spec.groups.get(index as usize));
        let name =
            |code: Option<&String>| code.map_or(WITHHELD.to_owned(), |code| escape_name(code));
        self.line(
            [
                escape_path(path),
                name(label.map(|label| &label.code)),
                format!("{:.3}", result.confidence),
                format!("{:.3}", result.margin),
                name(group.map(|group| &group.code)),
                format!("{:.3}", result.group_confidence),
            ],
            [
                result.frames_used.to_string(),
                result.chunks.to_string(),
                format!("{:.2}", cine.seconds),
            ],
        )
    }

    fn line(&self, label: [String; 6], counts: [String; 3]) -> String {
        let Self { file_width, view_width, group_width } = self;
        let [file, view, confidence, margin, group, group_confidence] = label;
        let [frames, chunks, seconds] = counts;
        let group = group_width
            .map_or_else(String::new, |width| format!("  {group:<width$}  {group_confidence:>10}"));
        format!(
            "{file:<file_width$}  {view:<view_width$}  {confidence:>10}  {margin:>6}{group}  \
             {frames:>6}  {chunks:>6}  {seconds:>7}"
        )
    }
}

/// Returns the number of characters of a text.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}
