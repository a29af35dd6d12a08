//! What a package must give, computed from the declared output of the source.

use super::spec::{Body, Last, Network, Over};
use crate::verify::relative_error;

/// The smallest probability whose logarithm a package contains.
const LEAST: f64 = 1e-30;

/// The logits that a package must give.
#[derive(Debug)]
pub(super) enum Expected {
    /// Exactly these.
    Values(Vec<f32>),
    /// Logits that differ from these by a constant, which changes no probability.
    Differences(Vec<f64>),
    /// The logits 0 and x, where the sigmoid of x is this number.
    Sigmoid(f64),
}

/// Returns what a package must give for a source with this output.
pub(super) fn expect(network: &Network, output: &[f32], labels: usize) -> Expected {
    let (last, over) = match &network.body {
        Body::OnePathway(body) => (body.end.last, body.end.over),
        Body::TwoPathways(body) => {
            let last = match body.head {
                2 | 3 => Last::Softmax,
                6 => Last::LogSoftmax,
                _ => Last::Logits,
            };
            (last, Over::Mean)
        }
    };
    if last == Last::Sigmoid {
        return Expected::Sigmoid(output[0].into());
    }
    let rows: Vec<Vec<f64>> = output
        .chunks(labels)
        .map(|row| row.iter().map(|&value| f64::from(value)).collect())
        .collect();
    let average = match over {
        Over::Rows => network.options.average,
        _ => 0,
    };
    match (last, average) {
        (Last::Logits, 0 | 1) => {
            Expected::Values(mean(&rows).into_iter().map(|value| value as f32).collect())
        }
        (Last::LogSoftmax, 0 | 1) => Expected::Differences(mean(&rows)),
        (Last::Logits | Last::LogSoftmax, _) => {
            let rows: Vec<_> = rows.iter().map(|row| softmax(row)).collect();
            Expected::Differences(logarithm(&mean(&rows)))
        }
        // All other rows are probabilities.
        (_, 1) => {
            let rows: Vec<_> = rows.iter().map(|row| logarithm(row)).collect();
            Expected::Differences(mean(&rows))
        }
        _ => Expected::Differences(logarithm(&mean(&rows))),
    }
}

impl Expected {
    /// Returns the error of the logits of a package, relative to the largest expected logit.
    pub(super) fn error(&self, logits: &[f32]) -> f64 {
        if logits.iter().any(|value| !value.is_finite()) {
            return f64::INFINITY;
        }
        let logits64: Vec<f64> = logits.iter().map(|&value| f64::from(value)).collect();
        match self {
            Self::Values(values) => relative_error(logits, values),
            Self::Differences(values) if values.len() == logits.len() => {
                let expected = logarithm(&softmax(values));
                let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
                let actual = logarithm(&softmax(&logits64));
                let pairs = actual.iter().zip(&expected);
                pairs.map(|(a, e)| (a - e).abs() / scale).fold(0.0, f64::max)
            }
            Self::Sigmoid(p) if logits.len() == 2 => (softmax(&logits64)[1] - p).abs(),
            Self::Differences(_) | Self::Sigmoid(_) => f64::INFINITY,
        }
    }
}

/// Returns the mean of rows.
pub(super) fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; rows[0].len()];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / rows.len() as f64);
    }
    sum
}

/// Returns the probabilities of logits.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|value| (value - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Returns the logarithm of probabilities.
pub(super) fn logarithm(probabilities: &[f64]) -> Vec<f64> {
    probabilities.iter().map(|p| p.max(LEAST).ln()).collect()
}
