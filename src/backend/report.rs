//! A report on the provider and runtime in use, for the device's records.

use crate::model::Precision;

/// Provider, runtime and precision of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeReport {
    /// Name of the provider: `embedded`, `cpu`, `cuda`, `tensorrt` or `tensorrt-rtx`.
    pub provider: String,
    /// Version of the provider, or version of the runtime if the provider has none.
    pub provider_version: String,
    /// Name and version of the runtime, such as `onnxruntime 1.23.2` or `rten 0.27`.
    pub runtime_version: String,
    /// Precision in which the provider computes.
    pub precision: Precision,
}
