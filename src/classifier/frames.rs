//! Stream mode with frame steps: the fast part of the network runs for each sample, and the slow
//! part once for each chunk, at the same time as later fast runs. This module implements
//! docs/stream-contract.md#frame-steps.

mod ended;

use super::head::Head;
use super::interface::{Classifier, ClassifierSettings, Step, run_session};
use super::mean::RunningMean;
use super::posterior::PosteriorRule;
use super::rules::RuleOutcome;
use super::slow_lane::SlowLane;
use crate::backend::interface::Session;
use crate::error::{Error, Result};
use crate::memory::fill_values;
use crate::model::ModelSpec;
use crate::sampling::{Grid, PartialChunk};
use crate::stream::history::{Covered, Span};
use ended::{EndedChunk, EndedChunks};

/// The classifier for frame steps.
pub(super) struct FrameClassifier {
    fast: Box<dyn Session>,
    /// The slow lane; `None` for a network with one pathway.
    slow: Option<SlowLane>,
    partial: PartialChunk,
    alpha: usize,
    reach: usize,
    grid: Grid,
    /// Index of the current chunk in the segment.
    chunk: i64,
    current: CurrentChunk,
    /// Chunks whose samples have all run, oldest first. The slow run of the oldest may be in
    /// progress.
    ended: EndedChunks,
    /// Whether the next slow run starts from the initial states.
    slow_is_first: bool,
    mean: RunningMean,
    rule: PosteriorRule,
    /// Memory for the output of a chunk: its logits or, if posteriors are averaged, its posterior
    /// and what the novelty score needs.
    output: Vec<f32>,
}

/// The chunk whose samples are arriving.
struct CurrentChunk {
    /// Number of its samples so far.
    filled: usize,
    /// Sums of the fast logits.
    sums: Vec<f64>,
    /// Number of its slow run, once it is due.
    job: Option<u64>,
    /// Reason why a fast run has failed. The remaining samples of the chunk are then not run.
    failure: Option<Error>,
}

impl CurrentChunk {
    fn restart(&mut self) {
        self.filled = 0;
        self.sums.fill(0.0);
        (self.job, self.failure) = (None, None);
    }

    /// Writes the mean of the fast logits.
    fn read_mean(&self, mean: &mut [f32]) {
        for (mean, &sum) in mean.iter_mut().zip(&self.sums) {
            *mean = (sum / self.filled as f64) as f32;
        }
    }
}

impl FrameClassifier {
    /// Creates a classifier.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(
        spec: &ModelSpec,
        fast: Box<dyn Session>,
        slow: Option<SlowLane>,
        head: Head,
        settings: &ClassifierSettings,
    ) -> Result<Self> {
        let values = spec.run_output_len();
        let sums = fill_values(values, 0.0, "the fast logits")?;
        Ok(Self {
            fast,
            slow,
            partial: settings.partial,
            alpha: spec.alpha,
            reach: spec.frame_steps.as_ref().map_or(0, |steps| steps.lateral_reach),
            grid: Grid { start_ns: 0, interval_ns: spec.sample_interval_ns },
            chunk: 0,
            current: CurrentChunk { filled: 0, sums, job: None, failure: None },
            ended: EndedChunks::new(values)?,
            slow_is_first: true,
            mean: RunningMean::new(spec, head, settings, spec.alpha)?,
            rule: PosteriorRule::of(spec),
            output: fill_values(spec.averaged_len(), 0.0, "the output of a chunk")?,
        })
    }

    /// Runs the fast part on the sample in its input, and submits the slow run if it is due.
    fn run_sample(&mut self) -> Result<()> {
        let index = self.current.filled;
        self.current.filled += 1;
        if self.current.failure.is_some() {
            return Ok(());
        }
        // A slow run does not begin before the frames that are waiting have been processed up to
        // the next fast run. If one of them ends the acquisition, the slow run may not be needed.
        if let Some(slow) = &mut self.slow {
            slow.start_jobs();
        }
        if let (0, Some(slow)) = (index, &mut self.slow) {
            let job = slow.wait_for_job(self.ended.first_job())?;
            job.sample.copy_from_slice(self.fast.inputs().fast);
        }
        let fast = self.fast.as_mut();
        let is_due = index == self.reach;
        let job = self.slow.as_mut().filter(|_| is_due).and_then(SlowLane::job);
        self.current.failure = match job {
            Some(job) => run_session(fast, |fast| fast.run_and_copy_windows(&mut job.windows))?,
            None => run_session(fast, |fast| fast.run())?,
        };
        if self.current.failure.is_some() {
            // The next chunk starts from the initial state in both parts.
            self.slow_is_first = true;
            return self.fast.reset();
        }
        for (sum, &logit) in self.current.sums.iter_mut().zip(self.fast.logits()) {
            *sum += f64::from(logit);
        }
        if let Some(slow) = self.slow.as_mut().filter(|_| is_due)
            && let Some(job) = slow.job()
        {
            job.is_first = std::mem::take(&mut self.slow_is_first);
            self.current.job = Some(slow.submit());
        }
        Ok(())
    }

    /// Ends the current chunk. Its last `repeated` samples are copies of the sample before them.
    fn end_chunk(&mut self, repeated: usize) {
        let first = self.chunk * self.alpha as i64;
        let last = first + (self.current.filled - 1 - repeated) as i64;
        let span = Span { first_ns: self.grid.time_ns(first), last_ns: self.grid.time_ns(last) };
        let Self { current, ended, .. } = self;
        ended.push(|chunk: &mut EndedChunk| {
            chunk.span = span;
            current.read_mean(&mut chunk.fast_mean);
            chunk.failure = current.failure.take();
            chunk.job = current.job.filter(|_| chunk.failure.is_none());
        });
        self.current.restart();
        self.chunk += 1;
    }

    /// Adds the oldest ended chunk, whose slow run has ended, to the mean.
    ///
    /// # Errors
    /// Returns the error of a slow run after which the segment cannot go on.
    fn complete_oldest(&mut self) -> Result<Step> {
        let Some(chunk) = self.ended.oldest_mut() else { return Ok(Step::Idle) };
        self.output.iter_mut().zip(&chunk.fast_mean).for_each(|(value, &fast)| *value = fast);
        let (span, mut failure, mut slow_ns) = (chunk.span, chunk.failure.take(), 0);
        if let Some((slow, number)) = self.slow.as_mut().zip(chunk.job)
            && let Some(outcome) = slow.outcome(number)
        {
            slow_ns = outcome.time_ns;
            failure = outcome.result.clone()?;
            for (value, &slow) in self.output.iter_mut().zip(&outcome.logits) {
                *value += slow;
            }
        }
        self.ended.pop();
        match &failure {
            None => {
                self.rule.convert_output(&mut self.output);
                self.mean.add(&self.output, span);
            }
            Some(_) => self.mean.add_failed(span),
        }
        let last = (self.chunk - self.ended.len() as i64 + 1) * self.alpha as i64 - 1;
        self.mean.expect_output(self.grid.time_ns(last));
        Ok(failure.map_or(Step::Completed { slow_ns }, Step::Failed))
    }

    /// Returns whether the slow run of the oldest ended chunk has ended.
    fn is_oldest_complete(&mut self) -> bool {
        match (&mut self.slow, self.ended.first_job_of_oldest()) {
            (Some(slow), Some(number)) => slow.outcome(number).is_some(),
            _ => true,
        }
    }

    /// Waits for the slow run of the oldest ended chunk.
    fn wait_for_oldest(&mut self) -> Result<()> {
        match (&mut self.slow, self.ended.first_job_of_oldest()) {
            (Some(slow), Some(number)) => slow.wait_for_outcome(number),
            _ => Ok(()),
        }
    }

    /// Drops the current chunk and all ended ones. Slow runs that have not begun are not run.
    fn drop_chunks(&mut self) {
        self.current.restart();
        self.ended.clear();
        self.slow_is_first = true;
        if let Some(slow) = &mut self.slow {
            slow.give_up();
        }
    }
}

impl Classifier for FrameClassifier {
    fn begin(&mut self) {
        self.drop_chunks();
        self.mean.begin();
    }

    fn start_segment(&mut self, grid: Grid) -> Result<()> {
        self.drop_chunks();
        (self.grid, self.chunk) = (grid, 0);
        self.mean.expect_output(grid.time_ns(self.alpha as i64 - 1));
        self.fast.reset()
    }

    fn next_sample(&mut self) -> &mut [f32] {
        self.fast.inputs().fast
    }

    /// Does nothing, because the input keeps the previous sample.
    fn repeat_sample(&mut self) {}

    fn commit_sample(&mut self) -> Result<Step> {
        self.run_sample()?;
        let ends_chunk = self.current.filled == self.alpha;
        if ends_chunk {
            self.end_chunk(0);
        }
        Ok(Step::Sampled { ends_chunk })
    }

    fn collect(&mut self) -> Result<Step> {
        if self.ended.is_full() {
            // The slow lane may lag by one chunk only.
            self.wait_for_oldest()?;
        }
        if self.is_oldest_complete() { self.complete_oldest() } else { Ok(Step::Idle) }
    }

    fn run_slow(&mut self) -> bool {
        self.slow.as_mut().is_some_and(SlowLane::run_or_start)
    }

    /// Does nothing, because in stream mode the pipeline itself skips chunks.
    fn set_behind(&mut self, _: bool) {}

    fn end_segment(&mut self) -> Result<Step> {
        if self.ended.len() == 0 {
            let filled = self.current.filled;
            let is_first = self.mean.is_empty();
            match self.partial.repeats(filled, self.alpha, self.reach, is_first) {
                Some(repeats) => {
                    for _ in 0..repeats {
                        self.run_sample()?;
                    }
                    self.end_chunk(repeats);
                }
                None => {
                    self.drop_chunks();
                    return Ok(Step::Idle);
                }
            }
        }
        self.wait_for_oldest()?;
        self.complete_oldest()
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

    fn read_partial(&mut self, mean: &mut [f32]) -> Result<Option<Covered>> {
        let job = match &self.slow {
            // With one pathway, a chunk has one sample, so no chunk is partial.
            None => return Ok(None),
            Some(_) => self.current.job,
        };
        let Some(job) = job else { return Ok(None) };
        // With `hold`, the chunk would be completed by runs whose states are thrown away.
        let is_held = self.partial == PartialChunk::Hold;
        let may_count = self.mean.is_empty() && self.ended.len() == 0;
        if is_held || !may_count || self.current.failure.is_some() {
            return Ok(None);
        }
        let outcome = self.slow.as_mut().and_then(|slow| slow.outcome(job));
        let Some(outcome) = outcome.filter(|outcome| matches!(outcome.result, Ok(None))) else {
            return Ok(None);
        };
        self.current.read_mean(mean);
        for (value, &slow) in mean.iter_mut().zip(&outcome.logits) {
            *value += slow;
        }
        self.rule.convert_output(mean);
        self.mean.apply_head(mean)?;
        let first = self.chunk * self.alpha as i64;
        let last = first + self.current.filled as i64 - 1;
        let span = Span { first_ns: self.grid.time_ns(first), last_ns: self.grid.time_ns(last) };
        Ok(Some(Covered { outputs: 1, failed: self.mean.failed_outputs(), span }))
    }
}
