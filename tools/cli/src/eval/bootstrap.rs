//! Bootstrap intervals of the headline figures, from resamples of the patients.

use super::confusion::{Confusion, HEADLINE_NAMES};
use super::scored_cines::ScoredCines;
use ndarray::{Array1, Array2, ArrayView1, aview1};
use serde_json::{Value, json};

/// Number of resamples.
pub(super) const RESAMPLES: usize = 1000;

/// Seed of the random number generator.
pub(super) const SEED: u64 = 1;

/// Computes the headline figures, and the 2.5th and 97.5th percentiles of their values in resamples
/// of the patients. The patients of a resample are drawn with replacement.
///
/// The `P` patients are sorted by name. Draw `j` of resample `r` selects the patient whose index is
/// the remainder when output `r * P + j` of SplitMix64 is divided by `P`.
pub(super) fn compute_intervals(cines: &ScoredCines<'_>) -> Value {
    let names = cines.patients();
    let patient_of =
        |cine: usize| names.binary_search(&cines.rows[cine].patient.as_str()).unwrap_or(0);
    let patients: Array1<usize> = (0..cines.len()).map(patient_of).collect();
    let mut resampled = Array2::zeros((RESAMPLES, HEADLINE_NAMES.len()));
    for (resample, mut figures) in resampled.rows_mut().into_iter().enumerate() {
        let weights = draw_weights(resample, names.len());
        let confusion = Confusion::count_weighted(cines, |cine| weights[patients[cine]]);
        figures.assign(&aview1(&confusion.headline()));
    }
    let values = Confusion::count(cines).headline();
    let figures = HEADLINE_NAMES.into_iter().zip(values).zip(resampled.columns());
    let interval = |((name, value), column): ((&str, f64), ArrayView1<'_, f64>)| {
        let mut sorted = column.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [low, high] = [0.025, 0.975].map(|part| interpolate_percentile(&sorted, part));
        (name.to_owned(), json!({ "value": value, "low": low, "high": high }))
    };
    Value::Object(figures.map(interval).collect())
}

/// Returns how often each patient is drawn in a resample.
fn draw_weights(resample: usize, patients: usize) -> Array1<u64> {
    let mut weights = Array1::zeros(patients);
    let count = patients as u64;
    for draw in 0..count {
        weights[(splitmix64(SEED, resample as u64 * count + draw) % count) as usize] += 1;
    }
    weights
}

/// Returns output `index` of SplitMix64 (Steele, Lea and Flood 2014).
fn splitmix64(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns the value at the relative position `part` in a sorted list, where position 0 is the
/// first value and position 1 is the last. Interpolates linearly between neighbouring values.
fn interpolate_percentile(sorted: &[f64], part: f64) -> f64 {
    let position = part * (sorted.len() - 1) as f64;
    let low = position.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (position - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_its_reference_outputs() {
        let outputs = [0, 1, 2].map(|index| splitmix64(1_234_567, index));
        assert_eq!(outputs, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn a_resample_draws_as_many_patients_as_there_are() {
        for resample in 0..10 {
            assert_eq!(draw_weights(resample, 7).sum(), 7);
        }
    }
}
