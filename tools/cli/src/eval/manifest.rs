//! The manifest: the label, the patient and the split of each cine.

use crate::failure::Failure;
use crate::input_file::MAX_MANIFEST_BYTES;
use crate::terminal::escape_name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tteview::regular_file;

/// The columns that every manifest must have. `colour` and any columns that are not in this list
/// are attributes.
const COLUMNS: [&str; 5] = ["path", "label", "patient", "split", "colour"];

/// The columns that are not attributes.
const OWN_COLUMNS: [&str; 4] = ["path", "label", "patient", "split"];

/// Maximum number of columns.
const MAX_COLUMNS: usize = 4096;

/// Column with the time between two frames in nanoseconds. This time replaces the times in the
/// cine's file.
pub(super) const PERIOD_COLUMN: &str = "frame_period_ns";

/// Value of `--split` that selects every split.
const ALL_SPLITS: &str = "all";

/// One cine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Folder of the manifest.
    folder: Arc<Path>,
    /// Path as written in the manifest.
    pub(super) path: String,
    pub(super) label: String,
    pub(super) patient: String,
    pub(super) split: String,
    attributes: Attributes,
    pub(super) period_ns: Option<i64>,
}

/// The values of the columns that are attributes. The cines share the names of the columns, so that
/// a manifest with many empty fields does not take much more memory than its file.
#[derive(Clone, Debug, PartialEq)]
struct Attributes {
    columns: Arc<[String]>,
    /// The values of the columns that are attributes, in the order of the columns.
    values: Vec<Box<str>>,
}

impl Entry {
    /// Returns the attributes by column.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let Attributes { columns, values } = &self.attributes;
        let names = columns.iter().filter(|column| is_attribute(column));
        names.zip(values).map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    /// Returns the path of the cine.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(&self.path)
    }
}

fn is_attribute(column: &str) -> bool {
    !OWN_COLUMNS.contains(&column)
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
    let file = regular_file::read(manifest, MAX_MANIFEST_BYTES)
        .map_err(|error| Failure::file(manifest, error))?;
    parse_manifest(manifest, &file, splits, labels)
}

/// Checks a manifest in memory, and returns the same result as [`read_manifest`]. `manifest` is its
/// path.
pub(super) fn parse_manifest(
    manifest: &Path,
    file: &[u8],
    splits: &[String],
    labels: &[String],
) -> Result<Vec<Entry>, Failure> {
    let failure = |cause: String| Failure::file(manifest, cause);
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| failure(error.to_string()))?.clone();
    if header.len() > MAX_COLUMNS {
        let found = header.len();
        return Err(failure(format!(
            "the manifest must have at most {MAX_COLUMNS} columns, got {found}"
        )));
    }
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|&column| header.iter().all(|name| name != column)).collect();
    if !missing.is_empty() {
        let (columns, missing) = (COLUMNS.join(", "), missing.join(", "));
        return Err(failure(format!(
            "the manifest must have the columns {columns}; add {missing}"
        )));
    }
    let folder = manifest.parent().unwrap_or(Path::new("")).into();
    let columns: Arc<[String]> = header.iter().map(String::from).collect();
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| failure(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let entry = parse_entry(&folder, &columns, &record);
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

fn parse_entry(
    folder: &Arc<Path>,
    columns: &Arc<[String]>,
    record: &csv::StringRecord,
) -> Result<Entry, String> {
    let find = |column: &str| record.get(columns.iter().rposition(|name| name == column)?);
    let take = |column: &str| match find(column) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(format!("{column} must not be empty")),
    };
    let (path, label, patient, split) =
        (take("path")?, take("label")?, take("patient")?, take("split")?);
    let period_ns = match find(PERIOD_COLUMN) {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(period) if period > 0 => Some(period),
            _ => return Err(format!("{PERIOD_COLUMN} must be a positive integer, got \"{text}\"")),
        },
    };
    Ok(Entry {
        folder: folder.clone(),
        path,
        label,
        patient,
        split,
        attributes: Attributes {
            columns: columns.clone(),
            values: columns
                .iter()
                .zip(record)
                .filter(|(column, _)| is_attribute(column))
                .map(|(_, value)| value.into())
                .collect(),
        },
        period_ns,
    })
}

fn check_entries(entries: &[Entry], labels: &[String]) -> Result<(), String> {
    let mut split_of = BTreeMap::new();
    let mut paths = BTreeSet::new();
    for Entry { path, label, patient, split, .. } in entries {
        if !labels.contains(label) {
            let path = escape_name(path);
            return Err(format!(
                "{path}: the label must be one of {}, got \"{label}\"",
                labels.join(", ")
            ));
        }
        if !paths.insert(path) {
            let path = escape_name(path);
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
