//! The table of all recorded figures.

use super::record::{Coverage, Fuzzing, Mutants, Origin, Race, Records, Soak};
use super::{coverage, fuzz, mutants, races};

/// Limit for the line coverage of the whole library, in percent.
const COVERAGE_PERCENT: f64 = 92.0;

/// Limit for the mutation score, in percent.
const MUTATION_PERCENT: f64 = 90.0;

/// Limit for the growth of the resident memory during a soak.
const GROWTH_BYTES: i64 = 1_000_000;

/// Length of a full soak.
const SOAK_MINUTES: u64 = 60;

/// A row of the table.
struct Row {
    what: String,
    /// The result, and whether it meets the goal; `None` if there is no record.
    result: Option<(String, bool)>,
    goal: String,
    origin: Option<Origin>,
}

/// Formats the figures as a Markdown table. A figure without a record is marked as not measured.
pub(super) fn format_table(records: &Records) -> String {
    let mut rows = Vec::new();
    for part in coverage::PARTS {
        let found = records.coverage.iter().find(|entry| entry.part == part.name);
        rows.push(describe_coverage(part.name, part.must_be_full, found));
    }
    for module in mutants::MODULES {
        let found = records.mutants.iter().find(|entry| entry.module == module.name);
        rows.push(describe_mutants(module.name, found));
    }
    for target in fuzz::TARGETS {
        let found = records.fuzzing.iter().find(|entry| entry.target == target.name);
        rows.push(describe_fuzzing(target.name, target.executions, found));
    }
    for check in races::CHECKS {
        let found = records.races.iter().find(|entry| entry.check == check.name);
        rows.push(describe_race(check.name, found));
    }
    rows.push(describe_soak(records.soak.first()));
    let mut text = String::from(
        "| figure | result | goal | met | measured |\n| --- | --- | --- | --- | --- |",
    );
    for Row { what, result, goal, origin } in rows {
        let (result, is_met) = match result {
            Some((result, is_met)) => (result, if is_met { "yes" } else { "no" }),
            None => ("not measured".into(), "no"),
        };
        let measured = origin
            .map_or_else(|| "-".into(), |origin| format!("{}, {}", origin.date, origin.commit));
        text += &format!("\n| {what} | {result} | {goal} | {is_met} | {measured} |");
    }
    text
}

fn describe_coverage(part: &str, must_be_full: bool, found: Option<&Coverage>) -> Row {
    let goal = if must_be_full {
        "100 %, or listed with a reason".into()
    } else {
        format!("{COVERAGE_PERCENT} %")
    };
    Row {
        what: format!("line coverage, {part}"),
        result: found.map(|entry| {
            let percent = to_percent(entry.covered, entry.lines);
            let is_met = must_be_full || percent >= COVERAGE_PERCENT;
            let text = format!("{percent:.1} % of {} lines", group_digits(entry.lines));
            match entry.uncovered.len() {
                0 => (text, is_met),
                count => (format!("{text}; {count} listed"), is_met),
            }
        }),
        goal,
        origin: found.map(|entry| entry.origin.clone()),
    }
}

fn describe_mutants(module: &str, found: Option<&Mutants>) -> Row {
    Row {
        what: format!("mutants caught, {module}"),
        result: found.map(|entry| {
            let total = entry.caught + entry.survivors.len() as u64;
            let percent = to_percent(entry.caught, total);
            let sample = match entry.every {
                1 => String::new(),
                every => format!(", a sample of 1 in {every}"),
            };
            (format!("{percent:.1} % of {total}{sample}"), percent >= MUTATION_PERCENT)
        }),
        goal: format!("{MUTATION_PERCENT} %"),
        origin: found.map(|entry| entry.origin.clone()),
    }
}

fn describe_fuzzing(target: &str, goal: u64, found: Option<&Fuzzing>) -> Row {
    Row {
        what: format!("fuzz target `{target}`"),
        result: found.map(|entry| {
            let rate = entry.executions / entry.origin.seconds.max(1);
            let hours = entry.origin.seconds as f64 / 3600.0;
            let text = format!(
                "{} executions, {hours:.2} h, {} per second, {} findings",
                group_digits(entry.executions),
                group_digits(rate),
                entry.findings
            );
            (text, entry.executions >= goal && entry.findings == 0)
        }),
        goal: format!("{} executions", group_digits(goal)),
        origin: found.map(|entry| entry.origin.clone()),
    }
}

fn describe_race(check: &str, found: Option<&Race>) -> Row {
    Row {
        what: check.into(),
        result: found.map(|entry| (format!("{} tests passed", entry.tests), entry.tests > 0)),
        goal: "all pass".into(),
        origin: found.map(|entry| entry.origin.clone()),
    }
}

fn describe_soak(found: Option<&Soak>) -> Row {
    Row {
        what: "soak, three streams at 60 Hz with faults".into(),
        result: found.map(|entry| {
            let hours = entry.minutes as f64 / 60.0;
            let text = format!(
                "{hours:.2} h, {} frames, {} acquisitions, memory {:+} kB",
                group_digits(entry.frames),
                group_digits(entry.acquisitions),
                entry.growth_bytes / 1000
            );
            (text, entry.minutes >= SOAK_MINUTES && entry.growth_bytes < GROWTH_BYTES)
        }),
        goal: "1 h, memory below +1000 kB".into(),
        origin: found.map(|entry| entry.origin.clone()),
    }
}

fn to_percent(part: u64, whole: u64) -> f64 {
    // The percentage is rounded down, so that 99.96 % is not shown as complete.
    (part as f64 * 1000.0 / whole.max(1) as f64).floor() / 10.0
}

/// Formats a number with a comma after every three digits.
fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_and_percentages_rounded_down() {
        assert_eq!(
            [0, 999, 1000, 10_000_000].map(group_digits),
            ["0", "999", "1,000", "10,000,000"]
        );
        assert_eq!(
            [to_percent(2999, 3000), to_percent(1, 1), to_percent(0, 0)],
            [99.9, 100.0, 0.0]
        );
    }

    #[test]
    fn figure_without_a_record_is_not_met() {
        let table = format_table(&Records::default());
        assert!(table.lines().skip(2).all(|row| row.contains("| not measured |")));
        assert!(table.lines().skip(2).all(|row| row.ends_with("| no | - |")));
    }

    #[test]
    fn findings_and_short_runs_do_not_meet_the_goal() {
        let run = |executions, findings| {
            let origin = Origin { seconds: 10, ..Origin::default() };
            let entry = Fuzzing { target: "abi".into(), executions, findings, origin };
            describe_fuzzing("abi", 1000, Some(&entry)).result.unwrap().1
        };
        assert_eq!([run(1000, 0), run(999, 0), run(1000, 1)], [true, false, false]);
    }
}
