//! The place of worker 0 in a pool without a thread of its own for that worker.

use crate::registry::{Registry, ThreadBuilder, WorkerThread};
use crate::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

/// The place of worker 0 in a pool that was built with `ThreadPoolBuilder::use_caller_thread`.
///
/// The thread that calls `ThreadPool::install` takes the place for the duration of the call. One
/// thread at a time can hold the place; others block until it is free.
pub(super) struct CallerPlace {
    worker: WorkerThread,
    /// Held by the thread that holds the place.
    lock: Mutex<()>,
    /// The thread that holds the place, or 0.
    holder: AtomicUsize,
}

// SAFETY: only the thread that holds `lock` uses `worker`. Everything in it can be sent.
unsafe impl Sync for CallerPlace {}

/// Ends the use of the place, also after a panic.
struct Visit<'a> {
    place: &'a CallerPlace,
    /// The worker that the thread was before.
    outer: *const WorkerThread,
    /// Whether this call has taken the place. A nested call finds it taken by its own thread.
    is_outermost: bool,
}

impl CallerPlace {
    pub(super) fn new(registry: &Arc<Registry>) -> Option<Self> {
        let builder: ThreadBuilder = registry.take_caller_builder()?;
        Some(CallerPlace {
            worker: WorkerThread::from(builder),
            lock: Mutex::new(()),
            holder: AtomicUsize::new(0),
        })
    }

    /// Runs `op` with the calling thread as worker 0 of the pool.
    pub(super) fn run<R>(&self, op: impl FnOnce() -> R) -> R {
        let outer = WorkerThread::current();
        // SAFETY: the pointer is null or refers to the worker that this thread is now.
        let outer_registry = unsafe { outer.as_ref() }.map(|worker| worker.registry().id());
        if outer_registry == Some(self.worker.registry().id()) {
            return op();
        }
        let this_thread = WorkerThread::thread_address();
        // Only this thread stores this value, so the comparison needs no ordering.
        let is_outermost = self.holder.load(Ordering::Relaxed) != this_thread;
        let _held =
            is_outermost.then(|| self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.holder.store(this_thread, Ordering::Relaxed);
        let _visit = Visit { place: self, outer, is_outermost };
        // SAFETY: this thread holds the place, and `Visit` restores `outer` before `worker` can
        // move or be dropped.
        unsafe { WorkerThread::replace_current(&self.worker) };
        op()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let worker = &self.place.worker;
        if self.is_outermost {
            // Jobs that `op` has spawned must not wait for the next caller.
            while let Some(job) = worker.take_local_job() {
                // SAFETY: the job comes from the worker's own queue.
                unsafe { worker.execute(job) };
            }
            self.place.holder.store(0, Ordering::Relaxed);
        }
        // SAFETY: `outer` was the thread's worker before `op` and has not been dropped meanwhile.
        unsafe { WorkerThread::replace_current(self.outer) };
    }
}
