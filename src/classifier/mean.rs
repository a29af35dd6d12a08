//! The mean over what the network said, and the posterior from it.

use super::rules::{Verdict, Watch};
use super::{Posterior, Settings};
use crate::history::{Covered, History, Span};
use crate::model::ModelSpec;
use std::sync::Arc;

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

/// The first largest score and its index.
pub(super) fn top(scores: &[f32]) -> Option<(usize, f32)> {
    let mut scores = scores.iter().copied().enumerate();
    let first = scores.next()?;
    Some(scores.fold(first, |best, next| if next.1 > best.1 { next } else { best }))
}

/// Mean over the outputs since the last change, all of them or those of the last `span_ns`.
pub(super) struct Mean {
    pub(super) history: Arc<History>,
    span_ns: i64,
    posterior: Posterior,
    sum: Vec<f64>,
    count: usize,
    covered: Option<Span>,
    watch: Option<Watch>,
    sums: Vec<f64>,
    scratch: [Vec<f32>; 2],
}

impl Mean {
    /// Of outputs that come every `step` samples.
    pub(super) fn new(spec: &ModelSpec, settings: &Settings, step: usize) -> Self {
        let labels = spec.labels.len();
        let clip = spec.clip_samples.div_ceil(step.max(1));
        Self {
            history: Arc::clone(&settings.history),
            span_ns: settings.label_span_ns,
            posterior: Posterior::of(spec),
            sum: vec![0.0; labels],
            count: 0,
            covered: None,
            watch: Watch::new(settings.rules, spec.threshold, labels, clip),
            sums: vec![0.0; labels],
            scratch: [vec![0.0; labels], vec![0.0; labels]],
        }
    }

    /// A new acquisition.
    pub(super) fn begin(&mut self) {
        self.restart();
        if let Some(watch) = &mut self.watch {
            watch.begin();
        }
    }

    /// The mean is that of what comes.
    pub(super) fn restart(&mut self) {
        self.sum.fill(0.0);
        self.count = 0;
        self.covered = None;
        if let Some(watch) = &mut self.watch {
            watch.restart();
        }
    }

    /// No output counts yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.watch.as_ref().map_or(Verdict::default(), |watch| watch.verdict)
    }

    pub(super) fn add(&mut self, values: &[f32], span: Span) {
        self.history.add(values, span);
        for (sum, &value) in self.sum.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
        let first_ns = self.covered.map_or(span.first_ns, |covered| covered.first_ns);
        self.covered = Some(Span { first_ns, last_ns: span.last_ns });
        self.count += 1;
        if let Some(mut watch) = self.watch.take() {
            self.judge(&mut watch, values, span);
            self.watch = Some(watch);
        }
    }

    /// Follows the rules.
    fn judge(&mut self, watch: &mut Watch, values: &[f32], span: Span) {
        watch.keep(values, span);
        let [mut mean, mut other] = std::mem::take(&mut self.scratch);
        self.read(&mut mean);
        if let Some(last) = watch.span() {
            let last = last.min(self.count);
            watch.sum(last, &mut self.sums);
            divide(&self.sums, last, &mut other);
            self.posterior.finish(&mut other);
            if let Some(kept) = watch.view_changed(&other, &mean) {
                self.count = kept.min(self.count);
                let first_ns = watch.sum(self.count, &mut self.sum);
                self.covered = first_ns.map(|first_ns| Span { first_ns, last_ns: span.last_ns });
                self.read(&mut mean);
            }
        }
        other.copy_from_slice(values);
        self.posterior.finish(&mut other);
        watch.settle(&other, &mean);
        self.scratch = [mean, other];
    }

    /// Posterior of the mean into `out`; the outputs it covers and their times.
    pub(super) fn read(&self, out: &mut [f32]) -> Option<Covered> {
        let covered = if self.span_ns > 0 {
            self.history.recent(self.count, self.span_ns, out)?
        } else {
            divide(&self.sum, self.count, out);
            (self.count, self.covered?)
        };
        self.posterior.finish(out);
        Some(covered)
    }
}

fn divide(sums: &[f64], count: usize, out: &mut [f32]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = (sum / count as f64) as f32;
    }
}
