//! A file of predictions that is written line by line, so that an interrupted run can be resumed.

use super::predictions::{Header, Predictions, Row};
use crate::failure::Failure;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file of predictions to which rows are appended.
pub(super) struct PredictionFile {
    path: PathBuf,
    file: File,
}

impl PredictionFile {
    /// Creates a file, or opens an existing one and returns its rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or written, or if it belongs to another run. A
    /// file belongs to another run if its header differs from `header`, or if `keys` does not begin
    /// with the keys of its rows.
    pub(super) fn open(
        path: &Path,
        header: &Header,
        keys: &[String],
    ) -> Result<(Self, Vec<Row>), Failure> {
        let write_failure = |error: std::io::Error| Failure::file(path, error);
        // A run that was interrupted while it wrote its first line left nothing to resume, so the
        // file is created again.
        let is_empty = std::fs::read(path).is_ok_and(|bytes| !bytes.contains(&b'\n'));
        if is_empty || !path.exists() {
            let file = File::create(path).map_err(write_failure)?;
            let mut new = Self { path: path.into(), file };
            new.append_line(header)?;
            return Ok((new, Vec::new()));
        }
        let existing = Predictions::read(path)?;
        let rows = existing.rows;
        let has_same_rows =
            rows.len() <= keys.len() && rows.iter().zip(keys).all(|(row, key)| row.key() == *key);
        if existing.header != *header || !has_same_rows {
            let cause = "the file belongs to another run; remove it or choose another folder";
            return Err(Failure::file(path, cause));
        }
        let file = File::options().append(true).open(path).map_err(write_failure)?;
        file.set_len(existing.complete_bytes).map_err(write_failure)?;
        Ok((Self { path: path.into(), file }, rows))
    }

    /// Appends a row.
    pub(super) fn append(&mut self, row: &Row) -> Result<(), Failure> {
        self.append_line(row)
    }

    fn append_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let write_failure = |error: std::io::Error| Failure::file(&self.path, error);
        let mut line = serde_json::to_vec(value).map_err(|error| write_failure(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(write_failure)
    }
}
