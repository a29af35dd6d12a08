//! A stream handle for threads that read results.

use super::history::{Coverage, Covered, Span, Wait};
use super::shared::Shared;
use super::stats::StreamStats;
use crate::classifier::decision::conclude;
use crate::error::{Result, Status};
use crate::memory::fill_values;
use crate::model::Mode;
use crate::result::{ResultFlags, ViewResult};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time that a plain query gives a head that is not linear, including the wait for its turn.
const HEAD_TIMEOUT: Duration = Duration::from_millis(100);

/// The answer to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryAnswer {
    /// Result for the interval. `first_time_ns` and `last_time_ns` delimit the interval that the
    /// result actually covers. The acquisition identifier and the frame counts are 0.
    pub result: ViewResult,
    /// Whether the result covers the whole interval.
    pub coverage: Coverage,
}

/// A stream handle for reading results and counters. Any thread may use the handle, and it can be
/// cloned.
///
/// Each function that returns a result also writes its posterior to `scores`. If the slice is
/// shorter than the posterior, the remaining values are not written. Pass an empty slice if you do
/// not need the posterior. After an error, `scores` are unchanged.
///
/// When the stream ends, no call waits any longer. It ends by an internal error, or when the host
/// drops the [`Acquirer`](crate::Acquirer) or, if the stream is host-driven, the
/// [`Driver`](crate::Driver).
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the number of labels, which is the length of a posterior.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.shared.spec.labels.len()
    }

    /// Reads the newest result, which is provisional or final. Until a new acquisition has its
    /// first result, this is the final result of the previous acquisition. The field
    /// [`ViewResult::acquisition`] distinguishes the two. The call returns within a bounded time,
    /// and neither locks nor allocates.
    ///
    /// # Errors
    /// Returns [`Status::NotReady`] before the first result, or if the worker replaces the result
    /// faster than this thread can read it. If the model has more than 1024 labels, the function
    /// also returns this error if another thread is reading a result at the same time. In all
    /// cases, try again later.
    pub fn poll(&self, scores: &mut [f32]) -> Result<ViewResult, Status> {
        self.shared.mailbox.read_newest(scores)
    }

    /// Waits for the final result of an acquisition. Only the last four final results can be read.
    ///
    /// After an internal error, the acquisition in progress and the next ones that have begun, at
    /// most four in all, have a final result with the status [`Status::Poisoned`].
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] if the result is not published in time, [`Status::Empty`] if
    /// later acquisitions have replaced it, or [`Status::InvalidArgument`] if no acquisition with
    /// this identifier has begun. If the stream has ended without this result, returns
    /// [`Status::Poisoned`] after an internal error, or else [`Status::Cancelled`].
    pub fn wait(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<ViewResult, Status> {
        self.shared.check_process()?;
        if !(1..=self.shared.newest_acquisition()).contains(&acquisition) {
            return Err(Status::InvalidArgument);
        }
        let found = self.shared.mailbox.wait_for_final(acquisition, timeout, scores);
        found.map_err(|status| self.shared.name_end(status))
    }

    /// Returns the label of the chunks or windows whose first and last samples both lie in the
    /// interval from `from_ns` to `to_ns`, inclusive. The call combines outputs from the history
    /// and does not run the network, except for a head that is not linear. Such a head waits until
    /// no live stream needs the network, at most until the timeout or for 100 ms if this is longer.
    /// In stream mode, these outputs also depend on earlier samples, up to the look-back of the
    /// network. The interval may contain several acquisitions.
    ///
    /// The call waits at most `timeout` for outputs that are still to come, until the end of the
    /// newest acquisition that has begun. In the result, the acquisition, the sequence numbers, the
    /// frame counts and the durations are 0, and the only flags are those for the reasons why a
    /// label is withheld, [`ResultFlags::NO_NOVELTY`], [`ResultFlags::FAILED_CHUNKS`] and
    /// [`ResultFlags::DEGRADED`].
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if the interval contains no chunk or window. If it contains none
    /// because the stream has ended, returns [`Status::Poisoned`] after an internal error, or else
    /// [`Status::Cancelled`]. Returns [`Status::Inference`] if all of its chunks or windows failed,
    /// [`Status::SelfTest`] if the last self-test of the engine failed, [`Status::OutOfMemory`] if
    /// memory cannot be allocated, or [`Status::TimedOut`] if the worker adds outputs faster than
    /// this thread can read them.
    pub fn query(
        &self,
        from_ns: i64,
        to_ns: i64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<QueryAnswer, Status> {
        let interval = Span { first_ns: from_ns, last_ns: to_ns };
        self.query_outputs(interval, Wait::AtMost(timeout), scores)
    }

    /// Makes a plain query on the thread that produces the outputs, which cannot wait for them.
    ///
    /// # Errors
    /// Returns [`Status::WrongThread`] if an output of the interval is still to come, or the same
    /// errors as [`Self::query`].
    #[cfg(feature = "capi")]
    pub(crate) fn query_without_wait(
        &self,
        from_ns: i64,
        to_ns: i64,
        scores: &mut [f32],
    ) -> Result<QueryAnswer, Status> {
        let interval = Span { first_ns: from_ns, last_ns: to_ns };
        self.query_outputs(interval, Wait::Refused, scores)
    }

    fn query_outputs(
        &self,
        interval: Span,
        wait: Wait,
        scores: &mut [f32],
    ) -> Result<QueryAnswer, Status> {
        self.shared.check_process()?;
        self.check_self_test()?;
        let (shared, mut mean) = (&self.shared, self.create_mean()?);
        let limit = match wait {
            Wait::AtMost(timeout) => timeout.max(HEAD_TIMEOUT),
            Wait::Refused => HEAD_TIMEOUT,
        };
        let deadline = Instant::now().checked_add(limit);
        let found = shared.history.query(interval, shared.newest_acquisition(), wait, &mut mean);
        let (coverage, covered) = found.map_err(|status| shared.name_end(status))?;
        if let Some(head) = &shared.head {
            let applied = head.apply(&mut mean, deadline);
            applied.map_err(|status| shared.name_end(status))?;
        }
        // A self-test may have failed during the wait.
        self.check_self_test()?;
        let has_skipped = shared.history.has_skipped(interval);
        Ok(self.create_answer(coverage, covered, has_skipped, &mut mean, scores))
    }

    /// Returns the label that an acquisition of only the samples in the interval would have.
    ///
    /// The network runs again on the calling thread. It starts from the initial state at the first
    /// sample and after every gap or change, so nothing before the interval influences the label.
    /// This is not a real-time operation, because the live streams of the engine have priority.
    /// `timeout` limits the duration of the whole call. The stream must have been opened with a
    /// nonzero [`exact_history_ns`](crate::StreamConfig::exact_history_ns).
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] if the timeout expires before the network has processed the
    /// samples that have arrived, [`Status::Empty`] if the interval contains no sample,
    /// [`Status::Unsupported`] if the stream keeps no samples, [`Status::Inference`] if all chunks
    /// or windows failed, [`Status::SelfTest`] if the last self-test of the engine failed,
    /// [`Status::OutOfMemory`] if the memory for the answer cannot be allocated, or the error of the
    /// backend. If the stream ends before the network has run, returns [`Status::Poisoned`] after
    /// an internal error, or else [`Status::Cancelled`]. If the stream ends later, the answer is
    /// partial. The network does not run for a query of a closed stream.
    pub fn query_exact(
        &self,
        from_ns: i64,
        to_ns: i64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<QueryAnswer, Status> {
        let exact = self.shared.exact.as_ref().ok_or(Status::Unsupported)?;
        self.shared.check_process()?;
        self.check_self_test()?;
        let interval = Span { first_ns: from_ns, last_ns: to_ns };
        let mut mean = self.create_mean()?;
        let found = exact.run(interval, self.shared.newest_acquisition(), timeout, &mut mean);
        let (coverage, covered) = found.map_err(|status| self.shared.name_end(status))?;
        self.check_self_test()?;
        // In window mode, the samples of skipped windows are kept, so the query includes them.
        let has_skipped =
            self.shared.spec.mode == Mode::Stream && self.shared.history.has_skipped(interval);
        Ok(self.create_answer(coverage, covered, has_skipped, &mut mean, scores))
    }

    fn check_self_test(&self) -> Result<(), Status> {
        if self.shared.self_test.has_failed() { Err(Status::SelfTest) } else { Ok(()) }
    }

    fn create_mean(&self) -> Result<Vec<f32>, Status> {
        fill_values(self.shared.spec.combined_len(), 0.0, "a posterior")
            .map_err(|error| error.status())
    }

    fn create_answer(
        &self,
        coverage: Coverage,
        covered: Covered,
        has_skipped: bool,
        mean: &mut [f32],
        scores: &mut [f32],
    ) -> QueryAnswer {
        let mut result = ViewResult::new(0);
        conclude(&mut result, &self.shared.spec, mean);
        result.chunks = u32::try_from(covered.outputs).unwrap_or(u32::MAX);
        result.first_time_ns = covered.span.first_ns;
        result.last_time_ns = covered.span.last_ns;
        result.failed_chunks = covered.failed as u64;
        result.flags.set(ResultFlags::FAILED_CHUNKS, covered.failed > 0);
        result.flags.set(ResultFlags::DEGRADED, has_skipped);
        let posterior = mean.iter().take(self.label_count());
        scores.iter_mut().zip(posterior).for_each(|(score, &value)| *score = value);
        QueryAnswer { result, coverage }
    }

    /// Returns the number of exact queries that wait for a sample.
    #[cfg(all(test, not(loom)))]
    pub(super) fn exact_waiters(&self) -> u32 {
        self.shared.exact.as_ref().map_or(0, |exact| exact.samples().waiters())
    }

    /// Returns the most recent status other than [`Status::Ok`] that the worker reported or that a
    /// call on the acquisition thread returned. If there was no such status, returns
    /// [`Status::Ok`].
    #[must_use]
    pub fn last_event(&self) -> Status {
        self.shared.last_event()
    }

    /// Returns the counters of the stream.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.shared.counters.read()
    }
}
