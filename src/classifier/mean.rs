//! The running mean of the network's outputs.

use super::head::Head;
use super::interface::ClassifierSettings;
use super::posterior::PosteriorRule;
use super::rules::{RuleMonitor, RuleOutcome};
use crate::error::Result;
use crate::memory::fill_values;
use crate::model::ModelSpec;
use crate::stream::history::{Covered, History, Span};
use std::sync::Arc;

/// The mean of the outputs since the last restart. If `span_ns` is not 0, the mean covers only the
/// outputs of the last `span_ns` nanoseconds.
pub(super) struct RunningMean {
    history: Arc<History>,
    span_ns: i64,
    rule: PosteriorRule,
    head: Head,
    /// Number of labels. The values of an output that follow its logits or its posterior are
    /// averaged, too, but the rules do not use them.
    labels: usize,
    sum: Vec<f64>,
    /// The newest output; empty if the label follows from the mean.
    newest: Vec<f32>,
    count: usize,
    /// Number of outputs that have failed since the last restart.
    failed: usize,
    /// Number of outputs since the last restart or the last view change, including those that have
    /// failed.
    entries: usize,
    covered: Option<Span>,
    monitor: Option<RuleMonitor>,
    recent_sum: Vec<f64>,
    /// Memory for the posteriors that the rules compare.
    scratch: [Vec<f32>; 2],
}

impl RunningMean {
    /// Creates a mean. The network produces one output every `output_samples` samples.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the memory cannot be
    /// allocated.
    pub(super) fn new(
        spec: &ModelSpec,
        head: Head,
        settings: &ClassifierSettings,
        output_samples: usize,
    ) -> Result<Self> {
        let values = spec.averaged_len();
        let create_sum = || fill_values(values, 0.0, "the mean");
        let create_posterior = || fill_values(spec.combined_len(), 0.0, "a posterior");
        let outputs_per_clip = spec.clip_samples.div_ceil(output_samples.max(1));
        Ok(Self {
            history: Arc::clone(&settings.history),
            span_ns: settings.label_span_ns,
            rule: PosteriorRule::of(spec),
            head,
            labels: spec.labels.len(),
            sum: create_sum()?,
            newest: if spec.uses_newest() {
                fill_values(values, 0.0, "the newest output")?
            } else {
                Vec::new()
            },
            count: 0,
            failed: 0,
            entries: 0,
            covered: None,
            monitor: RuleMonitor::new(settings.rules, spec.threshold, values, outputs_per_clip)?,
            recent_sum: create_sum()?,
            scratch: [create_posterior()?, create_posterior()?],
        })
    }

    /// Begins an acquisition.
    pub(super) fn begin(&mut self) {
        self.restart();
        if let Some(monitor) = &mut self.monitor {
            monitor.begin();
        }
    }

    /// Restarts the mean, which then covers only later outputs.
    pub(super) fn restart(&mut self) {
        self.sum.fill(0.0);
        (self.count, self.failed, self.entries) = (0, 0, 0);
        self.covered = None;
        if let Some(monitor) = &mut self.monitor {
            monitor.restart();
        }
    }

    /// Returns whether no output counts yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the number of outputs that have failed since the last restart.
    pub(super) fn failed_outputs(&self) -> usize {
        self.failed
    }

    /// Returns the outcome of the rules in this acquisition.
    pub(super) fn rule_outcome(&self) -> RuleOutcome {
        self.monitor.as_ref().map_or(RuleOutcome::default(), |monitor| monitor.outcome)
    }

    /// Records the time at which the next output ends, for queries that wait for this output.
    pub(super) fn expect_output(&self, last_ns: i64) {
        self.history.expect(last_ns);
    }

    /// Adds an output of the network.
    pub(super) fn add(&mut self, values: &[f32], span: Span) {
        self.history.add(values, span);
        for (sum, &value) in self.sum.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
        self.newest.iter_mut().zip(values).for_each(|(newest, &value)| *newest = value);
        let first_ns = self.covered.map_or(span.first_ns, |covered| covered.first_ns);
        self.covered = Some(Span { first_ns, last_ns: span.last_ns });
        self.count += 1;
        self.entries += 1;
        if let Some(mut monitor) = self.monitor.take() {
            self.apply_rules(&mut monitor, values, span);
            self.monitor = Some(monitor);
        }
    }

    /// Records that the network gave no output for the samples in `span`.
    pub(super) fn add_failed(&mut self, span: Span) {
        self.history.add_failed(span);
        self.failed += 1;
        self.entries += 1;
        if let Some(monitor) = &mut self.monitor {
            monitor.interrupt();
        }
    }

    /// Records that the window with the samples in `span` was skipped.
    pub(super) fn add_skip(&self, span: Span) {
        self.history.add_skip(span);
    }

    fn apply_rules(&mut self, monitor: &mut RuleMonitor, values: &[f32], span: Span) {
        monitor.keep_output(values, span);
        let mut scratch = std::mem::take(&mut self.scratch);
        if self.compare(monitor, values, span, &mut scratch).is_err() {
            // A head that fails gives no posterior to compare.
            monitor.interrupt();
        }
        self.scratch = scratch;
    }

    /// Compares the posterior of the mean with those of the recent outputs and of the newest one.
    ///
    /// # Errors
    /// Returns the error of the head.
    fn compare(
        &mut self,
        monitor: &mut RuleMonitor,
        values: &[f32],
        span: Span,
        [mean, other]: &mut [Vec<f32>; 2],
    ) -> Result<()> {
        self.read_mean(mean);
        self.convert(mean)?;
        if let Some(recent) = monitor.recent_outputs() {
            let recent = recent.min(self.count);
            monitor.sum_outputs(recent, &mut self.recent_sum);
            divide(&self.recent_sum, recent, other);
            self.convert(other)?;
            let change = monitor.detect_view_change(self.posterior(other), self.posterior(mean));
            if let Some(outputs) = change {
                self.count = outputs.min(self.count);
                self.entries = self.count;
                let first_ns = monitor.sum_outputs(self.count, &mut self.sum);
                self.covered = first_ns.map(|first_ns| Span { first_ns, last_ns: span.last_ns });
                self.read_mean(mean);
                self.convert(mean)?;
            }
        }
        other.iter_mut().zip(values).for_each(|(other, &value)| *other = value);
        self.convert(other)?;
        monitor.check_settled(self.posterior(other), self.posterior(mean));
        Ok(())
    }

    /// Converts a combination of outputs to a posterior.
    ///
    /// # Errors
    /// Returns the error of the head.
    fn convert(&mut self, combined: &mut [f32]) -> Result<()> {
        self.head.apply(combined)?;
        self.rule.apply(combined);
        Ok(())
    }

    /// Applies a head that is not linear to a combination of outputs.
    ///
    /// # Errors
    /// Returns the error of the head.
    pub(super) fn apply_head(&mut self, combined: &mut [f32]) -> Result<()> {
        self.head.apply(combined)
    }

    /// Returns the posterior at the beginning of a converted mean.
    fn posterior<'a>(&self, mean: &'a [f32]) -> &'a [f32] {
        mean.get(..self.labels).unwrap_or_default()
    }

    /// Writes the values from which the label follows: the mean or the newest output, after a head
    /// that is not linear. Returns the number and the times of the outputs that count, or `None` if
    /// no output counts yet.
    ///
    /// # Errors
    /// Returns the error of the head.
    pub(super) fn read(&mut self, values: &mut [f32]) -> Result<Option<Covered>> {
        let Some(covered) = self.read_mean(values) else { return Ok(None) };
        // An output that counts is never older than the newest of all.
        values.iter_mut().zip(&self.newest).for_each(|(value, &newest)| *value = newest);
        self.head.apply(values)?;
        Ok(Some(covered))
    }

    /// Writes the mean, with which the rules compare outputs in every case.
    fn read_mean(&self, mean: &mut [f32]) -> Option<Covered> {
        if self.span_ns > 0 {
            return self.history.mean_of_recent(self.entries, self.span_ns, mean);
        }
        let span = self.covered?;
        divide(&self.sum, self.count, mean);
        Some(Covered { outputs: self.count, failed: self.failed, span })
    }
}

fn divide(sums: &[f64], count: usize, mean: &mut [f32]) {
    for (value, &sum) in mean.iter_mut().zip(sums) {
        *value = (sum / count as f64) as f32;
    }
}
