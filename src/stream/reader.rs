//! Results, queries and counters, for every thread.

use super::{Shared, StreamStats};
use crate::Status;
use crate::classifier::Posterior;
use crate::history::Span;
use crate::result::ViewResult;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Reads results and counters, from any thread.
#[derive(Clone)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) labels: usize,
}

/// What a query computes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// What the network said while frames came.
    Plain,
    /// Kept samples, run again.
    Exact,
}

impl Reader {
    /// An empty result of the right size to read into.
    #[must_use]
    pub fn result(&self) -> ViewResult {
        ViewResult::new(self.labels)
    }

    /// The newest result, provisional or final; [`Status::NotReady`] before the first. No lock, no allocation if
    /// `out` came from [`Self::result`].
    pub fn poll(&self, out: &mut ViewResult) -> Status {
        self.fill(out, |scores| self.poll_into(scores))
    }

    /// Waits for the final result of an acquisition; [`Status::TimedOut`], or [`Status::Empty`] if newer finals have
    /// taken its place.
    pub fn wait(&self, acquisition: u64, timeout: Duration, out: &mut ViewResult) -> Status {
        self.fill(out, |scores| self.wait_into(acquisition, timeout, scores))
    }

    fn fill(
        &self,
        out: &mut ViewResult,
        read: impl FnOnce(&mut [f32]) -> std::result::Result<ViewResult, Status>,
    ) -> Status {
        let mut scores = std::mem::take(&mut out.scores);
        scores.resize(self.labels, 0.0);
        let found = read(&mut scores);
        let status = found.as_ref().err().copied().unwrap_or(Status::Ok);
        *out = ViewResult { scores, ..found.unwrap_or_else(|_| out.clone()) };
        status
    }

    /// As [`Self::poll`], the scores into memory of the caller; those of the result are empty.
    pub(crate) fn poll_into(&self, scores: &mut [f32]) -> std::result::Result<ViewResult, Status> {
        self.shared.mailbox.newest(scores)
    }

    /// As [`Self::wait`], the scores into memory of the caller; those of the result are empty.
    pub(crate) fn wait_into(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> std::result::Result<ViewResult, Status> {
        self.shared.mailbox.wait(acquisition, timeout, scores)
    }

    /// Label of the chunks (or windows) that lie in [`from_ns`, `to_ns`] with both ends, from the history: a few
    /// additions, no network. The result carries the times really covered; the network also knew what came up to its
    /// look-back before. Waits at most `timeout` for a chunk that is still to come.
    ///
    /// [`Status::Ok`], [`Status::Partial`] if older chunks are forgotten or one is still to come, [`Status::Empty`].
    pub fn query(&self, from_ns: i64, to_ns: i64, timeout: Duration, out: &mut ViewResult) -> Status {
        self.ask(Form::Plain, from_ns, to_ns, timeout, out)
    }

    /// Label of the samples in [`from_ns`, `to_ns`] as if they were an acquisition of their own: the network runs
    /// again over them with initial state at the first of them and wherever the stream had a gap or a change, so
    /// nothing before the interval counts (look-back 0). Not in real time: live streams of the engine run first, and the
    /// interval is run in the caller's thread. Needs [`exact_history_ns`](crate::StreamConfig::exact_history_ns).
    ///
    /// `timeout` bounds the whole call: [`Status::TimedOut`] if it was not through by then, [`Status::Partial`] if a
    /// sample was still to come by then or older ones are gone. Else [`Status::Ok`], [`Status::Empty`] if no sample
    /// lies inside, [`Status::Unsupported`] if the stream keeps no samples, or what the backend says.
    pub fn query_exact(&self, from_ns: i64, to_ns: i64, timeout: Duration, out: &mut ViewResult) -> Status {
        self.ask(Form::Exact, from_ns, to_ns, timeout, out)
    }

    fn ask(&self, form: Form, from_ns: i64, to_ns: i64, timeout: Duration, out: &mut ViewResult) -> Status {
        let mut partial = Status::Ok;
        let status = self.fill(out, |scores| {
            let (status, found) = self.query_into(form, from_ns, to_ns, timeout, scores)?;
            partial = status;
            Ok(found)
        });
        if status == Status::Ok { partial } else { status }
    }

    /// A query, the scores (one a label) into memory of the caller; those of the result are empty.
    pub(crate) fn query_into(
        &self,
        form: Form,
        from_ns: i64,
        to_ns: i64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> std::result::Result<(Status, ViewResult), Status> {
        let asked = Span { first_ns: from_ns, last_ns: to_ns };
        let spec = &self.shared.spec;
        let (status, (chunks, span)) = match form {
            Form::Plain => {
                let found = self.shared.history.query(asked, timeout, scores)?;
                Posterior::of(spec).finish(scores);
                found
            }
            Form::Exact => {
                self.shared.exact.as_ref().ok_or(Status::Unsupported)?.query(asked, timeout, scores)?
            }
        };
        let mut result = ViewResult::new(0);
        result.decide(scores, spec.threshold);
        result.chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        (result.first_time_ns, result.last_time_ns) = (span.first_ns, span.last_ns);
        Ok((status, result))
    }

    /// Number of labels.
    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// The last status other than [`Status::Ok`] of a call of the acquisition thread, or of a failure in the worker.
    #[must_use]
    pub fn last_event(&self) -> Status {
        Status::from_code(self.shared.last_event.load(Relaxed)).unwrap_or(Status::Internal)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        let stats = &self.shared.stats;
        StreamStats {
            pushed: stats.pushed.load(Relaxed),
            dropped: stats.dropped.load(Relaxed),
            refused: stats.refused.load(Relaxed),
            samples: stats.samples.load(Relaxed),
            chunks: stats.chunks.load(Relaxed),
            skipped_chunks: stats.skipped.load(Relaxed),
            gaps: stats.gaps.load(Relaxed),
            changes: stats.changes.load(Relaxed),
            view_changes: stats.view_changes.load(Relaxed),
            window_hop_samples: self.shared.hop,
        }
    }
}
