//! Reads and checks the metadata keys of a package.

use super::{Label, Mode, ModelSpec, Precision, SelfTest, StateSpec};
use crate::frame::Orientation;
use crate::{Error, Result, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashSet};

/// Most values a state tensor may have: 1 GiB of float32.
const MAX_STATE_LEN: usize = 1 << 28;

#[derive(Deserialize)]
struct LabelEntry {
    code: String,
    name: String,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    scheme_code: Option<String>,
}

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

#[derive(Deserialize)]
struct ToleranceEntry {
    fp32: f32,
    fp16: f32,
}

#[derive(Deserialize)]
struct SelfTestEntry {
    seed: u32,
    logits: Vec<f32>,
    tolerance: ToleranceEntry,
}

struct Keys<'a>(&'a BTreeMap<String, String>);

impl Keys<'_> {
    fn optional(&self, key: &str) -> Option<&str> {
        self.0.get(&format!("tteview.{key}")).map(String::as_str)
    }

    fn text(&self, key: &str) -> Result<&str> {
        self.optional(key).ok_or_else(|| invalid(key, "is missing"))
    }

    fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        serde_json::from_str(self.text(key)?).map_err(|e| invalid(key, &e.to_string()))
    }
}

fn invalid(key: &str, what: &str) -> Error {
    Error::new(Status::ModelInvalid, format!("tteview.{key}: {what}"))
}

fn check(key: &str, holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(invalid(key, what)) }
}

fn agree(key: &str, holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(Status::ModelMismatch, format!("tteview.{key}: {what}"))) }
}

fn unsupported(key: &str, what: &str) -> Error {
    Error::new(Status::Unsupported, format!("tteview.{key}: {what}"))
}

/// The metadata, checked. `graph_sha256` is that of the graph's bytes, `package_sha256` that of the file, in hex.
pub(super) fn spec(
    metadata: &BTreeMap<String, String>,
    graph_sha256: String,
    package_sha256: String,
) -> Result<ModelSpec> {
    let keys = Keys(metadata);
    check("format", keys.text("format")? == "1", "only version 1 is known")?;
    let recorded = keys.text("graph_sha256")?;
    check("graph_sha256", recorded == graph_sha256, "the graph was altered, its hash is another")?;
    if keys.optional("head").is_some() {
        return Err(unsupported("head", "a head that is not linear is not run by this version"));
    }
    let mode = match keys.text("mode")? {
        "window" => Mode::Window,
        "stream" => Mode::Stream,
        "head" => return Err(unsupported("mode", "the package of a head does not run alone")),
        _ => return Err(invalid("mode", "must be window, stream or head")),
    };
    match keys.optional("chunk") {
        None | Some("1") => {}
        Some(_) => return Err(unsupported("chunk", "only steps of one chunk are run by this version")),
    }
    let precision = match keys.optional("precision") {
        None | Some("fp32") => Precision::Fp32,
        Some("fp16") => Precision::Fp16,
        Some(_) => return Err(invalid("precision", "must be fp32 or fp16")),
    };
    let input: InputEntry = keys.json("input")?;
    let sides = 1..=4096;
    check("input", sides.contains(&input.width) && sides.contains(&input.height), "sides are 1 to 4096")?;
    check("input", matches!(input.channels, 1 | 3), "channels are 1 or 3")?;
    let mean: Vec<f32> = keys.json("mean")?;
    let std: Vec<f32> = keys.json("std")?;
    agree("mean", mean.len() == input.channels, "needs one number per channel")?;
    agree("std", std.len() == input.channels, "needs one number per channel")?;
    check("mean", mean.iter().all(|v| v.is_finite()), "must be finite")?;
    check("std", std.iter().all(|v| v.is_finite() && *v > 0.0), "must be finite and positive")?;
    let sample_interval_ns: i64 = keys.json("sample_interval_ns")?;
    check("sample_interval_ns", sample_interval_ns > 0, "must be positive")?;
    let alpha: usize = keys.json("alpha")?;
    check("alpha", alpha >= 1, "must be at least 1")?;
    let clip_samples: usize = keys.json("clip_samples")?;
    agree("clip_samples", clip_samples >= alpha, "must be at least alpha")?;
    let slow_indices: Vec<usize> = keys.json("slow_indices")?;
    check("slow_indices", slow_indices.is_sorted_by(|earlier, later| earlier < later), "must ascend")?;
    agree("slow_indices", slow_indices.iter().all(|&i| i < clip_samples), "must lie below clip_samples")?;
    let temperature: f32 = keys.json("temperature")?;
    check("temperature", temperature.is_finite() && temperature > 0.0, "must be finite and positive")?;
    let threshold: f32 = keys.json("threshold")?;
    check("threshold", (0.0..=1.0).contains(&threshold), "must lie from 0 to 1")?;
    let labels = labels(keys.json("labels")?)?;
    let self_test = self_test(keys.json("self_test")?, labels.len())?;
    let states = states(keys.json("states")?)?;
    agree("states", mode == Mode::Stream || states.is_empty(), "must be empty in window mode")?;
    let (mirrored, upside_down) = match keys.text("orientation")? {
        "standard" => (false, false),
        "mirrored" => (true, false),
        "upside_down" => (false, true),
        "mirrored_upside_down" => (true, true),
        _ => return Err(invalid("orientation", "is not one of the four")),
    };
    Ok(ModelSpec {
        mode,
        labels,
        width_px: input.width,
        height_px: input.height,
        channels: input.channels,
        mean,
        std,
        sample_interval_ns,
        alpha,
        clip_samples,
        slow_indices,
        states,
        temperature,
        threshold,
        orientation: Orientation { mirrored, upside_down },
        precision,
        self_test,
        source_sha256: keys.text("source_sha256")?.to_owned(),
        package_sha256,
        model_version: keys.text("model_version")?.to_owned(),
        provenance: keys.text("provenance")?.to_owned(),
    })
}

fn labels(entries: Vec<LabelEntry>) -> Result<Vec<Label>> {
    check("labels", !entries.is_empty(), "is empty")?;
    let mut codes = HashSet::new();
    for (index, label) in entries.iter().enumerate() {
        check("labels", !label.code.is_empty(), &format!("entry {index} has no code"))?;
        check(
            "labels",
            codes.insert(label.code.clone()),
            &format!("the code {:?} stands twice", label.code),
        )?;
    }
    let label = |e: LabelEntry| Label { code: e.code, name: e.name, scheme: e.scheme.zip(e.scheme_code) };
    Ok(entries.into_iter().map(label).collect())
}

fn states(entries: Vec<StateEntry>) -> Result<Vec<StateSpec>> {
    let mut names = HashSet::new();
    for state in &entries {
        let name = &state.name;
        check("states", !name.is_empty() && names.insert(name.clone()), "names must be there and unique")?;
        let len = state.shape.iter().try_fold(1usize, |len, &side| len.checked_mul(side));
        let fits = len.is_some_and(|len| (1..=MAX_STATE_LEN).contains(&len));
        check("states", fits && !state.shape.is_empty(), &format!("the shape of {name} is out of range"))?;
        check("states", state.initial.is_finite(), &format!("the initial value of {name} is not finite"))?;
    }
    let state = |e: StateEntry| StateSpec { name: e.name, shape: e.shape, initial: e.initial };
    Ok(entries.into_iter().map(state).collect())
}

fn self_test(entry: SelfTestEntry, labels: usize) -> Result<SelfTest> {
    let SelfTestEntry { seed, logits, tolerance } = entry;
    check("self_test", seed != 0, "the seed is 0")?;
    agree("self_test", logits.len() == labels, "needs one logit per label")?;
    check("self_test", logits.iter().all(|v| v.is_finite()), "the logits must be finite")?;
    let fits = |v: f32| v.is_finite() && v > 0.0;
    check("self_test", fits(tolerance.fp32) && fits(tolerance.fp16), "tolerances must be positive")?;
    Ok(SelfTest { seed, logits, tolerance_fp32: tolerance.fp32, tolerance_fp16: tolerance.fp16 })
}
