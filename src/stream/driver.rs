//! The handle of a host-driven stream for the thread that processes frames.

use super::worker::Worker;
use crate::engine::scheduler::Scheduler;
use crate::error::{Result, Status};
use std::sync::Arc;

/// The handle of a host-driven stream for the thread that processes frames.
///
/// Only one thread at a time may use the handle. The network runs on that thread. Dropping the
/// driver ends every wait for a result that has not been published, with [`Status::Cancelled`].
///
/// ```no_run
/// # fn run(driver: &mut tteview::Driver, is_running: impl Fn() -> bool) -> Result<(), tteview::Status> {
/// use std::time::Duration;
/// use tteview::Status;
///
/// while is_running() {
///     match driver.process() {
///         Ok(()) => {}
///         // No frame is waiting. The acquisition thread could also wake this thread.
///         Err(Status::NotReady) => std::thread::sleep(Duration::from_millis(1)),
///         Err(status) => return Err(status),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Driver {
    worker: Worker,
    scheduler: Arc<Scheduler>,
}

impl Driver {
    pub(super) fn new(worker: Worker, scheduler: &Arc<Scheduler>) -> Self {
        Self { worker, scheduler: Arc::clone(scheduler) }
    }

    /// Processes the oldest entry that is waiting in the ring: a frame or the end of an
    /// acquisition. If no entry is waiting and a slow run of frame steps is due, makes one.
    ///
    /// # Errors
    /// Returns [`Status::NotReady`] if nothing is waiting or the engine is paused, or
    /// [`Status::Poisoned`] after an internal error. If the network fails, the result of the
    /// acquisition reports the error.
    pub fn process(&mut self) -> Result<(), Status> {
        if self.worker.is_poisoned() {
            return Err(Status::Poisoned);
        }
        let Some(_guard) = self.scheduler.begin_driving() else { return Err(Status::NotReady) };
        self.worker.process_slot()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.worker.stop(&self.scheduler);
    }
}
