//! Samples to a posterior: the streaming classifier carries state from chunk to chunk, the window classifier runs
//! overlapping clips. Both keep a bounded history of their outputs with times, from which the mean is taken.

mod mean;
mod rules;
mod stream;
mod window;

use crate::Result;
use crate::backend::Session;
use crate::history::{Covered, History};
use crate::model::{Mode, ModelSpec};
use crate::sampling::PartialChunk;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use mean::softmax;
pub use rules::{EarlyStop, ViewChange};
pub(crate) use rules::{Rules, Verdict};

/// How a mean of outputs becomes a posterior.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Posterior {
    /// Outputs are logits: softmax of the mean at this temperature.
    OfLogits(f32),
    /// Outputs are posteriors already.
    Mean,
}

impl Posterior {
    pub(crate) fn of(spec: &ModelSpec) -> Self {
        match spec.mode {
            Mode::Stream => Self::OfLogits(spec.temperature),
            Mode::Window => Self::Mean,
        }
    }

    /// A mean to a posterior, in place.
    pub(crate) fn finish(self, values: &mut [f32]) {
        if let Self::OfLogits(temperature) = self {
            softmax(values, temperature);
        }
    }
}

/// Fills slow sample `i` with fast sample `source(i)`.
fn copy_slow(session: &mut dyn Session, sample_len: usize, source: impl Fn(usize) -> usize) {
    let (slow, fast) = session.inputs();
    for (index, to) in slow.chunks_exact_mut(sample_len).enumerate() {
        if let Some(from) = fast.chunks_exact(sample_len).nth(source(index)) {
            to.copy_from_slice(from);
        }
    }
}

/// What came of a sample or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The network did not run.
    Nothing,
    /// There is a new posterior.
    News,
    /// A window was due and left out.
    Skipped,
}

impl Outcome {
    fn news(ran: bool) -> Self {
        if ran { Self::News } else { Self::Nothing }
    }
}

/// What every classifier does. A segment takes samples one by one into [`Classifier::sample`].
pub(crate) trait Classifier: Send {
    /// A new acquisition.
    fn begin(&mut self) -> Result<()>;

    /// A new segment whose sample 0 has this time; the state is initial again, the mean goes on.
    fn start_segment(&mut self, start_ns: i64) -> Result<()>;

    /// Memory of the next sample, `[C, H, W]`.
    fn sample(&mut self) -> &mut [f32];

    /// The next sample is the same as the one before.
    fn repeat_sample(&mut self);

    /// The next sample is written: takes it, and runs the network if a chunk or window is full.
    fn commit_sample(&mut self) -> Result<Outcome>;

    /// Ends the segment and settles what is left.
    fn end_segment(&mut self) -> Result<Outcome>;

    /// Whether frames wait for a whole step: window mode leaves out windows meanwhile.
    fn set_behind(&mut self, behind: bool);

    /// The mean restarts with what comes.
    fn change(&mut self);

    /// What the rules came to in this acquisition.
    fn verdict(&self) -> Verdict;

    /// Posterior into `out` (one value a label); how many chunks or windows it covers, and their times.
    fn posterior(&self, out: &mut [f32]) -> Option<Covered>;
}

/// Settings of a stream that reach the classifier.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) history: Arc<History>,
    pub(crate) partial: PartialChunk,
    pub(crate) label_span_ns: i64,
    /// Samples from one window to the next; stream mode has no use for it.
    pub(crate) hop: usize,
    pub(crate) rules: Rules,
}

/// Time between two outputs of the network.
pub(crate) fn step_ns(spec: &ModelSpec, hop: usize) -> i64 {
    let samples = match spec.mode {
        Mode::Stream => spec.alpha,
        Mode::Window => hop,
    };
    spec.sample_interval_ns.saturating_mul(samples as i64)
}

/// Samples from one window to the next, from the measured time of a clip: windows take half of the time at most, so
/// that they never queue up, and a sample lies in four windows at most, since more of them say little that is new.
/// Above that a clip, and half of one if nothing was measured.
pub(crate) fn window_hop(spec: &ModelSpec, clip_time: Option<Duration>) -> usize {
    let clip = spec.clip_samples;
    let Some(clip_time) = clip_time else { return (clip / 2).max(1) };
    let interval = u128::try_from(spec.sample_interval_ns).unwrap_or(0).max(1);
    let least = usize::try_from((2 * clip_time.as_nanos()).div_ceil(interval)).unwrap_or(clip);
    least.clamp((clip / 4).max(1), clip)
}

/// The classifier that the package's mode asks for.
pub(crate) fn classifier(
    spec: &ModelSpec,
    session: Box<dyn Session>,
    settings: &Settings,
) -> Result<Box<dyn Classifier>> {
    Ok(match spec.mode {
        Mode::Stream => Box::new(stream::StreamClassifier::new(spec, session, settings)),
        Mode::Window => Box::new(window::WindowClassifier::new(spec, session, settings)?),
    })
}
