//! The picture: how the label latency is distributed, and how it depends on where in a chunk the acquisition ended.

use super::latency::{Case, Measured};
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use std::fmt::Display;

const SIZE: (u32, u32) = (1280, 620);

/// Distinct for the colour-blind too (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

const FONT: (&str, u32) = ("sans-serif", 14);

/// An SVG file.
pub(super) fn svg(measured: &Measured) -> Result<String, String> {
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let (left, right) = area.split_horizontally(SIZE.0 * 11 / 20);
        let range = range(measured);
        by_percentile(&left, measured, range)?;
        by_phase(&right, measured, range)?;
        area.present().map_err(text)?;
    }
    Ok(picture)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Milliseconds from below the least to above the largest of all that is drawn.
fn range(measured: &Measured) -> (f64, f64) {
    let mut least = f64::INFINITY;
    let mut most = 0.0f64;
    for case in &measured.cases {
        let one_shots = [&case.clip, &case.source].into_iter().flatten().map(|spread| spread.median());
        for ns in one_shots.chain([case.latency.percentile(0.0), case.latency.max()]) {
            least = least.min(ns / 1e6);
            most = most.max(ns / 1e6);
        }
    }
    (least.clamp(1e-4, 1e6) / 1.5, most.max(1e-3) * 1.5)
}

fn name(case: &Case) -> String {
    let load = if case.load == 0 { String::new() } else { format!(", load {}", case.load) };
    format!("{}, partial {}{load}", case.rate, case.partial.name())
}

fn coloured(measured: &Measured) -> impl Iterator<Item = (&Case, RGBColor)> {
    measured.cases.iter().zip(COLOURS.iter().cycle().copied())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Latency over percentiles; the axis has as much room from 90 to 99 as from 99 to 99.9.
fn by_percentile(area: &Area<'_>, measured: &Measured, (least, most): (f64, f64)) -> Result<(), String> {
    const NINES: f64 = 3.0;
    let mut chart = ChartBuilder::on(area)
        .caption("Time from the end of the acquisition to the label", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..NINES, (least..most).log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("milliseconds")
        .label_style(FONT)
        .axis_desc_style(FONT)
        .light_line_style(WHITE)
        .x_labels(4)
        .x_label_formatter(&|nines| format!("{}", percent(*nines)))
        .y_label_formatter(&|ms| format!("{ms}"))
        .draw()
        .map_err(text)?;
    for (case, colour) in coloured(measured) {
        let points = (0..=150).map(|step| {
            let nines = f64::from(step) / 150.0 * NINES;
            (nines, case.latency.percentile(100.0 * (1.0 - 10f64.powf(-nines))) / 1e6)
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .map_err(text)?
            .label(name(case))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    for (what, pick) in [("one clip after the end", 0), ("3-D source after the end", 1)] {
        let medians = measured.cases.iter().filter_map(|case| [&case.clip, &case.source][pick].as_ref());
        let medians: Vec<f64> = medians.map(|spread| spread.median() / 1e6).collect();
        if medians.is_empty() {
            continue;
        }
        let mean = medians.iter().sum::<f64>() / medians.len() as f64;
        let style = if pick == 0 { BLACK.mix(0.5) } else { BLACK.mix(0.9) };
        chart
            .draw_series(DashedLineSeries::new([(0.0, mean), (NINES, mean)], 7, 5, style.stroke_width(2)))
            .map_err(text)?
            .label(what)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(FONT)
        .position(SeriesLabelPosition::LowerRight)
        .draw()
        .map_err(text)
}

/// 0, 90, 99, 99.9 for 0, 1, 2, 3 nines.
fn percent(nines: f64) -> f64 {
    (100.0 * (1.0 - 10f64.powf(-nines)) * 1e4).round() / 1e4
}

fn by_phase(area: &Area<'_>, measured: &Measured, (least, most): (f64, f64)) -> Result<(), String> {
    let mut chart = ChartBuilder::on(area)
        .caption("by where in its chunk it ended", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..1.0, (least..most).log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("part of the chunk that had passed")
        .label_style(FONT)
        .axis_desc_style(FONT)
        .light_line_style(WHITE)
        .y_label_formatter(&|ms| format!("{ms}"))
        .draw()
        .map_err(text)?;
    for (case, colour) in coloured(measured) {
        let points = case.by_phase.iter().map(|&(phase, latency)| {
            Circle::new((phase, latency.as_secs_f64() * 1e3), 3, colour.mix(0.7).filled())
        });
        chart.draw_series(points).map_err(text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn the_axis_names_percentiles() {
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(percent), [0.0, 90.0, 99.0, 99.9]);
    }
}
