//! How far a confidence can be believed, and what a temperature would make of it.

use super::metrics::{Judged, largest};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const BINS: usize = 15;
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// The interval shrinks by 0.618 each time: T is right to five digits. More steps would compare rounding errors.
const GOLDEN_STEPS: usize = 30;

/// As the model is, and after temperature scaling.
///
/// Fitted on split `val` if there is one; else on each half of the patients (every second name) for the other. With one
/// patient, on the cines themselves, and `fitted_on` says so.
pub(super) fn calibration(cines: &Judged<'_>, validation: &Judged<'_>) -> Value {
    let said: Vec<Vec<f64>> = cines.last.iter().map(|last| last.to_vec()).collect();
    let patients = cines.patients();
    let (fitted_on, temperatures, scaled): (&str, Vec<f64>, Vec<Vec<f64>>);
    if validation.rows.is_empty() && patients.len() > 1 {
        fitted_on = "patient halves";
        let even: BTreeSet<&str> = patients.into_iter().step_by(2).collect();
        let first = |cine: usize| even.contains(cines.rows[cine].patient.as_str());
        temperatures = vec![fit(&cines.select(first)), fit(&cines.select(|cine| !first(cine)))];
        let scale = |(cine, last): (usize, &Vec<f64>)| tempered(last, temperatures[usize::from(first(cine))]);
        scaled = said.iter().enumerate().map(scale).collect();
    } else {
        let (name, fitted) = match validation.rows.is_empty() {
            true => ("the same cines", cines),
            false => ("val", validation),
        };
        fitted_on = name;
        temperatures = vec![fit(fitted)];
        scaled = said.iter().map(|last| tempered(last, temperatures[0])).collect();
    }
    let mut found = reliability(&said, &cines.truth);
    let mut after = reliability(&scaled, &cines.truth);
    after.insert("fitted_on".into(), fitted_on.into());
    after.insert("temperatures".into(), temperatures.into());
    found.insert("scaled".into(), after.into());
    found.into()
}

/// ECE over 15 equal bins of the confidence, the bins, and the mean negative log-likelihood.
///
/// Guo et al. 2017, "On Calibration of Modern Neural Networks".
fn reliability(said: &[Vec<f64>], truth: &[usize]) -> Map<String, Value> {
    let mut sums = [(0u64, 0.0, 0u64); BINS];
    let mut nll = 0.0;
    for (posterior, &truth) in said.iter().zip(truth) {
        let label = largest(posterior);
        let confidence = posterior[label].exp();
        let (count, sum, right) = &mut sums[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *count += 1;
        *sum += confidence;
        *right += u64::from(label == truth);
        nll -= posterior[truth];
    }
    let cines = truth.len() as f64;
    let mut ece = 0.0;
    let bin = |(bin, &(count, sum, right)): (usize, &(u64, f64, u64))| {
        let [from, to] = [bin, bin + 1].map(|edge| edge as f64 / BINS as f64);
        let means = (count > 0).then(|| [sum / count as f64, right as f64 / count as f64]);
        if let Some([confidence, accuracy]) = means {
            ece += count as f64 / cines * (accuracy - confidence).abs();
        }
        let [confidence, accuracy] = means.map_or([None; 2], |means| means.map(Some));
        json!({ "from": from, "to": to, "count": count, "confidence": confidence, "accuracy": accuracy })
    };
    let bins: Vec<Value> = sums.iter().enumerate().map(bin).collect();
    [("ece", Value::from(ece)), ("nll", Value::from(nll / cines)), ("bins", Value::Array(bins))]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

fn tempered(posterior: &[f64], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = posterior.iter().map(|value| value / temperature).collect();
    let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scaled.iter().map(|value| (value - most).exp()).sum();
    scaled.iter().map(|value| value - most - sum.ln()).collect()
}

/// Divides what the model said already; 1 leaves it. Golden-section search of the negative log-likelihood over log T.
fn fit(cines: &Judged<'_>) -> f64 {
    let nll = |log_t: f64| {
        let said = cines.last.iter().zip(&cines.truth);
        -said.map(|(last, &truth)| tempered(last, log_t.exp())[truth]).sum::<f64>() / cines.truth.len() as f64
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (nll(left), nll(right));
    for _ in 0..GOLDEN_STEPS {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = nll(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = nll(right);
        }
    }
    ((low + high) / 2.0).exp()
}
