//! The sample store, which keeps the most recent preprocessed samples and their grid times for
//! exact queries.
//!
//! The worker writes while one exact query at a time reads. Times are records of atomic words. The
//! values of each sample are in a buffer with a lock, which both sides only try to take: if a query
//! is copying the buffer that the worker wants to write, the worker writes a spare buffer instead,
//! so it never waits.

mod parts;

use super::event_count::EventCount;
use super::history::Span;
use super::record::{Latest, Record, Records};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::error::{Error, Result, Status};
pub(super) use parts::{Availability, Beginning, ClockState};
use parts::{FRONT_WORDS, Front};
use std::time::Instant;

/// Number of words of the record of a sample: its time, whether it starts a segment, and the index
/// of its buffer.
const SAMPLE_WORDS: usize = 3;

/// The most recent samples, numbered in the order in which they arrived. Only the worker may call
/// the functions that change the store.
pub(super) struct SampleStore {
    /// Maximum number of samples that queries can see.
    kept: u64,
    /// Sample `n` is in record `n % (kept + 1)`, whose number is `n + 1`. The additional record is
    /// the one that the worker writes next.
    samples: Records,
    /// The buffers of all records, and a spare one.
    buffers: Box<[Mutex<Buffer>]>,
    /// Index of the spare buffer.
    spare: AtomicU64,
    front: Latest,
    changed: EventCount,
    /// Identifier of the acquisition in progress.
    acquisition: AtomicU64,
}

/// Memory for the values of a sample.
struct Buffer {
    /// Number of the sample, or `u64::MAX` if the buffer contains none.
    number: u64,
    values: Vec<f32>,
}

/// A sample without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    number: u64,
    buffer: u64,
    /// Grid time.
    pub(super) time_ns: i64,
    /// Whether the sample is the first of a segment.
    pub(super) starts_segment: bool,
}

impl SampleStore {
    fn capacity(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(usize::MAX).saturating_add(2)
    }

    /// Returns the size of a store in bytes.
    pub(super) fn memory_bytes(span_ns: i64, interval_ns: i64, sample_len: usize) -> usize {
        let records = Self::capacity(span_ns, interval_ns).saturating_add(1);
        let buffer = size_of::<Mutex<Buffer>>().saturating_add(sample_len * size_of::<f32>());
        Records::memory_bytes(records, SAMPLE_WORDS)
            .saturating_add(records.saturating_add(1).saturating_mul(buffer))
            .saturating_add(Latest::memory_bytes(FRONT_WORDS))
    }

    /// Allocates a store for the samples of the last `span_ns` nanoseconds. One sample arrives
    /// every `interval_ns` nanoseconds and has `sample_len` values.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(span_ns: i64, interval_ns: i64, sample_len: usize) -> Result<Self> {
        let kept = Self::capacity(span_ns, interval_ns);
        Self::allocate(kept, sample_len).map_err(|status| {
            let message =
                format!("exact_history_ns needs memory for {kept} samples of {sample_len} values");
            Error::new(status, message)
        })
    }

    fn allocate(kept: usize, sample_len: usize) -> Result<Self, Status> {
        let records = kept.checked_add(1).ok_or(Status::OutOfMemory)?;
        let samples = Records::new(records, SAMPLE_WORDS)?;
        let mut buffers = Vec::new();
        buffers.try_reserve_exact(records + 1).map_err(|_| Status::OutOfMemory)?;
        for index in 0..=records {
            let mut values = Vec::new();
            values.try_reserve_exact(sample_len).map_err(|_| Status::OutOfMemory)?;
            // Write the values now, so that the worker causes no page fault later.
            values.resize(sample_len, f32::NAN);
            buffers.push(Mutex::new(Buffer { number: u64::MAX, values }));
            if let Some(record) = samples.get(index) {
                record.write(0, &[0, 0, index as u64], &[]);
            }
        }
        let store = Self {
            kept: kept as u64,
            samples,
            buffers: buffers.into(),
            spare: AtomicU64::new(records as u64),
            front: Latest::new(FRONT_WORDS)?,
            changed: EventCount::new(),
            acquisition: AtomicU64::new(0),
        };
        store.front.publish(&Front::default().encode(), &[]);
        Ok(store)
    }

    /// Begins an acquisition.
    pub(super) fn begin(&self, acquisition: u64) {
        self.acquisition.store(acquisition, Ordering::Relaxed);
    }

    /// Adds a sample; `next_ns` is the grid time of the sample after it. If `time_ns` is not later
    /// than the time of the newest sample, the host's clock has restarted, and the store hides all
    /// earlier samples.
    pub(super) fn keep(&self, time_ns: i64, next_ns: i64, starts_segment: bool, values: &[f32]) {
        let Some(mut front) = self.read_front() else { return };
        let number = front.added;
        let buffer = self.write_values(number, values);
        if let Some(record) = self.record(number) {
            let words = [time_ns.cast_unsigned(), starts_segment.into(), buffer];
            record.write(number + 1, &words, &[]);
        }
        if front.newest().is_some_and(|newest| time_ns <= newest) {
            (front.first_valid, front.has_stepped) = (number, false);
        }
        front.added = number + 1;
        front.newest_ns = time_ns;
        front.outlook.expect(self.acquisition.load(Ordering::Relaxed), next_ns);
        self.publish(front);
    }

    /// Writes the values of a new sample to the buffer of the sample that it overwrites, or to the
    /// spare buffer if a query is copying that one. Returns the index of the buffer.
    fn write_values(&self, number: u64, values: &[f32]) -> u64 {
        let own = self.buffer_of(number);
        let (used, buffer) = match self.lock(own) {
            Some(buffer) => (own, Some(buffer)),
            None => {
                let spare = self.spare.swap(own, Ordering::Relaxed);
                (spare, self.lock(spare))
            }
        };
        // Only one query copies at a time, so one of the two buffers is free. Otherwise, a query
        // would find that the sample has been overwritten.
        let Some(mut buffer) = buffer else { return used };
        buffer.number = number;
        buffer.values.copy_from_slice(values);
        used
    }

    /// Announces that the host's clock has stepped back to `time_ns`. If a sample is not earlier
    /// than this time, the store hides all samples, because their times cannot be told from later
    /// ones. Waiting queries learn that samples with earlier times may come again.
    pub(super) fn step_clock(&self, time_ns: i64) {
        let Some(mut front) = self.read_front() else { return };
        if front.newest().is_some_and(|newest| time_ns <= newest) {
            (front.first_valid, front.has_stepped) = (front.added, true);
        }
        front.outlook.step_clock(self.acquisition.load(Ordering::Relaxed), time_ns);
        self.publish(front);
    }

    /// Announces that this acquisition has no further sample. `reached_ns` is the time of its last
    /// frame, if it has one.
    pub(super) fn end(&self, reached_ns: Option<i64>) {
        let Some(mut front) = self.read_front() else { return };
        front.outlook.end(self.acquisition.load(Ordering::Relaxed), reached_ns);
        self.publish(front);
    }

    /// Announces that the stream has ended, which ends the wait of every query.
    pub(super) fn close(&self) {
        self.changed.close();
    }

    fn publish(&self, front: Front) {
        self.front.publish(&front.encode(), &[]);
        self.changed.advance();
    }

    /// Reads the front. Returns `None` if the worker changes it faster than this thread can read.
    fn read_front(&self) -> Option<Front> {
        let mut words = [0; FRONT_WORDS];
        self.front.read(&mut words)?;
        Some(Front::decode(words))
    }

    fn record(&self, number: u64) -> Option<Record<'_>> {
        self.samples.get((number % (self.kept + 1)) as usize)
    }

    /// Returns the index of the buffer that belongs to the record of a sample. Only the worker may
    /// call this, because nothing else may write meanwhile.
    fn buffer_of(&self, number: u64) -> u64 {
        let mut words = [0; SAMPLE_WORDS];
        self.record(number).and_then(|record| record.read(&mut words));
        words[2]
    }

    /// Locks a buffer, unless another thread has locked it.
    fn lock(&self, buffer: u64) -> Option<MutexGuard<'_, Buffer>> {
        self.buffers.get(buffer as usize)?.try_lock().ok()
    }

    /// Returns the state of the clock for a query of the samples up to `last_ns`. `begun` is the
    /// newest acquisition that has begun.
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] if the worker changes the store faster than this thread can
    /// read it.
    pub(super) fn clock(&self, last_ns: i64, begun: u64) -> Result<ClockState, Status> {
        self.try_read_front().map(|front| front.clock(last_ns, begun))
    }

    /// Finds the first sample of an interval, and returns what was known at the time of the search.
    ///
    /// # Errors
    /// Returns the same error as [`Self::clock`].
    pub(super) fn find_beginning(&self, interval: Span, begun: u64) -> Result<Beginning, Status> {
        let front = self.try_read_front()?;
        let (oldest, has_overwritten) = self.oldest_in(front);
        let first = self.find_first(front, interval.first_ns);
        let begins_at_or_before =
            || self.sample(first).is_some_and(|sample| sample.time_ns <= interval.first_ns);
        // If the sample before the first one is still kept, it precedes the interval.
        let is_kept = begins_at_or_before()
            || if first > oldest { self.sample(first - 1).is_some() } else { !has_overwritten };
        Ok(Beginning { first, is_kept, clock: front.clock(interval.last_ns, begun) })
    }

    /// Returns the number of the oldest sample that is still kept.
    ///
    /// # Errors
    /// Returns the same error as [`Self::clock`].
    pub(super) fn oldest(&self) -> Result<u64, Status> {
        self.try_read_front().map(|front| self.oldest_in(front).0)
    }

    /// Returns the number of the oldest sample that is still kept, and whether older samples have
    /// been overwritten or hidden by a clock step. Samples from before the clock of this
    /// acquisition started are ignored.
    fn oldest_in(&self, front: Front) -> (u64, bool) {
        let oldest = front.added.saturating_sub(self.kept);
        (oldest.max(front.first_valid), oldest > front.first_valid || front.has_stepped)
    }

    fn try_read_front(&self) -> Result<Front, Status> {
        self.read_front().ok_or(Status::TimedOut)
    }

    /// Returns the number of the first sample at or after a time. If no such sample exists, returns
    /// the number that the next new sample will have.
    fn find_first(&self, front: Front, time_ns: i64) -> u64 {
        let (mut low, mut high) = (self.oldest_in(front).0, front.added);
        while low < high {
            let middle = low + (high - low) / 2;
            // A sample that is overwritten during the search counts as too old.
            if self.sample(middle).is_some_and(|sample| sample.time_ns >= time_ns) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Returns a sample without its values, or `None` if it has been overwritten.
    pub(super) fn sample(&self, number: u64) -> Option<Sample> {
        let mut words = [0; SAMPLE_WORDS];
        if self.record(number)?.read(&mut words) != Some(number + 1) {
            return None;
        }
        let [time_ns, starts_segment, buffer] = words;
        let (time_ns, starts_segment) = (time_ns.cast_signed(), starts_segment == 1);
        Some(Sample { number, buffer, time_ns, starts_segment })
    }

    /// Copies the values of a sample. Returns false if the sample has been overwritten.
    pub(super) fn copy(&self, sample: Sample, values: &mut [f32]) -> bool {
        // If the worker has locked the buffer, it is overwriting the sample.
        let Some(buffer) = self.lock(sample.buffer) else { return false };
        let is_kept = buffer.number == sample.number;
        if is_kept {
            values.copy_from_slice(&buffer.values);
        }
        is_kept
    }

    /// Returns the number of threads that wait for a sample.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiters(&self) -> u32 {
        self.changed.waiters()
    }

    /// Waits for sample `number`, or until no further sample with a grid time up to `last_ns` can
    /// arrive. `begun` is the newest acquisition that has begun. Without a deadline, the wait has
    /// no time limit.
    pub(super) fn wait_for_sample(
        &self,
        number: u64,
        last_ns: i64,
        begun: u64,
        deadline: Option<Instant>,
    ) -> Availability {
        loop {
            // The count and the end of the stream must be read before the front.
            let seen = self.changed.current();
            let is_closed = self.changed.is_closed();
            if let Some(front) = self.read_front() {
                if front.added > number {
                    return Availability::Exists;
                }
                if !front.outlook.awaits(last_ns, begun) {
                    return Availability::Never;
                }
            }
            if is_closed {
                return Availability::Ended;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Availability::Late;
            }
            self.changed.wait(seen, deadline);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
