//! The providers of ONNX Runtime: `cpu`, `cuda`, `tensorrt` and `tensorrt-rtx`. The runtime is
//! loaded from a shared library that the host supplies.

mod captured;
mod device_windows;
mod graph;
mod plain;
#[cfg(feature = "tensorrt-rtx")]
mod plugin;
mod provider;
#[cfg(feature = "bench")]
pub(crate) mod raw;
mod runtime;
mod session;
mod tensor;
mod tensorrt;
#[cfg(test)]
mod tests;

use super::interface::Backend;
use crate::engine::config::EngineConfig;
use crate::error::Result;
use crate::memory::check_budget;
use crate::model::ModelPackage;
use provider::Settings;
use std::sync::Arc;

pub(crate) use provider::Provider;

/// Address space that ONNX Runtime needs to load its library and a package: a fixed amount, and a
/// multiple of the size of the package.
const LOAD_BYTES: usize = 64 << 20;
const LOAD_FACTOR: usize = 4;

/// Loads the runtime, loads the graph on one of the runtime's providers, and checks the graph's
/// inputs and outputs against the metadata. With TensorRT and TensorRT for RTX, the graph is loaded
/// later, when the engine is prepared.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if too little memory is available, the errors of
/// [`runtime::get_runtime`], [`Status::ProviderUnavailable`] if the provider
/// is missing or cannot run the whole graph, [`Status::ModelInvalid`] if the graph cannot be
/// loaded, or [`Status::ModelMismatch`] if an input or output does not match the metadata.
///
/// [`Status::ProviderUnavailable`]: crate::Status::ProviderUnavailable
/// [`Status::OutOfMemory`]: crate::Status::OutOfMemory
/// [`Status::ModelInvalid`]: crate::Status::ModelInvalid
/// [`Status::ModelMismatch`]: crate::Status::ModelMismatch
pub(crate) fn load(
    package: &ModelPackage,
    provider: Provider,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    // A part of ONNX Runtime ends the process if an allocation fails. The models of frame steps are
    // copies of the parts of the package.
    let copies = usize::from(package.spec.frame_steps.is_some());
    check_budget("loading the model", LOAD_BYTES + (LOAD_FACTOR + copies) * package.bytes.len())?;
    let runtime = runtime::get_runtime(config.runtime_library.as_deref())?;
    let settings = Settings::new(provider, package.spec.precision, config);
    match provider {
        Provider::Cpu | Provider::Cuda => graph::load_graph(&runtime, package, &settings, None, ""),
        Provider::TensorRt => tensorrt::load(runtime, package, settings, config),
        #[cfg(feature = "tensorrt-rtx")]
        Provider::TensorRtRtx => tensorrt::load_rtx(runtime, package, settings, config),
    }
}
