//! The entry of one cine on the page.

use super::cine_loop::{CineLoop, LoopBuilder};
use super::timeline;
use crate::cine::{DOUBTFUL, Facts};
use crate::html::{encode_base64, escape};
use crate::label::{CineLabel, Reason};
use crate::terminal::{escape_controls, escape_name, escape_path};
use std::fmt::Write;
use std::path::Path;
use tteview::{ModelSpec, ViewResult};

/// Maximum size of an entry in bytes.
pub(super) const MAX_ENTRY_BYTES: usize = 60_000;

/// Maximum number of characters of a name, and of a message.
const MAX_NAME: usize = 300;
const MAX_MESSAGE: usize = 500;

/// Maximum number of warnings.
const MAX_WARNINGS: usize = 6;

/// Maximum number of bytes of the tags around the image of a loop.
const MAX_LOOP_TAGS: usize = 400;

/// Renders the entry of a cine with a label. `facts` must be complete, so all frames must have been
/// read.
pub(crate) fn render_cine(
    path: &Path,
    facts: &Facts,
    label: &CineLabel,
    cine_loop: LoopBuilder,
    spec: &ModelSpec,
) -> String {
    let result = &label.result;
    let view = result.label.and_then(|index| spec.labels.get(index as usize));
    let group = result.group.and_then(|index| spec.groups.get(index as usize));
    let class = if view.is_some() { "given" } else { "withheld" };
    let title = match view {
        Some(view) => escape(&escape_name(&view.code)),
        None => "withheld".to_owned(),
    };
    let mut text =
        format!("<div class=\"text\"><h2><span>{title}</span><b>{:.2}</b></h2>", result.confidence);
    if let Some(view) = view {
        let name = shorten(&escape_controls(&view.name), MAX_NAME);
        let _ = write!(text, "<p class=\"name\">{}</p>", escape(&name));
    }
    if !spec.groups.is_empty() {
        let code = group.map_or("withheld".to_owned(), |group| escape(&escape_name(&group.code)));
        let confidence = result.group_confidence;
        let _ =
            write!(text, "<p class=\"group\"><span>group {code}</span><b>{confidence:.2}</b></p>");
    }
    let _ = write!(text, "<p class=\"file\">{}</p>", escape(&shorten_name(path)));
    let _ = write!(text, "<p class=\"facts\">{}</p>", escape(&describe_facts(facts, label)));
    if !label.trace.is_empty() {
        let over_time = timeline::describe(&label.trace, spec);
        let _ = write!(text, "<p class=\"over\">{over_time}</p>");
    }
    if view.is_none() {
        let cause = escape(&explain(label, spec));
        let _ = write!(text, "<p class=\"why\">{cause}</p>");
    }
    if facts.timing.source == Some(DOUBTFUL) {
        text += "<p class=\"warning\">The frame times are doubtful.</p>";
    }
    add_warnings(&mut text, &facts.warnings);
    text += "</div>";
    let code =
        |code: Option<&String>| code.map_or(String::new(), |code| escape(&escape_name(code)));
    let mut html = format!(
        "<article class=\"{class}{}\" data-file=\"{}\" data-view=\"{}\" data-group=\"{}\" \
         data-confidence=\"{:.6}\">\n",
        if facts.warnings.is_empty() { "" } else { " warned" },
        escape(&shorten_name(path)),
        code(view.map(|view| &view.code)),
        code(group.map(|group| &group.code)),
        result.confidence
    );
    let length_ns = length_ns(facts, label);
    let strip = timeline::render_strip(&label.trace, length_ns);
    let used = html.len() + text.len() + strip.len() + MAX_LOOP_TAGS;
    // Base64 has four characters for three bytes.
    let cine_loop = cine_loop.finish(MAX_ENTRY_BYTES.saturating_sub(used) / 4 * 3);
    html += &render_screen(cine_loop.as_ref());
    html += &render_strip(&strip, cine_loop.as_ref(), length_ns);
    html + &text + "\n</article>\n"
}

/// Renders the entry of a file that cannot be read.
pub(crate) fn render_error(path: &Path, message: &str) -> String {
    let name = escape(&shorten_name(path));
    // The message begins with the name.
    let message = message.strip_prefix(&format!("{}: ", escape_path(path))).unwrap_or(message);
    let message = escape(&shorten(&escape_controls(message), MAX_MESSAGE));
    format!(
        "<article class=\"failed\" data-file=\"{name}\">\n\
         <div class=\"screen\">no picture</div>\n\
         <div class=\"text\"><h2><span>cannot be read</span></h2><p class=\"file\">{name}</p>\
         <p class=\"why\">{message}</p></div>\n</article>\n"
    )
}

fn render_screen(cine_loop: Option<&CineLoop>) -> String {
    let Some(CineLoop { png, size, frames, seconds }) = cine_loop else {
        return "<div class=\"screen\">no picture</div>\n".to_owned();
    };
    let (width, height) = (size.width, size.height);
    let ratio = width as f64 / height as f64;
    format!(
        "<div class=\"screen\"><div class=\"loop\" \
         style=\"--ratio:{ratio:.4};--frames:{frames};--time:{seconds:.3}s\">\
         <img width=\"{width}\" height=\"{}\" alt=\"loop of {frames} frames\" loading=\"lazy\" \
         decoding=\"async\" src=\"data:image/png;base64,{}\"></div></div>\n",
        height * frames,
        encode_base64(png)
    )
}

/// Renders the strip with a line that moves with the loop.
fn render_strip(strip: &str, cine_loop: Option<&CineLoop>, length_ns: i64) -> String {
    let seconds = cine_loop.map_or(0.0, |cine_loop| cine_loop.seconds);
    let part = (seconds / (length_ns as f64 / 1e9) * 100.0).min(100.0);
    let line = if part > 0.0 && part.is_finite() {
        format!("<i style=\"--part:{part:.1}%;--time:{seconds:.3}s\"></i>")
    } else {
        String::new()
    };
    format!("<div class=\"strip\">{strip}{line}</div>\n")
}

/// Returns the time that the strip covers.
fn length_ns(facts: &Facts, label: &CineLabel) -> i64 {
    let last_ns = |time: Option<i64>| time.unwrap_or(0);
    let frames_ns = last_ns(facts.timing.times_ns.last().copied());
    frames_ns.max(last_ns(label.trace.iter().map(|point| point.time_ns).max())).max(1)
}

fn describe_facts(facts: &Facts, label: &CineLabel) -> String {
    let geometry = facts.geometry();
    let frames = facts.frame_count();
    let mut text = format!(
        "{}, {} × {} pixels, {frames} {}",
        shorten(&escape_controls(&facts.source), MAX_NAME),
        geometry.region().width_px,
        geometry.region().height_px,
        if frames == 1 { "frame" } else { "frames" },
    );
    if frames > 1 {
        let seconds = length_ns(facts, label) as f64 / 1e9;
        let _ = write!(text, " in {seconds:.1} s");
        if facts.timing.source.is_none() {
            text += " at the assumed 30 frames per second";
        }
    }
    text
}

/// Says which label is withheld and why.
fn explain(label: &CineLabel, spec: &ModelSpec) -> String {
    if label.result.chunks == 0 {
        return "The cine is too short for a label.".to_owned();
    }
    let best = label.scores.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let best = best.and_then(|(index, _)| spec.labels.get(index));
    let code = best.map_or("the view".to_owned(), |best| escape_name(&best.code));
    format!("{code} is withheld: {}.", explain_reasons(&label.result, spec))
}

fn explain_reasons(result: &ViewResult, spec: &ModelSpec) -> String {
    let reasons = Reason::list(result.flags).into_iter().map(|reason| reason.explain(result, spec));
    reasons.collect::<Vec<_>>().join("; ")
}

fn add_warnings(text: &mut String, warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        let warning = escape(&shorten(&escape_controls(warning), MAX_MESSAGE));
        let _ = write!(text, "<p class=\"warning\">{warning}</p>");
    }
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() - MAX_WARNINGS;
        let _ = write!(text, "<p class=\"warning\">{more} more warnings</p>");
    }
}

/// Returns the printed form of a path; of a long one, the end, which contains the name.
fn shorten_name(path: &Path) -> String {
    let name = escape_path(path);
    let count = name.chars().count();
    match count.checked_sub(MAX_NAME) {
        Some(extra @ 1..) => format!("…{}", name.chars().skip(extra).collect::<String>()),
        _ => name,
    }
}

/// Returns the first characters of a text.
fn shorten(text: &str, max: usize) -> String {
    let mut short: String = text.chars().take(max).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
