//! The calibration of a model: whether its confidences agree with its accuracy, before and after
//! temperature scaling.

use super::scored_cines::{ScoredCines, index_of_largest};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Number of equally wide bins for the confidence.
const BINS: usize = 15;

/// Smallest and largest temperature in the search.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Number of steps of the search. Each step shortens the search interval to 0.618 times its length,
/// so five digits of the temperature are correct after the last step. Further steps would only
/// compare rounding errors.
const GOLDEN_STEPS: usize = 30;

/// A temperature for each cine.
struct Scaling {
    /// Description of the cines on which the temperatures are fitted, such as `val`.
    fitted_on: &'static str,
    /// The fitted temperatures: one for all cines, or one for each half of the patients.
    fitted: Vec<f64>,
    /// The temperature of each cine.
    by_cine: Array1<f64>,
}

/// Computes the calibration of the model before and after temperature scaling.
pub(super) fn compute_calibration(cines: &ScoredCines<'_>, validation: &ScoredCines<'_>) -> Value {
    let scaling = fit_scaling(cines, validation);
    let scaled = scale(cines.log_posterior.view(), &scaling.by_cine);
    let mut before = compute_reliability(cines.log_posterior.view(), &cines.truth);
    let mut after = compute_reliability(scaled.view(), &cines.truth);
    after.insert("fitted_on".into(), scaling.fitted_on.into());
    after.insert("temperatures".into(), scaling.fitted.into());
    before.insert("scaled".into(), after.into());
    before.into()
}

/// Fits the temperature on the cines of the split `val`, if there are any. Otherwise, fits one
/// temperature on each half of the patients and uses it for the other half. Each half contains
/// every second patient in the list sorted by name. If there is only one patient, fits the
/// temperature on the evaluated cines themselves.
fn fit_scaling(cines: &ScoredCines<'_>, validation: &ScoredCines<'_>) -> Scaling {
    let patients = cines.patients();
    if validation.len() == 0 && patients.len() > 1 {
        let first_half: BTreeSet<&str> = patients.into_iter().step_by(2).collect();
        let is_in_first = |cine: usize| first_half.contains(cines.rows[cine].patient.as_str());
        let fitted = [
            fit_temperature(&cines.select(is_in_first)),
            fit_temperature(&cines.select(|cine| !is_in_first(cine))),
        ];
        let temperature = |cine| fitted[usize::from(is_in_first(cine))];
        let by_cine = (0..cines.len()).map(temperature).collect();
        return Scaling { fitted_on: "patient halves", fitted: fitted.to_vec(), by_cine };
    }
    let (fitted_on, source) =
        if validation.len() == 0 { ("the same cines", cines) } else { ("val", validation) };
    let temperature = fit_temperature(source);
    let by_cine = Array1::from_elem(cines.len(), temperature);
    Scaling { fitted_on, fitted: vec![temperature], by_cine }
}

/// Divides the confidences into equally wide bins. Computes the bins, the expected calibration
/// error over them (Guo et al. 2017, "On Calibration of Modern Neural Networks") and the mean
/// negative log-likelihood.
fn compute_reliability(log_posterior: ArrayView2<'_, f64>, truth: &[usize]) -> Map<String, Value> {
    let mut counts = Array1::<u64>::zeros(BINS);
    let mut correct = Array1::<u64>::zeros(BINS);
    let mut confidences = Array1::<f64>::zeros(BINS);
    for (posterior, &truth) in log_posterior.rows().into_iter().zip(truth) {
        let label = index_of_largest(posterior);
        let confidence = posterior[label].exp();
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        counts[bin] += 1;
        correct[bin] += u64::from(label == truth);
        confidences[bin] += confidence;
    }
    let cines = truth.len() as f64;
    let mut ece = 0.0;
    let bins: Vec<Value> = (0..BINS)
        .map(|bin| {
            let [from, to] = [bin, bin + 1].map(|edge| edge as f64 / BINS as f64);
            let count = counts[bin];
            let mut means = [None; 2];
            if count > 0 {
                let (confidence, accuracy) =
                    (confidences[bin] / count as f64, correct[bin] as f64 / count as f64);
                ece += count as f64 / cines * (accuracy - confidence).abs();
                means = [Some(confidence), Some(accuracy)];
            }
            json!({ "from": from, "to": to, "count": count, "confidence": means[0], "accuracy": means[1] })
        })
        .collect();
    let nll = mean_nll(log_posterior, truth);
    [("ece", Value::from(ece)), ("nll", Value::from(nll)), ("bins", Value::Array(bins))]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// Returns the mean negative log-likelihood of the true labels.
fn mean_nll(log_posterior: ArrayView2<'_, f64>, truth: &[usize]) -> f64 {
    let rows = log_posterior.rows().into_iter().zip(truth);
    rows.fold(0.0, |nll, (row, &truth)| nll - row[truth]) / truth.len() as f64
}

/// Divides each row of logarithms by the temperature of its cine, and normalises the row.
fn scale(log_posterior: ArrayView2<'_, f64>, temperatures: &Array1<f64>) -> Array2<f64> {
    let mut scaled = &log_posterior / &temperatures.view().insert_axis(Axis(1));
    for mut row in scaled.rows_mut() {
        let largest = row.fold(f64::NEG_INFINITY, |largest, &value| largest.max(value));
        let sum: f64 = row.iter().map(|value| (value - largest).exp()).sum();
        row.mapv_inplace(|value| value - largest - sum.ln());
    }
    scaled
}

/// Finds the temperature with the smallest negative log-likelihood, using a golden-section search
/// over the logarithm of the temperature. The logarithms of the package's posteriors are divided by
/// the temperature, so a temperature of 1 changes nothing.
fn fit_temperature(cines: &ScoredCines<'_>) -> f64 {
    let nll = |log_t: f64| {
        let temperatures = Array1::from_elem(cines.len(), log_t.exp());
        mean_nll(scale(cines.log_posterior.view(), &temperatures).view(), &cines.truth)
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut nll_left, mut nll_right) = (nll(left), nll(right));
    for _ in 0..GOLDEN_STEPS {
        if nll_left <= nll_right {
            (high, right, nll_right) = (right, left, nll_left);
            left = high - ratio * (high - low);
            nll_left = nll(left);
        } else {
            (low, left, nll_left) = (left, right, nll_right);
            right = low + ratio * (high - low);
            nll_right = nll(right);
        }
    }
    ((low + high) / 2.0).exp()
}
