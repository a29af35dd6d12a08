//! The `tteview.` metadata of a package; keys and meanings are in `docs/model-package.md`.

use crate::error::{CompileError, Result};
use crate::lower::State;
use crate::options::{CompileOptions, Precision};
use crate::pathways::Pathways;
use crate::self_test::SEED;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the metadata of every package of one source shares.
pub(crate) struct Common<'a> {
    pub(crate) options: &'a CompileOptions,
    pub(crate) pathways: &'a Pathways,
    /// Channels, height and width of the compiled input.
    pub(crate) input: [usize; 3],
    pub(crate) labels: usize,
    pub(crate) causal: bool,
    pub(crate) source_sha256: String,
}

impl Common<'_> {
    /// The entries that clip and step share, without self-test and hash.
    pub(crate) fn entries(&self, mode: &str, states: &[State]) -> Result<BTreeMap<String, String>> {
        let CompileOptions { labels, spec, precision, .. } = self.options;
        let [channels, height, width] = self.input;
        if labels.len() != self.labels {
            let reason = format!("{} labels for {} logits", labels.len(), self.labels);
            return Err(CompileError::Spec(reason));
        }
        let per_channel = |v: &[f64]| -> Vec<f64> { (0..channels).map(|c| v[c.min(v.len() - 1)]).collect() };
        let states: Vec<Value> = states
            .iter()
            .map(|s| json!({ "name": s.name, "shape": s.shape, "initial": f64::from(s.initial) }))
            .collect();
        let entries = [
            ("format", "1".into()),
            ("mode", mode.into()),
            ("labels", json!(labels).to_string()),
            ("input", json!({ "width": width, "height": height, "channels": channels }).to_string()),
            ("mean", json!(per_channel(&spec.mean)).to_string()),
            ("std", json!(per_channel(&spec.std)).to_string()),
            ("sample_interval_ns", spec.sample_interval_ns.to_string()),
            ("alpha", self.pathways.alpha.to_string()),
            ("clip_samples", self.pathways.fast_frames.to_string()),
            ("slow_indices", json!(self.slow_indices()?).to_string()),
            ("states", Value::Array(states).to_string()),
            ("temperature", json!(spec.temperature).to_string()),
            ("threshold", json!(spec.threshold).to_string()),
            ("orientation", spec.orientation.clone()),
            ("precision", precision.as_str().into()),
            ("source_sha256", self.source_sha256.clone()),
            ("model_version", spec.model_version.clone()),
            ("provenance", spec.provenance.clone()),
        ];
        Ok(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Slow samples of a clip: as given; else the network's own choice from a packed input; else the first of every
    /// chunk for a causal network, or SlowFast's truncated linspace.
    fn slow_indices(&self) -> Result<Vec<usize>> {
        let Pathways { slow, alpha, slow_frames, fast_frames, packed_indices, .. } = self.pathways;
        let (slow_frames, fast_frames) = (*slow_frames, *fast_frames);
        if slow.is_none() {
            return Ok(Vec::new());
        }
        if let Some(given) = &self.options.spec.slow_indices {
            let rising = given.windows(2).all(|pair| pair[0] < pair[1]);
            if given.len() != slow_frames || !rising || given.iter().any(|&i| i >= fast_frames) {
                let reason = format!("slow_indices need {slow_frames} rising numbers below {fast_frames}");
                return Err(CompileError::Spec(reason));
            }
            return Ok(given.clone());
        }
        Ok(match packed_indices {
            Some(indices) => indices.clone(),
            None if self.causal || slow_frames == 1 => (0..slow_frames).map(|i| i * alpha).collect(),
            None => (0..slow_frames).map(|i| i * (fast_frames - 1) / (slow_frames - 1)).collect(),
        })
    }
}

/// The `self_test` entry. The tolerance follows the size of the result: runtimes differ in the order of sums, and
/// half precision in the last of its eleven bits at every layer.
pub(crate) fn self_test(result: &[f32], precision: Precision) -> String {
    let scale = result.iter().fold(1e-3f64, |m, v| m.max(f64::from(v.abs())));
    let half = 0.05 * scale;
    let single = if precision == Precision::Fp32 { 1e-3 * scale } else { half };
    let logits: Vec<f64> = result.iter().map(|&v| v.to_string().parse().unwrap_or(f64::from(v))).collect();
    json!({ "seed": SEED, "logits": logits, "tolerance": { "fp32": single, "fp16": half } }).to_string()
}
