//! Percentiles of times.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Names and values of the percentiles in the JSON object.
const PERCENTILES: [(&str, f64); 5] =
    [("p50_ns", 50.0), ("p90_ns", 90.0), ("p95_ns", 95.0), ("p99_ns", 99.0), ("p99_9_ns", 99.9)];

/// A histogram of times with three significant digits.
pub(super) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

impl Times {
    pub(super) fn new() -> Self {
        // The smallest time that the histogram distinguishes is one nanosecond.
        Self(
            Histogram::new_with_max(u64::MAX / 2, 3)
                .unwrap_or_else(|_| unreachable!("the bounds are valid")),
        )
    }

    pub(super) fn add(&mut self, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(time_ns.max(1));
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the time in nanoseconds that `percent` % of the times do not exceed, or 0 if there
    /// are no times.
    pub(super) fn percentile_ns(&self, percent: f64) -> f64 {
        if self.is_empty() { 0.0 } else { self.0.value_at_percentile(percent) as f64 }
    }

    pub(super) fn median_ns(&self) -> f64 {
        self.percentile_ns(50.0)
    }

    pub(super) fn max_ns(&self) -> f64 {
        self.0.max() as f64
    }

    /// Returns the percentiles and the histogram as a JSON object. The histogram contains the upper
    /// end of each bucket in nanoseconds and the number of measured values in the bucket.
    pub(super) fn to_json(&self) -> Value {
        let mut object: Map<String, Value> = PERCENTILES
            .iter()
            .map(|&(name, percent)| (name.to_owned(), json!(self.percentile_ns(percent))))
            .collect();
        object.insert("count".into(), json!(self.len()));
        object.insert("max_ns".into(), json!(self.max_ns()));
        let buckets = self.0.iter_recorded();
        let buckets: Vec<_> =
            buckets.map(|b| json!([b.value_iterated_to(), b.count_at_value()])).collect();
        object.insert("histogram".into(), Value::Array(buckets));
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_have_three_significant_digits() {
        let mut times = Times::new();
        (1..=1000).for_each(|micros| times.add(Duration::from_micros(micros)));
        for (percent, expected) in [(50.0, 500e3), (99.0, 990e3), (99.9, 999e3)] {
            let found = times.percentile_ns(percent);
            assert!((found - expected).abs() <= expected * 2e-3, "{percent}: {found}");
        }
        assert_eq!(times.len(), 1000);
        let json = times.to_json();
        let counted: u64 = json["histogram"]
            .as_array()
            .map(|buckets| buckets.iter().filter_map(|bucket| bucket[1].as_u64()).sum())
            .unwrap_or_default();
        assert_eq!(counted, 1000);
    }

    #[test]
    fn the_median_without_times_is_zero() {
        assert_eq!(Times::new().median_ns(), 0.0);
    }
}
