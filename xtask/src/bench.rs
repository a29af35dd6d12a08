//! `cargo xtask bench`: every bench of the library, then one table of what it found.

use crate::process::{Result, cargo, run as run_command, target};
use std::fs;

/// Runs the benches whose names contain the filter, or all of them; `graphs` and `latency` are runs of their own. A missed
/// bar is said, and is no failure: the machine may be busy.
pub(crate) fn run(filters: &[&str]) -> Result {
    let filter = match filters {
        ["graphs", rest @ ..] => return crate::graphs::run(rest),
        ["latency", rest @ ..] => return crate::latency::bench(rest),
        [] => "",
        [filter] => filter,
        _ => return Err("give one filter at most".into()),
    };
    let table = target().join("tteview").join("benches.tsv");
    let failed = |cause: std::io::Error| format!("{}: {cause}", table.display());
    fs::create_dir_all(table.parent().unwrap_or(&table)).map_err(failed)?;
    fs::write(&table, "").map_err(failed)?;
    let mut command = cargo("bench -p tteview --features bench --benches --");
    run_command(command.args(["--noplot", filter]).env("TTEVIEW_BENCH_TABLE", &table))?;
    let rows = fs::read_to_string(&table).map_err(failed)?;
    if rows.is_empty() {
        return Err(format!("no bench has {filter:?} in its name"));
    }
    println!("\n{}", shown(&rows)?);
    Ok(())
}

/// A Markdown table of the rows that the benches write: name, rival, median, p99 and p99.9 of both in nanoseconds,
/// ratio of the medians and of the p99, and the bar of the ratio of medians.
fn shown(rows: &str) -> Result<String> {
    let mut text = String::from(
        "| what | median | p99 | p99.9 | against | median | p99 | p99.9 | ratio | p99 ratio | bar |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    );
    for row in rows.lines() {
        let cells: Vec<&str> = row.split('\t').collect();
        let [what, rival, a, b, c, d, e, f, ratio, p99_ratio, bar] = cells[..] else {
            return Err(format!("not a row of a bench: {row:?}"));
        };
        let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(time);
        let verdict = match (ratio.parse::<f64>(), bar.parse::<f64>()) {
            (Ok(ratio), Ok(bar)) if ratio <= bar => format!("{bar}: met"),
            (Ok(_), Ok(bar)) => format!("{bar}: missed"),
            _ => bar.into(),
        };
        let p99_ratio = if p99_ratio == "NaN" { "-" } else { p99_ratio };
        text += &format!("\n| {what} | {a} | {b} | {c} | {rival} | {d} | {e} | {f} | ");
        text += &format!("{ratio} | {p99_ratio} | {verdict} |");
    }
    Ok(text)
}

/// Nanoseconds for people; a dash where there were too few calls.
fn time(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(ns) if ns < 1e3 => format!("{ns:.1} ns"),
        Ok(ns) if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        Ok(ns) if ns.is_finite() => format!("{:.2} ms", ns / 1e6),
        _ => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_over_its_bar_is_missed_and_one_within_is_met() {
        let row = |ratio: &str| format!("a\tb\t1.5\t2000\tNaN\t1\t2\t3500000\t{ratio}\tNaN\t1.1\n");
        let text = shown(&(row("1.100") + &row("1.101"))).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let start = "| a | 1.5 ns | 2.0 us | - | b | 1.0 ns | 2.0 ns | 3.50 ms |";
        assert_eq!(
            lines,
            [format!("{start} 1.100 | - | 1.1: met |"), format!("{start} 1.101 | - | 1.1: missed |")]
        );
    }

    #[test]
    fn a_row_that_is_cut_short_is_an_error_and_no_empty_cell() {
        assert!(shown("a\tb\t1").unwrap_err().contains("not a row"));
    }
}
