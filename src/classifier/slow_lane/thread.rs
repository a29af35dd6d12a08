//! The thread of the slow lane.

use super::worker::SlowWorker;
use crate::error::Result;
use crate::stream::hooks::ThreadStart;
use crate::sys::fork::CreatorOwned;
use crate::sys::thread::{set_batch_policy, start_thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};

/// Name of the thread, which is also the role that is passed to `thread_start`.
const NAME: &str = "tteview-slow";

/// The state that the threads of both lanes share.
#[derive(Default)]
pub(crate) struct LaneSignals {
    /// The thread of the fast lane, which is woken after each slow run. It is set before the first
    /// job.
    fast_lane: OnceLock<Thread>,
    /// Whether the slow lane must end.
    stop: AtomicBool,
    /// Whether the slow lane has panicked.
    has_panicked: AtomicBool,
}

impl LaneSignals {
    /// Sets the thread that runs the fast lane.
    pub(crate) fn set_fast_lane(&self, thread: Thread) {
        // The thread is set only once.
        let _ = self.fast_lane.set(thread);
    }

    fn wake_fast_lane(&self) {
        if let Some(thread) = self.fast_lane.get() {
            thread.unpark();
        }
    }
}

/// The thread of the slow lane. Dropping this value ends the thread after the run in progress.
pub(super) struct SlowThread {
    /// The thread; `None` only while this value is dropped.
    handle: CreatorOwned<Option<JoinHandle<()>>>,
    signals: Arc<LaneSignals>,
}

impl SlowThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns [`Status::System`](crate::Status::System) if the thread cannot be started.
    pub(super) fn start(
        mut worker: SlowWorker,
        signals: &Arc<LaneSignals>,
        hook: Option<ThreadStart>,
    ) -> Result<Self> {
        let shared = Arc::clone(signals);
        let run = move || {
            let work = || {
                // Otherwise, a system that puts this thread on the core of the worker lets it
                // interrupt the worker, which has just woken it.
                set_batch_policy();
                if let Some(hook) = &hook {
                    hook(NAME);
                }
                while !shared.stop.load(Relaxed) {
                    if worker.run_next() {
                        shared.wake_fast_lane();
                    } else {
                        std::thread::park();
                    }
                }
            };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                shared.has_panicked.store(true, Release);
                shared.wake_fast_lane();
            }
        };
        let handle = CreatorOwned::new(Some(start_thread(NAME, run)?));
        Ok(Self { handle, signals: Arc::clone(signals) })
    }

    /// Wakes the thread, because a run is due.
    pub(super) fn wake(&self) {
        if let Some(handle) = &*self.handle {
            handle.thread().unpark();
        }
    }

    /// Returns whether the thread has ended after a panic.
    pub(super) fn has_panicked(&self) -> bool {
        self.signals.has_panicked.load(Acquire)
    }
}

impl Drop for SlowThread {
    fn drop(&mut self) {
        if self.handle.creator().is_other_process() {
            return;
        }
        self.signals.stop.store(true, Relaxed);
        if let Some(handle) = self.handle.take() {
            handle.thread().unpark();
            let _ = handle.join();
        }
    }
}
