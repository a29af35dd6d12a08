//! The history, which keeps the most recent outputs of the network and their times.
//!
//! The label of a past interval comes from the mean of the outputs in that interval. The worker
//! adds an output a few times per second. A query holds the lock only while it adds up outputs,
//! which takes microseconds.

use crate::error::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Maximum number of float32 values in a history, which corresponds to 64 MiB.
const MAX_VALUES: usize = 1 << 24;

/// Grid times of the first and last samples that one or more outputs cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first_ns: i64,
    pub(crate) last_ns: i64,
}

impl Span {
    fn union(self, other: Self) -> Self {
        let first_ns = self.first_ns.min(other.first_ns);
        Self { first_ns, last_ns: self.last_ns.max(other.last_ns) }
    }
}

/// Number and times of the outputs that a mean covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Number of outputs.
    pub(crate) outputs: usize,
    pub(crate) span: Span,
}

/// The extent to which the result of a query covers the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The result covers every chunk or window in the interval. It can cover less time than the
    /// interval, because a chunk that lies only partly in the interval does not count, and because
    /// the acquisition may have begun later or ended earlier.
    Complete,
    /// Older parts of the interval are no longer kept, or later parts had not arrived when the
    /// timeout expired.
    Partial,
}

impl Coverage {
    pub(crate) fn of(is_complete: bool) -> Self {
        if is_complete { Self::Complete } else { Self::Partial }
    }
}

/// The most recent outputs of the network and their times.
pub(crate) struct History {
    labels: usize,
    outputs: Mutex<Outputs>,
    changed: Condvar,
}

struct Outputs {
    /// Spans of the most recent outputs, in a ring buffer: the span of output `n` is at index
    /// `n % spans.len()`.
    spans: Vec<Span>,
    values: Vec<f32>,
    sums: Vec<f64>,
    /// Number of outputs added so far.
    added: usize,
    /// Value of `added` when the host's clock last restarted, or 0 if it has not restarted.
    first_valid: usize,
    /// Grid time at which the next output ends; `None` if no further output is expected.
    next_ns: Option<i64>,
}

impl History {
    /// Creates a history that keeps the outputs of the last `span_ns` nanoseconds. One output
    /// arrives every `interval_ns` nanoseconds.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the history would have more than 16,777,216 values.
    pub(crate) fn new(labels: usize, span_ns: i64, interval_ns: i64) -> Result<Self> {
        let slots = Self::slots(span_ns, interval_ns);
        let values = slots.checked_mul(labels).filter(|&count| count <= MAX_VALUES);
        let values = values.ok_or_else(|| {
            let message = format!(
                "history_ns must give at most {MAX_VALUES} values, got {slots} outputs of {labels} \
                 labels"
            );
            Error::new(Status::OutOfMemory, message)
        })?;
        let outputs = Outputs {
            spans: vec![Span { first_ns: 0, last_ns: 0 }; slots],
            values: vec![0.0; values],
            sums: vec![0.0; labels],
            added: 0,
            first_valid: 0,
            next_ns: None,
        };
        Ok(Self { labels, outputs: Mutex::new(outputs), changed: Condvar::new() })
    }

    fn slots(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(0).saturating_add(2)
    }

    /// Returns the size of a history in bytes.
    pub(crate) fn memory_bytes(labels: usize, span_ns: i64, interval_ns: i64) -> usize {
        let output = size_of::<Span>() + labels * size_of::<f32>();
        Self::slots(span_ns, interval_ns).saturating_mul(output) + labels * size_of::<f64>()
    }

    /// Adds an output. If the output does not end later than the newest one, the host's clock has
    /// restarted, and the history forgets all earlier outputs.
    pub(crate) fn add(&self, values: &[f32], span: Span) {
        let mut outputs = self.outputs.lock();
        if outputs.newest().is_some_and(|newest| span.last_ns <= newest.last_ns) {
            outputs.first_valid = outputs.added;
        }
        let slot = outputs.added % outputs.spans.len();
        if let Some(place) = outputs.spans.get_mut(slot) {
            *place = span;
        }
        if let Some(row) = outputs.values.chunks_exact_mut(self.labels).nth(slot) {
            row.copy_from_slice(values);
        }
        outputs.added += 1;
    }

    /// Announces the time at which the next output ends. `None` means that this acquisition has no
    /// further output.
    pub(crate) fn expect(&self, next_ns: Option<i64>) {
        self.outputs.lock().next_ns = next_ns;
        self.changed.notify_all();
    }

    /// Writes the mean of the newest `count` outputs, except those that end `span_ns` or more
    /// before the newest output ends. Returns `None` if there are no outputs.
    pub(crate) fn mean_of_recent(
        &self,
        count: usize,
        span_ns: i64,
        mean: &mut [f32],
    ) -> Option<Covered> {
        let mut outputs = self.outputs.lock();
        let after_ns = outputs.newest()?.last_ns.saturating_sub(span_ns);
        let first = outputs.find_first(|span| span.last_ns > after_ns);
        let first = first.max(outputs.added.saturating_sub(count));
        let end = outputs.added;
        outputs.write_mean(first..end, mean)
    }

    /// Writes the mean of the outputs whose first and last samples both lie in `interval`. Waits at
    /// most `timeout` for outputs in the interval that are still to come.
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if the interval contains no output.
    pub(crate) fn query(
        &self,
        interval: Span,
        timeout: Duration,
        mean: &mut [f32],
    ) -> Result<(Coverage, Covered), Status> {
        let deadline = Instant::now().checked_add(timeout);
        let mut outputs = self.outputs.lock();
        while outputs.is_expected_by(interval.last_ns) {
            match deadline {
                None => self.changed.wait(&mut outputs),
                Some(deadline) => {
                    if self.changed.wait_until(&mut outputs, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        let oldest = outputs.oldest();
        let first = outputs.find_first(|span| span.first_ns >= interval.first_ns);
        let end = outputs.find_first(|span| span.last_ns > interval.last_ns);
        let covered = outputs.write_mean(first..end, mean).ok_or(Status::Empty)?;
        let begins_before = |span: Span| interval.first_ns < span.first_ns;
        let is_forgotten =
            oldest > outputs.first_valid && outputs.span(oldest).is_some_and(begins_before);
        let is_complete = !is_forgotten && !outputs.is_expected_by(interval.last_ns);
        Ok((Coverage::of(is_complete), covered))
    }
}

impl Outputs {
    fn oldest(&self) -> usize {
        self.added.saturating_sub(self.spans.len()).max(self.first_valid)
    }

    fn span(&self, output: usize) -> Option<Span> {
        self.spans.get(output % self.spans.len()).copied()
    }

    fn newest(&self) -> Option<Span> {
        if self.added == self.first_valid { None } else { self.span(self.added - 1) }
    }

    /// Returns whether an output that ends by `last_ns` is still to come.
    fn is_expected_by(&self, last_ns: i64) -> bool {
        self.next_ns.is_some_and(|next| next <= last_ns)
    }

    /// Finds by binary search the first kept output for which `holds` is true, and returns its
    /// number, or `added` if no output qualifies. The first output ever added has the number 0. If
    /// `holds` is true for an output, it must be true for all later ones.
    fn find_first(&self, holds: impl Fn(Span) -> bool) -> usize {
        let (mut low, mut high) = (self.oldest(), self.added);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.span(middle).is_some_and(&holds) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// Writes the mean of a range of outputs. Returns `None` if the range is empty.
    fn write_mean(&mut self, range: Range<usize>, mean: &mut [f32]) -> Option<Covered> {
        let count = range.len();
        if count == 0 {
            return None;
        }
        let span = self.span(range.start)?.union(self.span(range.end - 1)?);
        let labels = self.sums.len();
        let start = range.start % self.spans.len() * labels;
        let (wrapped, from_start) = self.values.split_at(start);
        let rows = from_start.chunks_exact(labels).chain(wrapped.chunks_exact(labels));
        self.sums.fill(0.0);
        for values in rows.take(count) {
            self.sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        for (value, sum) in mean.iter_mut().zip(&self.sums) {
            *value = (sum / count as f64) as f32;
        }
        Some(Covered { outputs: count, span })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn span(first_ns: i64, last_ns: i64) -> Span {
        Span { first_ns, last_ns }
    }

    /// Creates a history of consecutive chunks of 10 ns. The output of each chunk has one value,
    /// which is the number of the chunk.
    fn create_filled(slots: i64, chunks: i64) -> History {
        let history = History::new(1, (slots - 2) * 10, 10).unwrap();
        for chunk in 0..chunks {
            history.add(&[chunk as f32], span(chunk * 10, chunk * 10 + 9));
        }
        history
    }

    fn query(history: &History, from: i64, to: i64) -> Result<(Coverage, f32), Status> {
        let mut mean = [f32::NAN];
        let answer = history.query(span(from, to), Duration::ZERO, &mut mean);
        answer.map(|(coverage, _)| (coverage, mean[0]))
    }

    #[test]
    fn a_query_covers_the_chunks_with_both_ends_inside() {
        let history = create_filled(10, 8);
        assert_eq!(query(&history, 10, 39), Ok((Coverage::Complete, 2.0)));
        assert_eq!(query(&history, 11, 39), Ok((Coverage::Complete, 2.5)));
        assert_eq!(query(&history, 10, 38), Ok((Coverage::Complete, 1.5)));
        assert_eq!(query(&history, 11, 19), Err(Status::Empty));
        assert_eq!(query(&history, 500, 600), Err(Status::Empty));
    }

    #[test]
    fn forgotten_and_future_outputs_make_a_query_partial() {
        let history = create_filled(4, 9);
        assert_eq!(query(&history, 50, 89), Ok((Coverage::Complete, 6.5)));
        assert_eq!(query(&history, 49, 89), Ok((Coverage::Partial, 6.5)));
        history.expect(Some(99));
        assert_eq!(query(&history, 50, 98), Ok((Coverage::Complete, 6.5)));
        assert_eq!(query(&history, 50, 99), Ok((Coverage::Partial, 6.5)));
        history.expect(None);
        assert_eq!(query(&history, 50, 99), Ok((Coverage::Complete, 6.5)));
    }

    #[test]
    fn a_query_waits_for_an_expected_output() {
        let history = create_filled(8, 1);
        history.expect(Some(19));
        std::thread::scope(|scope| {
            let query = scope.spawn(|| {
                let mut mean = [0.0];
                let answer = history.query(span(0, 19), Duration::MAX, &mut mean);
                answer.map(|(coverage, _)| (coverage, mean[0]))
            });
            history.add(&[5.0], span(10, 19));
            history.expect(Some(29));
            assert_eq!(query.join().unwrap(), Ok((Coverage::Complete, 2.5)));
        });
    }

    #[test]
    fn a_restarted_clock_clears_the_history() {
        let history = create_filled(10, 5);
        history.add(&[70.0], span(0, 9));
        assert_eq!(query(&history, 0, 100), Ok((Coverage::Complete, 70.0)));
    }

    #[test]
    fn the_recent_mean_is_limited_by_count_and_span() {
        let history = create_filled(20, 10);
        let covered = |outputs, span| Some(Covered { outputs, span });
        let mut mean = [0.0];
        assert_eq!(history.mean_of_recent(10, 30, &mut mean), covered(3, span(70, 99)));
        assert_eq!(mean, [8.0]);
        assert_eq!(history.mean_of_recent(2, 30, &mut mean), covered(2, span(80, 99)));
    }
}
