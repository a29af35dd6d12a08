//! The manifest: the label, the patient and the split of each cine.

use crate::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The columns that every manifest must have. `colour` and any columns that are not in this list
/// are attributes.
const COLUMNS: [&str; 5] = ["path", "label", "patient", "split", "colour"];

/// Column with the time between two frames in nanoseconds. This time replaces the times in the
/// cine's file.
pub(super) const PERIOD_COLUMN: &str = "frame_period_ns";

/// Value of `--split` that selects every split.
const ALL_SPLITS: &str = "all";

/// One cine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Path of the cine.
    pub(super) file: PathBuf,
    /// Path as written in the manifest.
    pub(super) path: String,
    pub(super) label: String,
    pub(super) patient: String,
    pub(super) split: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) period_ns: Option<i64>,
}

/// Checks all cines of the manifest and returns the cines of the given splits, in the order of the
/// manifest.
///
/// # Errors
/// Returns an error if the file cannot be read, a column is missing, a field is empty, a label is
/// unknown to the model, a patient is in two splits, a cine is listed twice, or a split has no
/// cines.
pub(super) fn read_manifest(
    manifest: &Path,
    splits: &[String],
    labels: &[String],
) -> Result<Vec<Entry>, Failure> {
    let failure = |cause: String| Failure::file(manifest, cause);
    let file = std::fs::read(manifest).map_err(|error| Failure::file(manifest, error))?;
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file);
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| failure(error.to_string()))?.clone();
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|&column| header.iter().all(|name| name != column)).collect();
    if !missing.is_empty() {
        let (columns, missing) = (COLUMNS.join(", "), missing.join(", "));
        return Err(failure(format!(
            "the manifest must have the columns {columns}; add {missing}"
        )));
    }
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| failure(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields =
            header.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let entry = parse_entry(folder, fields.collect());
        entries.push(entry.map_err(|cause| failure(format!("line {line}: {cause}")))?);
    }
    if entries.is_empty() {
        return Err(failure("the manifest has no cines".into()));
    }
    check_entries(&entries, labels).map_err(failure)?;
    let present: BTreeSet<&str> = entries.iter().map(|entry| entry.split.as_str()).collect();
    if let Some(split) =
        splits.iter().find(|split| *split != ALL_SPLITS && !present.contains(split.as_str()))
    {
        let present: Vec<&str> = present.into_iter().chain([ALL_SPLITS]).collect();
        return Err(failure(format!(
            "--split must be one of {}, got \"{split}\"",
            present.join(", ")
        )));
    }
    entries.retain(|entry| splits.iter().any(|split| split == ALL_SPLITS || *split == entry.split));
    Ok(entries)
}

fn parse_entry(folder: &Path, mut fields: BTreeMap<String, String>) -> Result<Entry, String> {
    let mut take = |column: &str| match fields.remove(column) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("{column} must not be empty")),
    };
    let (path, label, patient, split) =
        (take("path")?, take("label")?, take("patient")?, take("split")?);
    let period_ns = match fields.get(PERIOD_COLUMN).map(String::as_str) {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(period) if period > 0 => Some(period),
            _ => return Err(format!("{PERIOD_COLUMN} must be a positive integer, got \"{text}\"")),
        },
    };
    Ok(Entry {
        file: folder.join(&path),
        path,
        label,
        patient,
        split,
        attributes: fields,
        period_ns,
    })
}

fn check_entries(entries: &[Entry], labels: &[String]) -> Result<(), String> {
    let mut split_of = BTreeMap::new();
    let mut paths = BTreeSet::new();
    for Entry { path, label, patient, split, .. } in entries {
        if !labels.contains(label) {
            return Err(format!(
                "{path}: the label must be one of {}, got \"{label}\"",
                labels.join(", ")
            ));
        }
        if !paths.insert(path) {
            return Err(format!("{path} appears twice; each cine must have one line"));
        }
        let first = split_of.entry(patient).or_insert(split);
        if *first != split {
            return Err(format!("patient {patient} must be in one split, got {first} and {split}"));
        }
    }
    Ok(())
}

/// Chooses pairs of cines that test a change of the view. A pair consists of two consecutive cines
/// in the manifest that belong to the same patient and have different labels. There are at most two
/// pairs per patient and `limit` pairs in total.
pub(super) fn choose_change_pairs(entries: &[Entry], limit: usize) -> Vec<[usize; 2]> {
    let mut of_patient: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        of_patient.entry(&entry.patient).or_default().push(index);
    }
    let pairs = of_patient.values().flat_map(|cines| {
        let neighbours = cines.windows(2).map(|pair| [pair[0], pair[1]]);
        neighbours.filter(|&[from, to]| entries[from].label != entries[to].label).take(2)
    });
    pairs.take(limit).collect()
}
