//! The table that `cargo xtask test` prints at the end.

use std::time::Duration;

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed(Duration),
    Failed(Duration),
    /// The step cannot run on this machine, for the given reason.
    Skipped(String),
    /// An earlier step failed.
    NotRun,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<(&'static str, Outcome)>,
    /// The steps that the quick test leaves out.
    pub(super) left_out: Vec<&'static str>,
    pub(super) target_bytes: u64,
}

impl Report {
    /// Formats the closing table, the size of the target directory, the steps that are left out,
    /// and the counts.
    pub(super) fn format(&self) -> String {
        let mut text = format!("{:<12}{:>10}  result", "step", "time");
        let mut total = Duration::ZERO;
        for (name, outcome) in &self.rows {
            let (time, result) = match outcome {
                Outcome::Passed(time) => (Some(*time), "passed".to_owned()),
                Outcome::Failed(time) => (Some(*time), "FAILED".to_owned()),
                Outcome::Skipped(reason) => (None, format!("skipped: {reason}")),
                Outcome::NotRun => (None, "not run".to_owned()),
            };
            total += time.unwrap_or_default();
            text += &format!(
                "\n{name:<12}{:>10}  {result}",
                time.map_or_else(|| "-".into(), format_time)
            );
        }
        text += &format!("\n{:<12}{:>10}", "total", format_time(total));
        text += &format!("\n\ntarget directory: {:.2} GB", self.target_bytes as f64 / 1e9);
        if !self.left_out.is_empty() {
            text += &format!(
                "\nleft out: {}; `cargo xtask test --all` runs them",
                self.left_out.join(", ")
            );
        }
        text + "\n" + &self.format_counts()
    }

    fn format_counts(&self) -> String {
        let count = |is_counted: fn(&Outcome) -> bool| {
            self.rows.iter().filter(|(_, outcome)| is_counted(outcome)).count()
        };
        let passed = count(|outcome| matches!(outcome, Outcome::Passed(_)));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        format!("steps: {passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Formats a time in seconds.
pub(super) fn format_time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_every_step_the_total_and_the_disk_space() {
        let second = Duration::from_secs(1);
        let report = Report {
            rows: vec![
                ("a", Outcome::Passed(second)),
                ("b", Outcome::Skipped("no wheel for aarch64".into())),
                ("c", Outcome::Failed(second)),
                ("d", Outcome::NotRun),
            ],
            left_out: vec!["loom", "jetson"],
            target_bytes: 1_234_000_000,
        };
        let expected = "\
step              time  result
a                1.0 s  passed
b                    -  skipped: no wheel for aarch64
c                1.0 s  FAILED
d                    -  not run
total            2.0 s

target directory: 1.23 GB
left out: loom, jetson; `cargo xtask test --all` runs them
steps: 1 passed, 1 failed, 1 skipped";
        assert_eq!(report.format(), expected);
    }

    #[test]
    fn full_run_leaves_nothing_out() {
        assert!(!Report::default().format().contains("left out"));
    }
}
