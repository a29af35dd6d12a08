//! The novelty score, which says how far a cine is from all that the network was trained on. This
//! module implements docs/stream-contract.md#novelty.

use crate::model::{ModelSpec, NoveltyKind};

/// Computes the score from the mean of the outputs. Returns `None` if the package defines no score.
pub(super) fn compute_novelty(spec: &ModelSpec, mean: &[f32]) -> Option<f64> {
    let novelty = spec.novelty.as_ref()?;
    let (outputs, rest) = mean.split_at_checked(spec.labels.len())?;
    Some(match novelty.kind {
        // The mean energy follows the mean posterior.
        NoveltyKind::Energy if spec.averages_posteriors() => f64::from(*rest.first()?),
        NoveltyKind::Energy => compute_energy(outputs, spec.temperature),
        NoveltyKind::Mahalanobis | NoveltyKind::Residual => {
            let means = novelty.means.chunks_exact(novelty.values.max(1));
            let distances = means.map(|mean| {
                let differences = rest.iter().zip(mean).map(|(&z, &m)| f64::from(z) - f64::from(m));
                differences.map(|difference| difference * difference).sum::<f64>()
            });
            distances.fold(f64::INFINITY, f64::min)
        }
    })
}

/// Computes the energy of logits: `-T * log(sum(exp(logits / T)))` with the temperature `T`.
pub(super) fn compute_energy(logits: &[f32], temperature: f32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (largest, temperature) = (f64::from(largest), f64::from(temperature));
    let powers = logits.iter().map(|&logit| ((f64::from(logit) - largest) / temperature).exp());
    -largest - temperature * powers.sum::<f64>().ln()
}
