//! Memory for the steps of a runtime that ends the process if an allocation fails.

use super::{check_budget, out_of_memory};
use crate::error::{Error, Result};
use crate::sys::reserve::{Ballast, IS_ACTIVE, measure_peak};
use std::sync::OnceLock;

/// Memory in addition to the largest amount that a measured step allocated, because the allocator
/// splits memory differently in each step.
const MARGIN_BYTES: usize = 1 << 20;

/// Memory for the steps of one engine. The first step is measured. From then on, this value holds
/// ballast of the measured size, which the allocator returns to the system when an allocation
/// fails.
pub(crate) struct StepMemory {
    /// Bytes that must be available before the first step.
    first_bytes: usize,
    ballast: OnceLock<Ballast>,
}

impl StepMemory {
    /// Creates the value. `first_bytes` is an upper estimate of what a step allocates.
    pub(crate) fn new(first_bytes: usize) -> Self {
        Self { first_bytes, ballast: OnceLock::new() }
    }

    /// Runs a step if its memory is available. After the first step, the check makes no system call
    /// unless an allocation failed since the last step.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) without running the step if its
    /// memory is not available, or the error of the step.
    pub(crate) fn run<T>(&self, step: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some(ballast) = self.ballast.get() {
            return if ballast.restore() { step() } else { Err(self.refusal()) };
        }
        check_budget("a step of the network", self.first_bytes)?;
        let (peak, result) = measure_peak(step);
        if IS_ACTIVE
            && result.is_ok()
            && let Some(ballast) = Ballast::new(peak.saturating_add(MARGIN_BYTES))
        {
            // If another thread has set the ballast, this one is dropped.
            let _ = self.ballast.set(ballast);
        }
        result
    }

    fn refusal(&self) -> Error {
        out_of_memory("a step of the network", self.first_bytes)
    }
}
