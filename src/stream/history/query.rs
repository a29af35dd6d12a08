//! Plain queries, which average the outputs of a past interval.

use super::parts::{Covered, Front, HEADER_WORDS, Header, Span, Tally};
use super::{Coverage, History, Wait, allocate, divide};
use crate::error::{Result, Status};
use crate::stream::record::{packed_words, unpack};
use std::ops::Range;
use std::time::Instant;

/// Memory that a query needs.
pub(super) struct QueryMemory {
    words: Vec<u64>,
    values: Vec<f32>,
    sums: Vec<f64>,
}

impl QueryMemory {
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(count: usize) -> Result<Self, Status> {
        Ok(Self {
            words: allocate(HEADER_WORDS + packed_words(count), 0)?,
            values: allocate(count, 0.0)?,
            sums: allocate(count, 0.0)?,
        })
    }
}

impl History {
    /// Writes the mean of the outputs whose first and last samples both lie in `interval`, or the
    /// newest of them if the label follows from the newest output. `begun` is the newest
    /// acquisition that has begun.
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if the interval contains no output, [`Status::Cancelled`] if it
    /// contains none because the stream has ended, [`Status::Inference`] if all outputs in the
    /// interval failed, [`Status::TimedOut`] if the worker changes the history faster than this
    /// thread can read it, [`Status::OutOfMemory`] if memory cannot be allocated, or
    /// [`Status::WrongThread`] if an output is still to come and `wait` is [`Wait::Refused`].
    pub(crate) fn query(
        &self,
        interval: Span,
        begun: u64,
        wait: Wait,
        mean: &mut [f32],
    ) -> Result<(Coverage, Covered), Status> {
        let deadline = match wait {
            Wait::AtMost(timeout) => Instant::now().checked_add(timeout),
            Wait::Refused => None,
        };
        let mut memory = QueryMemory::new(self.values)?;
        let mut first_valid = None;
        let (front, is_expected, is_closed) = loop {
            // The count and the end of the stream must be read before the front.
            let seen = self.changed.current();
            let is_closed = self.changed.is_closed();
            let front = self.read_front();
            first_valid = first_valid.or(front.map(|front| front.first_valid));
            let is_expected =
                front.is_none_or(|front| front.outlook.awaits(interval.last_ns, begun));
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !is_expected || is_closed || is_late {
                break (front.ok_or(Status::TimedOut)?, is_expected, is_closed);
            }
            if wait == Wait::Refused {
                return Err(Status::WrongThread);
            }
            self.changed.wait(seen, deadline);
        };
        let found = self.read_mean(front, interval, &mut memory, mean);
        let (is_whole, covered) = found.map_err(|status| match status {
            Status::Empty if is_expected && is_closed => Status::Cancelled,
            status => status,
        })?;
        // If the clock restarted with an acquisition that began after the query, the outputs for
        // which the query waited are forgotten.
        let is_replaced = first_valid != Some(front.first_valid) && front.outlook.is_after(begun);
        Ok((Coverage::of(is_whole && !is_expected && !is_replaced), covered))
    }

    /// Writes the mean of the outputs in `interval` that had been added when `front` was read. Also
    /// returns whether none of the outputs in the interval has been forgotten or overwritten.
    pub(super) fn read_mean(
        &self,
        front: Front,
        interval: Span,
        memory: &mut QueryMemory,
        mean: &mut [f32],
    ) -> Result<(bool, Covered), Status> {
        let first = self.find_first(front, |span| span.first_ns >= interval.first_ns);
        let end = self.find_first(front, |span| span.last_ns > interval.last_ns);
        let tally = self.sum_newest(first..end, memory);
        let covered = tally.finish()?;
        let outputs = if self.gives_newest { 1 } else { covered.outputs };
        divide(&memory.sums, outputs, mean);
        let has_all = tally.outputs + tally.failed == end.saturating_sub(first);
        Ok((has_all && self.has_beginning(front, first, interval.first_ns), covered))
    }

    /// Returns whether `first` is the first of all outputs that begin at or after `first_ns`, even
    /// if the worker has overwritten outputs since `front` was read.
    fn has_beginning(&self, front: Front, first: u64, first_ns: i64) -> bool {
        if self.span(first).is_some_and(|span| span.first_ns <= first_ns) {
            return true;
        }
        let oldest = self.oldest(front);
        if first > oldest {
            // The search left out the output before, because it begins before the interval or
            // because it had been overwritten.
            return self.span(first - 1).is_some();
        }
        let has_forgotten = oldest > front.first_valid || front.has_stepped;
        !has_forgotten
    }

    /// Adds up the outputs of a range, from the newest to the oldest. The worker overwrites the
    /// oldest outputs first, so the sum ends at an output that has been overwritten meanwhile. If
    /// queries give the newest output, the sum contains only this one.
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
            let is_needed = !self.gives_newest || tally.outputs == 1;
            if !header.has_failed && is_needed {
                unpack(packed, values);
                sums.iter_mut().zip(&*values).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        tally
    }
}
