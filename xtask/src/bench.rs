//! `cargo xtask bench`: runs the library's benches and prints a table of the results.

mod archive;
mod graphs;
mod latency;

use crate::fetch::onnx_runtime::fetch_newest;
use crate::files::{read_text, write_file};
use crate::paths::work_dir;
use crate::process::{Result, cargo, run};

/// The environment variable that names the ONNX Runtime for the benches.
const RUNTIME: &str = "TTEVIEW_BENCH_RUNTIME";

/// Runs the benches. The arguments go to the program `tteview-bench`, so a filter selects benches
/// by their names, and the options of the program and of criterion apply. The arguments `graphs`,
/// `latency` and `archive` run separate measurements instead.
///
/// A ratio over its limit is marked in the table but is not an error, because the machine may be
/// busy.
pub(crate) fn run_bench(arguments: &[&str]) -> Result {
    match arguments {
        ["graphs", rest @ ..] => return graphs::measure_graphs(rest),
        ["latency", rest @ ..] => return latency::measure_latency(rest),
        ["archive", files @ ..] => return archive::measure_archive(files),
        _ => (),
    }
    let table = work_dir().join("benches.tsv");
    write_file(&table, "")?;
    let mut benches = cargo("bench -p tteview --features bench --bench tteview-bench --");
    benches.args(arguments).env("TTEVIEW_BENCH_TABLE", &table);
    if std::env::var_os(RUNTIME).is_none() {
        benches.env(RUNTIME, fetch_newest()?).env("ORT_DISABLE_TELEMETRY", "1");
    }
    run(&mut benches)?;
    let rows = read_text(&table)?;
    if rows.is_empty() {
        println!("\nno bench was measured; a filter must be part of the name of a bench");
        return Ok(());
    }
    println!("\n{}", format_table(&rows)?);
    Ok(())
}

/// Returns a Markdown table of the rows that the benches wrote. A row compares two operations. For
/// each operation, it contains the name and the median, p99 and p99.9 times in nanoseconds. The
/// last three cells are the ratio of the medians, the ratio of the p99 times, and the limit for the
/// ratio of the medians.
fn format_table(rows: &str) -> Result<String> {
    let mut text = String::from(
        "| what | median | p99 | p99.9 | against | median | p99 | p99.9 | ratio | p99 ratio | limit |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    );
    for row in rows.lines() {
        let cells: Vec<&str> = row.split('\t').collect();
        let [what, rival, a, b, c, d, e, f, ratio, p99_ratio, limit] = cells[..] else {
            return Err(format!("a bench row must have 11 cells, got {row:?}"));
        };
        let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(format_time);
        let verdict = match (ratio.parse::<f64>(), limit.parse::<f64>()) {
            (Ok(ratio), Ok(limit)) if ratio <= limit => format!("{limit}: met"),
            (Ok(_), Ok(limit)) => format!("{limit}: missed"),
            _ => limit.into(),
        };
        let p99_ratio = if p99_ratio == "NaN" { "-" } else { p99_ratio };
        text += &format!("\n| {what} | {a} | {b} | {c} | {rival} | {d} | {e} | {f} | ");
        text += &format!("{ratio} | {p99_ratio} | {verdict} |");
    }
    Ok(text)
}

/// Formats a time in nanoseconds with a suitable unit, or returns a dash if the bench made too few
/// calls to determine the time.
fn format_time(cell: &str) -> String {
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
    fn ratio_up_to_its_limit_is_met() {
        let row = |ratio: &str| format!("a\tb\t1.5\t2000\tNaN\t1\t2\t3500000\t{ratio}\tNaN\t1.1\n");
        let text = format_table(&(row("1.100") + &row("1.101"))).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let start = "| a | 1.5 ns | 2.0 us | - | b | 1.0 ns | 2.0 ns | 3.50 ms |";
        let met = format!("{start} 1.100 | - | 1.1: met |");
        let missed = format!("{start} 1.101 | - | 1.1: missed |");
        assert_eq!(lines, [met, missed]);
    }

    #[test]
    fn row_with_too_few_cells_is_an_error() {
        assert!(format_table("a\tb\t1").unwrap_err().contains("11 cells"));
    }
}
