//! Counters of a stream.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the stream was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Number of accepted frames.
    pub pushed: u64,
    /// Number of frames dropped because the ring was full.
    pub dropped: u64,
    /// Number of frames refused because their time was not later than that of the previous frame.
    pub refused: u64,
    /// Number of samples whose frame has been chosen.
    pub samples: u64,
    /// Number of chunks or windows on which the network has run.
    pub chunks: u64,
    /// Number of chunks or windows skipped because the network could not keep up with the frame
    /// rate.
    pub skipped_chunks: u64,
    /// Number of chunks or windows that failed: the runtime reported an error, or the logits were
    /// not finite. They are not part of `chunks`.
    pub failed_chunks: u64,
    /// Number of gaps.
    pub gaps: u64,
    /// Number of steps of the host's clock: frames that were accepted although they are not later
    /// than the frame before, because enough late frames agreed.
    pub clock_steps: u64,
    /// Number of changes: marks by the host and changes of the frame geometry.
    pub changes: u64,
    /// Number of times that the view-change rule restarted the mean.
    pub view_changes: u64,
    /// Number of samples from one window to the next in window mode; 0 in stream mode.
    pub window_hop_samples: u64,
}

/// The atomic counters that the threads of a stream update.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) pushed: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) samples: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) skipped_chunks: AtomicU64,
    pub(super) failed_chunks: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) clock_steps: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) view_changes: AtomicU64,
    window_hop_samples: u64,
}

impl Counters {
    pub(super) fn new(window_hop_samples: u64) -> Self {
        Self { window_hop_samples, ..Self::default() }
    }

    /// Returns the values of all counters. Other threads may change the counters while this
    /// function reads them.
    pub(super) fn read(&self) -> StreamStats {
        StreamStats {
            pushed: self.pushed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            refused: self.refused.load(Relaxed),
            samples: self.samples.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            skipped_chunks: self.skipped_chunks.load(Relaxed),
            failed_chunks: self.failed_chunks.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            clock_steps: self.clock_steps.load(Relaxed),
            changes: self.changes.load(Relaxed),
            view_changes: self.view_changes.load(Relaxed),
            window_hop_samples: self.window_hop_samples,
        }
    }
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
