//! What runs the network: a trait over named tensors, preallocated, and the backends behind it.
//!
//! A [`Backend`] is one loaded model on one provider, shared by all streams of an engine. A [`Session`] is one
//! stream's set of tensors on it: inputs to write, outputs to read, and the temporal state in between.

use crate::Result;

#[cfg(feature = "ort")]
pub(crate) mod ort;
#[cfg(feature = "rten")]
pub(crate) mod rten;

/// What really runs, for the device's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeReport {
    /// Provider that runs the graph: `embedded`, `cpu`, `cuda`, `tensorrt`, `tensorrt-rtx`.
    pub provider: String,
    /// Version of the provider where it has one of its own, else of the runtime.
    pub provider_version: String,
    /// Runtime and its version, as in `onnxruntime 1.23.2` or `rten 0.27.0`.
    pub runtime_version: String,
    /// Precision the provider computes in: `fp32` or `fp16`.
    pub precision: &'static str,
}

/// One loaded model on one provider. Shared by streams: sessions may run at the same time from several threads.
pub(crate) trait Backend: Send + Sync {
    /// What really runs.
    fn report(&self) -> RuntimeReport;

    /// Allocates the tensors of one stream; states hold their initial values.
    fn session(&self) -> Result<Box<dyn Session>>;
}

/// One stream's tensors. Nothing here allocates by code of ours after [`Backend::session`].
pub(crate) trait Session: Send {
    /// Host memory of the slow input, `[Ts, C, H, W]`; empty for a network with one pathway.
    fn slow(&mut self) -> &mut [f32];

    /// Host memory of the fast input, `[Tf, C, H, W]`.
    fn fast(&mut self) -> &mut [f32];

    /// Runs the graph once. On success the next states become the current ones; on an error they stay as they were.
    fn run(&mut self) -> Result<()>;

    /// The logits of the last run, `[L]`.
    fn logits(&self) -> &[f32];

    /// Puts every state back to its initial value.
    fn reset(&mut self) -> Result<()>;
}
