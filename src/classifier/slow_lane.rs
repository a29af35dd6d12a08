//! The slow lane of frame steps, which runs the slow part of the network once for each chunk.
//!
//! The slow lane has its own thread, so the fast lane does not wait for it inside a chunk. In a
//! stream that the host drives, and in exact queries, the thread of the fast lane runs it.

pub(crate) mod hand_over;
mod job;
mod thread;
mod worker;

use crate::backend::interface::{Backend, Session};
use crate::error::{Result, Status};
use crate::memory::fill_values;
use crate::model::ModelSpec;
use crate::stream::hooks::ThreadStart;
use hand_over::{JobSender, create_hand_over};
use job::{Job, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
pub(crate) use thread::LaneSignals;
use thread::SlowThread;
use worker::SlowWorker;

/// Time after which the fast lane checks whether its stream has been closed while it waits for the
/// slow lane. The slow lane wakes it after each run.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Who runs the slow part.
enum Runner {
    /// The thread of the fast lane.
    Caller(SlowWorker),
    /// A thread of the slow lane, and the flag that is set when the stream is closed.
    Thread(SlowThread, Arc<AtomicBool>),
}

/// The slow lane, as the fast lane sees it.
pub(crate) struct SlowLane {
    jobs: JobSender<Job, Outcome>,
    runner: Runner,
    /// Whether a job has been submitted since the thread was last woken.
    must_wake: bool,
}

/// The parts of a slow lane before its thread starts.
pub(crate) struct SlowLaneBuilder {
    jobs: JobSender<Job, Outcome>,
    worker: SlowWorker,
}

impl SlowLaneBuilder {
    /// Allocates the memory of the jobs and their outcomes.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(crate) fn new(
        backend: &dyn Backend,
        spec: &ModelSpec,
        session: Box<dyn Session>,
    ) -> Result<Self> {
        let create_job = || {
            Ok(Job {
                is_first: false,
                sample: fill_values(spec.sample_len(), 0.0, "the sample of a slow run")?,
                windows: backend.create_windows()?,
            })
        };
        let create_outcome = || {
            let logits = fill_values(spec.run_output_len(), 0.0, "the logits")?;
            Ok(Outcome { logits, result: Ok(None), time_ns: 0 })
        };
        let (jobs, receiver) = create_hand_over(create_job, create_outcome)?;
        Ok(Self { jobs, worker: SlowWorker::new(receiver, session) })
    }

    /// Lets the thread of the fast lane run the slow part.
    pub(crate) fn on_caller(self) -> SlowLane {
        SlowLane { jobs: self.jobs, runner: Runner::Caller(self.worker), must_wake: false }
    }

    /// Starts a thread for the slow lane. `stop` is the flag that is set when the stream is closed.
    ///
    /// # Errors
    /// Returns [`Status::System`] if the thread cannot be started.
    pub(crate) fn on_thread(
        self,
        stop: Arc<AtomicBool>,
        signals: &Arc<LaneSignals>,
        hook: Option<ThreadStart>,
    ) -> Result<SlowLane> {
        let thread = SlowThread::start(self.worker, signals, hook)?;
        Ok(SlowLane { jobs: self.jobs, runner: Runner::Thread(thread, stop), must_wake: false })
    }
}

impl SlowLane {
    /// Returns the memory of the next job, and waits while too many jobs are outstanding. The
    /// outcomes of jobs before `first_needed` are not needed.
    ///
    /// # Errors
    /// Returns [`Status::Cancelled`] if the stream is closed.
    pub(super) fn wait_for_job(&mut self, first_needed: Option<u64>) -> Result<&mut Job> {
        loop {
            let needed = first_needed.unwrap_or_else(|| self.jobs.next_number());
            let _ = self.jobs.outcome(needed);
            if self.jobs.job().is_some() {
                break;
            }
            self.wait()?;
        }
        self.jobs.job().ok_or_else(|| Status::Internal.into())
    }

    /// Returns the memory of the next job.
    pub(super) fn job(&mut self) -> Option<&mut Job> {
        self.jobs.job()
    }

    /// Submits the next job and returns its number. The thread of the slow lane starts it after the
    /// next call of [`Self::start_jobs`].
    pub(super) fn submit(&mut self) -> u64 {
        self.must_wake = true;
        self.jobs.submit()
    }

    /// Lets the thread of the slow lane start the jobs that have been submitted.
    pub(super) fn start_jobs(&mut self) {
        if std::mem::take(&mut self.must_wake)
            && let Runner::Thread(thread, _) = &self.runner
        {
            thread.wake();
        }
    }

    /// Gives up all jobs so far. Those that have not begun are not run.
    pub(super) fn give_up(&mut self) {
        self.must_wake = false;
        let next = self.jobs.next_number();
        self.jobs.give_up_before(next);
    }

    /// Returns the outcome of a job, or `None` if the job has not ended.
    pub(super) fn outcome(&mut self, number: u64) -> Option<&Outcome> {
        self.check_thread();
        self.jobs.outcome(number)
    }

    /// Waits until a job has ended.
    ///
    /// # Errors
    /// Returns [`Status::Cancelled`] if the stream is closed.
    pub(super) fn wait_for_outcome(&mut self, number: u64) -> Result<()> {
        while self.outcome(number).is_none() {
            self.wait()?;
        }
        Ok(())
    }

    /// Starts the jobs that have been submitted. If the slow lane has no thread, runs one of them
    /// and returns whether there was one.
    pub(super) fn run_or_start(&mut self) -> bool {
        self.start_jobs();
        match &mut self.runner {
            Runner::Caller(worker) => worker.run_next(),
            Runner::Thread(..) => false,
        }
    }

    /// Runs a job, or waits until the thread of the slow lane has ended a run.
    fn wait(&mut self) -> Result<()> {
        self.start_jobs();
        match &mut self.runner {
            Runner::Caller(worker) => {
                if worker.run_next() {
                    Ok(())
                } else {
                    Err(Status::Internal.into())
                }
            }
            Runner::Thread(_, stop) => {
                if stop.load(Relaxed) {
                    return Err(Status::Cancelled.into());
                }
                // A frame that arrives also wakes this thread. The worker looks for frames before
                // it parks, so it does not miss one.
                std::thread::park_timeout(CHECK_INTERVAL);
                self.check_thread();
                Ok(())
            }
        }
    }

    /// Passes on a panic of the slow lane, so that it has the same effect as one of the fast lane.
    fn check_thread(&self) {
        if let Runner::Thread(thread, _) = &self.runner
            && thread.has_panicked()
        {
            std::panic::resume_unwind(Box::new("the thread of the slow lane has panicked"));
        }
    }
}
