//! Records of atomic words, which one thread writes while any number of threads read.
//!
//! A sequence lock protects each record: the writer makes the version odd, writes the words and
//! makes the version even again. A reader gets nothing if the version was odd or has changed during
//! the read. Neither side ever waits for the other.

use super::sync::{AtomicU64, Ordering, fence};
use crate::error::{Result, Status};

/// Number of words in front of the content of a record: its version and its number.
const PREFIX_WORDS: usize = 2;

/// Number of records that the writer of a [`Latest`] uses in turn.
const TURNS: u64 = 4;

/// Maximum number of attempts to read a record. Failed attempts are rare, because the writer writes
/// a few dozen times per second.
pub(super) const MAX_TRIES: usize = 64;

/// Returns the number of words that hold `values` float32 values, two in each word.
pub(super) const fn packed_words(values: usize) -> usize {
    values.div_ceil(2)
}

/// Writes the float32 values that are packed into words. Stops at the end of the shorter slice.
pub(super) fn unpack(words: &[u64], values: &mut [f32]) {
    for (pair, &word) in values.chunks_mut(2).zip(words) {
        let halves = [word as u32, (word >> 32) as u32];
        for (value, bits) in pair.iter_mut().zip(halves) {
            *value = f32::from_bits(bits);
        }
    }
}

/// A number of records of the same size.
pub(super) struct Records {
    /// Number of words in a record, including the prefix.
    stride: usize,
    memory: Box<[AtomicU64]>,
}

impl Records {
    /// Allocates `count` records of `words` words. Writes to all of the memory, so that the writer
    /// causes no page fault later.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(count: usize, words: usize) -> Result<Self, Status> {
        let stride = PREFIX_WORDS + words;
        let size = count.checked_mul(stride).ok_or(Status::OutOfMemory)?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(size).map_err(|_| Status::OutOfMemory)?;
        memory.resize_with(size, || AtomicU64::new(0));
        Ok(Self { stride, memory: memory.into_boxed_slice() })
    }

    /// Returns the size of `count` records of `words` words in bytes.
    pub(super) fn memory_bytes(count: usize, words: usize) -> usize {
        count.saturating_mul((PREFIX_WORDS + words) * size_of::<AtomicU64>())
    }

    /// Returns a record.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Record<'_>> {
        let start = index * self.stride;
        let [version, number, words @ ..] = self.memory.get(start..start + self.stride)? else {
            return None;
        };
        Some(Record { version, number, words })
    }
}

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    version: &'a AtomicU64,
    /// Number that identifies the content; 0 before the first write.
    number: &'a AtomicU64,
    words: &'a [AtomicU64],
}

impl Record<'_> {
    /// Writes a record: first `words`, then `values`, two in each word. Only the single writer may
    /// call this.
    #[inline]
    pub(super) fn write(self, number: u64, words: &[u64], values: &[f32]) {
        let odd = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(odd, Ordering::Relaxed);
        // The fence ensures that the odd version becomes visible before any of the words. It pairs
        // with the fence in `read`.
        fence(Ordering::Release);
        self.number.store(number, Ordering::Relaxed);
        for (place, &word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        let places = self.words.get(words.len()..).unwrap_or_default();
        let (pairs, last) = values.as_chunks::<2>();
        for (place, [low, high]) in places.iter().zip(pairs) {
            let word = u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32;
            place.store(word, Ordering::Relaxed);
        }
        if let (Some(place), [value]) = (places.get(pairs.len()), last) {
            place.store(value.to_bits().into(), Ordering::Relaxed);
        }
        self.version.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// Adds the float32 values that follow the first `skipped` words to `sums`. Only the writer may
    /// call this, because nothing else may write meanwhile.
    #[inline]
    pub(super) fn add_values(self, skipped: usize, sums: &mut [f64]) {
        let words = self.words.get(skipped..).unwrap_or_default();
        let (pairs, last) = sums.as_chunks_mut::<2>();
        for ([low, high], word) in pairs.iter_mut().zip(words) {
            let word = word.load(Ordering::Relaxed);
            *low += f64::from(f32::from_bits(word as u32));
            *high += f64::from(f32::from_bits((word >> 32) as u32));
        }
        if let ([sum], Some(word)) = (last, words.get(pairs.len())) {
            *sum += f64::from(f32::from_bits(word.load(Ordering::Relaxed) as u32));
        }
    }

    /// Makes the version odd and leaves the record in this state, as if the writer had been
    /// interrupted.
    #[cfg(all(test, not(loom)))]
    pub(super) fn start_write(self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Copies the first words of the record and returns its number. Returns `None` if the writer
    /// was writing the record meanwhile; the copy is then invalid.
    #[inline]
    pub(super) fn read(self, copy: &mut [u64]) -> Option<u64> {
        let version = self.version.load(Ordering::Acquire);
        if !version.is_multiple_of(2) {
            return None;
        }
        let number = self.number.load(Ordering::Relaxed);
        for (place, word) in copy.iter_mut().zip(self.words) {
            *place = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(number)
    }
}

/// The latest of the values that one thread publishes.
///
/// The writer uses several records in turn, so the record of the latest value is complete even
/// while the writer is writing the next one. An attempt to read fails only if the writer publishes
/// several values during the attempt.
pub(super) struct Latest {
    /// Number of published values. The latest one is in record `published % TURNS`.
    published: AtomicU64,
    records: Records,
}

impl Latest {
    /// Allocates the records for values of `words` words.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(words: usize) -> Result<Self, Status> {
        Ok(Self { published: AtomicU64::new(0), records: Records::new(TURNS as usize, words)? })
    }

    /// Returns the size of the records in bytes.
    pub(super) fn memory_bytes(words: usize) -> usize {
        Records::memory_bytes(TURNS as usize, words)
    }

    /// Publishes a value: first `words`, then `values`, two in each word. Only the single writer
    /// may call this.
    #[inline]
    pub(super) fn publish(&self, words: &[u64], values: &[f32]) {
        let number = self.published.load(Ordering::Relaxed) + 1;
        if let Some(record) = self.record(number) {
            record.write(number, words, values);
        }
        self.published.store(number, Ordering::Release);
    }

    /// Copies the first words of the latest value. Returns `None` before the first value, or if
    /// every attempt to read fails.
    #[inline]
    pub(super) fn read(&self, copy: &mut [u64]) -> Option<()> {
        for _ in 0..MAX_TRIES {
            let number = self.published.load(Ordering::Acquire);
            if number == 0 {
                break;
            }
            // If the writer has reached this record again, the record may contain a value that is
            // not published yet. Such a value must not be returned, because a later call could then
            // return an older one.
            if self.record(number)?.read(copy) == Some(number) {
                return Some(());
            }
        }
        None
    }

    #[inline]
    fn record(&self, number: u64) -> Option<Record<'_>> {
        self.records.get((number % TURNS) as usize)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_arrive_as_they_were_written() {
        for values in [&[][..], &[1.5], &[1.5, -0.0], &[1.5, f32::MIN, 3.0]] {
            let records = Records::new(2, 1 + packed_words(values.len())).unwrap();
            let record = records.get(1).unwrap();
            record.write(9, &[u64::MAX], values);
            let (mut copy, mut found) = ([0; 3], [f32::NAN; 3]);
            assert_eq!(record.read(&mut copy), Some(9));
            unpack(&copy[1..], &mut found[..values.len()]);
            assert_eq!((copy[0], &found[..values.len()]), (u64::MAX, values));
            assert!(records.get(2).is_none());
        }
    }

    #[test]
    fn an_unpublished_value_does_not_replace_an_older_one() {
        let latest = Latest::new(1).unwrap();
        latest.publish(&[1], &[]);
        latest.record(1 + TURNS).unwrap().write(1 + TURNS, &[5], &[]);
        assert_eq!(latest.read(&mut [0]), None);
    }

    #[test]
    fn records_that_do_not_fit_into_memory_are_refused() {
        assert_eq!(Records::new(usize::MAX / 4, 2).err(), Some(Status::OutOfMemory));
        assert_eq!(Records::new(1 << 50, 1 << 5).err(), Some(Status::OutOfMemory));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    #[test]
    fn a_reader_gets_a_whole_record_in_every_interleaving() {
        loom::model(|| {
            let records = loom::sync::Arc::new(Records::new(1, 2).unwrap());
            let writer = records.clone();
            let thread = loom::thread::spawn(move || {
                let record = writer.get(0).unwrap();
                record.write(1, &[1, 1], &[]);
                record.write(2, &[2, 2], &[]);
            });
            let mut words = [0; 2];
            if let Some(number) = records.get(0).unwrap().read(&mut words) {
                assert_eq!(words, [number; 2]);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn the_latest_value_never_goes_back_in_any_interleaving() {
        loom::model(|| {
            let latest = loom::sync::Arc::new(Latest::new(1).unwrap());
            let writer = latest.clone();
            let thread = loom::thread::spawn(move || {
                writer.publish(&[1], &[]);
                writer.publish(&[2], &[]);
            });
            let (mut first, mut second) = ([0], [0]);
            let found = latest.read(&mut first);
            assert!(latest.read(&mut second).is_some() || found.is_none());
            assert!(second >= first, "{second:?} after {first:?}");
            thread.join().unwrap();
        });
    }
}
