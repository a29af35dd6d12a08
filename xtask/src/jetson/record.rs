//! The stages of `cargo xtask jetson`, and the table that the task prints at the end.

use crate::process::Result;
use std::time::{Duration, Instant};

/// A row of the table.
struct Row {
    stage: &'static str,
    /// The place where the stage's programs ran, or the way in which the stage got its result.
    place: &'static str,
    result: String,
    time: Duration,
}

/// The stages that have run so far.
#[derive(Default)]
pub(super) struct Record(Vec<Row>);

impl Record {
    /// Runs a stage and records the result that it returns.
    pub(super) fn run_stage(
        &mut self,
        stage: &'static str,
        place: &'static str,
        run: impl FnOnce() -> Result<String>,
    ) -> Result {
        println!("\n== {stage}");
        let start = Instant::now();
        let outcome = run();
        let result = outcome.clone().unwrap_or_else(|_| "FAILED".into());
        println!("== {stage}: {result}");
        self.0.push(Row { stage, place, result, time: start.elapsed() });
        outcome.map(drop).map_err(|message| format!("{stage} failed: {message}"))
    }

    /// Returns the stages as a Markdown table.
    pub(super) fn format_table(&self) -> String {
        let mut text =
            String::from("| stage | where | result | seconds |\n| --- | --- | --- | --- |");
        for Row { stage, place, result, time } in &self.0 {
            text += &format!("\n| {stage} | {place} | {result} | {:.1} |", time.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|row| row.time).sum();
        text + &format!("\n| total | | | {:.1} |", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_stage_is_in_the_table_and_in_the_error() {
        let mut record = Record::default();
        record.run_stage("first", "here", || Ok("three".into())).unwrap();
        let error = record.run_stage("second", "emulated", || Err("broken".into())).unwrap_err();
        assert_eq!(error, "second failed: broken");
        let table = record.format_table();
        assert!(table.contains("| first | here | three | 0.0 |"), "{table}");
        assert!(table.contains("| second | emulated | FAILED |"), "{table}");
    }
}
