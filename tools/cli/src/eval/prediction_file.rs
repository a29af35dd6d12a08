//! A file of predictions that is written line by line, so that an interrupted run can be resumed.

use super::predictions::{Header, Predictions, Row, read_content};
use crate::failure::Failure;
use crate::output_file::open_locked;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file of predictions to which rows are appended. The file is locked, so that two processes
/// never append to it.
pub(super) struct PredictionFile {
    path: PathBuf,
    file: File,
}

impl PredictionFile {
    /// Creates a file, or opens an existing one and returns its rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or written, if another process writes it, or if
    /// it belongs to another run. A
    /// file belongs to another run if its header differs from `header`, or if `keys` does not begin
    /// with the keys of its rows.
    pub(super) fn open(
        path: &Path,
        header: &Header,
        keys: &[String],
    ) -> Result<(Self, Vec<Row>), Failure> {
        let write_failure = |error: std::io::Error| Failure::file(path, error);
        // The path may be a symbolic link, which `open_locked` does not follow.
        let real_path = path.canonicalize().unwrap_or(path.into());
        let file = open_locked(
            &real_path,
            "to this file of predictions; wait for it or choose another folder",
        );
        let mut new = Self { path: path.into(), file: file.map_err(write_failure)? };
        let content = read_content(path)?;
        // A run that was interrupted while it wrote its first line left nothing to resume, so the
        // file is written again.
        if !content.contains(&b'\n') {
            new.file.set_len(0).map_err(write_failure)?;
            new.append_line(header)?;
            return Ok((new, Vec::new()));
        }
        let existing = Predictions::parse(path, &content)?;
        let rows = existing.rows;
        let has_same_rows =
            rows.len() <= keys.len() && rows.iter().zip(keys).all(|(row, key)| row.key() == *key);
        if existing.header != *header || !has_same_rows {
            let cause = "the file belongs to another run; remove it or choose another folder";
            return Err(Failure::file(path, cause));
        }
        new.file.set_len(existing.complete_bytes).map_err(write_failure)?;
        new.file.seek(SeekFrom::End(0)).map_err(write_failure)?;
        Ok((new, rows))
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
