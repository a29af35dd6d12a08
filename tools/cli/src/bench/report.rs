//! What was measured, as a Markdown table and as JSON.

use super::latency::{Case, Measured};
use super::spread::Spread;
use serde_json::{Value, json};
use tteview::Engine;

/// The table for people, with what it was measured on above it.
pub(super) fn table(engine: &Engine, measured: &Measured) -> String {
    let report = engine.report();
    let mut lines = vec![
        format!("model    {}, {:?} mode", name(engine), engine.spec().mode),
        format!("runs on  {}, {}, {} threads", report.provider, report.runtime_version, measured.threads),
        format!(
            "step     {}, real time {}",
            shown(measured.step.as_nanos() as f64),
            if measured.keeps_up { "holds" } else { "does NOT hold: chunks will be skipped" }
        ),
        format!("machine  {}", measured.before.line()),
        format!("   then  {}", measured.after.line()),
        String::new(),
    ];
    let step_ns = measured.step.as_nanos() as f64;
    let mut rows = vec![HEADINGS.map(String::from)];
    rows.extend(measured.cases.iter().map(|case| row(case, step_ns)));
    lines.push(aligned(&rows));
    lines.join("\n")
}

/// The version that the package gives itself, or the beginning of its hash.
fn name(engine: &Engine) -> String {
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

/// A Markdown table whose columns are as wide as their widest cell, so that it reads well unrendered too.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(3);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!(" {cell:>width$} |"));
        format!("|{}", cells.collect::<String>())
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let rule = widths.map(|width| format!(" {}: |", "-".repeat(width - 1)));
    lines.insert(1, format!("|{}", rule.concat()));
    lines.join("\n")
}

fn row(case: &Case, step_ns: f64) -> [String; 18] {
    let latency = |percent| shown(case.latency.percentile(percent));
    let median = case.latency.median();
    let against = |one_shot: &Option<Spread>| match one_shot {
        Some(spread) => [shown(spread.median()), format!("{:.4}", median / spread.median())],
        None => ["-", "-"].map(String::from),
    };
    let [clip, clip_ratio] = against(&case.clip);
    let [source, source_ratio] = against(&case.source);
    let age = |percent| if case.age.len() == 0 { "-".into() } else { shown(case.age.percentile(percent)) };
    [
        case.rate.to_string(),
        case.partial.name().into(),
        case.load.to_string(),
        case.latency.len().to_string(),
        latency(50.0),
        latency(95.0),
        latency(99.0),
        latency(99.9),
        shown(case.latency.max()),
        format!("{:.2}", case.latency.percentile(99.0) / step_ns.max(1.0)),
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

/// Nanoseconds for people.
fn shown(ns: f64) -> String {
    match ns {
        ns if ns < 1e6 => format!("{:.0} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Everything, for programs. Times are nanoseconds.
pub(super) fn json(engine: &Engine, measured: &Measured) -> Value {
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
        "threads": measured.threads,
        "frame_px": [measured.frame.0, measured.frame.1],
        "seconds": measured.seconds,
        "step_ns": u64::try_from(measured.step.as_nanos()).unwrap_or(u64::MAX),
        "keeps_up": measured.keeps_up,
        "machine": { "before": measured.before.json(), "after": measured.after.json() },
        "cases": measured.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case(case: &Case) -> Value {
    let median = case.latency.median();
    let one_shot = |spread: &Option<Spread>| {
        spread.as_ref().map(|spread| json!({ "time": spread.json(), "ratio": median / spread.median() }))
    };
    let by_phase: Vec<_> = case
        .by_phase
        .iter()
        .map(|&(phase, latency)| json!([phase, u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)]))
        .collect();
    json!({
        "rate": case.rate.to_string(),
        "partial": case.partial.name(),
        "load_threads": case.load,
        "label_latency": case.latency.json(),
        "label_latency_in_library": case.inside.json(),
        "label_latency_by_phase": by_phase,
        "live_label_age": (case.age.len() > 0).then(|| case.age.json()),
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
        let text = aligned(&rows);
        assert_eq!(text, "|     a | ratio |\n| ----: | ----: |\n| 30 Hz |     1 |");
    }

    #[test]
    fn times_have_a_unit_that_suits_them() {
        assert_eq!([24e3, 5.25e6, 2.5e9].map(shown), ["24 us", "5.25 ms", "2.50 s"]);
    }
}
