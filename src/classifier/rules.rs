//! Two rules on what the network says while it runs, both off unless the host asks: stop when the label is settled,
//! and begin the mean anew when the view has changed.

use super::mean::top;
use crate::history::Span;
use crate::{Error, Result, Status};

/// Most outputs that a rule may ask for.
const MOST_OUTPUTS: u32 = 1024;

/// The network stops running when the label is settled: after each of the last `outputs` outputs (chunks or windows),
/// and over at least a clip of them, the output's own label was that of the mean, and the mean's margin was at least
/// `margin` and its confidence not under the package's threshold. A change (mark or geometry) arms it again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStop {
    /// Outputs in a row that must agree; those of a clip if that is more.
    pub outputs: u32,
    /// Largest score of the mean minus its second largest, more than 0 and at most 1.
    pub margin: f32,
}

/// The mean begins anew when the view has changed: after each of `outputs` outputs in a row the posterior of the last
/// `span` outputs had another label than the mean, and a score for it that was by at least `margin` above its score
/// for the mean's label. The mean then is that of the outputs from the first of these on. The temporal state goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewChange {
    /// Outputs whose posterior is held against the mean's; 0: those of a clip.
    pub span: u32,
    /// Outputs in a row that must disagree; 0: those of a clip.
    pub outputs: u32,
    /// Score of the new label minus that of the mean's, more than 0 and at most 1.
    pub margin: f32,
}

/// The rules of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) early_stop: Option<EarlyStop>,
    pub(crate) view_change: Option<ViewChange>,
}

impl Rules {
    /// [`Status::InvalidArgument`] for a number out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let margin = |value: f32| value > 0.0 && value <= 1.0;
        let early = self.early_stop.is_none_or(|rule| margin(rule.margin) && rule.outputs <= MOST_OUTPUTS);
        let change = self.view_change.is_none_or(|rule| {
            margin(rule.margin) && rule.outputs <= MOST_OUTPUTS && rule.span <= MOST_OUTPUTS
        });
        if early && change {
            return Ok(());
        }
        let what = format!(
            "of early_stop and view_change a margin lies above 0 to 1, a count in 0 to {MOST_OUTPUTS}"
        );
        Err(Error::new(Status::InvalidArgument, what))
    }

    fn any(&self) -> bool {
        self.early_stop.is_some() || self.view_change.is_some()
    }
}

/// What the rules came to in an acquisition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The label is settled: nothing more needs to run.
    pub(crate) settled: bool,
    /// How often the mean began anew because the view had changed.
    pub(crate) view_changes: u64,
}

/// Watches the outputs of one acquisition.
pub(super) struct Watch {
    rules: Rules,
    threshold: f32,
    labels: usize,
    /// Outputs of a clip.
    clip: usize,
    /// The last outputs as a ring, and their times: output `n` is in row `n % spans.len()`.
    rows: Vec<f32>,
    spans: Vec<Span>,
    /// Outputs ever kept.
    kept: usize,
    agreeing: usize,
    differing: usize,
    pub(super) verdict: Verdict,
}

impl Watch {
    /// `clip`: outputs of a clip. `None` if there is no rule.
    pub(super) fn new(rules: Rules, threshold: f32, labels: usize, clip: usize) -> Option<Self> {
        let rows = rules.view_change.map_or(0, |rule| {
            let or_clip = |count: u32| if count == 0 { clip } else { count as usize };
            or_clip(rule.span).max(or_clip(rule.outputs))
        });
        rules.any().then(|| Self {
            rules,
            threshold,
            labels,
            clip,
            rows: vec![0.0; rows * labels],
            spans: vec![Span { first_ns: 0, last_ns: 0 }; rows],
            kept: 0,
            agreeing: 0,
            differing: 0,
            verdict: Verdict::default(),
        })
    }

    /// A new acquisition.
    pub(super) fn begin(&mut self) {
        self.verdict = Verdict::default();
        self.restart();
    }

    /// The mean begins anew.
    pub(super) fn restart(&mut self) {
        (self.agreeing, self.differing, self.verdict.settled) = (0, 0, false);
    }

    fn or_clip(&self, count: u32) -> usize {
        if count == 0 { self.clip } else { count as usize }
    }

    /// Keeps an output.
    pub(super) fn keep(&mut self, values: &[f32], span: Span) {
        if self.spans.is_empty() {
            return;
        }
        let row = self.kept % self.spans.len();
        if let Some(place) = self.rows.chunks_exact_mut(self.labels).nth(row) {
            place.copy_from_slice(values);
        }
        if let Some(place) = self.spans.get_mut(row) {
            *place = span;
        }
        self.kept += 1;
    }

    /// Adds up the last `count` outputs into `sums`, and gives the time of the first of them.
    pub(super) fn sum(&self, count: usize, sums: &mut [f64]) -> Option<i64> {
        sums.fill(0.0);
        let first = self.kept.saturating_sub(count);
        for number in first..self.kept {
            let row = number % self.spans.len();
            let values = self.rows.chunks_exact(self.labels).nth(row).unwrap_or_default();
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        self.spans.get(first % self.spans.len().max(1)).map(|span| span.first_ns)
    }

    /// Outputs that are held against the mean, if there is a rule for that.
    pub(super) fn span(&self) -> Option<usize> {
        self.rules.view_change.map(|rule| self.or_clip(rule.span))
    }

    /// Holds the posterior of the last outputs against the mean's: how many outputs the mean keeps if the view has
    /// changed.
    pub(super) fn view_changed(&mut self, recent: &[f32], mean: &[f32]) -> Option<usize> {
        let rule = self.rules.view_change?;
        let ((label, score), (known, _)) = (top(recent)?, top(mean)?);
        let ahead = score - recent.get(known).copied().unwrap_or_default();
        self.differing = if label != known && ahead >= rule.margin { self.differing + 1 } else { 0 };
        let kept = self.or_clip(rule.outputs);
        if self.differing < kept {
            return None;
        }
        self.restart();
        self.verdict.view_changes += 1;
        Some(kept)
    }

    /// Holds the newest output's posterior against the mean's.
    pub(super) fn settle(&mut self, newest: &[f32], mean: &[f32]) {
        let Some(rule) = self.rules.early_stop else { return };
        let (Some((label, _)), Some((known, score))) = (top(newest), top(mean)) else { return };
        let others = mean.iter().enumerate().filter(|&(index, _)| index != known);
        let second = others.map(|(_, &value)| value).fold(0.0, f32::max);
        let agrees = label == known && score - second >= rule.margin && score >= self.threshold;
        self.agreeing = if agrees { self.agreeing + 1 } else { 0 };
        self.verdict.settled |= self.agreeing >= self.clip.max(rule.outputs as usize);
    }
}
