//! The pictures of the report, as SVG that stands in HTML: nothing is fetched, and text stays text.

use serde_json::Value;
use std::fmt::Write;

/// Colours that stay apart for readers who see red and green alike.
pub(super) const BLUE: &str = "#2b6cb0";
pub(super) const ORANGE: &str = "#c05621";

/// Text as HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Opens an SVG that shrinks with its column.
fn svg(width: f64, height: f64, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\" aria-label=\"{label}\">\n"
    )
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, more: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>");
}

/// Heat map of the confusion matrix: colour is the part of the row, the number is the count.
pub(super) fn confusion(labels: &[&str], table: &[Vec<u64>]) -> String {
    const CELL: f64 = 32.0;
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let (left, top) = (longest * 7.5 + 34.0, longest * 7.5 + 34.0);
    let side = CELL * labels.len() as f64;
    let mut svg = svg(left + side + 8.0, top + side + 8.0, "confusion matrix");
    let middle = side / 2.0;
    text(&mut svg, [left + middle, 14.0], "middle", " class=\"axis\"", "label given");
    let at = top + middle;
    text(
        &mut svg,
        [14.0, at],
        "middle",
        &format!(" class=\"axis\" transform=\"rotate(-90 14 {at:.1})\""),
        "true view",
    );
    for (index, label) in labels.iter().enumerate() {
        let centre = CELL * (index as f64 + 0.5) + 4.0;
        text(&mut svg, [left - 6.0, top + centre], "end", "", label);
        let (x, y) = (left + centre, top - 6.0);
        text(&mut svg, [x, y], "start", &format!(" transform=\"rotate(-90 {x:.1} {y:.1})\""), label);
    }
    for (row, counts) in table.iter().enumerate() {
        let sum = counts.iter().sum::<u64>().max(1) as f64;
        for (column, &count) in counts.iter().enumerate() {
            let part = count as f64 / sum;
            let (x, y) = (left + CELL * column as f64, top + CELL * row as f64);
            let edge = if row == column { "#2d3748" } else { "#e2e8f0" };
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{0:.1}\" height=\"{0:.1}\" fill=\"{1}\" stroke=\"{edge}\">",
                CELL - 1.0,
                shade(part)
            );
            let (from, to) = (escaped(labels[row]), escaped(labels[column]));
            let _ =
                writeln!(svg, "<title>{from} labelled {to}: {count}, {:.1} %</title></rect>", part * 100.0);
            if count > 0 {
                let colour = if part > 0.5 { " fill=\"#fff\"" } else { "" };
                let centre = [x + CELL / 2.0 - 0.5, y + CELL / 2.0 + 4.0];
                text(&mut svg, centre, "middle", colour, &count.to_string());
            }
        }
    }
    svg + "</svg>\n"
}

/// White to blue.
fn shade(part: f64) -> String {
    let mix = |to: f64| (255.0 + (to - 255.0) * part.sqrt()).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(43.0), mix(108.0), mix(176.0))
}

/// A chart of one or more lines over 0 to 1 in height.
pub(super) struct Chart<'a> {
    pub(super) name: &'a str,
    pub(super) x_axis: &'a str,
    pub(super) x_range: [f64; 2],
    pub(super) y_axis: &'a str,
    /// Draws the diagonal of a calibrated model.
    pub(super) diagonal: bool,
    pub(super) lines: Vec<Line>,
}

/// Name, colour, points. Without a name it is not in the legend.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: &'static str,
    pub(super) points: Vec<[f64; 2]>,
}

/// The chart, 430 x 330.
pub(super) fn chart(chart: &Chart<'_>) -> String {
    let (width, height) = (430.0, 330.0);
    let (left, top, right, bottom) = (52.0, 14.0, 416.0, 282.0);
    let [from, to] = chart.x_range;
    let x = |value: f64| left + (value - from) / (to - from) * (right - left);
    let y = |value: f64| bottom - value * (bottom - top);
    let mut svg = svg(width, height, chart.name);
    for step in 0..=5 {
        let part = f64::from(step) / 5.0;
        let value = from + part * (to - from);
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {0:.1}H{right:.1}M{1:.1} {top:.1}V{bottom:.1}\" class=\"grid\"/>",
            y(part),
            x(value)
        );
        text(&mut svg, [left - 7.0, y(part) + 4.0], "end", "", &format!("{part:.1}"));
        text(&mut svg, [x(value), bottom + 17.0], "middle", "", &tick(value, to - from));
    }
    text(&mut svg, [(left + right) / 2.0, height - 12.0], "middle", " class=\"axis\"", chart.x_axis);
    let middle = (top + bottom) / 2.0;
    let turned = format!(" class=\"axis\" transform=\"rotate(-90 13 {middle:.1})\"");
    text(&mut svg, [13.0, middle], "middle", &turned, chart.y_axis);
    if chart.diagonal {
        let _ = writeln!(svg, "<path d=\"M{left:.1} {bottom:.1}L{right:.1} {top:.1}\" class=\"diagonal\"/>");
    }
    for line in &chart.lines {
        let colour = line.colour;
        let path: Vec<String> =
            line.points.iter().map(|point| format!("{:.1} {:.1}", x(point[0]), y(point[1]))).collect();
        if path.is_empty() {
            continue;
        }
        let path = path.join("L");
        let _ = writeln!(
            svg,
            "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>"
        );
        let radius = if line.points.len() > 40 { 1.5 } else { 3.0 };
        for point in &line.points {
            let (x, y) = (x(point[0]), y(point[1]));
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>");
        }
    }
    let named = chart.lines.iter().filter(|line| !line.name.is_empty());
    for (index, line) in named.enumerate() {
        let y = bottom - 14.0 - 18.0 * index as f64;
        let colour = line.colour;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"3\" fill=\"{colour}\"/>",
            right - 14.0,
            y - 5.0
        );
        text(&mut svg, [right - 20.0, y], "end", "", &line.name);
    }
    svg + "</svg>\n"
}

fn tick(value: f64, range: f64) -> String {
    if range > 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Points of a list of objects, where both values are there.
pub(super) fn points(list: &Value, x: &str, y: &str) -> Vec<[f64; 2]> {
    let point = |item: &Value| Some([item[x].as_f64()?, item[y].as_f64()?]);
    list.as_array().map(|list| list.iter().filter_map(point).collect()).unwrap_or_default()
}
