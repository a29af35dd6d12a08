//! Helper functions for the tensors, errors and reports of ONNX Runtime.

use super::provider::Settings;
use crate::backend::report::RuntimeReport;
use crate::backend::signature::GraphTensor;
use crate::error::{Error, Result, Status};
use crate::model::ModelSpec;
use ort::memory::Allocator;
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

/// Describes an input or output of a graph.
pub(super) fn describe_outlet(outlet: &Outlet) -> GraphTensor<'_> {
    let (shape, is_float32) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            // Dimensions that are not static are negative.
            let sides = shape.iter().map(|&side| usize::try_from(side).ok()).collect();
            (sides, *ty == TensorElementType::Float32)
        }
        _ => (Vec::new(), false),
    };
    GraphTensor { name: outlet.name(), shape, is_float32 }
}

/// Texts with which ONNX Runtime reports that an allocation failed.
const OUT_OF_MEMORY_TEXTS: [&str; 4] =
    ["bad_alloc", "bad allocation", "Failed to allocate memory", "out of memory"];

/// Returns [`Status::OutOfMemory`] if the message of ONNX Runtime says that an allocation failed,
/// and `status` otherwise.
pub(super) fn classify_memory(message: &str, status: Status) -> Status {
    let is_out_of_memory = OUT_OF_MEMORY_TEXTS.iter().any(|text| message.contains(text));
    if is_out_of_memory { Status::OutOfMemory } else { status }
}

/// Converts an error that occurred during a run.
pub(super) fn inference_error(error: ort::Error) -> Error {
    let message = error.to_string();
    Error::new(classify_memory(&message, Status::Inference), message)
}

/// Converts an error that occurred during an allocation.
pub(super) fn out_of_memory_error(error: ort::Error) -> Error {
    Error::new(Status::OutOfMemory, error.to_string())
}

/// Allocates a tensor in host memory whose values are all `value`.
pub(super) fn create_filled(shape: &[usize], value: f32) -> Result<Tensor<f32>> {
    let mut tensor = Tensor::new(&Allocator::default(), shape).map_err(out_of_memory_error)?;
    tensor.try_extract_tensor_mut().map_err(inference_error)?.1.fill(value);
    Ok(tensor)
}

/// Creates the report for a backend that is loaded or will be built. `version` is the provider's
/// version, or empty if the provider has none.
pub(super) fn describe_runtime(
    runtime_version: &str,
    settings: &Settings,
    spec: &ModelSpec,
    version: &str,
) -> RuntimeReport {
    let runtime = format!("onnxruntime {runtime_version}");
    let provider_version = if version.is_empty() { runtime.clone() } else { version.to_owned() };
    RuntimeReport {
        provider: settings.provider.name().into(),
        provider_version,
        runtime_version: runtime,
        precision: spec.precision,
    }
}
