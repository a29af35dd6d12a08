//! The times of the chunks and windows that were skipped because of overload.

use super::parts::Span;
use crate::error::{Result, Status};
use crate::stream::record::Records;
use std::ops::Range;

/// Number of words of a skip.
const SKIP_WORDS: usize = 2;

/// The most recent skips, each of which has the times of one window or of consecutive chunks.
/// Their numbers follow the order of their times.
pub(super) struct Skips {
    /// Maximum number of skips that queries can see.
    kept: u64,
    /// Skip `n` is in record `n % (kept + 1)`, whose number is `n + 1`. The additional record is
    /// the one that the worker writes next.
    records: Records,
}

impl Skips {
    /// Allocates the records of `kept` skips.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(kept: usize) -> Result<Self, Status> {
        Ok(Self { kept: kept as u64, records: Records::new(kept + 1, SKIP_WORDS)? })
    }

    /// Returns the size of `records` records in bytes.
    pub(super) fn memory_bytes(records: usize) -> usize {
        Records::memory_bytes(records, SKIP_WORDS)
    }

    /// Writes a skip. Only the worker may call this.
    pub(super) fn write(&self, number: u64, Span { first_ns, last_ns }: Span) {
        if let Some(record) = self.records.get(self.index(number)) {
            record.write(number + 1, &[first_ns.cast_unsigned(), last_ns.cast_unsigned()], &[]);
        }
    }

    /// Returns whether one of the skips with these numbers may overlap `interval`. If the worker
    /// has overwritten a skip that may do so, the answer is yes.
    pub(super) fn overlap(&self, numbers: Range<u64>, interval: Span) -> bool {
        for number in numbers.rev() {
            let Some(skip) = self.read(number) else { return true };
            if skip.last_ns < interval.first_ns {
                return false;
            }
            if skip.first_ns <= interval.last_ns {
                return true;
            }
        }
        false
    }

    fn read(&self, number: u64) -> Option<Span> {
        let mut words = [0; SKIP_WORDS];
        if self.records.get(self.index(number))?.read(&mut words) != Some(number + 1) {
            return None;
        }
        let [first_ns, last_ns] = words.map(u64::cast_signed);
        Some(Span { first_ns, last_ns })
    }

    fn index(&self, number: u64) -> usize {
        (number % (self.kept + 1)) as usize
    }
}
