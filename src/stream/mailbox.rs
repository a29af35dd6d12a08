//! The mailbox, in which the worker publishes results for any thread to read.
//!
//! There is one writer and any number of readers. A sequence lock over atomic words protects each
//! result: the writer makes the version odd, writes the words and makes the version even again. A
//! reader tries again if the version was odd or has changed during the read. The writer uses
//! several records in turn for the newest result, so an attempt to read fails only if the writer
//! reaches the same record again during the attempt.

use crate::error::{Result, Status};
use crate::result::{ResultFlags, ViewResult};
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};
use sync::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}
#[cfg(loom)]
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

/// Number of final results that can be read by identifier, and number of records that the writer
/// uses in turn for the newest result.
const RECORDS: usize = 4;

/// Maximum number of attempts to read the newest result. Failed attempts are rare, because the
/// writer publishes only a few times per second.
const MAX_TRIES: usize = 64;

/// Number of 64-bit words in a result without its posterior.
const HEADER_WORDS: usize = 15;

/// One result, which a sequence lock protects.
struct Record {
    version: AtomicU64,
    /// Number that identifies the result; 0 before the first result.
    number: AtomicU64,
    words: Box<[AtomicU64]>,
}

impl Record {
    fn new(words: usize) -> Self {
        let [version, number] = [0, 0].map(AtomicU64::new);
        Self { version, number, words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Writes a result. Only the single writer may call this.
    fn write(&self, number: u64, words: impl Iterator<Item = u64>) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // The fence ensures that the odd version becomes visible before any of the words. It pairs
        // with the fence in `read`.
        fence(Ordering::Release);
        self.number.store(number, Ordering::Relaxed);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Passes every word to `take` and returns the number of the result. Returns `None` if the
    /// writer changed the record meanwhile; the words are then invalid.
    fn read(&self, mut take: impl FnMut(usize, u64)) -> Option<u64> {
        let version = self.version.load(Ordering::Acquire);
        if !version.is_multiple_of(2) {
            return None;
        }
        let number = self.number.load(Ordering::Relaxed);
        for (index, word) in self.words.iter().enumerate() {
            take(index, word.load(Ordering::Relaxed));
        }
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(number)
    }
}

/// The newest result and the most recent final results.
pub(super) struct Mailbox {
    /// Number of published results. The newest one is in record `published % RECORDS`.
    published: AtomicU64,
    newest: [Record; RECORDS],
    /// The final result of an acquisition is in record `acquisition % RECORDS`.
    finals: [Record; RECORDS],
    waiting: Mutex<()>,
    new_final: Condvar,
}

impl Mailbox {
    pub(super) fn new(labels: usize) -> Self {
        let create = |_| Record::new(HEADER_WORDS + labels);
        Self {
            published: AtomicU64::new(0),
            newest: std::array::from_fn(create),
            finals: std::array::from_fn(create),
            waiting: Mutex::new(()),
            new_final: Condvar::new(),
        }
    }

    /// Returns the size of a mailbox in bytes.
    pub(super) fn memory_bytes(labels: usize) -> usize {
        2 * RECORDS * (HEADER_WORDS + labels) * size_of::<AtomicU64>()
    }

    /// Publishes a result and its posterior. Only the worker may call this.
    pub(super) fn publish(&self, result: &ViewResult, posterior: &[f32]) {
        if result.is_final()
            && let Some(record) = self.finals.get(record_index(result.acquisition))
        {
            record.write(result.acquisition, encode(result, posterior));
        }
        let number = self.published.load(Ordering::Relaxed) + 1;
        if let Some(record) = self.newest.get(record_index(number)) {
            record.write(number, encode(result, posterior));
        }
        self.published.store(number, Ordering::Release);
        if result.is_final() {
            drop(self.waiting.lock());
            self.new_final.notify_all();
        }
    }

    /// Reads the newest result and writes as many values of the posterior to `scores` as fit. The
    /// function never blocks and takes no lock.
    ///
    /// # Errors
    /// Returns [`Status::NotReady`] before the first result, or if every attempt to read it fails.
    pub(super) fn read_newest(&self, scores: &mut [f32]) -> Result<ViewResult, Status> {
        for _ in 0..MAX_TRIES {
            let number = self.published.load(Ordering::Acquire);
            if number == 0 {
                break;
            }
            let record = self.newest.get(record_index(number));
            // If the writer has reached this record again, the record may contain a result that is
            // not published yet. Such a result must not be returned, because a later call could
            // then return an older one.
            if let Some((found, result)) = record.and_then(|record| decode(record, scores))
                && found == number
            {
                return Ok(result);
            }
        }
        Err(Status::NotReady)
    }

    /// Waits for the final result of an acquisition. If the timeout is zero, the function does not
    /// wait.
    ///
    /// # Errors
    /// Returns [`Status::TimedOut`] if the result does not arrive in time, or [`Status::Empty`] if
    /// later acquisitions have replaced it.
    pub(super) fn wait_for_final(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<ViewResult, Status> {
        let deadline = Instant::now().checked_add(timeout);
        let Some(record) = self.finals.get(record_index(acquisition)) else {
            return Err(Status::Internal);
        };
        let mut waiting = self.waiting.lock();
        loop {
            match decode(record, scores) {
                Some((found, result)) if found == acquisition && acquisition != 0 => {
                    return Ok(result);
                }
                Some((found, _)) if found > acquisition => return Err(Status::Empty),
                Some(_) => {}
                // The writer is changing the record. The writer can finish without the lock that
                // this thread holds, so try again.
                None => continue,
            }
            match deadline {
                None => self.new_final.wait(&mut waiting),
                Some(deadline) if Instant::now() >= deadline => return Err(Status::TimedOut),
                Some(deadline) => {
                    self.new_final.wait_until(&mut waiting, deadline);
                }
            }
        }
    }
}

fn record_index(number: u64) -> usize {
    (number % RECORDS as u64) as usize
}

/// Encodes a result and its posterior as words.
fn encode(result: &ViewResult, posterior: &[f32]) -> impl Iterator<Item = u64> {
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let header: [u64; HEADER_WORDS] = [
        pair(result.status.code().cast_unsigned(), result.flags.bits()),
        result.acquisition,
        pair(result.chunks, result.label.map_or(0, |label| label + 1)),
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
        posterior.len() as u64,
    ];
    header.into_iter().chain(posterior.iter().map(|value| u64::from(value.to_bits())))
}

/// Reads the number and the result of a record, and writes the posterior to `scores`. Returns
/// `None` if the writer changed the record meanwhile.
fn decode(record: &Record, scores: &mut [f32]) -> Option<(u64, ViewResult)> {
    let mut header = [0; HEADER_WORDS];
    let number = record.read(|index, word| match header.get_mut(index) {
        Some(place) => *place = word,
        None => {
            if let Some(score) = scores.get_mut(index - HEADER_WORDS) {
                *score = f32::from_bits(word as u32);
            }
        }
    })?;
    let [
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
    let [first_time, last_time, latency, queue, preprocess, inference, _] = times;
    let (high, low) = (|word: u64| (word >> 32) as u32, |word: u64| word as u32);
    let result = ViewResult {
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
    };
    Some((number, result))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Creates a result whose fields and posterior are computed from one number.
    fn create_result(number: u64, flags: ResultFlags) -> (ViewResult, [f32; 5]) {
        let value = number as f32;
        let result = ViewResult {
            flags,
            label: Some(number as u32 % 7),
            confidence: value,
            margin: -value,
            first_time_ns: -(number as i64),
            inference_ns: number as i64,
            ..ViewResult::new(number)
        };
        (result, [value; 5])
    }

    #[test]
    fn every_field_arrives_as_it_was_published() {
        let mailbox = Mailbox::new(5);
        let mut scores = [0.0; 5];
        assert_eq!(mailbox.read_newest(&mut scores), Err(Status::NotReady));
        let (result, posterior) = create_result(41, ResultFlags::FINAL | ResultFlags::SHORT);
        let published = ViewResult {
            status: Status::Inference,
            chunks: 3,
            margin: 0.25,
            first_sequence: u64::MAX,
            last_sequence: 4,
            frames_used: 5,
            frames_dropped: 6,
            last_time_ns: i64::MIN,
            latency_ns: 8,
            queue_ns: 9,
            preprocess_ns: 10,
            ..result
        };
        mailbox.publish(&published, &posterior);
        let newest = mailbox.read_newest(&mut scores);
        assert_eq!((newest, scores), (Ok(published), posterior));
        let last = mailbox.wait_for_final(41, Duration::ZERO, &mut scores);
        assert_eq!((last, scores), (Ok(published), posterior));
    }

    #[test]
    fn an_unpublished_result_does_not_replace_an_older_one() {
        let mailbox = Mailbox::new(5);
        let (first, posterior) = create_result(1, ResultFlags::empty());
        mailbox.publish(&first, &posterior);
        let number = 1 + RECORDS as u64;
        let (later, posterior) = create_result(number, ResultFlags::empty());
        mailbox.newest[record_index(1)].write(number, encode(&later, &posterior));
        assert_eq!(mailbox.read_newest(&mut [0.0; 5]), Err(Status::NotReady));
    }

    #[test]
    fn readers_never_see_a_torn_result() {
        let mailbox = Mailbox::new(5);
        let publish = |number| {
            let (result, posterior) = create_result(number, ResultFlags::empty());
            mailbox.publish(&result, &posterior);
        };
        publish(1);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (mut scores, mut before) = ([0.0; 5], 0);
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let Ok(found) = mailbox.read_newest(&mut scores) else { continue };
                        assert!(found.acquisition >= before, "an older result came later");
                        before = found.acquisition;
                        let expected = create_result(found.acquisition, ResultFlags::empty());
                        assert_eq!((found, scores), expected);
                    }
                });
            }
            (2..100_000).for_each(publish);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    #[test]
    fn a_reader_gets_a_whole_record_in_every_interleaving() {
        loom::model(|| {
            let record = loom::sync::Arc::new(Record::new(2));
            let writer = record.clone();
            let thread = loom::thread::spawn(move || {
                writer.write(1, [1, 1].into_iter());
                writer.write(2, [2, 2].into_iter());
            });
            let mut words = [0; 2];
            if let Some(number) = record.read(|index, word| words[index] = word) {
                assert_eq!(words, [number; 2]);
            }
            thread.join().unwrap();
        });
    }
}
