//! The mailbox, in which the worker publishes results for any thread to read.
//!
//! There is one writer and any number of readers. No reader takes a lock that the writer needs:
//! results are records of atomic words, and a thread that waits for a final result sleeps on an
//! event count. A reader first copies a record to memory of its own, so the caller's scores change
//! only after the whole result has been read.

use super::event_count::EventCount;
use super::record::{Latest, MAX_TRIES, Record, Records, packed_words, unpack};
use super::sync::Mutex;
use crate::error::{Result, Status};
use crate::result::{ResultFlags, ViewResult};
use std::time::{Duration, Instant};

/// Number of final results that can be read by identifier.
pub(super) const FINALS: u64 = 4;

/// Number of words in a result without its posterior.
const HEADER_WORDS: usize = 18;

/// Number of words of the results that a reader copies to a small array on the stack. Results with
/// up to 68 labels fit.
const SMALL_WORDS: usize = HEADER_WORDS + 34;

/// Number of words of the results that a reader copies to a large array on the stack. Results with
/// up to 1024 labels fit.
const LARGE_WORDS: usize = HEADER_WORDS + 512;

/// The newest result and the most recent final results.
pub(super) struct Mailbox {
    /// Number of words in a result.
    words: usize,
    newest: Latest,
    /// The final result of an acquisition is in record `acquisition % FINALS`.
    finals: Records,
    new_final: EventCount,
    /// Memory to which `read_newest` copies a result that is too large for the stack. Readers lock
    /// it only with `try_lock`, and the worker does not use it.
    copy: Mutex<Vec<u64>>,
}

impl Mailbox {
    /// Allocates a mailbox for results with this number of labels.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory cannot be allocated.
    pub(super) fn new(labels: usize) -> Result<Self, Status> {
        let words = HEADER_WORDS + packed_words(labels);
        let copy = if words > LARGE_WORDS { allocate_copy(words)? } else { Vec::new() };
        Ok(Self {
            words,
            newest: Latest::new(words)?,
            finals: Records::new(FINALS as usize, words)?,
            new_final: EventCount::new(),
            copy: Mutex::new(copy),
        })
    }

    /// Returns the size of a mailbox in bytes.
    pub(super) fn memory_bytes(labels: usize) -> usize {
        let words = HEADER_WORDS + packed_words(labels);
        let copy = if words > LARGE_WORDS { words * size_of::<u64>() } else { 0 };
        Latest::memory_bytes(words) + Records::memory_bytes(FINALS as usize, words) + copy
    }

    /// Publishes a result and its posterior. Only the worker may call this.
    pub(super) fn publish(&self, result: &ViewResult, posterior: &[f32]) {
        let header = encode(result);
        // The newest result comes first, so that no thread reads an older result after it has
        // waited for the final one.
        self.newest.publish(&header, posterior);
        if result.is_final()
            && let Some(record) = self.find_final(result.acquisition)
        {
            record.write(result.acquisition, &header, posterior);
            self.new_final.advance();
        }
    }

    /// Announces that no further result will be published, which ends every wait.
    pub(super) fn close(&self) {
        self.new_final.close();
    }

    /// Reads the newest result and writes as many values of the posterior to `scores` as fit. The
    /// function never blocks. After an error, `scores` are unchanged.
    ///
    /// # Errors
    /// Returns [`Status::NotReady`] before the first result, or if every attempt to read it fails.
    pub(super) fn read_newest(&self, scores: &mut [f32]) -> Result<ViewResult, Status> {
        if self.words <= SMALL_WORDS {
            return self.read_newest_through(&mut [0; SMALL_WORDS], scores);
        }
        if self.words <= LARGE_WORDS {
            return self.read_large_newest(scores);
        }
        let mut copy = self.copy.try_lock().map_err(|_| Status::NotReady)?;
        self.read_newest_through(&mut copy, scores)
    }

    /// Reads the newest result through a large array. This is a separate function, so that the
    /// calls that need no large array use little stack.
    #[inline(never)]
    fn read_large_newest(&self, scores: &mut [f32]) -> Result<ViewResult, Status> {
        self.read_newest_through(&mut [0; LARGE_WORDS], scores)
    }

    #[inline]
    fn read_newest_through(
        &self,
        copy: &mut [u64],
        scores: &mut [f32],
    ) -> Result<ViewResult, Status> {
        self.newest.read(copy).ok_or(Status::NotReady)?;
        Ok(decode(copy, scores))
    }

    /// Waits for the final result of an acquisition. If the timeout is zero, the function does not
    /// wait. After an error, `scores` are unchanged.
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] if the result does not arrive in time, [`Status::Empty`] if
    /// later acquisitions have replaced it, [`Status::Cancelled`] if the mailbox is closed and has
    /// never contained it, or [`Status::OutOfMemory`] if the result is too large for the stack and
    /// memory for a copy cannot be allocated.
    pub(super) fn wait_for_final(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<ViewResult, Status> {
        let deadline = Instant::now().checked_add(timeout);
        if self.words <= SMALL_WORDS {
            let mut copy = [0; SMALL_WORDS];
            self.wait_through(acquisition, deadline, &mut copy)?;
            return Ok(decode(&copy, scores));
        }
        let mut copy = allocate_copy(self.words)?;
        self.wait_through(acquisition, deadline, &mut copy)?;
        Ok(decode(&copy, scores))
    }

    /// Waits for the final result of an acquisition and copies the first words of its record.
    fn wait_through(
        &self,
        acquisition: u64,
        deadline: Option<Instant>,
        copy: &mut [u64],
    ) -> Result<(), Status> {
        loop {
            // The count and the end of the stream must be read before the record. A result that is
            // published after the record was read then ends the sleep at once.
            let seen = self.new_final.current();
            let is_closed = self.new_final.is_closed();
            match self.read_final(acquisition, copy) {
                Some(found) if found == acquisition => return Ok(()),
                Some(found) if found > acquisition => return Err(Status::Empty),
                Some(_) if is_closed => return Err(Status::Cancelled),
                // The result has not been published yet, or the worker is writing the record at
                // this moment. In both cases the worker wakes this thread afterwards. It would be
                // wrong to try again at once, because on the same processor a thread of higher
                // priority would prevent the worker from finishing.
                Some(_) | None => {}
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Status::TimedOut);
            }
            self.new_final.wait(seen, deadline);
        }
    }

    /// Copies the record in which the final result of an acquisition is stored, and returns the
    /// acquisition to which the result in the record belongs.
    fn read_final(&self, acquisition: u64, copy: &mut [u64]) -> Option<u64> {
        let record = self.find_final(acquisition)?;
        (0..MAX_TRIES).find_map(|_| record.read(copy))
    }

    fn find_final(&self, acquisition: u64) -> Option<Record<'_>> {
        self.finals.get((acquisition % FINALS) as usize)
    }
}

fn allocate_copy(words: usize) -> Result<Vec<u64>, Status> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(words).map_err(|_| Status::OutOfMemory)?;
    copy.resize(words, 0);
    Ok(copy)
}

/// Encodes a result without its posterior as words.
fn encode(result: &ViewResult) -> [u64; HEADER_WORDS] {
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    [
        pair(result.status.code().cast_unsigned(), result.flags.bits()),
        result.acquisition,
        pair(result.chunks, encode_index(result.label)),
        pair(result.confidence.to_bits(), result.margin.to_bits()),
        result.first_sequence,
        result.last_sequence,
        result.frames_used,
        result.frames_dropped,
        result.first_time_ns.cast_unsigned(),
        result.last_time_ns.cast_unsigned(),
        result.latency_ns.cast_unsigned(),
        result.queue_ns.cast_unsigned(),
        result.preprocess_ns.cast_unsigned(),
        result.inference_ns.cast_unsigned(),
        result.failed_chunks,
        result.slow_inference_ns.cast_unsigned(),
        pair(encode_index(result.group), result.group_confidence.to_bits()),
        result.novelty.to_bits(),
    ]
}

/// Encodes an index so that 0 stands for `None`.
fn encode_index(index: Option<u32>) -> u32 {
    index.map_or(0, |index| index + 1)
}

/// Decodes the words of a result and writes the posterior to `scores`.
fn decode(words: &[u64], scores: &mut [f32]) -> ViewResult {
    let (header, posterior) = words.split_first_chunk::<HEADER_WORDS>().unwrap_or((&[0; _], &[]));
    unpack(posterior, scores);
    let &[
        status,
        acquisition,
        chunks,
        confidence,
        first_sequence,
        last_sequence,
        frames_used,
        frames_dropped,
        times @ ..,
    ] = header;
    let [
        first_time,
        last_time,
        latency,
        queue,
        preprocess,
        inference,
        failed_chunks,
        slow_inference,
        group,
        novelty,
    ] = times;
    let (high, low) = (|word: u64| (word >> 32) as u32, |word: u64| word as u32);
    ViewResult {
        status: Status::from_code(high(status).cast_signed()).unwrap_or(Status::Internal),
        flags: ResultFlags::from_bits_retain(low(status)),
        acquisition,
        chunks: high(chunks),
        label: low(chunks).checked_sub(1),
        confidence: f32::from_bits(high(confidence)),
        margin: f32::from_bits(low(confidence)),
        first_sequence,
        last_sequence,
        frames_used,
        frames_dropped,
        first_time_ns: first_time.cast_signed(),
        last_time_ns: last_time.cast_signed(),
        latency_ns: latency.cast_signed(),
        queue_ns: queue.cast_signed(),
        preprocess_ns: preprocess.cast_signed(),
        inference_ns: inference.cast_signed(),
        failed_chunks,
        slow_inference_ns: slow_inference.cast_signed(),
        group: high(group).checked_sub(1),
        group_confidence: f32::from_bits(low(group)),
        novelty: f64::from_bits(novelty),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
