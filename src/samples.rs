//! The last preprocessed samples with their grid times, for the exact form of a query.
//!
//! The worker writes while any thread reads. A lock guards one sample at a time, so the worker waits for the copy of
//! one sample at most, and only if it overwrites the very sample that is read.

use crate::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// A bounded store of samples, numbered in the order they came.
pub(crate) struct Samples {
    /// Ring: sample `n` is in `n % slots.len()`.
    slots: Box<[Mutex<Kept>]>,
    front: Mutex<Front>,
    news: Condvar,
}

struct Kept {
    sample: Sample,
    values: Vec<f32>,
}

/// A sample without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    number: u64,
    /// Grid time.
    pub(crate) time_ns: i64,
    /// The first of a segment.
    pub(crate) starts: bool,
}

#[derive(Default)]
struct Front {
    /// Samples ever kept.
    kept: u64,
    /// The first sample of this run of times.
    since: u64,
    newest_ns: Option<i64>,
    /// Grid time of the sample that comes next, while an acquisition is open.
    pending_ns: Option<i64>,
}

/// Whether a sample is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// It is there, or was.
    There,
    /// It is still to come and did not until the deadline.
    Late,
    /// Nothing comes any more in the interval.
    Never,
}

impl Samples {
    /// Slots that keep `span_ns` of samples.
    pub(crate) fn slots(span_ns: i64, interval_ns: i64) -> usize {
        usize::try_from(span_ns / interval_ns.max(1)).unwrap_or(usize::MAX).saturating_add(2)
    }

    /// Allocates room for `span_ns` of samples of `sample_len` values, one every `interval_ns`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub(crate) fn new(span_ns: i64, interval_ns: i64, sample_len: usize) -> Result<Self> {
        let count = Self::slots(span_ns, interval_ns);
        let full = || {
            let what = format!("{count} samples of {sample_len} values for exact queries");
            Error::new(Status::OutOfMemory, what)
        };
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(|_| full())?;
        for _ in 0..count {
            let mut values = Vec::new();
            values.try_reserve_exact(sample_len).map_err(|_| full())?;
            // Touched now, so that the worker meets no new page later.
            values.resize(sample_len, f32::NAN);
            let sample = Sample { number: u64::MAX, time_ns: 0, starts: false };
            slots.push(Mutex::new(Kept { sample, values }));
        }
        Ok(Self { slots: slots.into(), front: Mutex::default(), news: Condvar::new() })
    }

    /// Keeps the next sample; `next_ns` is the grid time of the one after it. One that is not later than the newest
    /// begins a new run of times: the host's clock restarted. Called by the worker alone.
    pub(crate) fn keep(&self, time_ns: i64, next_ns: i64, starts: bool, values: &[f32]) {
        let number = self.front.lock().kept;
        if let Some(slot) = self.slot(number) {
            let mut kept = slot.lock();
            kept.sample = Sample { number, time_ns, starts };
            kept.values.copy_from_slice(values);
        }
        let mut front = self.front.lock();
        if front.newest_ns.is_some_and(|newest| time_ns <= newest) {
            front.since = number;
        }
        front.kept = number + 1;
        front.newest_ns = Some(time_ns);
        front.pending_ns = Some(next_ns);
        drop(front);
        self.news.notify_all();
    }

    /// No sample comes any more in this acquisition.
    pub(crate) fn close(&self) {
        self.front.lock().pending_ns = None;
        self.news.notify_all();
    }

    fn slot(&self, number: u64) -> Option<&Mutex<Kept>> {
        self.slots.get(usize::try_from(number % self.slots.len().max(1) as u64).ok()?)
    }

    /// Number of the oldest sample of this run of times, and whether older ones of it were overwritten.
    pub(crate) fn oldest(&self) -> (u64, bool) {
        let front = self.front.lock();
        let oldest = front.kept.saturating_sub(self.slots.len() as u64);
        (oldest.max(front.since), oldest > front.since)
    }

    /// Number of the first sample at or after a time; that of the next to come if there is none.
    pub(crate) fn first(&self, time_ns: i64) -> u64 {
        let (mut low, mut high) = (self.oldest().0, self.front.lock().kept);
        while low < high {
            let middle = low + (high - low) / 2;
            // One that was overwritten meanwhile is older than what is sought.
            if self.sample(middle).is_some_and(|sample| sample.time_ns >= time_ns) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// A sample without its values; `None` if it was overwritten.
    pub(crate) fn sample(&self, number: u64) -> Option<Sample> {
        let sample = self.slot(number)?.lock().sample;
        (sample.number == number).then_some(sample)
    }

    /// Copies the values of a sample; false if it was overwritten.
    pub(crate) fn copy(&self, sample: Sample, values: &mut [f32]) -> bool {
        let Some(kept) = self.slot(sample.number).map(Mutex::lock) else { return false };
        let there = kept.sample == sample;
        if there {
            values.copy_from_slice(&kept.values);
        }
        there
    }

    /// Waits for a sample of an interval that ends at `last_ns`; `None` for a deadline waits for ever.
    pub(crate) fn wait(&self, number: u64, last_ns: i64, deadline: Option<Instant>) -> Awaited {
        let mut front = self.front.lock();
        while front.kept <= number {
            if front.pending_ns.is_none_or(|pending| pending > last_ns) {
                return Awaited::Never;
            }
            match deadline {
                None => self.news.wait(&mut front),
                Some(deadline) => {
                    if self.news.wait_until(&mut front, deadline).timed_out() {
                        return if front.kept > number { Awaited::There } else { Awaited::Late };
                    }
                }
            }
        }
        Awaited::There
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn filled(count: i64) -> Samples {
        let samples = Samples::new(40, 10, 1).unwrap();
        for number in 0..count {
            samples.keep(number * 10, number * 10 + 10, number == 0, &[number as f32]);
        }
        samples
    }

    #[test]
    fn the_last_samples_of_the_span_are_found_by_time_and_older_ones_are_gone() {
        let samples = filled(20);
        assert_eq!(samples.oldest(), (14, true));
        assert_eq!([samples.first(0), samples.first(155), samples.first(500)], [14, 16, 20]);
        let mut value = [0.0];
        let found = samples.sample(16).unwrap();
        assert!(samples.copy(found, &mut value));
        assert_eq!((found.time_ns, value), (160, [16.0]));
        samples.keep(200, 210, false, &[20.0]);
        assert_eq!(samples.sample(14), None);
    }

    #[test]
    fn a_clock_that_restarts_begins_a_new_run_of_times() {
        let samples = filled(3);
        samples.keep(0, 10, true, &[7.0]);
        assert_eq!(samples.oldest(), (3, false));
        assert_eq!(samples.first(0), 3);
    }

    #[test]
    fn a_sample_is_waited_for_while_its_acquisition_is_open() {
        let samples = filled(3);
        assert_eq!(samples.wait(2, 90, Some(Instant::now())), Awaited::There);
        assert_eq!(samples.wait(3, 29, None), Awaited::Never);
        assert_eq!(samples.wait(3, 30, Some(Instant::now())), Awaited::Late);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| samples.wait(3, 30, None));
            samples.keep(30, 40, false, &[3.0]);
            assert_eq!(waiting.join().unwrap(), Awaited::There);
        });
        samples.close();
        assert_eq!(samples.wait(4, 90, None), Awaited::Never);
    }
}
