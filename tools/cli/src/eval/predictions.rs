//! The predictions: JSON Lines, a header and then one object a cine. A file is written line by line, so that a run that
//! was cut off goes on where it ended.

use crate::Failure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Version of the format: 1.
    pub(super) predictions: u32,
    /// Codes, in the order of the posteriors.
    pub(super) labels: Vec<String>,
    /// SHA-256 of the package.
    pub(super) model: Option<String>,
    pub(super) temperature: f32,
    /// Confidence under which the model withholds its label.
    pub(super) threshold: f32,
    /// Of files that `tteview eval` wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<Run>,
}

/// How the file was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Number of the shard, from 1, and of all shards.
    pub(super) shard: [usize; 2],
    /// Rows of all shards.
    pub(super) rows: usize,
    /// Provider that ran the network.
    pub(super) provider: String,
    /// `stream` or `window`.
    pub(super) mode: String,
    /// Margin of the library's rule for a change of view, in the rows where it is on.
    pub(super) change_margin: f32,
}

/// One acquisition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) patient: String,
    pub(super) split: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, String>,
    /// End of each chunk since the first frame.
    #[serde(default)]
    pub(super) times_ns: Vec<i64>,
    /// After each chunk, the logarithm of the posterior.
    #[serde(default)]
    pub(super) log_posterior: Vec<Vec<f64>>,
    /// Two cines as one acquisition: `label` is the second's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
    /// Why there is no posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unreadable: Option<String>,
}

/// A change of view without a mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// `on` or `off`: the library's rule for it.
    pub(super) rule: String,
    /// Label of the first cine.
    #[serde(default)]
    pub(super) from: String,
    /// Time of the second cine's first frame since the first's.
    #[serde(default)]
    pub(super) time_ns: i64,
    /// Why the two cannot be one acquisition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left_out: Option<String>,
}

impl Row {
    /// What tells a row from the others of its file.
    pub(super) fn key(&self) -> String {
        match &self.change {
            None => self.path.clone(),
            Some(change) => format!("{} ({})", self.path, change.rule),
        }
    }
}

/// Six digits are more than a float of the posterior has.
pub(super) fn logarithms(posterior: &[f32]) -> Vec<f64> {
    let log = |&score: &f32| (f64::from(score.max(f32::MIN_POSITIVE)).ln() * 1e6).round() / 1e6;
    posterior.iter().map(log).collect()
}

/// Reads a file. Its last line may be torn: it is left out, and the length of the rest is given.
pub(super) fn read(path: &Path) -> Result<(Header, Vec<Row>, u64), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut lines = whole.lines().enumerate();
    let wrong =
        |line: usize, error: serde_json::Error| Failure::file(path, format!("line {}: {error}", line + 1));
    let (at, first) = lines.next().ok_or_else(|| Failure::file(path, "no header of predictions"))?;
    let header: Header = serde_json::from_str(first).map_err(|error| wrong(at, error))?;
    if header.predictions != 1 {
        return Err(Failure::file(path, format!("predictions of version {}", header.predictions)));
    }
    let rows: Result<Vec<Row>, Failure> =
        lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| wrong(at, error))).collect();
    Ok((header, rows?, whole.len() as u64))
}

/// A file that rows are added to.
pub(super) struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Begins a file, or goes on with one: its rows are given back.
    ///
    /// # Errors
    /// A file of another run: another header, or rows other than the first of `keys`.
    pub(super) fn open(path: &Path, header: &Header, keys: &[String]) -> Result<(Self, Vec<Row>), Failure> {
        let failed = |error: std::io::Error| Failure::file(path, error);
        let torn = std::fs::read(path).is_ok_and(|bytes| !bytes.contains(&b'\n'));
        if torn || !path.exists() {
            let mut writer = Self { path: path.into(), file: File::create(path).map_err(failed)? };
            writer.line(header)?;
            return Ok((writer, Vec::new()));
        }
        let (found, rows, length) = read(path)?;
        let same = rows.len() <= keys.len() && rows.iter().zip(keys).all(|(row, key)| row.key() == *key);
        if found != *header || !same {
            return Err(Failure::file(path, "is of another run: remove it, or choose another folder"));
        }
        let file = File::options().append(true).open(path).map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        Ok((Self { path: path.into(), file }, rows))
    }

    /// Adds a row.
    pub(super) fn row(&mut self, row: &Row) -> Result<(), Failure> {
        self.line(row)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::file(&self.path, error);
        let mut line = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }
}

/// The shards of one run as one file, rows in the order that one run has.
///
/// # Errors
/// Files of different runs, a shard that is missing, twice or not complete, a cine that is there twice; the message
/// names it.
pub(super) fn merge(files: &[PathBuf]) -> Result<(Header, Vec<Row>), Failure> {
    let mut shards: BTreeMap<usize, (&Path, std::vec::IntoIter<Row>)> = BTreeMap::new();
    let mut common: Option<(Header, &Path)> = None;
    let mut seen = BTreeSet::new();
    let (mut of, mut expected) = (0, 0);
    for file in files {
        let (mut header, rows, _) = read(file)?;
        let run = header.run.as_mut().ok_or_else(|| Failure::file(file, "not written by tteview eval"))?;
        let [shard, count] = run.shard;
        if shard == 0 || shard > count {
            return Err(Failure::file(file, format!("shard {shard} of {count}")));
        }
        run.shard = [1, 1];
        expected = run.rows;
        match &common {
            None => {
                common = Some((header, file));
                of = count;
            }
            Some((first, name)) if *first != header || count != of => {
                return Err(Failure::file(file, format!("is of another run than {}", name.display())));
            }
            Some(_) => (),
        }
        let complete = (expected + count - shard) / count;
        if rows.len() != complete {
            let cause = format!("{} of {complete} rows: run shard {shard}/{count} to its end", rows.len());
            return Err(Failure::file(file, cause));
        }
        if let Some((other, _)) = shards.get(&shard) {
            return Err(Failure::file(file, format!("shard {shard}/{count}, as {}", other.display())));
        }
        if let Some(row) = rows.iter().find(|row| !seen.insert(row.key())) {
            return Err(Failure::file(file, format!("{} is in another shard too", row.key())));
        }
        shards.insert(shard, (file, rows.into_iter()));
    }
    if let Some(missing) = (1..=of).find(|shard| !shards.contains_key(shard)) {
        return Err(Failure::files(format!("shard {missing}/{of} is missing")));
    }
    let (header, _) = common.ok_or_else(|| Failure::usage("no files to merge"))?;
    let in_turn = (0..expected).filter_map(|row| shards.get_mut(&(row % of + 1))?.1.next()).collect();
    Ok((header, in_turn))
}
