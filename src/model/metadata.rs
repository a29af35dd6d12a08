//! Parser for the metadata keys of a model package. It implements docs/model-package.md#metadata.

mod frame_steps;
mod keys;
mod labels;
mod novelty;
mod resize;
mod self_test;

use super::limits;
use super::spec::{LabelRule, Mode, ModelSpec, Precision, StateSpec};
use crate::error::Result;
use crate::frame::Orientation;
use keys::{
    Keys, check, check_agreement, check_number, check_text, check_values, has_nul, invalid,
    unsupported_error,
};
use labels::{LabelSet, parse_labels};
use novelty::parse_novelty;
use resize::{parse_channel_order, parse_resize};
use self_test::parse_self_test;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

/// Maximum size of a model card in bytes.
const MAX_CARD_BYTES: usize = 64 * 1024;

/// Allowed means, in units of pixel value / 255, which is 0 to 1. Beyond this range, normalised
/// pixel values would differ by less than 40 parts in a million, and rounding in the network would
/// hide the image.
const MEAN: RangeInclusive<f32> = -100.0..=100.0;

/// Allowed standard deviations, in the same units. The range includes the scale of 16-bit pixel
/// values, 1/65535. Together with the range of means, it keeps normalised values below 10,000,100,
/// so that sums over the pixels of a clip stay far below the largest float32 value.
const STD: RangeInclusive<f32> = 1e-5..=1000.0;

/// Allowed temperatures. Beyond this range, every posterior would be nearly certain or nearly
/// uniform. The model kit calibrates with 0.05 to 20.
const TEMPERATURE: RangeInclusive<f32> = 0.001..=1000.0;

#[derive(Deserialize)]
struct InputEntry {
    width: usize,
    height: usize,
    channels: usize,
}

#[derive(Deserialize)]
struct StateEntry {
    name: String,
    shape: Vec<usize>,
    initial: f32,
}

/// Parses and checks the metadata. `graph_sha256` and `package_sha256` are the hexadecimal hashes
/// of the graph and of the file.
pub(super) fn parse_spec(
    metadata: &BTreeMap<String, String>,
    graph_sha256: String,
    package_sha256: String,
) -> Result<ModelSpec> {
    let keys = Keys(metadata);
    keys.check_no_nul()?;
    let has_frame_steps = frame_steps::check_format(&keys)?;
    let recorded = keys.text("graph_sha256")?;
    check(
        "graph_sha256",
        recorded == graph_sha256,
        "is not the SHA-256 of the graph, so the graph was altered",
    )?;
    if keys.optional("head").is_some() {
        return Err(unsupported_error("head", "a head in a file of its own is not supported"));
    }
    let mode = match keys.text("mode")? {
        "window" => Mode::Window,
        "stream" => Mode::Stream,
        "head" => return Err(unsupported_error("mode", "a head cannot run by itself")),
        other => {
            let problem = format!("must be window or stream, got {other:?}");
            return Err(invalid("mode", &problem));
        }
    };
    match keys.optional("chunk") {
        None | Some("1") => {}
        Some(_) => {
            return Err(unsupported_error(
                "chunk",
                "this version supports only one chunk per step",
            ));
        }
    }
    let label_rule = match keys.optional("label_rule") {
        None | Some("mean_logits") => LabelRule::MeanLogits,
        Some("mean_probabilities") => LabelRule::MeanProbabilities,
        Some("newest") => LabelRule::Newest,
        Some(other) => {
            let other = limits::shorten(other);
            let problem =
                format!("must be mean_logits, mean_probabilities or newest, got {other:?}");
            return Err(invalid("label_rule", &problem));
        }
    };
    let precision = match keys.optional("precision") {
        None | Some("fp32") => Precision::Fp32,
        Some("fp16") => Precision::Fp16,
        Some(other) => {
            let problem = format!("must be fp32 or fp16, got {other:?}");
            return Err(invalid("precision", &problem));
        }
    };
    let input: InputEntry = keys.parse_json("input")?;
    check_number("input", "a width", input.width, limits::SIDE_PX)?;
    check_number("input", "a height", input.height, limits::SIDE_PX)?;
    check("input", matches!(input.channels, 1 | 3), "must have 1 or 3 channels")?;
    let channel_order = parse_channel_order(&keys, input.channels)?;
    let resize = parse_resize(&keys)?;
    let mean: Vec<f32> = keys.parse_json("mean")?;
    let std: Vec<f32> = keys.parse_json("std")?;
    check_agreement("mean", mean.len() == input.channels, "must have one number per channel")?;
    check_agreement("std", std.len() == input.channels, "must have one number per channel")?;
    check_values("mean", &mean, MEAN)?;
    check_values("std", &std, STD)?;
    let sample_interval_ns: i64 = keys.parse_json("sample_interval_ns")?;
    let range = limits::SAMPLE_INTERVAL_NS;
    check_number("sample_interval_ns", "a value", sample_interval_ns, range)?;
    let alpha: usize = keys.parse_json("alpha")?;
    check_number("alpha", "a value", alpha, limits::ALPHA)?;
    let clip_samples: usize = keys.parse_json("clip_samples")?;
    let range = 1..=limits::MAX_CLIP_SAMPLES;
    check_number("clip_samples", "a value", clip_samples, range)?;
    check_agreement("clip_samples", clip_samples >= alpha, "must be at least alpha")?;
    let slow_indices: Vec<usize> = keys.parse_json("slow_indices")?;
    check(
        "slow_indices",
        slow_indices.is_sorted_by(|earlier, later| earlier < later),
        "must be in ascending order",
    )?;
    check_agreement(
        "slow_indices",
        slow_indices.iter().all(|&i| i < clip_samples),
        "must be less than clip_samples",
    )?;
    let temperature: f32 = keys.parse_json("temperature")?;
    check_values("temperature", &[temperature], TEMPERATURE)?;
    let threshold: f32 = keys.parse_json("threshold")?;
    check("threshold", (0.0..=1.0).contains(&threshold), "must be 0 to 1")?;
    let LabelSet { labels, groups, group_threshold } = parse_labels(&keys)?;
    let novelty = parse_novelty(&keys)?;
    let output_len = labels.len() + novelty.as_ref().map_or(0, |novelty| novelty.values);
    let states = parse_states(keys.parse_json("states")?)?;
    let (frame_steps, self_test) = if has_frame_steps {
        let has_slow_part = !slow_indices.is_empty();
        let context = frame_steps::Context { mode, alpha, has_slow_part, states: &states };
        let (steps, self_test) = frame_steps::parse(&keys, &context, output_len)?;
        (Some(steps), self_test)
    } else {
        (None, parse_self_test(&keys, output_len)?)
    };
    check_agreement(
        "label_rule",
        label_rule == LabelRule::MeanLogits
            || frame_steps.as_ref().is_none_or(|steps| steps.head.is_none()),
        "must be mean_logits with a head that is not linear",
    )?;
    check_agreement(
        "states",
        mode == Mode::Stream || states.is_empty(),
        "must be empty in window mode",
    )?;
    let (mirrored, upside_down) = match keys.text("orientation")? {
        "standard" => (false, false),
        "mirrored" => (true, false),
        "upside_down" => (false, true),
        "mirrored_upside_down" => (true, true),
        _ => {
            return Err(invalid(
                "orientation",
                "must be standard, mirrored, upside_down or mirrored_upside_down",
            ));
        }
    };
    for key in ["source_sha256", "model_version"] {
        check_text(key, "a text", keys.text(key)?, limits::MAX_TEXT_BYTES)?;
    }
    let spec = ModelSpec {
        mode,
        labels,
        groups,
        width_px: input.width,
        height_px: input.height,
        channels: input.channels,
        channel_order,
        resize,
        mean,
        std,
        sample_interval_ns,
        alpha,
        clip_samples,
        slow_indices,
        states,
        frame_steps,
        label_rule,
        temperature,
        threshold,
        group_threshold,
        novelty,
        orientation: Orientation { mirrored, upside_down },
        precision,
        self_test,
        source_sha256: keys.text("source_sha256")?.to_owned(),
        package_sha256,
        model_version: keys.text("model_version")?.to_owned(),
        provenance: keys.text("provenance")?.to_owned(),
        model_card: parse_model_card(&keys)?,
    };
    check_input_values(&spec)?;
    Ok(spec)
}

/// Checks the number of values in the samples of a run. Each factor is within its limit, so the
/// product does not overflow.
fn check_input_values(spec: &ModelSpec) -> Result<()> {
    let samples: usize = spec.input_shapes().iter().map(|shape| shape[0]).sum();
    let (values, max) = (samples * spec.sample_len(), limits::MAX_INPUT_VALUES);
    check("input", values <= max, &format!("must have at most {max} values in a run, got {values}"))
}

/// Checks that the model card, if there is one, is a JSON object of limited size. Programs that
/// read the card check its fields.
fn parse_model_card(keys: &Keys<'_>) -> Result<Option<String>> {
    let Some(card) = keys.optional("model_card") else { return Ok(None) };
    let size = card.len();
    let problem = format!("must have at most {MAX_CARD_BYTES} bytes, got {size}");
    check("model_card", size <= MAX_CARD_BYTES, &problem)?;
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(card);
    check("model_card", object.is_ok(), "must be a JSON object")?;
    Ok(Some(card.to_owned()))
}

fn parse_states(entries: Vec<StateEntry>) -> Result<Vec<StateSpec>> {
    check_number("states", "a number of entries", entries.len(), 0..=limits::MAX_STATES)?;
    let mut names = HashSet::new();
    let mut total = 0usize;
    for state in &entries {
        let name = &state.name;
        check(
            "states",
            !name.is_empty() && !has_nul(name) && names.insert(name.clone()),
            "must have unique names that are not empty and contain no NUL",
        )?;
        check_text("states", "names", name, limits::MAX_STATE_NAME_BYTES)?;
        check_number("states", "a rank", state.shape.len(), 1..=limits::MAX_RANK)?;
        let len = state.shape.iter().try_fold(1usize, |len, &side| len.checked_mul(side));
        let sum = len.filter(|&len| len > 0).and_then(|len| total.checked_add(len));
        let max = limits::MAX_STATE_VALUES;
        let sum = sum.filter(|&sum| sum <= max).ok_or_else(|| {
            let shape = &state.shape;
            let problem = format!(
                "must have shapes with 1 to {max} values together, got {shape:?} for {name}"
            );
            invalid("states", &problem)
        })?;
        total = sum;
        check(
            "states",
            state.initial.is_finite(),
            &format!("must give {name} a finite initial value"),
        )?;
    }
    let state = |e: StateEntry| StateSpec { name: e.name, shape: e.shape, initial: e.initial };
    Ok(entries.into_iter().map(state).collect())
}
