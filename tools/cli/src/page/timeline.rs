//! The label over time: a strip as SVG, and a sentence.

use crate::html::escape;
use crate::label::TracePoint;
use crate::terminal::escape_name;
use std::fmt::Write;
use tteview::ModelSpec;

/// Width and height of the strip in its own units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 26.0;

/// Maximum number of bars. A long cine has one bar for several chunks.
const MAX_BARS: usize = 150;

/// Maximum number of labels in the sentence.
const MAX_RUNS: usize = 5;

/// Number of colours of labels, which the style sheet defines.
const COLOURS: u32 = 10;

/// Consecutive points with the same label.
struct Run {
    label: Option<u32>,
    first_ns: i64,
    last_ns: i64,
}

/// Renders the strip. A bar ends at the time of its result, its height is the confidence, and its
/// colour shows the label, which is grey if the label is withheld.
pub(super) fn render_strip(trace: &[TracePoint], length_ns: i64) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    );
    let length = length_ns.max(1) as f64;
    let step = trace.len().div_ceil(MAX_BARS).max(1);
    let mut left = 0.0;
    let mut path: Option<(Option<u32>, String)> = None;
    for points in trace.chunks(step) {
        // The last of several results includes the others.
        let Some(point) = points.last() else { continue };
        let right = (point.time_ns as f64 / length * WIDTH).clamp(left, WIDTH);
        let top = HEIGHT * (1.0 - f64::from(point.confidence.clamp(0.0, 1.0)));
        if path.as_ref().is_none_or(|(label, _)| *label != point.label) {
            close(&mut svg, path.take());
            path = Some((point.label, format!("M{left:.0} {HEIGHT}")));
        }
        if let Some((_, path)) = &mut path {
            let _ = write!(path, "V{top:.0}H{right:.0}");
        }
        left = right;
    }
    close(&mut svg, path);
    svg + "</svg>"
}

fn close(svg: &mut String, path: Option<(Option<u32>, String)>) {
    if let Some((label, path)) = path {
        let class = label.map_or("w".to_owned(), |label| format!("c{}", label % COLOURS));
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}V{HEIGHT}Z\"/>");
    }
}

/// Describes the label over time in words, as HTML.
pub(super) fn describe(trace: &[TracePoint], spec: &ModelSpec) -> String {
    let mut runs: Vec<Run> = Vec::new();
    for point in trace {
        match runs.last_mut() {
            Some(run) if run.label == point.label => run.last_ns = point.time_ns,
            last => {
                let first_ns = last.map_or(0, |run| run.last_ns);
                runs.push(Run { label: point.label, first_ns, last_ns: point.time_ns });
            }
        }
    }
    let name = |label: Option<u32>| {
        let label = label.and_then(|index| spec.labels.get(index as usize));
        label.map_or("withheld".to_owned(), |label| escape(&escape_name(&label.code)))
    };
    let seconds = |ns: i64| format!("{:.1}", ns as f64 / 1e9);
    let mut parts: Vec<String> = runs
        .iter()
        .take(MAX_RUNS)
        .map(|run| {
            format!("{} {}–{} s", name(run.label), seconds(run.first_ns), seconds(run.last_ns))
        })
        .collect();
    if runs.len() > MAX_RUNS {
        parts.push(format!("{} more changes", runs.len() - MAX_RUNS));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(time_ns: i64, label: Option<u32>, confidence: f32) -> TracePoint {
        TracePoint { time_ns, label, confidence }
    }

    #[test]
    fn the_strip_has_one_path_for_each_run() {
        let trace = [point(10, None, 0.5), point(20, Some(12), 1.0), point(30, Some(12), 0.5)];
        let svg = render_strip(&trace, 40);
        assert!(svg.contains("<path class=\"w\" d=\"M0 26V13H75V26Z\"/>"), "{svg}");
        assert!(svg.contains("<path class=\"c2\" d=\"M75 26V0H150V13H225V26Z\"/>"), "{svg}");
    }

    #[test]
    fn the_strip_of_a_long_cine_is_short() {
        let trace: Vec<_> =
            (0..100_000).map(|at| point(at, (at / 7 % 3 > 0).then_some(1), 0.7)).collect();
        assert!(render_strip(&trace, 100_000).len() < 10_000);
    }
}
