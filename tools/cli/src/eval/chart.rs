//! The charts of the report, as SVG inside the HTML.

use crate::html::escape;
use serde_json::Value;
use std::fmt::Write;

/// Colours that readers with red-green blindness can distinguish.
pub(super) const BLUE: &str = "#2b6cb0";
pub(super) const ORANGE: &str = "#c05621";

/// Returns the opening tag of an SVG image that shrinks to fit into a narrow column.
fn begin_svg(width: f64, height: f64, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\" \
         aria-label=\"{label}\">\n"
    )
}

/// Adds text at a point. `attributes` contains further SVG attributes, each with a leading space.
fn add_text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, attributes: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{attributes}>{text}</text>"
    );
}

/// Renders the confusion matrix. The number in a cell is the count, and the colour of the cell
/// shows its share of the row.
pub(super) fn render_confusion(labels: &[&str], table: &[Vec<u64>]) -> String {
    const CELL: f64 = 32.0;
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let (left, top) = (longest * 7.5 + 34.0, longest * 7.5 + 34.0);
    let side = CELL * labels.len() as f64;
    let mut svg = begin_svg(left + side + 8.0, top + side + 8.0, "confusion matrix");
    let middle = side / 2.0;
    add_text(&mut svg, [left + middle, 14.0], "middle", " class=\"axis\"", "predicted view");
    let at = top + middle;
    add_text(
        &mut svg,
        [14.0, at],
        "middle",
        &format!(" class=\"axis\" transform=\"rotate(-90 14 {at:.1})\""),
        "true view",
    );
    for (index, label) in labels.iter().enumerate() {
        let centre = CELL * (index as f64 + 0.5) + 4.0;
        add_text(&mut svg, [left - 6.0, top + centre], "end", "", label);
        let (x, y) = (left + centre, top - 6.0);
        add_text(
            &mut svg,
            [x, y],
            "start",
            &format!(" transform=\"rotate(-90 {x:.1} {y:.1})\""),
            label,
        );
    }
    for (row, counts) in table.iter().enumerate() {
        let sum = counts.iter().sum::<u64>().max(1) as f64;
        for (column, &count) in counts.iter().enumerate() {
            let share = count as f64 / sum;
            let (x, y) = (left + CELL * column as f64, top + CELL * row as f64);
            let edge = if row == column { "#2d3748" } else { "#e2e8f0" };
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{0:.1}\" height=\"{0:.1}\" fill=\"{1}\" \
                 stroke=\"{edge}\">",
                CELL - 1.0,
                shade(share)
            );
            let (from, to) = (escape(labels[row]), escape(labels[column]));
            let _ = writeln!(
                svg,
                "<title>{from} predicted as {to}: {count}, {:.1} %</title></rect>",
                share * 100.0
            );
            if count > 0 {
                let colour = if share > 0.5 { " fill=\"#fff\"" } else { "" };
                let centre = [x + CELL / 2.0 - 0.5, y + CELL / 2.0 + 4.0];
                add_text(&mut svg, centre, "middle", colour, &count.to_string());
            }
        }
    }
    svg + "</svg>\n"
}

/// Returns a colour between white (for 0) and blue (for 1).
fn shade(share: f64) -> String {
    let mix = |to: f64| (255.0 + (to - 255.0) * share.sqrt()).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(43.0), mix(108.0), mix(176.0))
}

/// A line chart. The vertical axis goes from 0 to 1.
pub(super) struct Chart<'a> {
    pub(super) name: &'a str,
    pub(super) x_axis: &'a str,
    pub(super) x_range: [f64; 2],
    pub(super) y_axis: &'a str,
    /// Whether the diagonal is drawn.
    pub(super) has_diagonal: bool,
    pub(super) lines: Vec<Line>,
}

/// A line of a chart. A line without a name is not in the legend.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: &'static str,
    pub(super) points: Vec<[f64; 2]>,
}

/// Renders a chart of 430 x 330 pixels.
pub(super) fn render_chart(chart: &Chart<'_>) -> String {
    let (width, height) = (430.0, 330.0);
    let (left, top, right, bottom) = (52.0, 14.0, 416.0, 282.0);
    let [from, to] = chart.x_range;
    let x = |value: f64| left + (value - from) / (to - from) * (right - left);
    let y = |value: f64| bottom - value * (bottom - top);
    let mut svg = begin_svg(width, height, chart.name);
    for step in 0..=5 {
        let part = f64::from(step) / 5.0;
        let value = from + part * (to - from);
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {0:.1}H{right:.1}M{1:.1} {top:.1}V{bottom:.1}\" class=\"grid\"/>",
            y(part),
            x(value)
        );
        add_text(&mut svg, [left - 7.0, y(part) + 4.0], "end", "", &format!("{part:.1}"));
        add_text(&mut svg, [x(value), bottom + 17.0], "middle", "", &format_tick(value, to - from));
    }
    add_text(
        &mut svg,
        [(left + right) / 2.0, height - 12.0],
        "middle",
        " class=\"axis\"",
        chart.x_axis,
    );
    let middle = (top + bottom) / 2.0;
    let turned = format!(" class=\"axis\" transform=\"rotate(-90 13 {middle:.1})\"");
    add_text(&mut svg, [13.0, middle], "middle", &turned, chart.y_axis);
    if chart.has_diagonal {
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {bottom:.1}L{right:.1} {top:.1}\" class=\"diagonal\"/>"
        );
    }
    for line in &chart.lines {
        let colour = line.colour;
        let path: Vec<String> = line
            .points
            .iter()
            .map(|point| format!("{:.1} {:.1}", x(point[0]), y(point[1])))
            .collect();
        if path.is_empty() {
            continue;
        }
        let path = path.join("L");
        let _ = writeln!(
            svg,
            "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\"/>"
        );
        let radius = if line.points.len() > 40 { 1.5 } else { 3.0 };
        for point in &line.points {
            let (x, y) = (x(point[0]), y(point[1]));
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
            );
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
        add_text(&mut svg, [right - 20.0, y], "end", "", &line.name);
    }
    svg + "</svg>\n"
}

fn format_tick(value: f64, range: f64) -> String {
    if range > 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Collects the point (`item[x]`, `item[y]`) of each `item` in `list` in which both values are
/// numbers.
pub(super) fn collect_points(list: &Value, x: &str, y: &str) -> Vec<[f64; 2]> {
    let point = |item: &Value| Some([item[x].as_f64()?, item[y].as_f64()?]);
    list.as_array().map(|list| list.iter().filter_map(point).collect()).unwrap_or_default()
}
