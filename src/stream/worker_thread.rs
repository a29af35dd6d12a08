//! The worker thread of a stream.

use super::config::Drive;
use super::hooks::ThreadStart;
use super::worker::Worker;
use crate::engine::scheduler::Scheduler;
use crate::error::{Result, Status};
use crate::sys::fork::CreatorOwned;
use crate::sys::thread::start_thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Time between two checks of the ring by a polling worker.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

/// Name of the thread, which is also the role that is passed to `thread_start`.
const NAME: &str = "tteview";

/// The worker thread of a stream. Dropping this value ends the thread after the step in progress,
/// even while the engine is paused.
pub(super) struct WorkerThread {
    /// The thread; `None` only while this value is dropped.
    handle: CreatorOwned<Option<JoinHandle<()>>>,
    /// Whether the worker sleeps until it is woken.
    sleeps: bool,
    stop: Arc<AtomicBool>,
    /// Scheduler in which the worker may be waiting when the thread must end.
    scheduler: Arc<Scheduler>,
}

impl WorkerThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns [`Status::System`] if the thread cannot be started.
    pub(super) fn start(
        mut worker: Worker,
        drive: Drive,
        scheduler: &Arc<Scheduler>,
        thread_start: Option<ThreadStart>,
    ) -> Result<Self> {
        let stop = worker.stop_flag();
        let is_stopping = Arc::clone(&stop);
        let run = move || {
            if let Some(start) = &thread_start
                && catch_unwind(AssertUnwindSafe(|| start(NAME))).is_err()
            {
                return worker.poison();
            }
            while !is_stopping.load(Relaxed) {
                match (worker.process_slot(), drive) {
                    (Ok(()), _) => {}
                    (Err(Status::NotReady), Drive::Poll) => std::thread::sleep(POLL_INTERVAL),
                    (Err(Status::NotReady), _) => std::thread::park(),
                    (Err(_), _) => break,
                }
            }
        };
        let handle = CreatorOwned::new(Some(start_thread(NAME, run)?));
        let sleeps = drive == Drive::Wake;
        Ok(Self { handle, sleeps, stop, scheduler: Arc::clone(scheduler) })
    }

    /// Returns the thread, which the slow lane wakes.
    pub(super) fn thread(&self) -> Option<Thread> {
        self.handle.as_ref().map(|handle| handle.thread().clone())
    }

    /// Wakes the worker if it sleeps.
    pub(super) fn wake(&self) {
        if self.sleeps
            && let Some(handle) = &*self.handle
        {
            handle.thread().unpark();
        }
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        if self.handle.creator().is_other_process() {
            return;
        }
        self.stop.store(true, Relaxed);
        self.scheduler.wake_all();
        if let Some(handle) = self.handle.take() {
            handle.thread().unpark();
            let _ = handle.join();
        }
    }
}
