//! Early stop and view change, two optional rules that watch the outputs of the network.
//! docs/host/results.md describes both for hosts.

use super::posterior::largest;
use crate::error::{Error, Result, Status};
use crate::memory::fill_values;
use crate::stream::history::Span;

/// Maximum number of outputs that a rule can require.
const MAX_OUTPUTS: u32 = 1024;

/// The rule that stops the network when the label is settled.
///
/// The rule checks the last N outputs (chunks or windows), where N is the larger of `outputs` and
/// the number of outputs in a clip. The label is settled if three conditions held after each of
/// these outputs: the output had the same label as the mean, the margin of the mean was at least
/// `margin`, and the confidence of the mean was not below the threshold of the model package. A
/// change (a mark by the host or a new frame geometry) restarts the network and the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStop {
    /// Number of consecutive outputs that must agree with the mean, at most 1024. If a clip has
    /// more outputs, the number of outputs in a clip is used instead.
    pub outputs: u32,
    /// Required margin of the mean, greater than 0 and at most 1.
    pub margin: f32,
}

/// The rule that restarts the mean when the posterior shows another view.
///
/// After each output, the rule compares the recent posterior, which covers the last `span` outputs,
/// with the posterior of the mean. The two disagree if their labels differ and, in the recent
/// posterior, the value of its own label exceeds the value of the mean's label by at least
/// `margin`. The view has changed if the two have disagreed after each of the last `outputs`
/// outputs. The mean then covers only these outputs and later ones. The temporal state of the
/// network is not reset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewChange {
    /// Number of outputs that the recent posterior covers, at most 1024; 0 selects the number of
    /// outputs in a clip.
    pub span: u32,
    /// Number of comparisons in a row that must favour another view before the mean restarts, at
    /// most 1024. One comparison is made after each output. 0 selects the number of outputs in a
    /// clip.
    pub outputs: u32,
    /// Required difference between the values of the two labels in the recent posterior, greater
    /// than 0 and at most 1.
    pub margin: f32,
}

/// The rules of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) early_stop: Option<EarlyStop>,
    pub(crate) view_change: Option<ViewChange>,
}

impl Rules {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if a number is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(rule) = self.early_stop {
            check_margin("early_stop_margin", rule.margin)?;
            check_outputs("early_stop_outputs", rule.outputs)?;
        }
        if let Some(rule) = self.view_change {
            check_margin("view_change_margin", rule.margin)?;
            check_outputs("view_change_span", rule.span)?;
            check_outputs("view_change_outputs", rule.outputs)?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.early_stop.is_none() && self.view_change.is_none()
    }
}

fn check_margin(name: &str, value: f32) -> Result<()> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    let message = format!("{name} must be greater than 0 and at most 1, got {value}");
    Err(Error::new(Status::InvalidArgument, message))
}

fn check_outputs(name: &str, value: u32) -> Result<()> {
    if value <= MAX_OUTPUTS {
        return Ok(());
    }
    let message = format!("{name} must be 0 to {MAX_OUTPUTS}, got {value}");
    Err(Error::new(Status::InvalidArgument, message))
}

/// The outcome of the rules in an acquisition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleOutcome {
    /// Whether the label is settled and the network need not run.
    pub(crate) is_settled: bool,
    /// Number of times that the mean was restarted because the view had changed.
    pub(crate) view_changes: u64,
}

/// A monitor that applies the rules to the outputs of an acquisition.
pub(super) struct RuleMonitor {
    rules: Rules,
    threshold: f32,
    /// Number of values of an output.
    values: usize,
    outputs_per_clip: usize,
    /// The most recent outputs, as a ring: output `n` is in row `n % spans.len()`.
    rows: Vec<f32>,
    spans: Vec<Span>,
    /// Number of outputs kept since the stream was opened.
    kept: usize,
    agreeing: usize,
    disagreeing: usize,
    pub(super) outcome: RuleOutcome,
}

impl RuleMonitor {
    /// Creates a monitor, or returns `None` if no rule is set.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(
        rules: Rules,
        threshold: f32,
        values: usize,
        outputs_per_clip: usize,
    ) -> Result<Option<Self>> {
        if rules.is_empty() {
            return Ok(None);
        }
        let mut monitor = Self {
            rules,
            threshold,
            values,
            outputs_per_clip,
            rows: Vec::new(),
            spans: Vec::new(),
            kept: 0,
            agreeing: 0,
            disagreeing: 0,
            outcome: RuleOutcome::default(),
        };
        if let Some(rule) = rules.view_change {
            let rows = monitor.or_clip(rule.span).max(monitor.or_clip(rule.outputs));
            let purpose = "the outputs for view changes";
            monitor.rows = fill_values(rows.saturating_mul(values), 0.0, purpose)?;
            monitor.spans = fill_values(rows, Span { first_ns: 0, last_ns: 0 }, purpose)?;
        }
        Ok(Some(monitor))
    }

    /// Begins an acquisition.
    pub(super) fn begin(&mut self) {
        self.outcome = RuleOutcome::default();
        self.restart();
    }

    /// Resets the counts of agreeing and disagreeing outputs, because the mean restarts.
    pub(super) fn restart(&mut self) {
        (self.agreeing, self.disagreeing) = (0, 0);
        self.outcome.is_settled = false;
    }

    /// Resets the counts of agreeing and disagreeing outputs, because an output failed.
    pub(super) fn interrupt(&mut self) {
        (self.agreeing, self.disagreeing) = (0, 0);
    }

    fn or_clip(&self, outputs: u32) -> usize {
        if outputs == 0 { self.outputs_per_clip } else { outputs as usize }
    }

    /// Keeps an output if the view-change rule is set, because that rule needs earlier outputs.
    pub(super) fn keep_output(&mut self, values: &[f32], span: Span) {
        if self.spans.is_empty() {
            return;
        }
        let row = self.kept % self.spans.len();
        if let Some(place) = self.rows.chunks_exact_mut(self.values).nth(row) {
            place.copy_from_slice(values);
        }
        if let Some(place) = self.spans.get_mut(row) {
            *place = span;
        }
        self.kept += 1;
    }

    /// Writes the sum of the last `count` outputs, and returns the time at which the first of these
    /// outputs begins.
    pub(super) fn sum_outputs(&self, count: usize, sums: &mut [f64]) -> Option<i64> {
        sums.fill(0.0);
        let first = self.kept.saturating_sub(count);
        for output in first..self.kept {
            let row = output % self.spans.len();
            let values = self.rows.chunks_exact(self.values).nth(row).unwrap_or_default();
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        self.spans.get(first % self.spans.len().max(1)).map(|span| span.first_ns)
    }

    /// Returns the number of outputs that the recent posterior covers, or `None` if the view-change
    /// rule is not set.
    pub(super) fn recent_outputs(&self) -> Option<usize> {
        self.rules.view_change.map(|rule| self.or_clip(rule.span))
    }

    /// Compares the recent posterior with that of the mean. If the view has changed, returns the
    /// number of outputs that the mean must keep.
    pub(super) fn detect_view_change(&mut self, recent: &[f32], mean: &[f32]) -> Option<usize> {
        let rule = self.rules.view_change?;
        let ((new_label, value), (old_label, _)) = (largest(recent)?, largest(mean)?);
        let lead = value - recent.get(old_label).copied().unwrap_or_default();
        let disagrees = new_label != old_label && lead >= rule.margin;
        self.disagreeing = if disagrees { self.disagreeing + 1 } else { 0 };
        let required = self.or_clip(rule.outputs);
        if self.disagreeing < required {
            return None;
        }
        self.restart();
        self.outcome.view_changes += 1;
        Some(required)
    }

    /// Compares the posterior of the newest output with that of the mean, to decide whether the
    /// label is settled.
    pub(super) fn check_settled(&mut self, newest: &[f32], mean: &[f32]) {
        let Some(rule) = self.rules.early_stop else { return };
        let (Some((new_label, _)), Some((label, value))) = (largest(newest), largest(mean)) else {
            return;
        };
        let others = mean.iter().enumerate().filter(|&(index, _)| index != label);
        let second = others.map(|(_, &value)| value).fold(0.0, f32::max);
        let agrees = new_label == label && value - second >= rule.margin && value >= self.threshold;
        self.agreeing = if agrees { self.agreeing + 1 } else { 0 };
        let required = self.outputs_per_clip.max(rule.outputs as usize);
        self.outcome.is_settled |= self.agreeing >= required;
    }
}
