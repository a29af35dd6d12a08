//! The hand-over of slow runs from the fast lane to the slow lane, and of their outcomes back.
//!
//! Both directions use a ring with preallocated slots, so neither side ever waits for a lock.
//! Outcomes come in the order of the jobs.

use crate::error::Result;
use crate::stream::ring::{Consumer, Producer, create_ring};
use sync::{Arc, AtomicU64, Ordering};

/// Number of jobs that may be outstanding, so the slow lane may lag by one chunk.
pub(crate) const MAX_OUTSTANDING: usize = 2;

/// The side of the fast lane, which submits jobs and takes their outcomes.
pub(crate) struct JobSender<J, O> {
    jobs: Producer<J>,
    outcomes: Consumer<O>,
    /// Number of the next job.
    next: u64,
    /// Number of the job whose outcome comes next.
    oldest: u64,
    first_needed: Arc<AtomicU64>,
}

/// The side of the slow lane, which runs jobs.
pub(crate) struct JobReceiver<J, O> {
    jobs: Consumer<J>,
    outcomes: Producer<O>,
    /// Number of the next job.
    next: u64,
    first_needed: Arc<AtomicU64>,
}

/// Creates both sides. `create` creates the memory of a job and of its outcome.
///
/// # Errors
/// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be allocated,
/// or the first error of `create`.
pub(crate) fn create_hand_over<J: Send, O: Send>(
    create_job: impl Fn() -> Result<J>,
    create_outcome: impl Fn() -> Result<O>,
) -> Result<(JobSender<J, O>, JobReceiver<J, O>)> {
    let (jobs_in, jobs_out) = create_ring(MAX_OUTSTANDING, |_| create_job())?;
    let (outcomes_in, outcomes_out) = create_ring(MAX_OUTSTANDING, |_| create_outcome())?;
    let first_needed = Arc::new(AtomicU64::new(0));
    let sender = JobSender {
        jobs: jobs_in,
        outcomes: outcomes_out,
        next: 0,
        oldest: 0,
        first_needed: Arc::clone(&first_needed),
    };
    Ok((sender, JobReceiver { jobs: jobs_out, outcomes: outcomes_in, next: 0, first_needed }))
}

impl<J: Send, O: Send> JobSender<J, O> {
    /// Returns the memory of the next job, which still has the content of an earlier job, or `None`
    /// while too many jobs are outstanding. Until [`Self::submit`], every call returns the same
    /// memory.
    pub(crate) fn job(&mut self) -> Option<&mut J> {
        // An outcome that has not been taken also counts, so that its ring is never full.
        if self.next - self.oldest >= MAX_OUTSTANDING as u64 { None } else { self.jobs.slot() }
    }

    /// Submits the job whose memory [`Self::job`] returned. Returns its number.
    pub(crate) fn submit(&mut self) -> u64 {
        self.jobs.commit();
        self.next += 1;
        self.next - 1
    }

    /// Returns the number of the next job.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Gives up all jobs before `number`. Those that have not begun are not run.
    pub(crate) fn give_up_before(&mut self, number: u64) {
        self.first_needed.store(number, Ordering::Relaxed);
    }

    /// Releases the outcomes of jobs before `number`. Returns the outcome of this job, or `None` if
    /// it has not ended.
    pub(crate) fn outcome(&mut self, number: u64) -> Option<&O> {
        while self.oldest < number {
            self.outcomes.peek(0)?;
            self.outcomes.release();
            self.oldest += 1;
        }
        self.outcomes.peek(0)
    }
}

impl<J: Send, O: Send> JobReceiver<J, O> {
    /// Runs the next job, or passes over it if it has been given up. Returns false if no job is
    /// waiting.
    pub(crate) fn run_next(&mut self, run: impl FnOnce(&J, &mut O)) -> bool {
        let Some(job) = self.jobs.peek(0) else { return false };
        if self.next >= self.first_needed.load(Ordering::Relaxed)
            && let Some(outcome) = self.outcomes.slot()
        {
            run(job, outcome);
        }
        // The memory of the job is free before its outcome arrives, so the sender finds both.
        self.jobs.release();
        self.outcomes.commit();
        self.next += 1;
        true
    }
}

/// The synchronization primitives come from the standard library or, in tests that explore every
/// interleaving, from loom.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };
    #[cfg(not(loom))]
    pub(super) use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn two_jobs_may_be_outstanding_and_outcomes_come_in_order() {
        let (mut sender, mut receiver) = create_hand_over(|| Ok(0), || Ok(0)).unwrap();
        let run = |job: &i32, outcome: &mut i32| *outcome = 10 * job;
        assert!(!receiver.run_next(run));
        for job in [1, 2] {
            *sender.job().unwrap() = job;
            assert_eq!(sender.submit(), job as u64 - 1);
        }
        assert!(sender.job().is_none(), "two jobs are outstanding");
        assert_eq!(sender.outcome(0), None);
        assert!(receiver.run_next(run) && receiver.run_next(run) && !receiver.run_next(run));
        assert_eq!([sender.outcome(0).copied(), sender.outcome(1).copied()], [Some(10), Some(20)]);
        assert!(sender.job().is_some(), "the first outcome is released");
        assert_eq!(sender.next_number(), 2);
    }

    #[test]
    fn jobs_that_are_given_up_do_not_run() {
        let (mut sender, mut receiver) = create_hand_over(|| Ok(0), || Ok(0)).unwrap();
        let mut ran = Vec::new();
        for job in [1, 2] {
            *sender.job().unwrap() = job;
            sender.submit();
        }
        sender.give_up_before(1);
        while receiver.run_next(|job, outcome| {
            ran.push(*job);
            *outcome = 10 * job;
        }) {}
        assert_eq!((ran, sender.outcome(1)), (vec![2], Some(&20)));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    /// The sender submits three jobs and gives the second one up after a while. Every job runs at
    /// most once and in order, and every outcome belongs to its job.
    #[test]
    fn outcomes_belong_to_their_jobs_in_every_interleaving() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (mut sender, mut receiver) =
                create_hand_over(|| Ok(0u64), || Ok(u64::MAX)).unwrap();
            let slow = loom::thread::spawn(move || {
                let mut last = None;
                let mut passed = 0;
                while passed < 3 {
                    let ran = receiver.run_next(|job, outcome| {
                        assert!(last.is_none_or(|last| last < *job));
                        last = Some(*job);
                        *outcome = 10 * job;
                    });
                    if ran { passed += 1 } else { loom::thread::yield_now() }
                }
            });
            let mut submitted = 0;
            for job in 0..2 {
                *sender.job().expect("at most two jobs") = job;
                submitted = sender.submit();
            }
            sender.give_up_before(submitted);
            loop {
                if let Some(slot) = sender.job() {
                    *slot = 2;
                    break;
                }
                let _ = sender.outcome(1);
                loom::thread::yield_now();
            }
            assert_eq!(sender.submit(), 2);
            for number in [1, 2] {
                loop {
                    if let Some(&outcome) = sender.outcome(number) {
                        assert_eq!(outcome, 10 * number);
                        break;
                    }
                    loom::thread::yield_now();
                }
            }
            slow.join().unwrap();
        });
    }
}
