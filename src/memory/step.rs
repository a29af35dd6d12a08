//! Memory for the steps of a runtime that ends the process if an allocation fails.

use super::{check_budget, out_of_memory};
use crate::error::{Error, Result};
use crate::sys::reserve::{Ballast, IS_ACTIVE, measure_peak};
use std::sync::OnceLock;

/// Memory in addition to the largest amount that a measured step allocated, because the allocator
/// splits memory differently in each step.
const MARGIN_BYTES: usize = 1 << 20;

/// Memory for the steps of one engine. The first step is measured. From then on, this value holds
/// ballast, which the allocator returns to the system when an allocation fails.
pub(crate) struct StepMemory {
    /// Upper bound for the bytes that a step allocates.
    bound_bytes: usize,
    ballast: OnceLock<Ballast>,
}

impl StepMemory {
    /// Creates the value. `bound_bytes` is an upper bound for the bytes that a step allocates.
    pub(crate) fn new(bound_bytes: usize) -> Self {
        Self { bound_bytes, ballast: OnceLock::new() }
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
        check_budget("a step of the network", self.bound_bytes)?;
        let (peak, result) = measure_peak(step);
        if IS_ACTIVE
            && result.is_ok()
            && let Some(ballast) = Ballast::new(self.ballast_bytes(peak))
        {
            // If another thread has set the ballast, this one is dropped.
            let _ = self.ballast.set(ballast);
        }
        result
    }

    /// Returns the size of the ballast after a step for which `peak` bytes were measured. The bound
    /// is computed, because the measured number is too small if other threads free memory during
    /// the step. The measured number counts if a step allocates more than the bound.
    fn ballast_bytes(&self, peak: usize) -> usize {
        peak.saturating_add(MARGIN_BYTES).max(self.bound_bytes)
    }

    fn refusal(&self) -> Error {
        out_of_memory("a step of the network", self.bound_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::reserve::count_growth;

    #[test]
    fn memory_that_another_thread_frees_leaves_the_ballast() {
        let memory = StepMemory::new(10 << 20);
        let step_bytes = 9 << 20;
        let (peak, ()) = measure_peak(|| {
            // Another engine is dropped while the step runs.
            count_growth(-(64 << 20));
            count_growth(step_bytes);
            count_growth(-step_bytes);
        });
        assert!(peak < 9 << 20, "the measured number is too small: {peak}");
        assert_eq!(memory.ballast_bytes(peak), 10 << 20);
    }

    #[test]
    fn a_step_above_its_bound_enlarges_the_ballast() {
        let memory = StepMemory::new(10 << 20);
        assert_eq!(memory.ballast_bytes(12 << 20), (12 << 20) + MARGIN_BYTES);
    }
}
