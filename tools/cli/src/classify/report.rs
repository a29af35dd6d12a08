//! What becomes of the results: lines on standard output, entries of the page, and the summary.

use super::labelled_cine::{LabelledCine, describe_error};
use super::summary::Summary;
use super::table::Table;
use crate::failure::{Exit, Failure};
use crate::output::{print_error, print_json, print_line};
use crate::page::Page;
use crate::terminal::escape_path;
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tteview::Engine;

/// What became of one cine.
pub(super) struct Outcome {
    pub(super) path: PathBuf,
    /// The cine, or the reason why it cannot be read.
    pub(super) cine: Result<LabelledCine, String>,
    /// The entry for the page, if there is one.
    pub(super) entry: Option<String>,
}

/// Reports the outcomes, one after the other.
pub(super) struct Report<'a> {
    engine: &'a Engine,
    /// The table, or `None` if JSON is printed.
    table: Option<Table>,
    page: Option<Page>,
    pub(super) summary: Summary,
    bar: ProgressBar,
    start: Instant,
}

impl<'a> Report<'a> {
    /// Creates the page and prints the header of the table.
    pub(super) fn begin(
        engine: &'a Engine,
        table: Option<Table>,
        page: Option<&Path>,
        bar: ProgressBar,
    ) -> Result<Self, Failure> {
        let page = page.map(|path| Page::create(path, engine)).transpose()?;
        if let Some(table) = &table {
            print_line(&table.header())?;
        }
        let summary = Summary::default();
        Ok(Self { engine, table, page, summary, bar, start: Instant::now() })
    }

    /// Reports what became of one cine.
    pub(super) fn add(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        match &outcome.cine {
            Ok(cine) => self.summary.add(&cine.label.result),
            Err(_) => self.summary.unreadable += 1,
        }
        // The progress bar is hidden while the lines are printed.
        self.bar.suspend(|| self.print(outcome))?;
        self.bar.inc(1);
        match (&mut self.page, &outcome.entry) {
            (Some(page), Some(entry)) => page.add(entry),
            _ => Ok(()),
        }
    }

    fn print(&self, Outcome { path, cine, .. }: &Outcome) -> Result<(), Failure> {
        match (cine, &self.table) {
            (Ok(cine), table) => {
                for warning in &cine.warnings {
                    print_error(&format!("warning: {}: {warning}", escape_path(path)));
                }
                match table {
                    Some(table) => print_line(&table.row(path, cine, self.engine)),
                    None => print_json(&cine.to_json(path, self.engine)),
                }
            }
            (Err(message), Some(_)) => {
                print_error(message);
                Ok(())
            }
            (Err(message), None) => print_json(&describe_error(path, message)),
        }
    }

    /// Completes the page, and prints the summary if `has_summary` is set.
    ///
    /// # Errors
    /// Returns a failure if the page cannot be written, or if a cine could not be read.
    pub(super) fn end(self, has_summary: bool) -> Result<(), Failure> {
        let Self { engine, page, summary, bar, start, .. } = self;
        bar.finish_and_clear();
        if let Some(page) = page {
            let counts = [
                ("", "cines", summary.cines()),
                ("given", "with a label", summary.labelled),
                ("withheld", "withheld", summary.withheld),
                ("failed", "unreadable", summary.unreadable),
            ];
            page.finish(&counts, &summary.to_notes(), &summary.list_views(engine.spec()))?;
        }
        if has_summary {
            print_error(&summary.to_line(start.elapsed()));
        }
        match (summary.unreadable, summary.cines()) {
            (0, _) => Ok(()),
            (failed, cines) => {
                Err(Failure::new(Exit::Files, format!("{failed} of {cines} files failed")))
            }
        }
    }
}
