//! The slow lane's worker, which runs the slow part of the network.

use super::hand_over::JobReceiver;
use super::job::{Job, Outcome};
use crate::backend::interface::Session;
use crate::classifier::interface::run_session;
use crate::clock::{self, elapsed_ns};
use crate::error::{Error, Result};

/// The worker of the slow lane.
pub(crate) struct SlowWorker {
    jobs: JobReceiver<Job, Outcome>,
    session: Box<dyn Session>,
    /// Whether the next run starts from the initial states.
    must_reset: bool,
}

impl SlowWorker {
    pub(super) fn new(jobs: JobReceiver<Job, Outcome>, session: Box<dyn Session>) -> Self {
        Self { jobs, session, must_reset: true }
    }

    /// Runs the slow part once. Returns false if no run is due.
    pub(super) fn run_next(&mut self) -> bool {
        let Self { jobs, session, must_reset } = self;
        jobs.run_next(|job, outcome| {
            let start = clock::now();
            outcome.result = run_job(session.as_mut(), job, *must_reset);
            *must_reset = !matches!(outcome.result, Ok(None));
            outcome.logits.copy_from_slice(session.logits());
            outcome.time_ns = elapsed_ns(start, clock::now());
        })
    }
}

fn run_job(session: &mut dyn Session, job: &Job, must_reset: bool) -> Result<Option<Error>> {
    if must_reset || job.is_first {
        session.reset()?;
    }
    session.inputs().slow.copy_from_slice(&job.sample);
    run_session(session, |session| session.run_on_windows(&job.windows))
}
