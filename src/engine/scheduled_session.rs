//! A session that waits for the engine's scheduler before each run.

use super::scheduler::{Scheduler, Turns};
use crate::backend::interface::{Inputs, Session};
use crate::error::{Result, Status};
use crate::sys::fork::CreatorOwned;
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
    /// An exact query. A run fails with [`Status::Cancelled`] once the flag of its stream is set,
    /// and with [`Status::TimedOut`] after the deadline.
    Idle(Arc<AtomicBool>, Deadline),
}

/// A session that waits for the scheduler before each run.
pub(crate) struct ScheduledSession {
    session: CreatorOwned<Box<dyn Session>>,
    scheduler: Arc<Scheduler>,
    priority: Priority,
    turns: Turns,
}

impl ScheduledSession {
    pub(crate) fn new(
        session: Box<dyn Session>,
        scheduler: &Arc<Scheduler>,
        priority: Priority,
    ) -> Self {
        let (session, scheduler) = (CreatorOwned::new(session), Arc::clone(scheduler));
        Self { session, scheduler, priority, turns: Turns::default() }
    }
}

impl Session for ScheduledSession {
    fn inputs(&mut self) -> Inputs<'_> {
        self.session.inputs()
    }

    fn run(&mut self) -> Result<()> {
        let _permit = match &self.priority {
            Priority::Live(stop) => {
                self.scheduler.acquire_live(&self.turns, stop).ok_or(Status::Cancelled)?
            }
            Priority::Idle(stop, deadline) => {
                let deadline = *deadline.lock();
                self.scheduler.acquire_idle(&self.turns, stop, deadline)?
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
