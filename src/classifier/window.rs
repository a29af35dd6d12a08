//! Overlapping clips.

use super::mean::{Mean, softmax};
use super::{Classifier, Outcome, Settings, Verdict, copy_slow};
use crate::backend::Session;
use crate::history::{Covered, Span};
use crate::model::ModelSpec;
use crate::{Error, Result, Status};

/// Overlapping clips.
pub(super) struct WindowClassifier {
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
    pub(super) fn new(spec: &ModelSpec, mut session: Box<dyn Session>, settings: &Settings) -> Result<Self> {
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
        Ok(Self {
            session,
            interval_ns: spec.sample_interval_ns,
            temperature: spec.temperature,
            sample_len,
            clip,
            hop: settings.hop,
            slow_indices: spec.slow_indices.clone(),
            kept: vec![0.0; clip * sample_len],
            scratch: vec![0.0; spec.labels.len()],
            samples: 0,
            start_ns: 0,
            last_window_end: 0,
            behind: false,
            mean: Mean::new(spec, settings, settings.hop),
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
        self.mean.begin();
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
        Ok(Outcome::news(due))
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
