//! Samples to a posterior: the streaming classifier carries state from chunk to chunk, the window classifier runs
//! overlapping clips. Both keep a bounded history of their outputs with times, from which the mean is taken.

use crate::backend::Session;
use crate::history::{Covered, History, Span};
use crate::model::{Mode, ModelSpec};
use crate::sampling::PartialChunk;
use crate::{Error, Result, Status};
use std::sync::Arc;

/// Mean over the outputs since the last change, all of them or those of the last `span_ns`.
struct Mean {
    history: Arc<History>,
    span_ns: i64,
    sum: Vec<f64>,
    count: usize,
    covered: Option<Span>,
}

impl Mean {
    fn new(labels: usize, settings: &ClassifierSettings) -> Self {
        let (history, span_ns) = (Arc::clone(&settings.history), settings.label_span_ns);
        Self { history, span_ns, sum: vec![0.0; labels], count: 0, covered: None }
    }

    fn restart(&mut self) {
        self.sum.fill(0.0);
        self.count = 0;
        self.covered = None;
    }

    fn add(&mut self, values: &[f32], span: Span) {
        self.history.add(values, span);
        for (sum, &value) in self.sum.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
        let first_ns = self.covered.map_or(span.first_ns, |covered| covered.first_ns);
        self.covered = Some(Span { first_ns, last_ns: span.last_ns });
        self.count += 1;
    }

    /// Mean into `out`; the outputs it covers and their times.
    fn read(&self, out: &mut [f32]) -> Option<Covered> {
        if self.span_ns > 0 {
            return self.history.recent(self.count, self.span_ns, out);
        }
        for (to, &sum) in out.iter_mut().zip(&self.sum) {
            *to = (sum / self.count as f64) as f32;
        }
        self.covered.map(|span| (self.count, span))
    }
}

/// Softmax of `logits / temperature`, in place.
pub(crate) fn softmax(values: &mut [f32], temperature: f32) {
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = ((*value - top) / temperature).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|value| *value /= sum);
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

    /// Posterior into `out` (one value a label); how many chunks or windows it covers, and their times.
    fn posterior(&self, out: &mut [f32]) -> Option<Covered>;
}

/// Settings of a stream that reach the classifier.
pub(crate) struct ClassifierSettings {
    pub(crate) history: Arc<History>,
    pub(crate) partial: PartialChunk,
    pub(crate) label_span_ns: i64,
}

/// Time between two outputs of the network.
pub(crate) fn step_ns(spec: &ModelSpec) -> i64 {
    let samples = match spec.mode {
        Mode::Stream => spec.alpha,
        Mode::Window => window_hop(spec),
    };
    spec.sample_interval_ns.saturating_mul(samples as i64)
}

/// Samples from one window to the next: half a clip.
fn window_hop(spec: &ModelSpec) -> usize {
    (spec.clip_samples / 2).max(1)
}

/// The classifier that the package's mode asks for.
pub(crate) fn classifier(
    spec: &ModelSpec,
    session: Box<dyn Session>,
    settings: ClassifierSettings,
) -> Result<Box<dyn Classifier>> {
    Ok(match spec.mode {
        Mode::Stream => Box::new(StreamClassifier::new(spec, session, settings)?),
        Mode::Window => Box::new(WindowClassifier::new(spec, session, settings)?),
    })
}

/// Chunk by chunk with carried state.
struct StreamClassifier {
    session: Box<dyn Session>,
    partial: PartialChunk,
    interval_ns: i64,
    temperature: f32,
    chunk_samples: usize,
    slow_stride: usize,
    sample_len: usize,
    start_ns: i64,
    chunk: i64,
    filled: usize,
    mean: Mean,
}

impl StreamClassifier {
    fn new(spec: &ModelSpec, mut session: Box<dyn Session>, settings: ClassifierSettings) -> Result<Self> {
        let sample_len = spec.sample_len();
        let chunk_samples = session.inputs().1.len() / sample_len;
        Ok(Self {
            session,
            partial: settings.partial,
            interval_ns: spec.sample_interval_ns,
            temperature: spec.temperature,
            chunk_samples,
            slow_stride: spec.alpha,
            sample_len,
            start_ns: 0,
            chunk: 0,
            filled: 0,
            mean: Mean::new(spec.labels.len(), &settings),
        })
    }

    fn sample_range(&self, index: usize) -> std::ops::Range<usize> {
        index * self.sample_len..(index + 1) * self.sample_len
    }

    /// Runs the full chunk, of which the last `held` samples repeat the one before.
    fn step(&mut self, held: usize) -> Result<()> {
        let stride = self.slow_stride;
        copy_slow(self.session.as_mut(), self.sample_len, |slow| slow * stride);
        self.session.run()?;
        let first = self.chunk * self.chunk_samples as i64;
        let last = first + (self.chunk_samples - 1 - held) as i64;
        let at = |sample: i64| self.start_ns + sample * self.interval_ns;
        self.mean.add(self.session.logits(), Span { first_ns: at(first), last_ns: at(last) });
        self.chunk += 1;
        self.filled = 0;
        self.expect_chunk();
        Ok(())
    }

    /// Tells the history when the chunk that comes next ends.
    fn expect_chunk(&self) {
        let last = (self.chunk + 1) * self.chunk_samples as i64 - 1;
        self.mean.history.expect(Some(self.start_ns + last * self.interval_ns));
    }
}

impl Classifier for StreamClassifier {
    fn begin(&mut self) -> Result<()> {
        self.filled = 0;
        self.mean.restart();
        Ok(())
    }

    fn start_segment(&mut self, start_ns: i64) -> Result<()> {
        self.start_ns = start_ns;
        self.chunk = 0;
        self.filled = 0;
        self.expect_chunk();
        self.session.reset()
    }

    fn sample(&mut self) -> &mut [f32] {
        let range = self.sample_range(self.filled);
        self.session.inputs().1.get_mut(range).unwrap_or_default()
    }

    fn repeat_sample(&mut self) {
        // The sample before the first of a chunk is still the last of the buffer.
        let last = if self.filled == 0 { self.chunk_samples - 1 } else { self.filled - 1 };
        let (from, to) = (self.sample_range(last), self.filled * self.sample_len);
        self.session.inputs().1.copy_within(from, to);
    }

    fn commit_sample(&mut self) -> Result<Outcome> {
        self.filled += 1;
        let full = self.filled == self.chunk_samples;
        if full {
            self.step(0)?;
        }
        Ok(Outcome::news(full))
    }

    /// Stream mode skips runs of chunks, which is the worker's to do.
    fn set_behind(&mut self, _: bool) {}

    fn end_segment(&mut self) -> Result<Outcome> {
        let completes = self.partial.completes(self.filled, self.chunk_samples, self.mean.count == 0);
        if completes {
            let held = self.chunk_samples - self.filled;
            while self.filled < self.chunk_samples {
                self.repeat_sample();
                self.filled += 1;
            }
            self.step(held)?;
        }
        self.filled = 0;
        self.mean.history.expect(None);
        Ok(Outcome::news(completes))
    }

    fn change(&mut self) {
        self.mean.restart();
    }

    fn posterior(&self, out: &mut [f32]) -> Option<Covered> {
        let covered = self.mean.read(out)?;
        softmax(out, self.temperature);
        Some(covered)
    }
}

/// Overlapping clips.
struct WindowClassifier {
    session: Box<dyn Session>,
    interval_ns: i64,
    temperature: f32,
    sample_len: usize,
    clip: usize,
    hop: usize,
    slow_indices: Vec<usize>,
    /// The last `clip` samples, as a ring.
    kept: Vec<f32>,
    scratch: Vec<f32>,
    samples: usize,
    start_ns: i64,
    last_window_end: usize,
    behind: bool,
    mean: Mean,
}

impl WindowClassifier {
    fn new(spec: &ModelSpec, mut session: Box<dyn Session>, settings: ClassifierSettings) -> Result<Self> {
        let sample_len = spec.sample_len();
        let clip = spec.clip_samples;
        if session.inputs().1.len() != clip * sample_len {
            return Err(Error::new(
                Status::ModelMismatch,
                format!(
                    "the input fast holds {} values, {clip} samples have {}",
                    session.inputs().1.len(),
                    clip * sample_len
                ),
            ));
        }
        let hop = window_hop(spec);
        Ok(Self {
            session,
            interval_ns: spec.sample_interval_ns,
            temperature: spec.temperature,
            sample_len,
            clip,
            hop,
            slow_indices: spec.slow_indices.clone(),
            kept: vec![0.0; clip * sample_len],
            scratch: vec![0.0; spec.labels.len()],
            samples: 0,
            start_ns: 0,
            last_window_end: 0,
            behind: false,
            mean: Mean::new(spec.labels.len(), &settings),
        })
    }

    fn slot(&self, sample: usize) -> std::ops::Range<usize> {
        let slot = sample % self.clip;
        slot * self.sample_len..(slot + 1) * self.sample_len
    }

    /// Runs the window of the last `clip` samples; a shorter segment repeats its last sample.
    fn run(&mut self) -> Result<()> {
        let first = self.samples.saturating_sub(self.clip);
        for (index, to) in self.session.inputs().1.chunks_exact_mut(self.sample_len).enumerate() {
            let slot = (first + index).min(self.samples - 1) % self.clip;
            to.copy_from_slice(self.kept.chunks_exact(self.sample_len).nth(slot).unwrap_or_default());
        }
        let indices = &self.slow_indices;
        copy_slow(self.session.as_mut(), self.sample_len, |slow| {
            indices.get(slow).copied().unwrap_or_default()
        });
        self.session.run()?;
        self.scratch.copy_from_slice(self.session.logits());
        softmax(&mut self.scratch, self.temperature);
        let at = |sample: usize| self.start_ns + sample as i64 * self.interval_ns;
        self.mean.add(&self.scratch, Span { first_ns: at(first), last_ns: at(self.samples - 1) });
        self.last_window_end = self.samples;
        self.expect_window();
        Ok(())
    }

    /// Tells the history when the window that comes next ends.
    fn expect_window(&self) {
        let hops = self.samples.saturating_sub(self.clip) / self.hop + usize::from(self.samples >= self.clip);
        let last = self.clip + hops * self.hop - 1;
        self.mean.history.expect(Some(self.start_ns + last as i64 * self.interval_ns));
    }
}

impl Classifier for WindowClassifier {
    fn begin(&mut self) -> Result<()> {
        self.samples = 0;
        self.mean.restart();
        Ok(())
    }

    fn start_segment(&mut self, start_ns: i64) -> Result<()> {
        self.start_ns = start_ns;
        self.samples = 0;
        self.last_window_end = 0;
        self.expect_window();
        self.session.reset()
    }

    fn sample(&mut self) -> &mut [f32] {
        let range = self.slot(self.samples);
        self.kept.get_mut(range).unwrap_or_default()
    }

    fn repeat_sample(&mut self) {
        let from = self.slot(self.samples + self.clip - 1);
        let to = self.slot(self.samples).start;
        self.kept.copy_within(from, to);
    }

    fn commit_sample(&mut self) -> Result<Outcome> {
        self.samples += 1;
        let due = self.samples >= self.clip && (self.samples - self.clip).is_multiple_of(self.hop);
        if due && self.behind {
            self.expect_window();
            return Ok(Outcome::Skipped);
        }
        if due {
            self.run()?;
        }
        Ok(Outcome::news(due))
    }

    fn set_behind(&mut self, behind: bool) {
        self.behind = behind;
    }

    fn end_segment(&mut self) -> Result<Outcome> {
        let due = self.samples > self.last_window_end;
        if due {
            self.run()?;
        }
        self.samples = 0;
        self.last_window_end = 0;
        self.mean.history.expect(None);
        Ok(Outcome::news(due))
    }

    fn change(&mut self) {
        self.mean.restart();
    }

    fn posterior(&self, out: &mut [f32]) -> Option<Covered> {
        self.mean.read(out)
    }
}
