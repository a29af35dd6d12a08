//! The softmax function, and the conversion of outputs and of their combination to a posterior.

use super::novelty::compute_energy;
use crate::model::ModelSpec;

/// Replaces logits with `softmax(logits / temperature)`.
pub(crate) fn softmax(values: &mut [f32], temperature: f32) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = ((*value - largest) / temperature).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|value| *value /= sum);
}

/// Returns the index and the value of the largest element, or of the first such element if several
/// are equally large.
pub(super) fn largest(values: &[f32]) -> Option<(usize, f32)> {
    let mut values = values.iter().copied().enumerate();
    let first = values.next()?;
    Some(values.fold(first, |best, next| if next.1 > best.1 { next } else { best }))
}

/// The conversion of the network's outputs to a posterior, before or after they are combined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PosteriorRule {
    temperature: f32,
    /// Number of labels. The values of an output that follow its logits are not converted.
    labels: usize,
    /// Number of values in an output of the network.
    outputs: usize,
    /// Whether each output is converted before the mean, so the mean is a posterior already.
    averages_posteriors: bool,
}

impl PosteriorRule {
    /// Returns the rule of a model package.
    pub(crate) fn of(spec: &ModelSpec) -> Self {
        Self {
            temperature: spec.temperature,
            labels: spec.labels.len(),
            outputs: spec.output_len(),
            averages_posteriors: spec.averages_posteriors(),
        }
    }

    /// Converts an output in place to the values that are averaged. If posteriors are averaged, the
    /// logits become their posterior, and the energy of the logits is written after the output if
    /// `values` has a place for it.
    pub(super) fn convert_output(self, values: &mut [f32]) {
        if !self.averages_posteriors {
            return;
        }
        let (output, energy) = values.split_at_mut(self.outputs.min(values.len()));
        let posterior = output.get_mut(..self.labels).unwrap_or_default();
        if let Some(energy) = energy.first_mut() {
            *energy = compute_energy(posterior, self.temperature) as f32;
        }
        softmax(posterior, self.temperature);
    }

    /// Converts the beginning of a combination of outputs to a posterior in place.
    pub(crate) fn apply(self, combined: &mut [f32]) {
        if !self.averages_posteriors {
            softmax(combined.get_mut(..self.labels).unwrap_or_default(), self.temperature);
        }
    }
}
