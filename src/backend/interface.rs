//! The traits that every backend and its sessions implement.

use super::report::RuntimeReport;
use super::windows::LateralWindows;
use crate::engine::origin::EngineOrigin;
use crate::engine::progress::ProgressReporter;
use crate::error::{Error, Result, Status};
use crate::model::part::Part;
use std::path::Path;

/// One model loaded on one provider, shared by the streams of an engine.
///
/// Several sessions may run at the same time on different threads.
pub(crate) trait Backend: Send + Sync {
    /// Reports the provider, the runtime and the precision.
    fn report(&self) -> RuntimeReport;

    /// Allocates the tensors of one stream for a part of the network, with the states at their
    /// initial values. If the backend needs [`Self::prepare`] and has not been prepared, this
    /// function first prepares it.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available, or the error of the
    /// provider.
    fn create_session(&self, part: Part) -> Result<Box<dyn Session>>;

    /// Allocates memory for the lateral windows of a network with frame steps, which a session of
    /// the fast part can write and a session of the slow part can read.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available.
    fn create_windows(&self) -> Result<LateralWindows>;

    /// Loads or builds the provider's engine, if the provider needs one. This may take minutes.
    fn prepare(&self, _: &mut ProgressReporter<'_>) -> Result<()> {
        Ok(())
    }

    /// Returns the origin of the provider's engine.
    fn origin(&self) -> EngineOrigin {
        EngineOrigin::NotNeeded
    }

    /// Writes the provider's engine to a file.
    fn export(&self, _: &Path) -> Result<()> {
        Err(no_engine_error(&self.report().provider))
    }

    /// Imports an engine from a file into the engine cache.
    fn import(&self, _: &Path) -> Result<()> {
        Err(no_engine_error(&self.report().provider))
    }
}

/// Returns the error for a session of a part that the network does not have.
#[cfg(any(feature = "ort", feature = "rten"))]
pub(super) fn missing_part_error() -> Error {
    Error::new(Status::Internal, "the network does not have this part")
}

pub(super) fn no_engine_error(provider: &str) -> Error {
    let message = format!("the provider {provider} builds no engine that can be kept in a file");
    Error::new(Status::Unsupported, message)
}

/// The inputs of one run, in host memory.
pub(crate) struct Inputs<'a> {
    /// Slow samples with the shape `[Ts, C, H, W]`; empty if the part reads none.
    pub(crate) slow: &'a mut [f32],
    /// Fast samples with the shape `[Tf, C, H, W]`; empty if the part reads none.
    pub(crate) fast: &'a mut [f32],
}

/// The tensors of one stream: inputs, outputs and the temporal state between runs.
///
/// Functions other than [`Self::run`] must not allocate memory, except for error messages.
pub(crate) trait Session: Send {
    /// Returns the inputs of the next run. They keep their values until the caller writes others.
    fn inputs(&mut self) -> Inputs<'_>;

    /// Runs the graph once. On success, the next states become the current states. On failure, the
    /// current states do not change.
    fn run(&mut self) -> Result<()>;

    /// Returns the logits of the last run, with the shape `[L]`.
    fn logits(&self) -> &[f32];

    /// Sets every state to its initial value.
    fn reset(&mut self) -> Result<()>;

    /// Copies the lateral windows as they are after the last run of the fast part. This function
    /// may be called only after a run.
    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()>;

    /// Sets the lateral windows that the next run of the slow part reads.
    fn set_windows(&mut self, from: &LateralWindows) -> Result<()>;

    /// Runs the fast part and then copies the lateral windows, without a pause of the engine in
    /// between.
    fn run_and_copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        self.run()?;
        self.copy_windows(to)
    }

    /// Runs the slow part on these lateral windows.
    fn run_on_windows(&mut self, from: &LateralWindows) -> Result<()> {
        self.set_windows(from)?;
        self.run()
    }
}
