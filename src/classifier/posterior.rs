//! The softmax function, and the conversion of a mean of outputs to a posterior.

use crate::model::{Mode, ModelSpec};

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

/// The conversion of the mean of the network's outputs to a posterior.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PosteriorRule {
    /// In stream mode, outputs are logits, and the posterior is the softmax of their mean with this
    /// temperature.
    SoftmaxOfMean(f32),
    /// In window mode, outputs are posteriors, and so is their mean.
    Mean,
}

impl PosteriorRule {
    /// Returns the rule for the mode of a model package.
    pub(crate) fn of(spec: &ModelSpec) -> Self {
        match spec.mode {
            Mode::Stream => Self::SoftmaxOfMean(spec.temperature),
            Mode::Window => Self::Mean,
        }
    }

    /// Converts a mean to a posterior in place.
    pub(crate) fn apply(self, mean: &mut [f32]) {
        if let Self::SoftmaxOfMean(temperature) = self {
            softmax(mean, temperature);
        }
    }
}
