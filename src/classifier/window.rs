//! Window mode, in which the network runs on overlapping clips.

use super::head::Head;
use super::interface::{Classifier, ClassifierSettings, Step, run_session};
use super::mean::RunningMean;
use super::pathways::copy_slow_samples;
use super::posterior::PosteriorRule;
use super::rules::RuleOutcome;
use crate::backend::interface::Session;
use crate::error::{Error, Result, Status};
use crate::memory::{copy_values, fill_values};
use crate::model::ModelSpec;
use crate::sampling::Grid;
use crate::stream::history::{Covered, Span};
use std::ops::Range;

/// The classifier for window mode, which runs the network on a clip every `hop` samples.
pub(super) struct WindowClassifier {
    session: Box<dyn Session>,
    rule: PosteriorRule,
    sample_len: usize,
    clip: usize,
    hop: usize,
    slow_indices: Vec<usize>,
    /// The last `clip` samples as a ring.
    kept: Vec<f32>,
    /// The values of a window that are averaged: its posterior, and what the novelty score needs.
    output: Vec<f32>,
    grid: Grid,
    /// Number of samples in the segment so far.
    samples: usize,
    last_window_end: usize,
    is_behind: bool,
    mean: RunningMean,
}

impl WindowClassifier {
    /// Creates a classifier.
    ///
    /// # Errors
    /// Returns [`Status::ModelMismatch`] if the input of the graph does not hold exactly one clip,
    /// or [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(
        spec: &ModelSpec,
        mut session: Box<dyn Session>,
        settings: &ClassifierSettings,
    ) -> Result<Self> {
        let sample_len = spec.sample_len();
        let clip = spec.clip_samples;
        let (found, needed) = (session.inputs().fast.len(), clip * sample_len);
        if found != needed {
            let message = format!(
                "the input \"fast\" must hold {needed} values for {clip} samples, got {found}"
            );
            return Err(Error::new(Status::ModelMismatch, message));
        }
        Ok(Self {
            session,
            rule: PosteriorRule::of(spec),
            sample_len,
            clip,
            hop: settings.hop,
            slow_indices: copy_values(&spec.slow_indices, "the slow indices")?,
            kept: fill_values(needed, 0.0, "the samples of a clip")?,
            output: fill_values(spec.averaged_len(), 0.0, "a posterior")?,
            grid: Grid { start_ns: 0, interval_ns: spec.sample_interval_ns },
            samples: 0,
            last_window_end: 0,
            is_behind: false,
            mean: RunningMean::new(spec, Head::new(None), settings, settings.hop)?,
        })
    }

    fn sample_range(&self, sample: usize) -> Range<usize> {
        let slot = sample % self.clip;
        slot * self.sample_len..(slot + 1) * self.sample_len
    }

    /// Runs the network on the last `clip` samples. If the segment is shorter than a clip, its last
    /// sample is repeated.
    fn run_window(&mut self) -> Result<Step> {
        let (first, span) = (self.samples.saturating_sub(self.clip), self.newest_clip());
        let inputs = self.session.inputs();
        for (index, to) in inputs.fast.chunks_exact_mut(self.sample_len).enumerate() {
            let slot = (first + index).min(self.samples - 1) % self.clip;
            let from = self.kept.chunks_exact(self.sample_len).nth(slot).unwrap_or_default();
            to.copy_from_slice(from);
        }
        let indices = &self.slow_indices;
        copy_slow_samples(self.session.as_mut(), self.sample_len, |slow| {
            indices.get(slow).copied().unwrap_or_default()
        });
        let failure = run_session(self.session.as_mut(), |session| session.run())?;
        if failure.is_none() {
            let logits = self.session.logits();
            self.output.iter_mut().zip(logits).for_each(|(value, &logit)| *value = logit);
            self.rule.convert_output(&mut self.output);
            self.mean.add(&self.output, span);
        } else {
            self.mean.add_failed(span);
        }
        self.last_window_end = self.samples;
        self.expect_window();
        Ok(failure.map_or(Step::Ran, Step::Failed))
    }

    /// Returns the times of the last `clip` samples, or of all samples of a shorter segment.
    fn newest_clip(&self) -> Span {
        let at = |sample: usize| self.grid.time_ns(sample as i64);
        let first = self.samples.saturating_sub(self.clip);
        Span { first_ns: at(first), last_ns: at(self.samples.saturating_sub(1)) }
    }

    fn expect_window(&self) {
        let hops = self.samples.saturating_sub(self.clip) / self.hop
            + usize::from(self.samples >= self.clip);
        let last = self.clip + hops * self.hop - 1;
        self.mean.expect_output(self.grid.time_ns(last as i64));
    }
}

impl Classifier for WindowClassifier {
    fn begin(&mut self) {
        self.samples = 0;
        self.mean.begin();
    }

    fn start_segment(&mut self, grid: Grid) -> Result<()> {
        self.grid = grid;
        self.samples = 0;
        self.last_window_end = 0;
        self.expect_window();
        self.session.reset()
    }

    fn next_sample(&mut self) -> &mut [f32] {
        let range = self.sample_range(self.samples);
        self.kept.get_mut(range).unwrap_or_default()
    }

    fn repeat_sample(&mut self) {
        let from = self.sample_range(self.samples + self.clip - 1);
        let to = self.sample_range(self.samples).start;
        self.kept.copy_within(from, to);
    }

    fn commit_sample(&mut self) -> Result<Step> {
        self.samples += 1;
        let is_due =
            self.samples >= self.clip && (self.samples - self.clip).is_multiple_of(self.hop);
        if is_due && self.is_behind {
            self.mean.add_skip(self.newest_clip());
            self.expect_window();
            return Ok(Step::Skipped);
        }
        if is_due { self.run_window() } else { Ok(Step::Idle) }
    }

    fn set_behind(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
    }

    fn end_segment(&mut self) -> Result<Step> {
        let is_due = self.samples > self.last_window_end;
        let step = if is_due { self.run_window()? } else { Step::Idle };
        self.samples = 0;
        self.last_window_end = 0;
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
