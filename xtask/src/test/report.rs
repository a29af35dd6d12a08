//! The table that `cargo xtask test` prints at the end.

use std::time::Duration;

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed {
        time: Duration,
        /// The parts of the step that cannot run on this machine.
        skipped_parts: Vec<String>,
    },
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
                Outcome::Passed { time, skipped_parts } => {
                    (Some(*time), format_passed(skipped_parts))
                }
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
        let passed = count(|outcome| matches!(outcome, Outcome::Passed { .. }));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let parts: usize = self
            .rows
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Passed { skipped_parts, .. } => skipped_parts.len(),
                _ => 0,
            })
            .sum();
        let text = format!("steps: {passed} passed, {failed} failed, {skipped} skipped");
        if parts == 0 { text } else { format!("{text}; {} skipped", count_parts(parts)) }
    }
}

/// Returns the result of a step that passed, with the parts that it skipped.
fn format_passed(skipped_parts: &[String]) -> String {
    if skipped_parts.is_empty() {
        return "passed".to_owned();
    }
    let count = count_parts(skipped_parts.len());
    format!("passed, {count} skipped: {}", skipped_parts.join("; "))
}

fn count_parts(count: usize) -> String {
    format!("{count} part{}", if count == 1 { "" } else { "s" })
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
        let passed = |skipped_parts: &[&str]| Outcome::Passed {
            time: second,
            skipped_parts: skipped_parts.iter().map(|&part| part.into()).collect(),
        };
        let report = Report {
            rows: vec![
                ("a", passed(&[])),
                ("hosts", passed(&["priority.c (no priority)", "clang"])),
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
hosts            1.0 s  passed, 2 parts skipped: priority.c (no priority); clang
b                    -  skipped: no wheel for aarch64
c                1.0 s  FAILED
d                    -  not run
total            3.0 s

target directory: 1.23 GB
left out: loom, jetson; `cargo xtask test --all` runs them
steps: 2 passed, 1 failed, 1 skipped; 2 parts skipped";
        assert_eq!(report.format(), expected);
    }

    #[test]
    fn full_run_leaves_nothing_out() {
        assert!(!Report::default().format().contains("left out"));
    }
}
