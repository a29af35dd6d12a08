//! Results: what the host reads, and the mailbox it reads them from.

use crate::Status;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Facts about a result, as bits.
pub mod flags {
    /// The acquisition still runs: the label covers what was seen so far.
    pub const PROVISIONAL: u32 = 1 << 0;
    /// The acquisition has ended and nothing is left to compute.
    pub const FINAL: u32 = 1 << 1;
    /// The confidence is under the package's threshold: the label is withheld.
    pub const ABSTAINED: u32 = 1 << 2;
    /// Fewer samples than a clip has.
    pub const SHORT: u32 = 1 << 3;
    /// Frames were dropped because the ring was full.
    pub const DROPPED: u32 = 1 << 4;
    /// A gap or a change restarted the temporal state.
    pub const DISCONTINUITY: u32 = 1 << 5;
    /// Work was thinned because the network was slower than the frames.
    pub const DEGRADED: u32 = 1 << 6;
}

/// The label of an acquisition, so far or final.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewResult {
    /// [`Status::Ok`], or what went wrong while inferring.
    pub status: Status,
    /// The id that begin gave.
    pub acquisition: u64,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Chunks or windows that the posterior is the mean of.
    pub chunks: u32,
    /// Index into the model's labels; `None` if withheld or if there is no chunk.
    pub label: Option<u32>,
    /// The largest value of the posterior.
    pub confidence: f32,
    /// The largest minus the second largest.
    pub margin: f32,
    /// Posterior, one value a label; zeros before the first chunk.
    pub scores: Vec<f32>,
    /// Sequence number of the first accepted frame.
    pub first_sequence: u64,
    /// Sequence number of the last accepted frame.
    pub last_sequence: u64,
    /// Frames accepted.
    pub frames_used: u64,
    /// Frames dropped because the ring was full.
    pub frames_dropped: u64,
    /// Grid time of the first sample covered.
    pub first_time_ns: i64,
    /// Grid time of the last sample covered.
    pub last_time_ns: i64,
    /// Final results: from end to the result being visible.
    pub latency_ns: i64,
    /// Final results: the part of it before the worker saw the end.
    pub queue_ns: i64,
    /// Time spent in preprocessing, over the acquisition.
    pub preprocess_ns: i64,
    /// Time spent in the network, over the acquisition.
    pub inference_ns: i64,
}

impl ViewResult {
    pub(crate) fn new(labels: usize) -> Self {
        Self {
            status: Status::Ok,
            acquisition: 0,
            flags: 0,
            chunks: 0,
            label: None,
            confidence: 0.0,
            margin: 0.0,
            scores: vec![0.0; labels],
            first_sequence: 0,
            last_sequence: 0,
            frames_used: 0,
            frames_dropped: 0,
            first_time_ns: 0,
            last_time_ns: 0,
            latency_ns: 0,
            queue_ns: 0,
            preprocess_ns: 0,
            inference_ns: 0,
        }
    }

    /// Copies without allocating: both have the same number of labels.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let mut scores = std::mem::take(&mut self.scores);
        scores.clone_from(&other.scores);
        let rest = Self { scores: Vec::new(), ..*other };
        *self = Self { scores, ..rest };
    }
}

/// Final results that stay readable by id.
const FINALS: usize = 4;

/// The newest result and the last finals. One writer, any readers; a reader or the writer holds the lock for one copy.
pub(crate) struct Mailbox {
    state: Mutex<Letters>,
    news: Condvar,
}

struct Letters {
    newest: ViewResult,
    finals: Vec<ViewResult>,
}

impl Mailbox {
    pub(crate) fn new(labels: usize) -> Self {
        let empty = ViewResult::new(labels);
        let state = Letters { newest: empty.clone(), finals: vec![empty; FINALS] };
        Self { state: Mutex::new(state), news: Condvar::new() }
    }

    pub(crate) fn publish(&self, result: &ViewResult) {
        let mut letters = self.state.lock();
        letters.newest.copy_from(result);
        if result.flags & flags::FINAL != 0 {
            let slot = result.acquisition as usize % FINALS;
            if let Some(place) = letters.finals.get_mut(slot) {
                place.copy_from(result);
            }
            drop(letters);
            self.news.notify_all();
        }
    }

    /// The newest result, provisional or final.
    pub(crate) fn newest(&self, read: impl FnOnce(&ViewResult)) -> Status {
        let letters = self.state.lock();
        if letters.newest.acquisition == 0 {
            return Status::NotReady;
        }
        read(&letters.newest);
        Status::Ok
    }

    /// Waits for the final result of an acquisition.
    pub(crate) fn wait(&self, acquisition: u64, timeout: Duration, read: impl FnOnce(&ViewResult)) -> Status {
        let deadline = Instant::now().checked_add(timeout);
        let mut letters = self.state.lock();
        loop {
            let slot = acquisition as usize % FINALS;
            match letters.finals.get(slot) {
                Some(found) if found.acquisition == acquisition => {
                    read(found);
                    return Status::Ok;
                }
                Some(found) if found.acquisition > acquisition => return Status::Empty,
                _ => {}
            }
            let Some(deadline) = deadline else {
                self.news.wait(&mut letters);
                continue;
            };
            if self.news.wait_until(&mut letters, deadline).timed_out() {
                return Status::TimedOut;
            }
        }
    }
}
