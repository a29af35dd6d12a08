//! The plot of the label latency: its distribution, and its dependence on the phase, which is the
//! position within a chunk at which the acquisition ended.

use super::case::{Case, Conditions, Measurement};
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use std::fmt::Display;

const SIZE: (u32, u32) = (1280, 620);

/// Colours that colour-blind readers can distinguish (Okabe and Ito 2008).
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

/// Renders the plot as SVG.
pub(super) fn render_plot(measurement: &Measurement) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(describe_error)?;
        let (left, right) = area.split_horizontally(SIZE.0 * 11 / 20);
        let range_ms = choose_range_ms(measurement);
        plot_percentiles(&left, measurement, range_ms)?;
        plot_phases(&right, measurement, range_ms)?;
        area.present().map_err(describe_error)?;
    }
    Ok(svg)
}

fn describe_error(error: impl Display) -> String {
    error.to_string()
}

/// Returns the range of the vertical axes, which extends from below the smallest value to above the
/// largest one.
fn choose_range_ms(measurement: &Measurement) -> (f64, f64) {
    let mut smallest = f64::INFINITY;
    let mut largest = 0.0f64;
    for case in &measurement.cases {
        let one_shots =
            [&case.clip, &case.source].into_iter().flatten().map(|times| times.median_ns());
        for ns in one_shots.chain([case.latency.percentile_ns(0.0), case.latency.max_ns()]) {
            smallest = smallest.min(ns / 1e6);
            largest = largest.max(ns / 1e6);
        }
    }
    (smallest.clamp(1e-4, 1e6) / 1.5, largest.max(1e-3) * 1.5)
}

fn describe_case(case: &Case) -> String {
    let Conditions { rate, partial, load } = case.conditions;
    let load = if load == 0 { String::new() } else { format!(", load {load}") };
    format!("{rate}, partial {partial}{load}")
}

/// Assigns a colour to each case.
fn assign_colours(measurement: &Measurement) -> impl Iterator<Item = (&Case, RGBColor)> {
    measurement.cases.iter().zip(COLOURS.iter().cycle().copied())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Plots the latency against the percentile. On the axis, 90 is as far from 99 as 99 is from 99.9.
fn plot_percentiles(
    area: &Area<'_>,
    measurement: &Measurement,
    (smallest, largest): (f64, f64),
) -> Result<(), String> {
    const NINES: f64 = 3.0;
    let mut chart = ChartBuilder::on(area)
        .caption("Time from the end of the acquisition to the label", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..NINES, (smallest..largest).log_scale())
        .map_err(describe_error)?;
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
        .map_err(describe_error)?;
    for (case, colour) in assign_colours(measurement) {
        let points = (0..=150).map(|step| {
            let nines = f64::from(step) / 150.0 * NINES;
            (nines, case.latency.percentile_ns(100.0 * (1.0 - 10f64.powf(-nines))) / 1e6)
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .map_err(describe_error)?
            .label(describe_case(case))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    for (label, index) in [("one clip after the end", 0), ("3-D source after the end", 1)] {
        let medians =
            measurement.cases.iter().filter_map(|case| [&case.clip, &case.source][index].as_ref());
        let medians: Vec<f64> = medians.map(|times| times.median_ns() / 1e6).collect();
        if medians.is_empty() {
            continue;
        }
        let mean = medians.iter().sum::<f64>() / medians.len() as f64;
        let style = if index == 0 { BLACK.mix(0.5) } else { BLACK.mix(0.9) };
        chart
            .draw_series(DashedLineSeries::new(
                [(0.0, mean), (NINES, mean)],
                7,
                5,
                style.stroke_width(2),
            ))
            .map_err(describe_error)?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(FONT)
        .position(SeriesLabelPosition::LowerRight)
        .draw()
        .map_err(describe_error)
}

/// Returns the percentile for a number of nines: 0, 90, 99 and 99.9 for 0, 1, 2 and 3 nines.
fn percent(nines: f64) -> f64 {
    (100.0 * (1.0 - 10f64.powf(-nines)) * 1e4).round() / 1e4
}

/// Plots the latency against the phase: the fraction of a chunk that had elapsed since the last
/// whole chunk when the acquisition ended.
fn plot_phases(
    area: &Area<'_>,
    measurement: &Measurement,
    (smallest, largest): (f64, f64),
) -> Result<(), String> {
    let mut chart = ChartBuilder::on(area)
        .caption("by the part of the last chunk that had passed", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..1.0, (smallest..largest).log_scale())
        .map_err(describe_error)?;
    chart
        .configure_mesh()
        .x_desc("part of the chunk that had passed")
        .label_style(FONT)
        .axis_desc_style(FONT)
        .light_line_style(WHITE)
        .y_label_formatter(&|ms| format!("{ms}"))
        .draw()
        .map_err(describe_error)?;
    for (case, colour) in assign_colours(measurement) {
        let points = case.by_phase.iter().map(|&(phase, latency)| {
            Circle::new((phase, latency.as_secs_f64() * 1e3), 3, colour.mix(0.7).filled())
        });
        chart.draw_series(points).map_err(describe_error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn the_ticks_of_the_axis_are_percentiles() {
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(percent), [0.0, 90.0, 99.0, 99.9]);
    }
}
