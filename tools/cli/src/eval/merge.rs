//! `tteview eval merge`: merges the shards of a run.

use super::prediction_file::PredictionFile;
use super::predictions::{Header, Predictions, Row};
use super::summary::write_summary;
use crate::failure::{Exit, Failure};
use crate::output_file::create_folder;
use crate::terminal::escape_path;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Merge {
    /// Prediction files of all shards
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder for predictions.jsonl, metrics.json and report.html
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl Merge {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (header, rows) = merge_shards(&self.files)?;
        create_folder(&self.out)?;
        let path = self.out.join("predictions.jsonl");
        let keys: Vec<String> = rows.iter().map(Row::key).collect();
        let (mut file, done) = PredictionFile::open(&path, &header, &keys)?;
        for row in &rows[done.len()..] {
            file.append(row)?;
        }
        write_summary(&self.out, &header, &rows)
    }
}

/// The shards that have been read.
#[derive(Default)]
struct Shards<'a> {
    /// Header of the first file, with its shard set to 1 of 1, and the path of that file.
    common: Option<(Header, &'a Path)>,
    /// Number of shards in the run.
    count: usize,
    /// Number of rows in all shards together.
    total_rows: usize,
    /// File and rows of each shard, by shard number.
    by_number: BTreeMap<usize, (&'a Path, std::vec::IntoIter<Row>)>,
    /// Keys of all rows.
    keys: BTreeSet<String>,
}

/// Merges the shards of one run. The merged rows are in the same order as in a run without shards.
///
/// # Errors
/// Returns an error if the files belong to different runs, if a shard is missing, repeated or
/// incomplete, or if a cine is in several shards.
fn merge_shards(files: &[PathBuf]) -> Result<(Header, Vec<Row>), Failure> {
    let mut shards = Shards::default();
    for file in files {
        shards.add(file)?;
    }
    let Shards { common, count, total_rows, mut by_number, .. } = shards;
    if let Some(missing) = (1..=count).find(|number| !by_number.contains_key(number)) {
        return Err(Failure::new(Exit::Files, format!("shard {missing}/{count} is missing")));
    }
    let (header, _) =
        common.ok_or_else(|| Failure::new(Exit::Usage, "name the files of all shards"))?;
    let next_row = |row: usize| by_number.get_mut(&(row % count + 1))?.1.next();
    Ok((header, (0..total_rows).filter_map(next_row).collect()))
}

impl<'a> Shards<'a> {
    fn add(&mut self, file: &'a Path) -> Result<(), Failure> {
        let failure = |cause: String| Failure::file(file, cause);
        let Predictions { mut header, rows, .. } = Predictions::read(file)?;
        let run = header
            .run
            .as_mut()
            .ok_or_else(|| failure("the file is not a shard of a run".into()))?;
        let [number, count] = run.shard;
        if number == 0 || number > count {
            return Err(failure(format!("the shard must be 1 to {count}, got {number}")));
        }
        run.shard = [1, 1];
        let total_rows = run.rows;
        match &self.common {
            None => {
                self.common = Some((header, file));
                self.count = count;
                self.total_rows = total_rows;
            }
            Some((first, name)) if *first != header || count != self.count => {
                return Err(failure(format!(
                    "the file belongs to a different run than {}",
                    escape_path(name)
                )));
            }
            Some(_) => {}
        }
        let expected = total_rows.saturating_add(count - number) / count;
        if rows.len() != expected {
            let found = rows.len();
            return Err(failure(format!(
                "shard {number}/{count} must have {expected} rows, got {found}; complete it first"
            )));
        }
        if let Some((other, _)) = self.by_number.get(&number) {
            return Err(failure(format!(
                "{} contains shard {number}/{count}, too",
                escape_path(other)
            )));
        }
        if let Some(row) = rows.iter().find(|row| !self.keys.insert(row.key())) {
            return Err(failure(format!("another shard contains {}, too", row.key())));
        }
        self.by_number.insert(number, (file, rows.into_iter()));
        Ok(())
    }
}
