//! The measurement as a Markdown table and as JSON.

use super::case::{Case, Measurement};
use super::times::Times;
use serde_json::{Value, json};
use tteview::{Engine, Mode};

/// Renders the human-readable table, preceded by the model, the provider and the machine.
pub(super) fn render_table(engine: &Engine, measurement: &Measurement) -> Vec<String> {
    let report = engine.report();
    let mut lines = vec![
        format!("model    {}, {:?} mode", describe_model(engine), engine.spec().mode),
        format!(
            "runs on  {}, {}, {} threads",
            report.provider, report.runtime_version, measurement.threads
        ),
        format!(
            "step     {}, {}",
            format_ns(measurement.step.as_nanos() as f64),
            if measurement.keeps_up {
                "keeps up with the frames"
            } else {
                "does NOT keep up with the frames: chunks will be skipped"
            }
        ),
        format!("streams  {}, whose acquisitions end {}", measurement.streams, measurement.ending),
        format!("machine  {}", measurement.before.to_line()),
        format!("   then  {}", measurement.after.to_line()),
        String::new(),
    ];
    if engine.spec().frame_steps.is_some() {
        let slow_ns = engine.slow_run_time().unwrap_or_default().as_nanos() as f64;
        let fast_ns = measurement.step.as_nanos() as f64 - slow_ns;
        let fast_ns = fast_ns / engine.spec().alpha as f64;
        let line = format!("runs     fast {}, slow {}", format_ns(fast_ns), format_ns(slow_ns));
        lines.insert(3, line);
    }
    let step_ns = measurement.step.as_nanos() as f64;
    let mut rows = vec![HEADINGS.map(String::from)];
    rows.extend(measurement.cases.iter().map(|case| create_row(case, step_ns)));
    lines.extend(align_columns(&rows));
    if engine.spec().mode == Mode::Stream {
        lines.extend([String::new(), "By the samples of the last chunk that were decided:".into()]);
        let mut rows = vec![PARTIAL_HEADINGS.map(String::from)];
        rows.extend(measurement.cases.iter().flat_map(create_partial_rows));
        lines.extend(align_columns(&rows));
    }
    lines
}

const PARTIAL_HEADINGS: [&str; 9] = [
    "frames",
    "partial",
    "load",
    "samples",
    "ends",
    "latency p50",
    "max",
    "p50 / 3-D source",
    "max / 3-D source",
];

/// Returns a row for each number of samples of the last chunk that were decided at the end.
fn create_partial_rows(case: &Case) -> Vec<[String; 9]> {
    let source = case.source.as_ref().map(Times::median_ns);
    let compare = |ns: f64| source.map_or("-".into(), |source| format!("{:.4}", ns / source));
    let measured =
        case.by_partial_samples.iter().enumerate().filter(|(_, times)| !times.is_empty());
    measured
        .map(|(samples, times)| {
            [
                case.conditions.rate.to_string(),
                case.conditions.partial.to_string(),
                case.conditions.load.to_string(),
                if samples == 0 { "whole chunk".into() } else { samples.to_string() },
                times.len().to_string(),
                format_ns(times.median_ns()),
                format_ns(times.max_ns()),
                compare(times.median_ns()),
                compare(times.max_ns()),
            ]
        })
        .collect()
}

/// Returns the version of the model or, if it has no version, the first digits of its package's
/// hash.
fn describe_model(engine: &Engine) -> String {
    let spec = engine.spec();
    match spec.model_version.as_str() {
        "" => format!("SHA-256 {}...", spec.package_sha256.get(..12).unwrap_or_default()),
        version => version.into(),
    }
}

const HEADINGS: [&str; 18] = [
    "frames",
    "partial",
    "load",
    "ends",
    "latency p50",
    "p95",
    "p99",
    "p99.9",
    "max",
    "p99 in steps",
    "live age p50",
    "p99",
    "one clip",
    "ratio",
    "3-D source",
    "ratio",
    "dropped",
    "degraded",
];

/// Renders a Markdown table. Each column is as wide as its widest cell, so that the Markdown source
/// is also easy to read.
fn align_columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(3);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!(" {cell:>width$} |"));
        format!("|{}", cells.collect::<String>())
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let rule = widths.map(|width| format!(" {}: |", "-".repeat(width - 1)));
    lines.insert(1, format!("|{}", rule.concat()));
    lines
}

fn create_row(case: &Case, step_ns: f64) -> [String; 18] {
    let latency = |percent| format_ns(case.latency.percentile_ns(percent));
    let median = case.latency.median_ns();
    let compare = |one_shot: &Option<Times>| match one_shot {
        Some(times) => [format_ns(times.median_ns()), format!("{:.4}", median / times.median_ns())],
        None => ["-", "-"].map(String::from),
    };
    let [clip, clip_ratio] = compare(&case.clip);
    let [source, source_ratio] = compare(&case.source);
    let age = |percent| {
        if case.label_age.is_empty() {
            "-".into()
        } else {
            format_ns(case.label_age.percentile_ns(percent))
        }
    };
    [
        case.conditions.rate.to_string(),
        case.conditions.partial.to_string(),
        case.conditions.load.to_string(),
        case.latency.len().to_string(),
        latency(50.0),
        latency(95.0),
        latency(99.0),
        latency(99.9),
        format_ns(case.latency.max_ns()),
        format!("{:.2}", case.latency.percentile_ns(99.0) / step_ns.max(1.0)),
        age(50.0),
        age(99.0),
        clip,
        clip_ratio,
        source,
        source_ratio,
        case.dropped.to_string(),
        case.degraded.to_string(),
    ]
}

/// Formats a time, given in nanoseconds, with a suitable unit.
fn format_ns(ns: f64) -> String {
    match ns {
        ns if ns < 1e6 => format!("{:.0} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Returns all measured values as a JSON object. Times are in nanoseconds.
pub(super) fn to_json(engine: &Engine, measurement: &Measurement) -> Value {
    let (report, spec) = (engine.report(), engine.spec());
    json!({
        "model": {
            "version": spec.model_version,
            "sha256": spec.package_sha256,
            "mode": format!("{:?}", spec.mode),
            "sample_interval_ns": spec.sample_interval_ns,
            "alpha": spec.alpha,
        },
        "provider": report.provider,
        "runtime": report.runtime_version,
        "threads": measurement.threads,
        "streams": measurement.streams,
        "end": measurement.ending.to_string(),
        "frame_px": measurement.frame_px,
        "seconds": measurement.seconds,
        "step_ns": u64::try_from(measurement.step.as_nanos()).unwrap_or(u64::MAX),
        "keeps_up": measurement.keeps_up,
        "machine": { "before": measurement.before.to_json(), "after": measurement.after.to_json() },
        "cases": measurement.cases.iter().map(case_to_json).collect::<Vec<_>>(),
    })
}

fn case_to_json(case: &Case) -> Value {
    let median = case.latency.median_ns();
    let one_shot = |times: &Option<Times>| {
        times
            .as_ref()
            .map(|times| json!({ "time": times.to_json(), "ratio": median / times.median_ns() }))
    };
    let by_phase: Vec<_> = case
        .by_phase
        .iter()
        .map(|&(phase, latency)| {
            json!([phase, u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)])
        })
        .collect();
    json!({
        "rate": case.conditions.rate.to_string(),
        "partial": case.conditions.partial.to_string(),
        "load_threads": case.conditions.load,
        "label_latency": case.latency.to_json(),
        "label_latency_in_library": case.library_latency.to_json(),
        "label_latency_by_phase": by_phase,
        "label_latency_by_partial_samples":
            case.by_partial_samples.iter().map(Times::to_json).collect::<Vec<_>>(),
        "live_label_age": (!case.label_age.is_empty()).then(|| case.label_age.to_json()),
        "one_clip": one_shot(&case.clip),
        "source": one_shot(&case.source),
        "frames": case.frames,
        "frames_dropped": case.dropped,
        "chunks": case.chunks,
        "acquisitions_degraded": case.degraded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "ratio"], ["30 Hz", "1"]].map(|row| row.map(String::from));
        let text = align_columns(&rows);
        assert_eq!(text, ["|     a | ratio |", "| ----: | ----: |", "| 30 Hz |     1 |"]);
    }

    #[test]
    fn times_have_a_fitting_unit() {
        assert_eq!([24e3, 5.25e6, 2.5e9].map(format_ns), ["24 us", "5.25 ms", "2.50 s"]);
    }
}
