//! `tteview inspect`.

use crate::failure::Failure;
use crate::input_file::MAX_MODEL_BYTES;
use crate::output::{print_json, print_lines};
use crate::terminal::{escape_controls, escape_name};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use tteview::regular_file;
use tteview_compiler::{FrameInspection, Inspection, TensorInfo, inspect_in};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Model package, or any ONNX file that `compile` can read
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let model = &self.model;
        let bytes = regular_file::read(model, MAX_MODEL_BYTES)
            .map_err(|error| Failure::model(model, error))?;
        let inspection =
            inspect_in(&bytes, model.parent()).map_err(|error| Failure::model(model, error))?;
        if self.json {
            print_json(&to_json(&inspection))
        } else {
            print_lines(prepare_texts(inspection).to_string().trim_end().lines())
        }
    }
}

/// Number of characters of a metadata value that are printed without `--json`.
const MOST_CHARACTERS: usize = 200;

/// Shortens a long text, such as the means of a novelty score, and says how to get all of it.
fn shorten(text: &str) -> String {
    let count = text.chars().count();
    if count <= MOST_CHARACTERS {
        return text.to_owned();
    }
    let start: String = text.chars().take(MOST_CHARACTERS).collect();
    format!("{start}... ({count} characters; --json prints all)")
}

/// Escapes all texts of the model, so that a line break in a text does not begin a line, and
/// shortens the values of the metadata.
fn prepare_texts(inspection: Inspection) -> Inspection {
    let tensors = |tensors: Vec<TensorInfo>| {
        let escape = |tensor: TensorInfo| TensorInfo { name: escape_name(&tensor.name), ..tensor };
        tensors.into_iter().map(escape).collect()
    };
    Inspection {
        inputs: tensors(inspection.inputs),
        outputs: tensors(inspection.outputs),
        states: tensors(inspection.states),
        operators: inspection
            .operators
            .iter()
            .map(|(name, &count)| (escape_name(name), count))
            .collect(),
        // The values are usually JSON, in which a doubled backslash would be hard to read.
        metadata: inspection
            .metadata
            .iter()
            .map(|(key, text)| (escape_name(key), escape_controls(&shorten(text)).into_owned()))
            .collect(),
        ..inspection
    }
}

fn to_json(inspection: &Inspection) -> Value {
    let tensors = |tensors: &[TensorInfo]| -> Vec<Value> {
        let tensor =
            |t: &TensorInfo| json!({ "name": t.name, "shape": t.shape, "bytes": t.bytes() });
        tensors.iter().map(tensor).collect()
    };
    // Arrays, objects and numbers in the metadata are already JSON. Every other value becomes a
    // JSON string.
    let metadata_value = |text: &String| match serde_json::from_str(text) {
        Ok(value @ (Value::Array(_) | Value::Object(_) | Value::Number(_))) => value,
        _ => Value::String(text.clone()),
    };
    let metadata: Map<String, Value> =
        inspection.metadata.iter().map(|(key, text)| (key.clone(), metadata_value(text))).collect();
    json!({
        "inputs": tensors(&inspection.inputs),
        "outputs": tensors(&inspection.outputs),
        "states": tensors(&inspection.states),
        "state_bytes": inspection.states.iter().map(TensorInfo::bytes).sum::<usize>(),
        "multiply_adds": inspection.multiply_adds,
        "frame_steps": inspection.frame_steps.as_ref().map(frame_steps_to_json),
        "parameters": inspection.parameters,
        "opset": inspection.opset,
        "operators": inspection.operators,
        "runtime_operator": inspection.runtime_operator,
        "metadata": metadata,
    })
}

fn frame_steps_to_json(frames: &FrameInspection) -> Value {
    let part = |multiply_adds: u64, states: usize, bytes: usize| {
        json!({
            "multiply_adds": multiply_adds,
            "share_of_clip": frames.share_of_clip(multiply_adds),
            "states": states,
            "state_bytes": bytes,
        })
    };
    let left = |multiply_adds: u64| {
        let share = frames.share_of_clip(multiply_adds);
        json!({ "multiply_adds": multiply_adds, "share_of_clip": share })
    };
    json!({
        "lateral_reach": frames.lateral_reach,
        "fast_run": part(frames.fast_multiply_adds, frames.fast_states, frames.fast_state_bytes),
        "slow_run": part(frames.slow_multiply_adds, frames.slow_states, frames.slow_state_bytes),
        "head": frames.head_multiply_adds.map(left),
        "left_at_best": left(frames.least_left()),
        "left_at_worst": left(frames.most_left()),
    })
}
