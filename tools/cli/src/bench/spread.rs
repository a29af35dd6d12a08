//! Percentiles of times.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// Times of one kind, to three significant digits.
pub(super) struct Spread(Histogram<u64>);

/// Percentiles that are reported, with their names in the JSON.
const PERCENTILES: [(&str, f64); 5] =
    [("p50_ns", 50.0), ("p90_ns", 90.0), ("p95_ns", 95.0), ("p99_ns", 99.0), ("p99_9_ns", 99.9)];

impl Spread {
    pub(super) fn new() -> Self {
        // A time of zero is recorded as one nanosecond.
        Self(Histogram::new_with_max(u64::MAX / 2, 3).unwrap_or_else(|_| unreachable!("valid bounds")))
    }

    pub(super) fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos.max(1));
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Nanoseconds that `percent` of the times do not exceed; 0 without any.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_percentile(percent) as f64 }
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    pub(super) fn max(&self) -> f64 {
        self.0.max() as f64
    }

    /// Percentiles, and the histogram itself: upper end of each bucket in nanoseconds, and how many times fell into it.
    pub(super) fn json(&self) -> Value {
        let mut object: serde_json::Map<_, _> = PERCENTILES
            .iter()
            .map(|&(name, percent)| (name.to_owned(), json!(self.percentile(percent))))
            .collect();
        object.insert("count".into(), json!(self.len()));
        object.insert("max_ns".into(), json!(self.max()));
        let buckets = self.0.iter_recorded();
        let buckets: Vec<_> = buckets.map(|b| json!([b.value_iterated_to(), b.count_at_value()])).collect();
        object.insert("histogram".into(), Value::Array(buckets));
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_times_to_three_digits() {
        let mut spread = Spread::new();
        (1..=1000).for_each(|micros| spread.add(Duration::from_micros(micros)));
        for (percent, expected) in [(50.0, 500e3), (99.0, 990e3), (99.9, 999e3)] {
            let found = spread.percentile(percent);
            assert!((found - expected).abs() <= expected * 2e-3, "{percent}: {found}");
        }
        assert_eq!(spread.len(), 1000);
        let json = spread.json();
        let counted: u64 = json["histogram"]
            .as_array()
            .map(|buckets| buckets.iter().filter_map(|bucket| bucket[1].as_u64()).sum())
            .unwrap_or_default();
        assert_eq!(counted, 1000);
    }

    #[test]
    fn no_times_have_a_median_of_zero() {
        assert_eq!(Spread::new().median(), 0.0);
    }
}
