//! The report: one HTML file that contains no scripts and loads nothing from the network.

use super::chart::{BLUE, Chart, Line, ORANGE, collect_points, render_chart, render_confusion};
use super::predictions::Header;
use crate::html::escape;
use serde_json::Value;
use std::fmt::Write;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; color: #1a202c; background: #fff;
  max-width: 940px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; padding-top: .8rem; border-top: 1px solid #e2e8f0; }
p, figcaption { max-width: 46rem; color: #4a5568; margin: .3rem 0 .8rem; }
figcaption { font-size: .85rem; }
figure { margin: 0; }
.figures figure { flex: 1 1 0; min-width: 20rem; }
code { overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: .6rem; }
.headline { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.headline div { flex: 1 1 9rem; border: 1px solid #e2e8f0; border-radius: .5rem; padding: .7rem .9rem; }
.headline b { display: block; font-size: 1.7rem; line-height: 1.2; }
.headline small { color: #4a5568; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0 1rem; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #edf2f7; }
th { font-weight: 600; border-bottom-color: #a0aec0; vertical-align: bottom; }
.words :is(th, td):first-child, .pairs :is(th, td):nth-child(2) { text-align: left; }
td.word, th.word { text-align: left; }
td.path { text-align: left; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #2d3748; }
svg .axis { fill: #4a5568; }
svg .grid { stroke: #edf2f7; fill: none; }
svg .diagonal { stroke: #a0aec0; stroke-dasharray: 4 4; fill: none; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
";

/// Renders the report for the metrics that [`super::metrics::compute_metrics`] returns.
pub(super) fn render_report(header: &Header, metrics: &Value) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>tteview: evaluation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>View classification: evaluation</h1>\n"
    );
    page += &render_facts(header, metrics);
    page += &render_headline(metrics);
    page += &render_classes(metrics);
    page += &render_calibration(metrics);
    page += &render_over_time(metrics);
    page += &render_robustness(metrics);
    page += &render_view_changes(header, metrics);
    page += &render_errors(metrics);
    page + "</body>\n</html>\n"
}

fn render_facts(header: &Header, metrics: &Value) -> String {
    let splits: Vec<&str> = list(&metrics["splits"]).iter().filter_map(Value::as_str).collect();
    let mut html = format!(
        "<p>{} cines of {} patients, split {}; {} labels.",
        metrics["cines"],
        metrics["patients"],
        escape(&splits.join(", ")),
        header.labels.len()
    );
    if let Some(unreadable) = metrics["unreadable"].as_u64().filter(|&count| count > 0) {
        let _ = write!(
            html,
            " <strong>{unreadable} cines could not be read</strong> and are not part of the figures."
        );
    }
    if let Some(run) = &header.run {
        let _ = write!(
            html,
            " Run in {} mode by provider {}.",
            escape(&run.mode),
            escape(&run.provider)
        );
    }
    let model = header.model.as_deref().unwrap_or("unknown");
    let _ = writeln!(
        html,
        " Temperature {}, threshold {}.<br>Model SHA-256 <code>{}</code></p>",
        header.temperature,
        header.threshold,
        escape(model)
    );
    html
}

fn render_headline(metrics: &Value) -> String {
    let mut html = String::from("<div class=\"headline\">\n");
    for (key, name) in [
        ("accuracy", "Accuracy"),
        ("macro_precision", "Macro precision"),
        ("macro_recall", "Macro recall"),
        ("macro_f1", "Macro F1"),
    ] {
        let figure = &metrics["headline"][key];
        let [value, low, high] = ["value", "low", "high"].map(|key| format_figure(&figure[key]));
        let _ = writeln!(html, "<div>{name}<b>{value}</b><small>{low} to {high}</small></div>");
    }
    html + "</div>\n<p>Each interval contains the figures of 95 % of 1000 resamples of the \
            patients. The macro figures are means over the views that occur as true views.</p>\n"
}

fn render_classes(metrics: &Value) -> String {
    let labels: Vec<&str> = list(&metrics["labels"]).iter().filter_map(Value::as_str).collect();
    let table: Vec<Vec<u64>> = list(&metrics["confusion"])
        .iter()
        .map(|row| list(row).iter().filter_map(Value::as_u64).collect())
        .collect();
    let rows = list(&metrics["classes"]).iter().map(|class| {
        vec![
            escape_text(&class["label"]),
            format_figure(&class["precision"]),
            format_figure(&class["recall"]),
            format_figure(&class["f1"]),
            class["count"].to_string(),
            class["predicted"].to_string(),
        ]
    });
    let headings = ["view", "precision", "recall", "F1", "cines", "predicted"];
    let caption =
        "Number of cines by true and predicted view. The colour shows a cell's share of its row.";
    let confusion = render_figure(&render_confusion(&labels, &table), caption);
    format!("<h2>Views</h2>\n{}{confusion}", render_table(&headings, rows))
}

fn render_calibration(metrics: &Value) -> String {
    let calibration = &metrics["calibration"];
    let scaled = &calibration["scaled"];
    let line = |name: &str, colour, part: &Value| Line {
        name: format!("{name}, ECE {}", format_figure(&part["ece"])),
        colour,
        points: collect_points(&part["bins"], "confidence", "accuracy"),
    };
    let reliability = render_chart(&Chart {
        name: "reliability diagram",
        x_axis: "confidence",
        x_range: [0.0, 1.0],
        y_axis: "accuracy",
        has_diagonal: true,
        lines: vec![line("after scaling", ORANGE, scaled), line("before", BLUE, calibration)],
    });
    let coverage = render_chart(&Chart {
        name: "coverage against accuracy",
        x_axis: "coverage: share of the cines with a label",
        x_range: [0.0, 1.0],
        y_axis: "accuracy of these cines",
        has_diagonal: false,
        lines: vec![Line {
            name: String::new(),
            colour: BLUE,
            points: collect_points(&metrics["coverage"], "coverage", "accuracy"),
        }],
    });
    let temperatures: Vec<String> =
        list(&scaled["temperatures"]).iter().map(format_figure).collect();
    let threshold = &metrics["package_threshold"];
    let render_thresholds = |levels: &Value| {
        let rows = list(levels).iter().map(|row| {
            vec![
                row["threshold"]
                    .as_f64()
                    .map_or_else(String::new, |threshold| format!("{threshold:.2}")),
                format_figure(&row["coverage"]),
                format_figure(&row["accuracy"]),
                row["count"].to_string(),
            ]
        });
        render_table(&["threshold", "coverage", "accuracy", "cines"], rows)
    };
    let captions = [
        "Mean confidence and accuracy in each of 15 bins. They are equal on the dashed line.",
        "Each point belongs to a threshold, from 0 to 0.95, below which the label is withheld.",
    ];
    let mut html = format!(
        "<h2>Confidence</h2>\n<div class=\"figures\">{}{}</div>\n",
        render_figure(&reliability, captions[0]),
        render_figure(&coverage, captions[1]),
    );
    let _ = writeln!(
        html,
        "<p>The expected calibration error is {} before and {} after temperature scaling. The \
         temperature is {}, fitted on {}. The logarithms of the posteriors are divided by the \
         temperature, so a temperature of 1 changes nothing. The mean negative log-likelihood is \
         {} before and {} after scaling.</p>",
        format_figure(&calibration["ece"]),
        format_figure(&scaled["ece"]),
        temperatures.join(" and "),
        escape_text(&scaled["fitted_on"]),
        format_figure(&calibration["nll"]),
        format_figure(&scaled["nll"]),
    );
    let (label, group) = (&metrics["decision"]["label"], &metrics["decision"]["group"]);
    let _ = writeln!(
        html,
        "<p>At the package's threshold of {} (and, if it has groups, their threshold), the share \
         of cines with a label is {}, and the accuracy of these labels is {}.</p>",
        format_figure(&threshold["threshold"]),
        format_figure(&label["coverage"]),
        format_figure(&label["accuracy"]),
    );
    if !group.is_null() {
        let _ = writeln!(
            html,
            "<p>The share of cines with a group is {}, and the accuracy of these groups is {}.</p>",
            format_figure(&group["coverage"]),
            format_figure(&group["accuracy"]),
        );
    }
    for (levels, name) in [
        (&metrics["coverage"], "All thresholds"),
        (&metrics["decision"]["group_coverage"], "All thresholds of the groups"),
    ] {
        if !levels.is_null() {
            let table = render_thresholds(levels);
            html += &format!("<details><summary>{name}</summary>{table}</details>\n");
        }
    }
    html
}

fn render_over_time(metrics: &Value) -> String {
    let accuracy = collect_points(&metrics["chunks"], "chunk", "accuracy");
    let longest = accuracy.last().map_or(1.0, |point| point[0]).max(1.0);
    // The axis has five intervals. Its range is a multiple of five, so that each tick is at a whole
    // number of chunks.
    let longest = (longest / 5.0).ceil() * 5.0;
    let by_chunk = render_chart(&Chart {
        name: "accuracy by chunk",
        x_axis: "chunk (in window mode: window)",
        x_range: [0.0, longest],
        y_axis: "accuracy of the live label",
        has_diagonal: false,
        lines: vec![Line { name: String::new(), colour: BLUE, points: accuracy }],
    });
    let rows = list(&metrics["durations"]).iter().map(|row| {
        let seconds = row["seconds"].as_f64().unwrap_or_default();
        vec![format!("{seconds} s"), format_figure(&row["accuracy"]), row["count"].to_string()]
    });
    let captions = [
        "Accuracy of the live label after each chunk, over the cines that have this chunk.",
        "Accuracy of the live label at several times, over the cines that last that long.",
    ];
    format!(
        "<h2>Over time</h2>\n<div class=\"figures\">{}{}</div>\n",
        render_figure(&by_chunk, captions[0]),
        render_figure(&render_table(&["acquisition", "accuracy", "cines"], rows), captions[1]),
    )
}

fn render_robustness(metrics: &Value) -> String {
    let rows: Vec<Vec<String>> = list(&metrics["robustness"])
        .iter()
        .map(|row| {
            let range = match (row["from"].as_f64(), row["to"].as_f64()) {
                (Some(from), Some(to)) => format!("{}, {from} to {to}", escape_text(&row["group"])),
                _ => escape_text(&row["group"]),
            };
            vec![
                escape_text(&row["column"]),
                range,
                format_figure(&row["accuracy"]),
                format_figure(&row["macro_f1"]),
                row["count"].to_string(),
                row["patients"].to_string(),
            ]
        })
        .collect();
    let body = if rows.is_empty() {
        "<p>The manifest has no column with several groups.</p>\n".into()
    } else {
        render_pairs_table(
            &["attribute", "group", "accuracy", "macro F1", "cines", "patients"],
            rows,
        )
    };
    format!(
        "<h2>Robustness</h2>\n<p>The cines are grouped by the columns of the manifest: numbers by \
         tercile, other columns by value.</p>\n{body}"
    )
}

fn render_view_changes(header: &Header, metrics: &Value) -> String {
    let changes = &metrics["changes"];
    if changes.is_null() {
        return String::new();
    }
    let rows = list(&changes["rows"]).iter().map(|row| {
        let after = row["after_s"]
            .as_f64()
            .map_or("at the end".into(), |after| format!("{after} s after the change"));
        vec![
            escape_text(&row["rule"]),
            after,
            format_figure(&row["accuracy"]),
            row["count"].to_string(),
        ]
    });
    let margin =
        header.run.as_ref().map_or_else(String::new, |run| format!(" ({})", run.change_margin));
    format!(
        "<h2>Change of view during an acquisition</h2>\n<p>The two cines of a pair show different \
         views of one patient. The cines of each of {} pairs were acquired one after the other, \
         without a mark by the host. {} acquisitions were left out. The correct label is that of \
         the second cine. The rule is <code>view_change_margin</code>{margin}.</p>\n{}",
        changes["pairs"],
        changes["left_out"],
        render_pairs_table(&["rule", "when", "accuracy", "pairs"], rows)
    )
}

fn render_errors(metrics: &Value) -> String {
    let errors = list(&metrics["errors"]);
    let mut html = String::from("<h2>Wrong labels with high confidence</h2>\n");
    if errors.is_empty() {
        return html + "<p>No label is wrong.</p>\n";
    }
    html += "<table class=\"words\"><tr><th>true view</th><th class=\"word\">predicted view</th>\
             <th>confidence</th><th class=\"word\">cine</th></tr>\n";
    for error in errors {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"word\">{}</td><td>{}</td><td class=\"path\">{}</td></tr>",
            escape_text(&error["label"]),
            escape_text(&error["predicted"]),
            format_figure(&error["confidence"]),
            escape_text(&error["path"])
        );
    }
    html + "</table>\n"
}

/// Renders a table whose first column contains text. The cells are HTML and are not escaped.
fn render_table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<table class=\"words\"><tr>");
    headings.iter().for_each(|heading| html += &format!("<th>{heading}</th>"));
    html += "</tr>\n";
    for row in rows {
        html += "<tr>";
        row.iter().for_each(|cell| html += &format!("<td>{cell}</td>"));
        html += "</tr>\n";
    }
    html + "</table>\n"
}

/// Renders a table whose first two columns contain text. The cells are HTML and are not escaped.
fn render_pairs_table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    render_table(headings, rows).replace("<table class=\"words\">", "<table class=\"words pairs\">")
}

fn render_figure(content: &str, caption: &str) -> String {
    format!("<figure>\n{content}<figcaption>{caption}</figcaption></figure>\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn escape_text(value: &Value) -> String {
    value.as_str().map(escape).unwrap_or_default()
}

/// Formats a number with three decimal places. A missing number becomes a dash.
fn format_figure(value: &Value) -> String {
    value.as_f64().map_or("–".into(), |value| format!("{value:.3}"))
}
