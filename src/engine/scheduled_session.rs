//! A session that waits for the engine's scheduler before each run.

use super::scheduler::Scheduler;
use crate::backend::interface::{Inputs, Session};
use crate::error::{Result, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Time until which an exact query may wait for its runs; `None` if there is no limit.
pub(crate) type Deadline = Arc<Mutex<Option<Instant>>>;

/// Priority of a session's runs.
pub(crate) enum Priority {
    /// A live stream. A run fails with [`Status::Cancelled`] once this flag is set.
    Live(Arc<AtomicBool>),
    /// An exact query. A run fails with [`Status::TimedOut`] after the deadline.
    Idle(Deadline),
}

/// A session that waits for the scheduler before each run.
pub(crate) struct ScheduledSession {
    pub(crate) session: Box<dyn Session>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) priority: Priority,
}

impl Session for ScheduledSession {
    fn inputs(&mut self) -> Inputs<'_> {
        self.session.inputs()
    }

    fn run(&mut self) -> Result<()> {
        let _permit = match &self.priority {
            Priority::Live(stop) => self.scheduler.acquire_live(stop).ok_or(Status::Cancelled)?,
            Priority::Idle(deadline) => {
                let deadline = *deadline.lock();
                self.scheduler.acquire_idle(deadline).ok_or(Status::TimedOut)?
            }
        };
        self.session.run()
    }

    fn logits(&self) -> &[f32] {
        self.session.logits()
    }

    fn reset(&mut self) -> Result<()> {
        self.session.reset()
    }
}
