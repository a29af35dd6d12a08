//! The summary of a run: the metrics, the report and the printed headline figures.

use super::confusion::HEADLINE_NAMES;
use super::metrics::compute_metrics;
use super::predictions::{Header, Row};
use super::report::render_report;
use crate::failure::{Exit, Failure};
use crate::output::print_line;
use crate::output_file::write_file;
use crate::terminal::escape_path;
use std::path::Path;

/// Writes metrics.json and report.html to `out` and prints the headline figures.
pub(super) fn write_summary(out: &Path, header: &Header, rows: &[Row]) -> Result<(), Failure> {
    let metrics =
        compute_metrics(header, rows).map_err(|cause| Failure::new(Exit::Files, cause))?;
    let write = |name: &str, text: String| write_file(&out.join(name), text.as_bytes());
    write("metrics.json", format!("{metrics:#}\n"))?;
    write("report.html", render_report(header, &metrics))?;
    print_line(&format!("{} cines of {} patients", metrics["cines"], metrics["patients"]))?;
    for name in HEADLINE_NAMES {
        let figure = &metrics["headline"][name];
        let [value, low, high] =
            ["value", "low", "high"].map(|key| figure[key].as_f64().unwrap_or(f64::NAN));
        print_line(&format!("{name:16} {value:.4}  ({low:.4} to {high:.4})"))?;
    }
    for (key, name) in [("label", "labels"), ("group", "groups")] {
        let level = &metrics["decision"][key];
        if let Some(count) = level["count"].as_u64() {
            let figure = |key: &str| level[key].as_f64().unwrap_or(f64::NAN);
            let (coverage, accuracy) = (figure("coverage"), figure("accuracy"));
            print_line(&format!(
                "given {name}: {count} ({coverage:.4} of the cines), accuracy {accuracy:.4}"
            ))?;
        }
    }
    print_line(&escape_path(&out.join("report.html")))
}
