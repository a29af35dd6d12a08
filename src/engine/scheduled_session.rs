//! A session that waits for the engine's scheduler before each run.

use super::scheduler::{Lane, Scheduler, Turns};
use crate::backend::interface::{Inputs, Session};
use crate::backend::windows::LateralWindows;
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
    lane: Lane,
    priority: Priority,
    turns: Turns,
}

impl ScheduledSession {
    pub(crate) fn new(
        session: Box<dyn Session>,
        scheduler: &Arc<Scheduler>,
        lane: Lane,
        priority: Priority,
    ) -> Self {
        let (session, scheduler) = (CreatorOwned::new(session), Arc::clone(scheduler));
        Self { session, scheduler, lane, priority, turns: Turns::default() }
    }
}

impl ScheduledSession {
    /// Waits for the turn of this session and calls `work`, which uses the runtime.
    fn with_permit(&mut self, work: impl FnOnce(&mut dyn Session) -> Result<()>) -> Result<()> {
        let _permit = match &self.priority {
            Priority::Live(stop) => self
                .scheduler
                .acquire_live(self.lane, &self.turns, stop)
                .ok_or(Status::Cancelled)?,
            Priority::Idle(stop, deadline) => {
                let deadline = *deadline.lock();
                self.scheduler.acquire_idle(self.lane, &self.turns, stop, deadline)?
            }
        };
        work(self.session.as_mut())
    }
}

impl Session for ScheduledSession {
    fn inputs(&mut self) -> Inputs<'_> {
        self.session.inputs()
    }

    fn run(&mut self) -> Result<()> {
        self.with_permit(|session| session.run())
    }

    fn logits(&self) -> &[f32] {
        self.session.logits()
    }

    fn reset(&mut self) -> Result<()> {
        self.session.reset()
    }

    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        self.session.copy_windows(to)
    }

    fn set_windows(&mut self, from: &LateralWindows) -> Result<()> {
        self.session.set_windows(from)
    }

    fn run_and_copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        self.with_permit(|session| session.run_and_copy_windows(to))
    }

    fn run_on_windows(&mut self, from: &LateralWindows) -> Result<()> {
        self.with_permit(|session| session.run_on_windows(from))
    }
}
