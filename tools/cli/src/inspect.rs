//! `tteview inspect`.

use crate::{Failure, output};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use tteview_compiler::{Inspection, TensorInfo, inspect_in};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Model package, or any ONNX file that `compile` reads
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let model = &self.model;
        let bytes = std::fs::read(model).map_err(|error| Failure::model(model, error))?;
        let inspection = inspect_in(&bytes, model.parent()).map_err(|error| Failure::model(model, error))?;
        if self.json {
            output::line(&object(&inspection).to_string())
        } else {
            output::line(inspection.to_string().trim_end())
        }
    }
}

fn object(inspection: &Inspection) -> Value {
    let tensors = |tensors: &[TensorInfo]| -> Vec<Value> {
        let one = |t: &TensorInfo| json!({ "name": t.name, "shape": t.shape, "bytes": t.bytes() });
        tensors.iter().map(one).collect()
    };
    // Structured metadata is JSON already; what is plain text stays text.
    let structured = |text: &String| match serde_json::from_str(text) {
        Ok(value @ (Value::Array(_) | Value::Object(_) | Value::Number(_))) => value,
        _ => Value::String(text.clone()),
    };
    let metadata: Map<String, Value> =
        inspection.metadata.iter().map(|(key, text)| (key.clone(), structured(text))).collect();
    json!({
        "inputs": tensors(&inspection.inputs),
        "outputs": tensors(&inspection.outputs),
        "states": tensors(&inspection.states),
        "state_bytes": inspection.states.iter().map(TensorInfo::bytes).sum::<usize>(),
        "multiply_adds": inspection.multiply_adds,
        "parameters": inspection.parameters,
        "opset": inspection.opset,
        "operators": inspection.operators,
        "metadata": metadata,
    })
}
