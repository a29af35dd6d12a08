//! Progress and cancellation of `Engine::prepare`.

use crate::abi::abi_enum;
use crate::error::{Error, Result, Status};
use std::time::{Duration, Instant};

abi_enum! {
    /// Stage of `Engine::prepare`.
    pub enum Stage: u32 {
        /// The library looks for an engine in the engine cache and checks it.
        ReadingCache = 1,
        /// The provider loads an engine, or builds one, which may take minutes.
        Building = 2,
        /// The library runs the self-test of the model package.
        SelfTest = 3,
        /// The library measures the time of a step.
        Measuring = 4,
    }
}

/// Progress of `Engine::prepare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Current stage.
    pub stage: Stage,
    /// Time since `Engine::prepare` was called.
    pub elapsed: Duration,
}

/// A reporter of progress to the host, which may cancel the call.
pub(crate) struct ProgressReporter<'a> {
    start: Instant,
    /// The host's callback, which returns false to cancel; `None` if nothing is reported.
    callback: Option<&'a mut dyn FnMut(Progress) -> bool>,
}

impl<'a> ProgressReporter<'a> {
    /// Creates a reporter that calls `callback`, which returns false to cancel.
    pub(crate) fn new(callback: &'a mut dyn FnMut(Progress) -> bool) -> Self {
        Self { start: Instant::now(), callback: Some(callback) }
    }

    /// Creates a reporter that reports nothing.
    #[cfg(feature = "ort")]
    pub(crate) fn silent() -> Self {
        Self { start: Instant::now(), callback: None }
    }

    /// Reports a stage.
    ///
    /// # Errors
    /// Returns [`Status::Cancelled`] if the host cancels the call.
    pub(crate) fn report(&mut self, stage: Stage) -> Result<()> {
        let progress = Progress { stage, elapsed: self.start.elapsed() };
        if self.callback.as_mut().is_none_or(|callback| callback(progress)) {
            return Ok(());
        }
        let message = format!("the host cancelled the call after {:?}", progress.elapsed);
        Err(Error::new(Status::Cancelled, message))
    }
}
