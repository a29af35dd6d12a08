//! The history, which keeps the most recent outputs of the network and their times.
//!
//! The label of a past interval comes from the mean of the outputs in that interval. The worker
//! adds an output a few times per second. No query can hold up the worker: outputs are records of
//! atomic words, and a query that waits sleeps on an event count. If the worker overwrites an
//! output while a query reads it, the output counts as no longer kept.

mod parts;

use super::event_count::EventCount;
use super::outlook::Outlook;
use super::record::{Latest, Record, Records, packed_words, unpack};
use super::sync::{AtomicU64, Mutex, Ordering};
use crate::error::{Error, Result, Status};
pub(crate) use parts::{Covered, Span};
use parts::{FRONT_WORDS, Front, HEADER_WORDS, Header, Tally};
use std::ops::Range;
use std::time::{Duration, Instant};

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

/// The most recent outputs of the network and their times. Only the worker may call the functions
/// that change the history, and [`Self::mean_of_recent`].
pub(crate) struct History {
    labels: usize,
    /// Maximum number of outputs that queries can see.
    kept: usize,
    /// The header and the values of output `n` are in record `n % (kept + 1)`, whose number is
    /// `n + 1`. The additional record is the one that the worker writes next.
    outputs: Records,
    front: Latest,
    changed: EventCount,
    /// Identifier of the acquisition in progress.
    acquisition: AtomicU64,
    /// Memory for the sums of the worker. No other thread uses it, so it is always free.
    worker_sums: Mutex<Vec<f64>>,
}

/// Memory that a query needs.
struct QueryMemory {
    words: Vec<u64>,
    values: Vec<f32>,
    sums: Vec<f64>,
}

impl QueryMemory {
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    fn new(labels: usize) -> Result<Self, Status> {
        Ok(Self {
            words: allocate(HEADER_WORDS + packed_words(labels), 0)?,
            values: allocate(labels, 0.0)?,
            sums: allocate(labels, 0.0)?,
        })
    }
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
    pub(crate) fn new(labels: usize, span_ns: i64, interval_ns: i64) -> Result<Self> {
        let kept = Self::capacity(span_ns, interval_ns);
        if kept.checked_mul(labels).is_none_or(|count| count > MAX_VALUES) {
            let message = format!(
                "history_ns must give at most {MAX_VALUES} values, got {kept} outputs of {labels} \
                 labels"
            );
            return Err(Error::new(Status::OutOfMemory, message));
        }
        let history = Self {
            labels,
            kept,
            outputs: Records::new(kept + 1, HEADER_WORDS + packed_words(labels))?,
            front: Latest::new(FRONT_WORDS)?,
            changed: EventCount::new(),
            acquisition: AtomicU64::new(0),
            worker_sums: Mutex::new(allocate(labels, 0.0)?),
        };
        history.publish(Front::default());
        Ok(history)
    }

    fn capacity(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(0).saturating_add(2)
    }

    /// Returns the size of a history in bytes.
    pub(crate) fn memory_bytes(labels: usize, span_ns: i64, interval_ns: i64) -> usize {
        let records = Self::capacity(span_ns, interval_ns).saturating_add(1);
        Records::memory_bytes(records, HEADER_WORDS + packed_words(labels))
            .saturating_add(Latest::memory_bytes(FRONT_WORDS) + labels * size_of::<f64>())
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
        let Some(mut front) = self.read_front() else { return };
        if self.newest(front).is_some_and(|newest| span.last_ns <= newest.last_ns) {
            (front.first_valid, front.has_stepped) = (front.added, false);
        }
        if let Some(record) = self.record(front.added) {
            let header = Header { span, has_failed };
            record.write(front.added + 1, &header.encode(), values);
        }
        front.added += 1;
        self.publish(front);
    }

    /// Announces that the host's clock has stepped back to `time_ns`. If an earlier output ends at
    /// or after this time, the history forgets all earlier outputs, because their times cannot be
    /// told from later ones.
    pub(crate) fn step_clock(&self, time_ns: i64) {
        let Some(mut front) = self.read_front() else { return };
        if self.newest(front).is_some_and(|newest| time_ns <= newest.last_ns) {
            (front.first_valid, front.has_stepped) = (front.added, true);
            self.publish(front);
        }
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

    /// Writes the mean of the outputs whose first and last samples both lie in `interval`. Waits at
    /// most `timeout` for outputs in the interval that are still to come. `begun` is the newest
    /// acquisition that has begun.
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if the interval contains no output, [`Status::Cancelled`] if it
    /// contains none because the stream has ended, [`Status::Inference`] if all outputs in the
    /// interval failed, [`Status::TimedOut`] if the worker changes the history faster than this
    /// thread can read it, or [`Status::OutOfMemory`] if memory cannot be allocated.
    pub(crate) fn query(
        &self,
        interval: Span,
        begun: u64,
        timeout: Duration,
        mean: &mut [f32],
    ) -> Result<(Coverage, Covered), Status> {
        let deadline = Instant::now().checked_add(timeout);
        let mut memory = QueryMemory::new(self.labels)?;
        let (front, is_expected, is_closed) = loop {
            // The count and the end of the stream must be read before the front.
            let seen = self.changed.current();
            let is_closed = self.changed.is_closed();
            let front = self.read_front();
            let is_expected =
                front.is_none_or(|front| front.outlook.awaits(interval.last_ns, begun));
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !is_expected || is_closed || is_late {
                break (front.ok_or(Status::TimedOut)?, is_expected, is_closed);
            }
            self.changed.wait(seen, deadline);
        };
        let first = self.find_first(front, |span| span.first_ns >= interval.first_ns);
        let end = self.find_first(front, |span| span.last_ns > interval.last_ns);
        let tally = self.sum_newest(first..end, &mut memory);
        let covered = tally.finish().map_err(|status| match status {
            Status::Empty if is_expected && is_closed => Status::Cancelled,
            status => status,
        })?;
        divide(&memory.sums, covered.outputs, mean);
        let oldest = self.oldest(front);
        let begins_before = |span: Span| interval.first_ns < span.first_ns;
        let has_forgotten = oldest > front.first_valid || front.has_stepped;
        let is_forgotten = tally.outputs + tally.failed < end.saturating_sub(first)
            || has_forgotten && self.span(oldest).is_none_or(begins_before);
        Ok((Coverage::of(!is_forgotten && !is_expected), covered))
    }

    /// Adds up the outputs of a range, from the newest to the oldest. The worker overwrites the
    /// oldest outputs first, so the sum ends at an output that has been overwritten meanwhile.
    fn sum_newest(&self, range: Range<u64>, memory: &mut QueryMemory) -> Tally {
        let QueryMemory { words, values, sums } = memory;
        let mut tally = Tally::default();
        for output in range.rev() {
            let Some(record) = self.record(output) else { break };
            if record.read(words) != Some(output + 1) {
                break;
            }
            let Some((header, packed)) = words.split_first_chunk() else { break };
            let header = Header::decode(*header);
            tally.count(header);
            if !header.has_failed {
                unpack(packed, values);
                sums.iter_mut().zip(&*values).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        tally
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
