//! The sample store, which keeps the most recent preprocessed samples and their grid times for
//! exact queries.
//!
//! The worker writes while other threads read. Each sample has its own lock. The worker therefore
//! waits only if it must overwrite a sample while another thread copies it, and only until that
//! copy ends.

use crate::error::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// The most recent samples, numbered in the order in which they arrived.
pub(super) struct SampleStore {
    /// The slots, which are used as a ring: sample `n` is in slot `n % slots.len()`.
    slots: Box<[Mutex<Slot>]>,
    front: Mutex<Front>,
    changed: Condvar,
}

struct Slot {
    sample: Sample,
    values: Vec<f32>,
}

/// A sample without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    number: u64,
    /// Grid time.
    pub(super) time_ns: i64,
    /// Whether the sample is the first of a segment.
    pub(super) starts_segment: bool,
}

#[derive(Default)]
struct Front {
    /// Number of samples added so far, including those that have been overwritten.
    kept: u64,
    /// Value of `kept` when the host's clock last restarted, or 0 if it has not restarted.
    first_valid: u64,
    newest_ns: Option<i64>,
    /// Grid time of the next sample, while an acquisition is in progress.
    next_ns: Option<i64>,
}

/// The availability of a sample in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// The sample has been added. It may have been overwritten since.
    Exists,
    /// The sample was not added before the deadline.
    Late,
    /// The interval contains no further sample.
    Never,
}

impl SampleStore {
    fn slots(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(usize::MAX).saturating_add(2)
    }

    /// Returns the size of a store in bytes.
    pub(super) fn memory_bytes(span_ns: i64, interval_ns: i64, sample_len: usize) -> usize {
        let slot = size_of::<Mutex<Slot>>().saturating_add(sample_len * size_of::<f32>());
        Self::slots(span_ns, interval_ns).saturating_mul(slot)
    }

    /// Allocates a store for the samples of the last `span_ns` nanoseconds. One sample arrives
    /// every `interval_ns` nanoseconds and has `sample_len` values.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(span_ns: i64, interval_ns: i64, sample_len: usize) -> Result<Self> {
        let count = Self::slots(span_ns, interval_ns);
        let out_of_memory = |_| {
            let message =
                format!("exact_history_ns needs memory for {count} samples of {sample_len} values");
            Error::new(Status::OutOfMemory, message)
        };
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(out_of_memory)?;
        for _ in 0..count {
            let mut values = Vec::new();
            values.try_reserve_exact(sample_len).map_err(out_of_memory)?;
            // Write the values now, so that the worker causes no page fault later.
            values.resize(sample_len, f32::NAN);
            let sample = Sample { number: u64::MAX, time_ns: 0, starts_segment: false };
            slots.push(Mutex::new(Slot { sample, values }));
        }
        Ok(Self { slots: slots.into(), front: Mutex::default(), changed: Condvar::new() })
    }

    /// Adds a sample; `next_ns` is the grid time of the sample after it. If `time_ns` is not later
    /// than the time of the newest sample, the host's clock has restarted, and the store hides all
    /// earlier samples. Only the worker may call this.
    pub(super) fn keep(&self, time_ns: i64, next_ns: i64, starts_segment: bool, values: &[f32]) {
        let number = self.front.lock().kept;
        if let Some(slot) = self.slot(number) {
            let mut slot = slot.lock();
            slot.sample = Sample { number, time_ns, starts_segment };
            slot.values.copy_from_slice(values);
        }
        let mut front = self.front.lock();
        if front.newest_ns.is_some_and(|newest| time_ns <= newest) {
            front.first_valid = number;
        }
        front.kept = number + 1;
        front.newest_ns = Some(time_ns);
        front.next_ns = Some(next_ns);
        drop(front);
        self.changed.notify_all();
    }

    /// Announces that this acquisition has no further sample.
    pub(super) fn close(&self) {
        self.front.lock().next_ns = None;
        self.changed.notify_all();
    }

    fn slot(&self, number: u64) -> Option<&Mutex<Slot>> {
        let index = number % self.slots.len().max(1) as u64;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// Returns the number of the oldest sample that is still kept, and whether older samples have
    /// been overwritten. Samples from before the last restart of the host's clock are ignored.
    pub(super) fn oldest(&self) -> (u64, bool) {
        let front = self.front.lock();
        let oldest = front.kept.saturating_sub(self.slots.len() as u64);
        (oldest.max(front.first_valid), oldest > front.first_valid)
    }

    /// Returns the number of the first sample at or after a time. If no such sample exists, returns
    /// the number that the next new sample will have.
    pub(super) fn find_first(&self, time_ns: i64) -> u64 {
        let (mut low, mut high) = (self.oldest().0, self.front.lock().kept);
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
        let sample = self.slot(number)?.lock().sample;
        (sample.number == number).then_some(sample)
    }

    /// Copies the values of a sample. Returns false if the sample has been overwritten.
    pub(super) fn copy(&self, sample: Sample, values: &mut [f32]) -> bool {
        let Some(slot) = self.slot(sample.number).map(Mutex::lock) else { return false };
        let is_kept = slot.sample == sample;
        if is_kept {
            values.copy_from_slice(&slot.values);
        }
        is_kept
    }

    /// Waits for sample `number`, or until no further sample with a grid time up to `last_ns` can
    /// arrive. Without a deadline, the wait has no time limit.
    pub(super) fn wait_for_sample(
        &self,
        number: u64,
        last_ns: i64,
        deadline: Option<Instant>,
    ) -> Availability {
        let mut front = self.front.lock();
        while front.kept <= number {
            if front.next_ns.is_none_or(|next| next > last_ns) {
                return Availability::Never;
            }
            match deadline {
                None => self.changed.wait(&mut front),
                Some(deadline) => {
                    if self.changed.wait_until(&mut front, deadline).timed_out() {
                        let exists = front.kept > number;
                        return if exists { Availability::Exists } else { Availability::Late };
                    }
                }
            }
        }
        Availability::Exists
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn create_filled(count: i64) -> SampleStore {
        let samples = SampleStore::new(40, 10, 1).unwrap();
        for number in 0..count {
            samples.keep(number * 10, number * 10 + 10, number == 0, &[number as f32]);
        }
        samples
    }

    #[test]
    fn the_last_samples_are_found_by_time() {
        let samples = create_filled(20);
        assert_eq!(samples.oldest(), (14, true));
        assert_eq!(
            [samples.find_first(0), samples.find_first(155), samples.find_first(500)],
            [14, 16, 20]
        );
        let mut value = [0.0];
        let found = samples.sample(16).unwrap();
        assert!(samples.copy(found, &mut value));
        assert_eq!((found.time_ns, value), (160, [16.0]));
        samples.keep(200, 210, false, &[20.0]);
        assert_eq!(samples.sample(14), None);
    }

    #[test]
    fn a_restarted_clock_hides_earlier_samples() {
        let samples = create_filled(3);
        samples.keep(0, 10, true, &[7.0]);
        assert_eq!(samples.oldest(), (3, false));
        assert_eq!(samples.find_first(0), 3);
    }

    #[test]
    fn a_sample_is_awaited_during_its_acquisition_only() {
        let samples = create_filled(3);
        assert_eq!(samples.wait_for_sample(2, 90, Some(Instant::now())), Availability::Exists);
        assert_eq!(samples.wait_for_sample(3, 29, None), Availability::Never);
        assert_eq!(samples.wait_for_sample(3, 30, Some(Instant::now())), Availability::Late);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| samples.wait_for_sample(3, 30, None));
            samples.keep(30, 40, false, &[3.0]);
            assert_eq!(waiting.join().unwrap(), Availability::Exists);
        });
        samples.close();
        assert_eq!(samples.wait_for_sample(4, 90, None), Availability::Never);
    }
}
