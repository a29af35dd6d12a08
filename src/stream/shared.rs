//! The state that the threads of a stream share.

use super::exact_query::ExactQuery;
use super::history::History;
use super::mailbox::Mailbox;
use super::query_head::QueryHead;
use super::stats::Counters;
use crate::engine::Engine;
use crate::engine::scheduler::Scheduler;
use crate::engine::self_test_gate::SelfTestGate;
use crate::error::{Result, Status};
use crate::model::{Mode, ModelSpec};
use crate::sys::fork::Creator;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};

/// The state that the threads of a stream share.
pub(super) struct Shared {
    pub(super) spec: Arc<ModelSpec>,
    pub(super) mailbox: Mailbox,
    pub(super) history: Arc<History>,
    /// Present if the stream keeps samples for exact queries.
    pub(super) exact: Option<ExactQuery>,
    /// The head for plain queries, if it is not linear.
    pub(super) head: Option<QueryHead>,
    pub(super) counters: Counters,
    /// Outcome of the engine's last self-test.
    pub(super) self_test: Arc<SelfTestGate>,
    /// Most recent status other than `Ok` that a real-time call returned or the worker reported.
    last_event: AtomicI32,
    /// Newest acquisition that has begun, or 0 before the first one.
    begun: AtomicU64,
    /// Whether the times of frames start again at 0 in every acquisition.
    pub(super) restarts_times: bool,
    /// Whether the stream is closed and its worker must end.
    pub(super) stop: Arc<AtomicBool>,
    /// Whether the worker has panicked.
    is_poisoned: AtomicBool,
    creator: Creator,
}

impl Shared {
    /// Creates the shared state. `stop` is the flag that is set when the stream is closed. `hop` is
    /// the number of samples from one window to the next.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(
        engine: &Engine,
        history: Arc<History>,
        (exact, head): (Option<ExactQuery>, Option<QueryHead>),
        hop: usize,
        restarts_times: bool,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let spec = engine.shared_spec();
        let window_hop = if spec.mode == Mode::Window { hop as u64 } else { 0 };
        Ok(Self {
            spec: Arc::clone(spec),
            mailbox: Mailbox::new(spec.labels.len())?,
            history,
            exact,
            head,
            counters: Counters::new(window_hop),
            self_test: Arc::clone(engine.self_test()),
            last_event: AtomicI32::new(Status::Ok.code()),
            begun: AtomicU64::new(0),
            restarts_times,
            stop,
            is_poisoned: AtomicBool::new(false),
            creator: Creator::this_process(),
        })
    }

    /// Returns the newest acquisition that has begun, or 0 before the first one.
    pub(super) fn newest_acquisition(&self) -> u64 {
        self.begun.load(Acquire)
    }

    /// Records that an acquisition has begun.
    pub(super) fn set_newest_acquisition(&self, acquisition: u64) {
        self.begun.store(acquisition, Release);
    }

    /// Ends every wait, because the worker will publish nothing more.
    pub(super) fn end_waits(&self) {
        self.mailbox.close();
        self.history.close();
        if let Some(exact) = &self.exact {
            exact.samples().close();
        }
    }

    /// Replaces [`Status::Cancelled`], with which the end of the stream ends a wait, by the reason
    /// for this end.
    pub(super) fn name_end(&self, status: Status) -> Status {
        match status {
            Status::Cancelled if self.is_poisoned() => Status::Poisoned,
            status => status,
        }
    }

    /// Records `status` unless it is `Ok`, and returns it. A host that ignores the status of a call
    /// can read it later with `Reader::last_event`.
    pub(super) fn record_event(&self, status: Status) -> Status {
        if status != Status::Ok {
            self.last_event.store(status.code(), Relaxed);
        }
        status
    }

    pub(super) fn last_event(&self) -> Status {
        Status::from_code(self.last_event.load(Relaxed)).unwrap_or(Status::Internal)
    }

    /// Returns whether the stream cannot be used, because its worker has panicked or because this
    /// process inherited it with `fork`.
    pub(super) fn is_poisoned(&self) -> bool {
        self.is_poisoned.load(Relaxed) || self.creator.is_other_process()
    }

    /// Checks that this process has created the stream. In a child process, locks of the stream may
    /// never be released, and its worker does not exist.
    ///
    /// # Errors
    /// Returns [`Status::Poisoned`] in a child process that inherited the stream with `fork`.
    pub(super) fn check_process(&self) -> Result<(), Status> {
        if self.creator.is_other_process() { Err(Status::Poisoned) } else { Ok(()) }
    }

    pub(super) fn set_poisoned(&self) {
        self.is_poisoned.store(true, Relaxed);
    }

    /// Stops the stream and ends every wait, also that of an exact query for its next run. In a
    /// child process that inherited the stream, no thread waits.
    pub(super) fn stop(&self, scheduler: &Scheduler) {
        if self.creator.is_other_process() {
            return;
        }
        self.stop.store(true, Relaxed);
        scheduler.wake_all();
        self.end_waits();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }
}
