//! The history, which keeps the most recent outputs of the network and their times.
//!
//! The label of a past interval comes from the mean of the outputs in that interval. The worker
//! adds an output a few times per second. No query can hold up the worker: outputs are records of
//! atomic words, and a query that waits sleeps on an event count. If the worker overwrites an
//! output while a query reads it, the output counts as no longer kept.

mod parts;
mod query;
mod skips;

use super::event_count::EventCount;
use super::outlook::Outlook;
use super::record::{Latest, Record, Records, packed_words};
use super::sync::{AtomicU64, Mutex, Ordering};
use crate::error::{Error, Result, Status};
pub(crate) use parts::{Covered, Span};
use parts::{FRONT_WORDS, Front, HEADER_WORDS, Header, Tally};
use skips::Skips;
use std::time::Duration;

/// Maximum number of float32 values in a history, which corresponds to 64 MiB.
const MAX_VALUES: usize = 1 << 24;

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

/// Treatment of outputs that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The query waits for them, at most this long.
    AtMost(Duration),
    /// The query fails with [`Status::WrongThread`], because its thread must produce them.
    Refused,
}

/// The most recent outputs of the network and their times. Only the worker may call the functions
/// that change the history, and [`Self::mean_of_recent`].
pub(crate) struct History {
    /// Number of values of an output.
    values: usize,
    /// Maximum number of outputs that queries can see.
    kept: usize,
    /// The header and the values of output `n` are in record `n % (kept + 1)`, whose number is
    /// `n + 1`. The additional record is the one that the worker writes next.
    outputs: Records,
    skips: Skips,
    front: Latest,
    changed: EventCount,
    /// Identifier of the acquisition in progress.
    acquisition: AtomicU64,
    /// Whether a query gives the newest output instead of the mean.
    gives_newest: bool,
    /// Memory for the sums of the worker. No other thread uses it, so it is always free.
    worker_sums: Mutex<Vec<f64>>,
}

fn allocate<T: Clone>(count: usize, value: T) -> Result<Vec<T>, Status> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(count).map_err(|_| Status::OutOfMemory)?;
    memory.resize(count, value);
    Ok(memory)
}

fn divide(sums: &[f64], count: usize, mean: &mut [f32]) {
    for (value, sum) in mean.iter_mut().zip(sums) {
        *value = (sum / count as f64) as f32;
    }
}

impl History {
    /// Creates a history that keeps the outputs of the last `span_ns` nanoseconds. One output
    /// arrives every `interval_ns` nanoseconds.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the history would have more than 16,777,216 values, or if
    /// the memory cannot be allocated.
    pub(crate) fn new(values: usize, span_ns: i64, interval_ns: i64) -> Result<Self> {
        let kept = Self::capacity(span_ns, interval_ns);
        if kept.checked_mul(values).is_none_or(|count| count > MAX_VALUES) {
            let message = format!(
                "history_ns must give at most {MAX_VALUES} values, got {kept} outputs of {values} \
                 values"
            );
            return Err(Error::new(Status::OutOfMemory, message));
        }
        let history = Self {
            values,
            kept,
            outputs: Records::new(kept + 1, HEADER_WORDS + packed_words(values))?,
            skips: Skips::new(kept)?,
            front: Latest::new(FRONT_WORDS)?,
            changed: EventCount::new(),
            acquisition: AtomicU64::new(0),
            gives_newest: false,
            worker_sums: Mutex::new(allocate(values, 0.0)?),
        };
        history.publish(Front::default());
        Ok(history)
    }

    /// Lets queries give the newest output instead of the mean, if `newest` is true.
    pub(crate) fn giving_newest(self, newest: bool) -> Self {
        Self { gives_newest: newest, ..self }
    }

    fn capacity(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(0).saturating_add(2)
    }

    /// Returns the size of a history in bytes.
    pub(crate) fn memory_bytes(values: usize, span_ns: i64, interval_ns: i64) -> usize {
        let records = Self::capacity(span_ns, interval_ns).saturating_add(1);
        Records::memory_bytes(records, HEADER_WORDS + packed_words(values))
            .saturating_add(Skips::memory_bytes(records))
            .saturating_add(Latest::memory_bytes(FRONT_WORDS) + values * size_of::<f64>())
    }

    /// Begins an acquisition.
    pub(crate) fn begin(&self, acquisition: u64) {
        self.acquisition.store(acquisition, Ordering::Relaxed);
    }

    /// Adds an output. If the output does not end later than the newest one, the host's clock has
    /// restarted, and the history forgets all earlier outputs.
    pub(crate) fn add(&self, values: &[f32], span: Span) {
        self.add_output(values, span, false);
    }

    /// Adds an output that failed, which has a span but no values.
    pub(crate) fn add_failed(&self, span: Span) {
        self.add_output(&[], span, true);
    }

    fn add_output(&self, values: &[f32], span: Span, has_failed: bool) {
        let Some(mut front) = self.read_front_before(span) else { return };
        if let Some(record) = self.record(front.added) {
            let header = Header { span, has_failed };
            record.write(front.added + 1, &header.encode(), values);
        }
        front.added += 1;
        self.publish(front);
    }

    /// Records that a window or consecutive chunks with the samples in `span` were skipped.
    pub(crate) fn add_skip(&self, span: Span) {
        let Some(mut front) = self.read_front_before(span) else { return };
        self.skips.write(front.skips, span);
        front.skips += 1;
        self.publish(front);
    }

    /// Reads the front before an entry with the times in `span` is added. If the entry does not end
    /// later than the newest output, the host's clock has restarted.
    fn read_front_before(&self, span: Span) -> Option<Front> {
        let mut front = self.read_front()?;
        if self.newest(front).is_some_and(|newest| span.last_ns <= newest.last_ns) {
            front.restart_clock(false);
        }
        Some(front)
    }

    /// Returns whether a chunk or window that overlaps `interval` may have been skipped.
    pub(crate) fn has_skipped(&self, interval: Span) -> bool {
        let is_skipped = |front: Front| self.skips.overlap(front.first_skip..front.skips, interval);
        self.read_front().is_none_or(is_skipped)
    }

    /// Announces that the host's clock has stepped back to `time_ns`. If an earlier output ends at
    /// or after this time, the history forgets all earlier outputs, because their times cannot be
    /// told from later ones. Waiting queries learn that outputs with earlier times may come again.
    pub(crate) fn step_clock(&self, time_ns: i64) {
        let Some(mut front) = self.read_front() else { return };
        if self.newest(front).is_some_and(|newest| time_ns <= newest.last_ns) {
            front.restart_clock(true);
        }
        front.outlook.step_clock(self.acquisition.load(Ordering::Relaxed), time_ns);
        self.publish(front);
        self.changed.advance();
    }

    /// Announces the time at which the next output ends.
    pub(crate) fn expect(&self, next_ns: i64) {
        let acquisition = self.acquisition.load(Ordering::Relaxed);
        self.announce(|outlook| outlook.expect(acquisition, next_ns));
    }

    /// Announces that this acquisition has no further output. `reached_ns` is the time of its last
    /// frame, if it has one.
    pub(crate) fn end(&self, reached_ns: Option<i64>) {
        let acquisition = self.acquisition.load(Ordering::Relaxed);
        self.announce(|outlook| outlook.end(acquisition, reached_ns));
    }

    fn announce(&self, change: impl FnOnce(&mut Outlook)) {
        let Some(mut front) = self.read_front() else { return };
        change(&mut front.outlook);
        self.publish(front);
        self.changed.advance();
    }

    /// Announces that the stream has ended, which ends the wait of every query.
    pub(crate) fn close(&self) {
        self.changed.close();
    }

    /// Writes the mean of the newest `count` outputs, except those that end `span_ns` or more
    /// before the newest output ends, and those that failed. Returns `None` if no output is left.
    pub(crate) fn mean_of_recent(
        &self,
        count: usize,
        span_ns: i64,
        mean: &mut [f32],
    ) -> Option<Covered> {
        let front = self.read_front()?;
        let newest_ns = self.newest(front)?.last_ns;
        let is_recent = |span: Span| newest_ns.abs_diff(span.last_ns) < span_ns.unsigned_abs();
        let first = self.find_first(front, is_recent);
        let first = first.max(front.added.saturating_sub(count as u64));
        let mut sums = self.worker_sums.try_lock().ok()?;
        sums.fill(0.0);
        let mut tally = Tally::default();
        for output in first..front.added {
            let header = self.header(output)?;
            tally.count(header);
            if !header.has_failed {
                self.record(output)?.add_values(HEADER_WORDS, &mut sums);
            }
        }
        let covered = tally.finish().ok()?;
        divide(&sums, covered.outputs, mean);
        Some(covered)
    }

    fn publish(&self, front: Front) {
        self.front.publish(&front.encode(), &[]);
    }

    /// Reads the front. Returns `None` if the worker changes it faster than this thread can read.
    fn read_front(&self) -> Option<Front> {
        let mut words = [0; FRONT_WORDS];
        self.front.read(&mut words)?;
        Some(Front::decode(words))
    }

    fn record(&self, output: u64) -> Option<Record<'_>> {
        self.outputs.get((output % (self.kept as u64 + 1)) as usize)
    }

    /// Returns the header of an output, or `None` if the output has been overwritten.
    fn header(&self, output: u64) -> Option<Header> {
        let mut words = [0; HEADER_WORDS];
        let number = self.record(output)?.read(&mut words)?;
        (number == output + 1).then(|| Header::decode(words))
    }

    fn span(&self, output: u64) -> Option<Span> {
        self.header(output).map(|header| header.span)
    }

    fn oldest(&self, front: Front) -> u64 {
        front.added.saturating_sub(self.kept as u64).max(front.first_valid)
    }

    fn newest(&self, front: Front) -> Option<Span> {
        if front.added == front.first_valid { None } else { self.span(front.added - 1) }
    }

    /// Finds by binary search the first kept output for which `holds` is true, and returns its
    /// number, or `added` if no output qualifies. The first output ever added has the number 0. If
    /// `holds` is true for an output, it must be true for all later ones. An output that is
    /// overwritten during the search counts as too old.
    fn find_first(&self, front: Front, holds: impl Fn(Span) -> bool) -> u64 {
        let (mut low, mut high) = (self.oldest(front), front.added);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.span(middle).is_some_and(&holds) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
