//! The interface of the classifiers.

use super::rules::{RuleOutcome, Rules};
use crate::backend::interface::Session;
use crate::error::{Error, Result, Status};
use crate::sampling::{Grid, PartialChunk};
use crate::stream::history::{Covered, History};
use std::sync::Arc;

/// The outcome of committing a sample or ending a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing happened.
    Idle,
    /// The network ran, and there is a new posterior.
    Ran,
    /// A fast run has ended, or its chunk has failed before. The posterior is the same.
    Sampled {
        /// Whether this was the last sample of its chunk.
        ends_chunk: bool,
    },
    /// All runs of the oldest chunk have ended, and there is a new posterior.
    Completed {
        /// Duration of the slow run.
        slow_ns: i64,
    },
    /// A window was due and was skipped.
    Skipped,
    /// The runtime reported this error, or the logits were not finite. The chunk or the window has
    /// no output, and the temporal state is reset.
    Failed(Error),
}

/// Runs the network on the inputs of the session, which `run` does. Returns the reason if the run
/// failed or if its logits are not finite.
///
/// # Errors
/// Returns the error of a run that the stream or the query has cancelled.
pub(super) fn run_session(
    session: &mut dyn Session,
    run: impl FnOnce(&mut dyn Session) -> Result<()>,
) -> Result<Option<Error>> {
    match run(session) {
        Ok(()) if session.logits().iter().all(|logit| logit.is_finite()) => Ok(None),
        // The error has no message, so that it takes no memory.
        Ok(()) => Ok(Some(Status::Inference.into())),
        Err(error) if matches!(error.status(), Status::Cancelled | Status::TimedOut) => Err(error),
        Err(error) => Ok(Some(error)),
    }
}

/// A classifier, which turns samples into a posterior.
///
/// A classifier receives the samples of a segment one after the other: the caller writes the next
/// sample to [`Classifier::next_sample`] and calls [`Classifier::commit_sample`].
pub(crate) trait Classifier: Send {
    /// Begins an acquisition.
    fn begin(&mut self);

    /// Begins a segment with this grid. The temporal state is reset to its initial value; the mean
    /// continues.
    fn start_segment(&mut self, grid: Grid) -> Result<()>;

    /// Returns the memory for the next sample, which has the shape `[C, H, W]`.
    fn next_sample(&mut self) -> &mut [f32];

    /// Makes the next sample a copy of the previous one.
    fn repeat_sample(&mut self);

    /// Adds the sample that the caller has written, and runs the network if the sample completes a
    /// chunk or a window. With frame steps, runs the fast part. The caller then calls
    /// [`Self::collect`] until nothing happens. An error means that the segment cannot go on.
    fn commit_sample(&mut self) -> Result<Step>;

    /// Completes the oldest chunk whose samples have all run, if its slow run has ended. Waits for
    /// the slow run if the slow lane would otherwise lag by more than one chunk.
    ///
    /// Chunk steps and windows have no such chunks.
    fn collect(&mut self) -> Result<Step> {
        Ok(Step::Idle)
    }

    /// Starts a slow run that is due. The caller calls this function when no frame is waiting. If
    /// the calling thread runs the slow lane, runs the slow part once and returns true.
    fn run_slow(&mut self) -> bool {
        false
    }

    /// Ends the segment; the caller calls this function until nothing happens. In stream mode, runs
    /// the network on the partial chunk if the chunk must be completed. With frame steps, waits for
    /// the slow runs of all chunks that count. In window mode, runs the network on the last window
    /// if it has not run yet.
    fn end_segment(&mut self) -> Result<Step>;

    /// Sets whether the network has fallen behind the frames. While the network is behind, a
    /// classifier for window mode skips windows.
    fn set_behind(&mut self, is_behind: bool);

    /// Restarts the mean, which then covers only later outputs.
    fn restart_mean(&mut self);

    /// Returns the outcome of early stop and view change in this acquisition.
    fn rule_outcome(&self) -> RuleOutcome;

    /// Returns the number of outputs that have failed since the mean last restarted.
    fn failed_outputs(&self) -> usize;

    /// Writes the combination of the outputs by the label rule, after a head that is not linear.
    /// [`conclude`](super::decision::conclude) converts it to a posterior. Returns the number and
    /// the times of the outputs that it covers, or `None` if no output counts yet.
    ///
    /// # Errors
    /// Returns the error of the head.
    fn read_mean(&mut self, mean: &mut [f32]) -> Result<Option<Covered>>;

    /// Writes the mean that the acquisition would have if it ended now, if no chunk counts yet
    /// and a partial chunk would count alone. With frame steps, this is so between the slow run of
    /// the first chunk and the end of the chunk.
    ///
    /// # Errors
    /// Returns the error of the head.
    fn read_partial(&mut self, _: &mut [f32]) -> Result<Option<Covered>> {
        Ok(None)
    }
}

/// The stream settings that a classifier needs.
#[derive(Clone)]
pub(crate) struct ClassifierSettings {
    pub(crate) history: Arc<History>,
    pub(crate) partial: PartialChunk,
    pub(crate) label_span_ns: i64,
    /// Number of samples from one window to the next; not used in stream mode.
    pub(crate) hop: usize,
    pub(crate) rules: Rules,
}
