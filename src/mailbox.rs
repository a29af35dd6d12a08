//! The mailbox that results are read from: the newest one, and the last finals by acquisition.
//!
//! One writer, any number of readers. A letter is a sequence lock over atomic words: the writer makes the version
//! odd, writes, and makes it even; a reader that saw an odd or a changed version reads again. The newest result
//! walks through several letters, so a reader is disturbed only if the writer laps it.

use crate::Status;
use crate::result::{ViewResult, flags};
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

/// Final results that stay readable by id, and letters that the newest result walks through.
const LETTERS: usize = 4;

/// Reads of one letter before a reader gives up; the writer publishes a few times a second.
const TRIES: usize = 64;

/// Words of a result without its scores.
const WORDS: usize = 15;

struct Letter {
    version: AtomicU64,
    /// Which result the words are: 0 before the first.
    number: AtomicU64,
    words: Box<[AtomicU64]>,
}

impl Letter {
    fn new(words: usize) -> Self {
        let [version, number] = [0, 0].map(AtomicU64::new);
        Self { version, number, words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Only ever called by the one writer.
    fn write(&self, number: u64, words: impl Iterator<Item = u64>) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // The odd version is visible before any of the words; readers fence likewise.
        fence(Ordering::Release);
        self.number.store(number, Ordering::Relaxed);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Hands every word to `take`, and returns their number. `None` if the writer came in between, and what was
    /// taken is worth nothing.
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

pub(crate) struct Mailbox {
    /// Letters published so far; the last one is `published % LETTERS`.
    published: AtomicU64,
    newest: [Letter; LETTERS],
    /// The final of an acquisition is in `acquisition % LETTERS`.
    finals: [Letter; LETTERS],
    waiting: Mutex<()>,
    news: Condvar,
}

impl Mailbox {
    pub(crate) fn new(labels: usize) -> Self {
        Self {
            published: AtomicU64::new(0),
            newest: std::array::from_fn(|_| Letter::new(WORDS + labels)),
            finals: std::array::from_fn(|_| Letter::new(WORDS + labels)),
            waiting: Mutex::new(()),
            news: Condvar::new(),
        }
    }

    /// Makes a result visible. Called by the worker alone.
    pub(crate) fn publish(&self, result: &ViewResult) {
        let last = result.flags & flags::FINAL != 0;
        if last && let Some(letter) = self.finals.get(slot(result.acquisition)) {
            letter.write(result.acquisition, words(result));
        }
        let number = self.published.load(Ordering::Relaxed) + 1;
        if let Some(letter) = self.newest.get(slot(number)) {
            letter.write(number, words(result));
        }
        self.published.store(number, Ordering::Release);
        if last {
            drop(self.waiting.lock());
            self.news.notify_all();
        }
    }

    /// The newest result; its scores go into `scores`, as many as fit. Never blocks, takes no lock.
    pub(crate) fn newest(&self, scores: &mut [f32]) -> Result<ViewResult, Status> {
        for _ in 0..TRIES {
            let number = self.published.load(Ordering::Acquire);
            if number == 0 {
                break;
            }
            // A writer that has lapped this reader may be ahead of `published`, where the next call may not be.
            if let Some((of, found)) = self.newest.get(slot(number)).and_then(|letter| read(letter, scores))
                && of == number
            {
                return Ok(found);
            }
        }
        Err(Status::NotReady)
    }

    /// Waits for the final result of an acquisition, not at all for a timeout of zero.
    pub(crate) fn wait(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> Result<ViewResult, Status> {
        let deadline = Instant::now().checked_add(timeout);
        let Some(letter) = self.finals.get(slot(acquisition)) else { return Err(Status::Internal) };
        let mut waiting = self.waiting.lock();
        loop {
            match read(letter, scores) {
                Some((of, found)) if of == acquisition && acquisition != 0 => return Ok(found),
                Some((of, _)) if of > acquisition => return Err(Status::Empty),
                Some(_) => {}
                // The writer is at it right now; it does not hold the lock.
                None => continue,
            }
            match deadline {
                None => self.news.wait(&mut waiting),
                Some(deadline) if Instant::now() >= deadline => return Err(Status::TimedOut),
                Some(deadline) => {
                    self.news.wait_until(&mut waiting, deadline);
                }
            }
        }
    }
}

fn slot(number: u64) -> usize {
    (number % LETTERS as u64) as usize
}

fn words(result: &ViewResult) -> impl Iterator<Item = u64> {
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let header: [u64; WORDS] = [
        pair(result.status.code().cast_unsigned(), result.flags),
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
        result.scores.len() as u64,
    ];
    header.into_iter().chain(result.scores.iter().map(|score| u64::from(score.to_bits())))
}

/// A letter's number and its result without the scores, which go into `scores`; `None` if the writer came in between.
fn read(letter: &Letter, scores: &mut [f32]) -> Option<(u64, ViewResult)> {
    let mut header = [0; WORDS];
    let number = letter.read(|index, word| match header.get_mut(index) {
        Some(place) => *place = word,
        None => {
            if let Some(score) = scores.get_mut(index - WORDS) {
                *score = f32::from_bits(word as u32);
            }
        }
    })?;
    let [status, acquisition, chunks, confidence, first_sequence, last_sequence, used, dropped, rest @ ..] =
        header;
    let [first_time, last_time, latency, queue, preprocess, inference, _] = rest;
    let (high, low) = (|word: u64| (word >> 32) as u32, |word: u64| word as u32);
    let result = ViewResult {
        status: Status::from_code(high(status).cast_signed()).unwrap_or(Status::Internal),
        flags: low(status),
        acquisition,
        chunks: high(chunks),
        label: low(chunks).checked_sub(1),
        confidence: f32::from_bits(high(confidence)),
        margin: f32::from_bits(low(confidence)),
        scores: Vec::new(),
        first_sequence,
        last_sequence,
        frames_used: used,
        frames_dropped: dropped,
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

    fn numbered(number: u64, flags: u32) -> ViewResult {
        let score = number as f32;
        ViewResult {
            acquisition: number,
            flags,
            label: Some(number as u32 % 7),
            confidence: score,
            margin: -score,
            first_time_ns: -(number as i64),
            inference_ns: number as i64,
            scores: vec![score; 5],
            ..ViewResult::new(0)
        }
    }

    #[test]
    fn every_field_arrives_as_it_was_sent() {
        let mailbox = Mailbox::new(5);
        let mut scores = [0.0; 5];
        assert_eq!(mailbox.newest(&mut scores), Err(Status::NotReady));
        let sent = ViewResult {
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
            ..numbered(41, flags::FINAL | flags::SHORT)
        };
        mailbox.publish(&sent);
        for found in [mailbox.newest(&mut scores), mailbox.wait(41, Duration::ZERO, &mut scores)] {
            assert_eq!(ViewResult { scores: scores.to_vec(), ..found.unwrap() }, sent);
        }
    }

    #[test]
    fn a_result_that_is_written_and_not_yet_published_is_not_read_in_place_of_an_older_one() {
        let mailbox = Mailbox::new(5);
        mailbox.publish(&numbered(1, 0));
        mailbox.newest[slot(1)].write(1 + LETTERS as u64, words(&numbered(1 + LETTERS as u64, 0)));
        assert_eq!(mailbox.newest(&mut [0.0; 5]), Err(Status::NotReady));
    }

    #[test]
    fn readers_never_see_a_torn_result_while_the_writer_hurries() {
        let mailbox = Mailbox::new(5);
        mailbox.publish(&numbered(1, 0));
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (mut scores, mut before) = ([0.0; 5], 0);
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let Ok(found) = mailbox.newest(&mut scores) else { continue };
                        assert!(found.acquisition >= before, "time ran back");
                        before = found.acquisition;
                        let expected = numbered(found.acquisition, 0);
                        assert_eq!(ViewResult { scores: scores.to_vec(), ..found }, expected);
                    }
                });
            }
            for number in 2..100_000 {
                mailbox.publish(&numbered(number, 0));
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    #[test]
    fn a_reader_takes_a_whole_letter_or_none_in_every_interleaving() {
        loom::model(|| {
            let letter = loom::sync::Arc::new(Letter::new(2));
            let writer = letter.clone();
            let thread = loom::thread::spawn(move || {
                writer.write(1, [1, 1].into_iter());
                writer.write(2, [2, 2].into_iter());
            });
            let mut words = [0; 2];
            if let Some(number) = letter.read(|index, word| words[index] = word) {
                assert_eq!(words, [number; 2]);
            }
            thread.join().unwrap();
        });
    }
}
