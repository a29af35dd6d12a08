//! Chunk by chunk with carried state.

use super::mean::Mean;
use super::{Classifier, Outcome, Settings, Verdict, copy_slow};
use crate::Result;
use crate::backend::Session;
use crate::history::{Covered, Span};
use crate::model::ModelSpec;
use crate::sampling::PartialChunk;

/// Chunk by chunk with carried state.
pub(super) struct StreamClassifier {
    session: Box<dyn Session>,
    partial: PartialChunk,
    interval_ns: i64,
    chunk_samples: usize,
    slow_stride: usize,
    sample_len: usize,
    start_ns: i64,
    chunk: i64,
    filled: usize,
    mean: Mean,
}

impl StreamClassifier {
    pub(super) fn new(spec: &ModelSpec, mut session: Box<dyn Session>, settings: &Settings) -> Self {
        let sample_len = spec.sample_len();
        let chunk_samples = session.inputs().1.len() / sample_len;
        Self {
            session,
            partial: settings.partial,
            interval_ns: spec.sample_interval_ns,
            chunk_samples,
            slow_stride: spec.alpha,
            sample_len,
            start_ns: 0,
            chunk: 0,
            filled: 0,
            mean: Mean::new(spec, settings, chunk_samples),
        }
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
        self.mean.begin();
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
        let completes = self.partial.completes(self.filled, self.chunk_samples, self.mean.is_empty());
        if completes {
            let held = self.chunk_samples - self.filled;
            while self.filled < self.chunk_samples {
                self.repeat_sample();
                self.filled += 1;
            }
            self.step(held)?;
        }
        self.filled = 0;
        Ok(Outcome::news(completes))
    }

    fn change(&mut self) {
        self.mean.restart();
    }

    fn verdict(&self) -> Verdict {
        self.mean.verdict()
    }

    fn posterior(&self, out: &mut [f32]) -> Option<Covered> {
        self.mean.read(out)
    }
}
