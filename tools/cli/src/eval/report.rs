//! The report: one HTML file that needs nothing else, no network and no script.

use super::figures::{BLUE, Chart, Line, ORANGE, chart, confusion, escaped, points};
use super::predictions::Header;
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
.words th:first-child, .words td:first-child, .pairs :is(th, td):nth-child(2), td.word, th.word { text-align: left; }
td.path { text-align: left; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #2d3748; }
svg .axis { fill: #4a5568; }
svg .grid { stroke: #edf2f7; fill: none; }
svg .diagonal { stroke: #a0aec0; stroke-dasharray: 4 4; fill: none; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
";

/// The report of metrics, as [`super::metrics::metrics`] gives them.
pub(super) fn html(header: &Header, found: &Value) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>tteview: evaluation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>View classification: evaluation</h1>\n"
    );
    page += &facts(header, found);
    page += &headline(found);
    page += &classes(found);
    page += &calibration(found);
    page += &over_time(found);
    page += &robustness(found);
    page += &changes(header, found);
    page += &errors(found);
    page + "</body>\n</html>\n"
}

fn facts(header: &Header, found: &Value) -> String {
    let splits: Vec<&str> = list(&found["splits"]).iter().filter_map(Value::as_str).collect();
    let mut words = format!(
        "<p>{} cines of {} patients, split {}; {} labels.",
        found["cines"],
        found["patients"],
        escaped(&splits.join(", ")),
        header.labels.len()
    );
    if let Some(unreadable) = found["unreadable"].as_u64().filter(|&count| count > 0) {
        let _ = write!(words, " <strong>{unreadable} cines could not be read</strong> and are in no figure.");
    }
    if let Some(run) = &header.run {
        let _ = write!(words, " Run in {} mode by provider {}.", escaped(&run.mode), escaped(&run.provider));
    }
    let model = header.model.as_deref().unwrap_or("not known");
    let _ = writeln!(
        words,
        " Temperature {}, threshold {}.<br>Model SHA-256 <code>{}</code></p>",
        header.temperature,
        header.threshold,
        escaped(model)
    );
    words
}

fn headline(found: &Value) -> String {
    let mut html = String::from("<div class=\"headline\">\n");
    for (key, name) in [
        ("accuracy", "Accuracy"),
        ("macro_precision", "Macro precision"),
        ("macro_recall", "Macro recall"),
        ("macro_f1", "Macro F1"),
    ] {
        let figure = &found["headline"][key];
        let [value, low, high] = ["value", "low", "high"].map(|key| shown(&figure[key]));
        let _ = writeln!(html, "<div>{name}<b>{value}</b><small>{low} to {high}</small></div>");
    }
    html + "</div>\n<p>Intervals hold 95 % of 1000 resamples of whole patients. Macro figures are means over the views \
            that occur.</p>\n"
}

fn classes(found: &Value) -> String {
    let labels: Vec<&str> = list(&found["labels"]).iter().filter_map(Value::as_str).collect();
    let table: Vec<Vec<u64>> = list(&found["confusion"])
        .iter()
        .map(|row| list(row).iter().filter_map(Value::as_u64).collect())
        .collect();
    let rows = list(&found["classes"]).iter().map(|class| {
        vec![
            words(&class["label"]),
            shown(&class["precision"]),
            shown(&class["recall"]),
            shown(&class["f1"]),
            class["count"].to_string(),
            class["predicted"].to_string(),
        ]
    });
    let headings = ["view", "precision", "recall", "F1", "cines", "so labelled"];
    format!(
        "<h2>Views</h2>\n{}<figure>\n{}<figcaption>Cines by true view and label given. Colour is the part of the row.\
         </figcaption></figure>\n",
        html_table(&headings, rows),
        confusion(&labels, &table)
    )
}

fn calibration(found: &Value) -> String {
    let calibration = &found["calibration"];
    let scaled = &calibration["scaled"];
    let line = |name: &str, colour, part: &Value| Line {
        name: format!("{name}, ECE {}", shown(&part["ece"])),
        colour,
        points: points(&part["bins"], "confidence", "accuracy"),
    };
    let reliability = chart(&Chart {
        name: "reliability diagram",
        x_axis: "confidence",
        x_range: [0.0, 1.0],
        y_axis: "accuracy",
        diagonal: true,
        lines: vec![line("temperature scaled", ORANGE, scaled), line("as it is", BLUE, calibration)],
    });
    let coverage = chart(&Chart {
        name: "coverage against accuracy",
        x_axis: "coverage: part of the cines that get a label",
        x_range: [0.0, 1.0],
        y_axis: "accuracy of those",
        diagonal: false,
        lines: vec![Line {
            name: String::new(),
            colour: BLUE,
            points: points(&found["coverage"], "coverage", "accuracy"),
        }],
    });
    let temperatures: Vec<String> = list(&scaled["temperatures"]).iter().map(shown).collect();
    let threshold = &found["package_threshold"];
    let rows = list(&found["coverage"]).iter().map(|row| {
        vec![
            row["threshold"].as_f64().map_or_else(String::new, |threshold| format!("{threshold:.2}")),
            shown(&row["coverage"]),
            shown(&row["accuracy"]),
            row["count"].to_string(),
        ]
    });
    format!(
        "<h2>Confidence</h2>\n<div class=\"figures\"><figure>{reliability}<figcaption>Mean confidence and accuracy in \
         15 bins. On the dashed line a confidence is what it says.</figcaption></figure>\n<figure>{coverage}<figcaption>\
         Each point is a threshold under which the label is withheld, from 0 to 0.95.</figcaption></figure></div>\n\
         <p>Expected calibration error {}, after temperature scaling {} (temperature {}, fitted on {}; it divides what \
         the package gives, so 1 would leave it). Mean negative log-likelihood {}, after scaling {}.</p>\n\
         <p>At the package's threshold of {}: {} of the cines get a label, {} of those are right.</p>\n\
         <details><summary>All thresholds</summary>{}</details>\n",
        shown(&calibration["ece"]),
        shown(&scaled["ece"]),
        temperatures.join(" and "),
        words(&scaled["fitted_on"]),
        shown(&calibration["nll"]),
        shown(&scaled["nll"]),
        shown(&threshold["threshold"]),
        shown(&threshold["coverage"]),
        shown(&threshold["accuracy"]),
        html_table(&["threshold", "coverage", "accuracy", "cines"], rows),
    )
}

fn over_time(found: &Value) -> String {
    let accuracy = points(&found["chunks"], "chunk", "accuracy");
    let longest = accuracy.last().map_or(1.0, |point| point[0]).max(1.0);
    // Whole chunks at the ticks.
    let longest = (longest / 5.0).ceil() * 5.0;
    let picture = chart(&Chart {
        name: "accuracy by chunk",
        x_axis: "chunk (in window mode: result) since the begin",
        x_range: [0.0, longest],
        y_axis: "accuracy of the live label",
        diagonal: false,
        lines: vec![Line { name: String::new(), colour: BLUE, points: accuracy }],
    });
    let rows = list(&found["durations"]).iter().map(|row| {
        let seconds = row["seconds"].as_f64().unwrap_or_default();
        vec![format!("{seconds} s"), shown(&row["accuracy"]), row["count"].to_string()]
    });
    format!(
        "<h2>Over time</h2>\n<div class=\"figures\"><figure>{picture}<figcaption>Accuracy of the live label after each \
         chunk, over the cines that have so many.</figcaption></figure>\n<figure>{}<figcaption>The label when the \
         acquisition has lasted so long, over the cines that do.</figcaption></figure></div>\n",
        html_table(&["acquisition", "accuracy", "cines"], rows)
    )
}

fn robustness(found: &Value) -> String {
    let rows: Vec<Vec<String>> = list(&found["robustness"])
        .iter()
        .map(|row| {
            let range = match (row["from"].as_f64(), row["to"].as_f64()) {
                (Some(from), Some(to)) => format!("{}, {from} to {to}", words(&row["group"])),
                _ => words(&row["group"]),
            };
            vec![
                words(&row["column"]),
                range,
                shown(&row["accuracy"]),
                shown(&row["macro_f1"]),
                row["count"].to_string(),
                row["patients"].to_string(),
            ]
        })
        .collect();
    let body = match rows.is_empty() {
        true => "<p>The manifest has no column with more than one value.</p>\n".into(),
        false => html_table(&["attribute", "group", "accuracy", "macro F1", "cines", "patients"], rows)
            .replace("<table class=\"words\">", "<table class=\"words pairs\">"),
    };
    format!(
        "<h2>Robustness</h2>\n<p>By the columns of the manifest: numbers in terciles, others by value.</p>\n{body}"
    )
}

fn changes(header: &Header, found: &Value) -> String {
    let changes = &found["changes"];
    if changes.is_null() {
        return String::new();
    }
    let rows = list(&changes["rows"]).iter().map(|row| {
        let after = row["after_s"].as_f64().map_or("at the end".into(), |after| format!("{after} s after"));
        vec![words(&row["rule"]), after, shown(&row["accuracy"]), row["count"].to_string()]
    });
    let margin = header.run.as_ref().map_or_else(String::new, |run| format!(" ({})", run.change_margin));
    format!(
        "<h2>Change of view in mid-acquisition</h2>\n<p>{} pairs of cines of one patient with different views, one \
         after the other without a mark; {} acquisitions were left out. The live label should be that of the second. \
         Rule: <code>view_change_margin</code>{margin}.</p>\n{}",
        changes["pairs"],
        changes["left_out"],
        html_table(&["rule", "when", "accuracy", "pairs"], rows)
            .replace("<table class=\"words\">", "<table class=\"words pairs\">")
    )
}

fn errors(found: &Value) -> String {
    let errors = list(&found["errors"]);
    if errors.is_empty() {
        return "<h2>Confident and wrong</h2>\n<p>No label is wrong.</p>\n".into();
    }
    let mut html = String::from(
        "<h2>Confident and wrong</h2>\n<table class=\"words\"><tr><th>true view</th><th class=\"word\">label given</th>\
         <th>confidence</th><th class=\"word\">cine</th></tr>\n",
    );
    for error in errors {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"word\">{}</td><td>{}</td><td class=\"path\">{}</td></tr>",
            words(&error["label"]),
            words(&error["predicted"]),
            shown(&error["confidence"]),
            words(&error["path"])
        );
    }
    html + "</table>\n"
}

/// A table whose first column is words. Cells are HTML.
fn html_table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
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

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> String {
    value.as_str().map(escaped).unwrap_or_default()
}

/// Three digits, or a dash where there is nothing to show.
fn shown(value: &Value) -> String {
    value.as_f64().map_or("–".into(), |value| format!("{value:.3}"))
}
