//! The combination of the results of a stream package by its label rule, as
//! docs/stream-contract.md#label defines it.

use crate::output::MIN_PROBABILITY;
use std::collections::BTreeMap;

/// The label rule of a stream package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Combination {
    MeanLogits,
    MeanProbabilities,
    Newest,
}

impl Combination {
    /// Reads the rule from the metadata of a package.
    pub(super) fn read(metadata: &BTreeMap<String, String>) -> Self {
        match metadata.get("label_rule").map(String::as_str) {
            Some("mean_probabilities") => Self::MeanProbabilities,
            Some("newest") => Self::Newest,
            _ => Self::MeanLogits,
        }
    }

    /// Combines the logits of all chunks of a clip.
    pub(super) fn combine(self, chunks: &[Vec<f32>]) -> Vec<f32> {
        match self {
            Self::MeanLogits => average(chunks),
            Self::Newest => chunks.last().cloned().unwrap_or_default(),
            Self::MeanProbabilities => {
                let probabilities: Vec<_> = chunks.iter().map(|chunk| softmax(chunk)).collect();
                logarithm(&average(&probabilities))
            }
        }
    }

    /// Brings the logits of the clip package into the form of the combination: only the
    /// differences between logits determine probabilities.
    pub(super) fn normalise(self, logits: Vec<f32>) -> Vec<f32> {
        match self {
            Self::MeanLogits | Self::Newest => logits,
            Self::MeanProbabilities => logarithm(&softmax(&logits)),
        }
    }
}

/// Returns the probabilities of logits.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&v| f64::from(v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}

/// Returns the logarithm of probabilities, with the lower limit that packages have.
pub(super) fn logarithm(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|&p| p.max(MIN_PROBABILITY).ln()).collect()
}

/// Returns the mean of results that have equal lengths.
pub(crate) fn average(results: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0f64; results.first().map_or(0, Vec::len)];
    let count = results.len() as f64;
    for result in results {
        mean.iter_mut().zip(result).for_each(|(m, &v)| *m += f64::from(v) / count);
    }
    mean.into_iter().map(|v| v as f32).collect()
}
