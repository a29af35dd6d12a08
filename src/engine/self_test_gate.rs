//! The outcome of an engine's self-test, which the streams of the engine obey.

use crate::error::{Error, Result, Status};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The outcome of the last self-test of an engine. An engine that has not run its self-test is not
/// considered to have failed it.
#[derive(Default)]
pub(crate) struct SelfTestGate {
    /// Whether `failure` is present. Real-time calls and workers read only this flag.
    has_failed: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl SelfTestGate {
    /// Records the outcome of a self-test. A self-test that could not be run, for example because
    /// of an error of the runtime, leaves the earlier outcome in force.
    pub(crate) fn record(&self, outcome: &Result<f32>) {
        let new_failure = match outcome {
            Ok(_) => None,
            Err(error) if error.status() == Status::SelfTest => Some(error.clone()),
            Err(_) => return,
        };
        let mut failure = self.failure.lock();
        self.has_failed.store(new_failure.is_some(), Relaxed);
        *failure = new_failure;
    }

    /// Returns whether the last self-test failed. The call takes no lock.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// Checks that the last self-test did not fail. The call takes a lock, so only control calls
    /// may make it.
    ///
    /// # Errors
    /// Returns [`Status::SelfTest`] with the message of the self-test.
    pub(crate) fn check(&self) -> Result<()> {
        let failure = self.failure.lock();
        failure.as_ref().map_or(Ok(()), |failure| {
            let message = format!("prepare failed its self-test: {}", failure.message());
            Err(Error::new(Status::SelfTest, message))
        })
    }

    /// Holds the lock of the failure, so that a test can show that a call does not need it.
    #[cfg(test)]
    pub(crate) fn hold_failure(&self) -> impl Drop + '_ {
        self.failure.lock()
    }
}
