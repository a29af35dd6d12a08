//! The `tteview.` metadata of a package. `docs/model-package.md` defines its keys.

use crate::chunk_logits::TestedChunk;
use crate::error::{Result, fail_spec};
use crate::labels::check_groups;
use crate::lowered::State;
use crate::novelty::Novelty;
use crate::options::{CompileOptions, Precision};
use crate::pathways::Pathways;
use crate::self_test::SEED;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Maximum difference that a self-test allows in float32, relative to the largest absolute value in
/// the result. Results differ because runtimes add the terms of a sum in different orders.
const TOLERANCE_FP32: f64 = 1e-3;
/// Maximum relative difference in half precision, where every layer rounds to eleven significant
/// bits.
const TOLERANCE_FP16: f64 = 0.05;
/// Minimum scale of the tolerances. If the largest absolute value in the result exceeds this
/// minimum, that value is the scale.
const MIN_SCALE: f64 = 1e-3;

/// The data for the metadata entries that all packages of one network share.
pub(crate) struct CommonMetadata<'a> {
    pub(crate) options: &'a CompileOptions,
    pub(crate) pathways: &'a Pathways,
    /// Channels, height and width of the compiled input.
    pub(crate) input: [usize; 3],
    /// Number of values in the output of the network: the logits and, after them, the values of the
    /// projection for the novelty score.
    pub(crate) outputs: usize,
    /// Whether the network is chunk-causal.
    pub(crate) is_causal: bool,
    pub(crate) source_sha256: String,
}

impl CommonMetadata<'_> {
    /// Returns the entries that do not depend on the package's graph.
    pub(crate) fn entries(&self, mode: &str) -> Result<BTreeMap<String, String>> {
        let CompileOptions { labels, groups, spec, precision, .. } = self.options;
        let [channels, height, width] = self.input;
        let values = spec.novelty.as_ref().map_or(0, Novelty::values);
        if labels.len() + values != self.outputs {
            let (outputs, found) = (self.outputs, labels.len());
            return fail_spec(if values == 0 {
                format!("the number of labels must be {outputs}, one for each logit, got {found}")
            } else {
                format!(
                    "the number of labels and of the {values} values of the projection must be \
                     {outputs}, one for each output of the network, got {found} labels"
                )
            });
        }
        check_groups(labels, groups)?;
        if groups.is_empty() && spec.group_threshold > 0.0 {
            let threshold = spec.group_threshold;
            return fail_spec(format!(
                "group_threshold must be 0 without groups, got {threshold}; add groups to the labels"
            ));
        }
        let per_channel =
            |v: &[f64]| -> Vec<f64> { (0..channels).map(|c| v[c.min(v.len() - 1)]).collect() };
        let entries = [
            ("format", "1".into()),
            ("mode", mode.into()),
            ("labels", json!(labels).to_string()),
            (
                "input",
                json!({ "width": width, "height": height, "channels": channels }).to_string(),
            ),
            ("mean", json!(per_channel(&spec.mean)).to_string()),
            ("std", json!(per_channel(&spec.std)).to_string()),
            ("sample_interval_ns", spec.sample_interval_ns.to_string()),
            ("alpha", self.pathways.alpha.to_string()),
            ("clip_samples", self.pathways.fast_frames.to_string()),
            ("slow_indices", json!(self.slow_indices()?).to_string()),
            ("temperature", json!(spec.temperature).to_string()),
            ("threshold", json!(spec.threshold).to_string()),
            ("orientation", spec.orientation.clone()),
            ("precision", precision.as_str().into()),
            ("source_sha256", self.source_sha256.clone()),
            ("model_version", spec.model_version.clone()),
            ("provenance", spec.provenance.clone()),
        ];
        let mut entries: BTreeMap<String, String> =
            entries.map(|(key, value)| (key.to_owned(), value)).into();
        if !groups.is_empty() {
            entries.insert("groups".into(), json!(groups).to_string());
            entries.insert("group_threshold".into(), json!(spec.group_threshold).to_string());
        }
        spec.preprocess.add_entries(&mut entries, self.input);
        if let Some(novelty) = &spec.novelty {
            entries.insert("novelty".into(), json!(novelty).to_string());
        }
        Ok(entries)
    }

    /// Returns the indices of the slow samples in a clip. The indices come from the specification.
    /// If the specification does not list them, they are the indices that the network itself
    /// selects from a packed input. If there is no packed input either, a chunk-causal network gets
    /// the first sample of each chunk, and any other network gets evenly spaced samples as in
    /// SlowFast.
    fn slow_indices(&self) -> Result<Vec<usize>> {
        let Pathways { slow, alpha, slow_frames, fast_frames, packed_indices, .. } = self.pathways;
        let (slow_frames, fast_frames) = (*slow_frames, *fast_frames);
        if slow.is_none() {
            return Ok(Vec::new());
        }
        if let Some(given) = &self.options.spec.slow_indices {
            let is_rising = given.windows(2).all(|pair| pair[0] < pair[1]);
            if given.len() != slow_frames || !is_rising || given.iter().any(|&i| i >= fast_frames) {
                return fail_spec(format!(
                    "slow_indices must be {slow_frames} increasing numbers from 0 to {}, got {given:?}",
                    fast_frames - 1
                ));
            }
            return Ok(given.clone());
        }
        Ok(match packed_indices {
            Some(indices) => indices.clone(),
            None if self.is_causal || slow_frames == 1 => {
                (0..slow_frames).map(|i| i * alpha).collect()
            }
            // These are the values of `linspace`, truncated to integers as in PySlowFast's
            // `pack_pathway_output`.
            None => (0..slow_frames).map(|i| i * (fast_frames - 1) / (slow_frames - 1)).collect(),
        })
    }
}

/// Returns the value of the key `states`.
pub(crate) fn states_entry(states: &[State]) -> String {
    let entry =
        |s: &State| json!({ "name": s.name, "shape": s.shape, "initial": f64::from(s.initial) });
    Value::Array(states.iter().map(entry).collect()).to_string()
}

/// Returns the value of the key `self_test`. `result` is the output of the float32 graph, and
/// `precision` is the precision of the package.
pub(crate) fn self_test_entry(result: &[f32], precision: Precision) -> String {
    let tolerance = tolerance_entry(result.iter(), precision);
    json!({ "seed": SEED, "logits": to_decimals(result), "tolerance": tolerance }).to_string()
}

/// Returns the value of the key `self_test` of a package with frame steps. `chunks` are the results
/// of the float32 graphs.
pub(crate) fn frame_self_test_entry(chunks: &[TestedChunk], precision: Precision) -> String {
    let results =
        chunks.iter().flat_map(|chunk| [&chunk.outputs.fast, &chunk.outputs.slow]).flatten();
    let tolerance = tolerance_entry(results, precision);
    let entry = |chunk: &TestedChunk| {
        let mut entry = json!({
            "fast": to_decimals(&chunk.outputs.fast),
            "slow": to_decimals(&chunk.outputs.slow),
            "logits": to_decimals(&chunk.outputs.sum()),
        });
        if let (Some(head), Some(entry)) = (&chunk.head, entry.as_object_mut()) {
            entry.insert("head".into(), json!(to_decimals(head)));
        }
        entry
    };
    let heads = chunks.iter().filter_map(|chunk| chunk.head.as_ref()).flatten();
    let head_tolerance = tolerance_entry(heads, precision);
    let has_head = chunks.iter().any(|chunk| chunk.head.is_some());
    let chunks: Vec<Value> = chunks.iter().map(entry).collect();
    let mut test = json!({ "seed": SEED, "chunks": chunks, "tolerance": tolerance });
    if let (true, Some(test)) = (has_head, test.as_object_mut()) {
        test.insert("head_tolerance".into(), head_tolerance);
    }
    test.to_string()
}

/// Returns the tolerances for results, which depend on the largest of them.
fn tolerance_entry<'a>(results: impl Iterator<Item = &'a f32>, precision: Precision) -> Value {
    let scale = results.fold(MIN_SCALE, |m, v| m.max(f64::from(v.abs())));
    let fp16 = TOLERANCE_FP16 * scale;
    let fp32 = if precision == Precision::Fp32 { TOLERANCE_FP32 * scale } else { fp16 };
    json!({ "fp32": fp32, "fp16": fp16 })
}

/// Converts float32 numbers to text and back, which gives the doubles that print as the same short
/// decimals. A cast would give doubles that print with more digits.
fn to_decimals(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.to_string().parse().unwrap_or(f64::from(v))).collect()
}
