//! The manifest: which cine shows which view, of whom, and what it is used for.

use crate::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The columns that every manifest has. `colour`, and all others, are attributes too.
const COLUMNS: [&str; 5] = ["path", "label", "patient", "split", "colour"];

/// Time between two frames, in place of the file's own times.
const PERIOD: &str = "frame_period_ns";

/// Splits that were asked for by this name are all there are.
pub(super) const ALL: &str = "all";

/// One cine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) file: PathBuf,
    /// The path as the manifest has it.
    pub(super) path: String,
    pub(super) label: String,
    pub(super) patient: String,
    pub(super) split: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) period_ns: Option<i64>,
}

/// The cines of the splits, in the order of the manifest. All of the manifest is checked.
///
/// # Errors
/// A file that cannot be read, a missing column, an empty field, a label that the model does not have, a patient in two
/// splits, a cine that is there twice, a split without cines; the message names it.
pub(super) fn read(manifest: &Path, splits: &[String], labels: &[String]) -> Result<Vec<Entry>, Failure> {
    let wrong = |cause: String| Failure::file(manifest, cause);
    let file = std::fs::read(manifest).map_err(|error| Failure::file(manifest, error))?;
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file);
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|&column| header.iter().all(|name| name != column)).collect();
    if !missing.is_empty() {
        return Err(wrong(format!("columns missing: {}", missing.join(", "))));
    }
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = header.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.to_owned()));
        entries
            .push(entry(folder, fields.collect()).map_err(|cause| wrong(format!("line {line}: {cause}")))?);
    }
    check(&entries, labels).map_err(wrong)?;
    for split in splits {
        if split != ALL && entries.iter().all(|entry| entry.split != *split) {
            let mut there: Vec<&str> = entries.iter().map(|entry| entry.split.as_str()).collect();
            there.sort_unstable();
            there.dedup();
            return Err(wrong(format!("no cines of split {split}; there are: {}", there.join(", "))));
        }
    }
    entries.retain(|entry| splits.iter().any(|split| split == ALL || *split == entry.split));
    match entries.is_empty() {
        true => Err(wrong("no cines".into())),
        false => Ok(entries),
    }
}

fn entry(folder: &Path, mut fields: BTreeMap<String, String>) -> Result<Entry, String> {
    let mut take = |column: &str| match fields.remove(column) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("{column} is empty")),
    };
    let (path, label, patient, split) = (take("path")?, take("label")?, take("patient")?, take("split")?);
    let period_ns = match fields.get(PERIOD).map(String::as_str) {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(period) if period > 0 => Some(period),
            _ => return Err(format!("{PERIOD} is {text}, not a positive integer")),
        },
    };
    Ok(Entry { file: folder.join(&path), path, label, patient, split, attributes: fields, period_ns })
}

fn check(entries: &[Entry], labels: &[String]) -> Result<(), String> {
    let mut split_of = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for Entry { path, label, patient, split, .. } in entries {
        if !labels.contains(label) {
            return Err(format!("{path}: the model has no label {label}; it has {}", labels.join(", ")));
        }
        if !seen.insert(path) {
            return Err(format!("{path} is there twice"));
        }
        let first = split_of.entry(patient).or_insert(split);
        if *first != split {
            return Err(format!("patient {patient} is in two splits, {first} and {split}"));
        }
    }
    Ok(())
}

/// Pairs of cines of one patient with different labels, for the test of a change of view: neighbours in the manifest,
/// two of a patient at most and `most` in all.
pub(super) fn changes(entries: &[Entry], most: usize) -> Vec<[usize; 2]> {
    let mut of_patient: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        of_patient.entry(&entry.patient).or_default().push(index);
    }
    let pairs = of_patient.values().flat_map(|cines| {
        let neighbours = cines.windows(2).map(|pair| [pair[0], pair[1]]);
        neighbours.filter(|&[from, to]| entries[from].label != entries[to].label).take(2)
    });
    pairs.take(most).collect()
}
