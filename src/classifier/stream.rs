//! Stream mode, in which the network runs once per chunk and passes its temporal state from chunk
//! to chunk.

use super::head::Head;
use super::interface::{Classifier, ClassifierSettings, Step, run_session};
use super::mean::RunningMean;
use super::pathways::copy_slow_samples;
use super::rules::RuleOutcome;
use crate::backend::interface::Session;
use crate::error::Result;
use crate::model::ModelSpec;
use crate::sampling::{Grid, PartialChunk};
use crate::stream::history::{Covered, Span};
use std::ops::Range;

/// The classifier for stream mode, which runs the network once per chunk.
pub(super) struct StreamClassifier {
    session: Box<dyn Session>,
    partial: PartialChunk,
    chunk_samples: usize,
    alpha: usize,
    sample_len: usize,
    grid: Grid,
    /// Index of the next chunk in the segment.
    chunk: i64,
    /// Number of samples committed so far for the next chunk.
    filled: usize,
    mean: RunningMean,
}

impl StreamClassifier {
    /// Creates a classifier.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(
        spec: &ModelSpec,
        mut session: Box<dyn Session>,
        settings: &ClassifierSettings,
    ) -> Result<Self> {
        let sample_len = spec.sample_len();
        let chunk_samples = session.inputs().fast.len() / sample_len;
        Ok(Self {
            session,
            partial: settings.partial,
            chunk_samples,
            alpha: spec.alpha,
            sample_len,
            grid: Grid { start_ns: 0, interval_ns: spec.sample_interval_ns },
            chunk: 0,
            filled: 0,
            mean: RunningMean::new(spec, Head::new(None), settings, chunk_samples)?,
        })
    }

    fn sample_range(&self, index: usize) -> Range<usize> {
        index * self.sample_len..(index + 1) * self.sample_len
    }

    /// Runs the network on the full chunk. The last `repeated` samples of the chunk are copies of
    /// the sample before them.
    fn run_chunk(&mut self, repeated: usize) -> Result<Step> {
        let alpha = self.alpha;
        copy_slow_samples(self.session.as_mut(), self.sample_len, |slow| slow * alpha);
        let failure = run_session(self.session.as_mut(), |session| session.run())?;
        let first = self.chunk * self.chunk_samples as i64;
        let last = first + (self.chunk_samples - 1 - repeated) as i64;
        let span = Span { first_ns: self.grid.time_ns(first), last_ns: self.grid.time_ns(last) };
        match &failure {
            None => self.mean.add(self.session.logits(), span),
            Some(_) => self.mean.add_failed(span),
        }
        self.chunk += 1;
        self.filled = 0;
        self.expect_chunk();
        let Some(error) = failure else { return Ok(Step::Ran) };
        self.session.reset()?;
        Ok(Step::Failed(error))
    }

    fn expect_chunk(&self) {
        let last = (self.chunk + 1) * self.chunk_samples as i64 - 1;
        self.mean.expect_output(self.grid.time_ns(last));
    }
}

impl Classifier for StreamClassifier {
    fn begin(&mut self) {
        self.filled = 0;
        self.mean.begin();
    }

    fn start_segment(&mut self, grid: Grid) -> Result<()> {
        self.grid = grid;
        self.chunk = 0;
        self.filled = 0;
        self.expect_chunk();
        self.session.reset()
    }

    fn next_sample(&mut self) -> &mut [f32] {
        let range = self.sample_range(self.filled);
        self.session.inputs().fast.get_mut(range).unwrap_or_default()
    }

    fn repeat_sample(&mut self) {
        // If the chunk is empty, copy the last sample of the previous chunk, which is still at the
        // end of the buffer.
        let last = if self.filled == 0 { self.chunk_samples - 1 } else { self.filled - 1 };
        let (from, to) = (self.sample_range(last), self.filled * self.sample_len);
        self.session.inputs().fast.copy_within(from, to);
    }

    fn commit_sample(&mut self) -> Result<Step> {
        self.filled += 1;
        if self.filled == self.chunk_samples { self.run_chunk(0) } else { Ok(Step::Idle) }
    }

    /// Does nothing, because in stream mode the pipeline itself skips chunks.
    fn set_behind(&mut self, _: bool) {}

    fn end_segment(&mut self) -> Result<Step> {
        let completes =
            self.partial.completes(self.filled, self.chunk_samples, self.mean.is_empty());
        let mut step = Step::Idle;
        if completes {
            let repeated = self.chunk_samples - self.filled;
            while self.filled < self.chunk_samples {
                self.repeat_sample();
                self.filled += 1;
            }
            step = self.run_chunk(repeated)?;
        }
        self.filled = 0;
        Ok(step)
    }

    fn restart_mean(&mut self) {
        self.mean.restart();
    }

    fn rule_outcome(&self) -> RuleOutcome {
        self.mean.rule_outcome()
    }

    fn failed_outputs(&self) -> usize {
        self.mean.failed_outputs()
    }

    fn read_mean(&mut self, mean: &mut [f32]) -> Result<Option<Covered>> {
        self.mean.read(mean)
    }
}
