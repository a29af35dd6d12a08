//! Settings of a stream.

use crate::abi::abi_enum;
use crate::classifier::rules::{EarlyStop, Rules, ViewChange};
use crate::error::{Result, check_range};
use crate::frame::FRAME_SIDE_PX;
use crate::model::{Mode, ModelSpec};
use crate::sampling::PartialChunk;
use std::ops::RangeInclusive;

/// Allowed values of `ring_slots`.
const RING_SLOTS: RangeInclusive<usize> = 2..=1024;

/// Allowed values of `gap_ns`. The maximum limits the number of samples that one frame can decide.
const GAP_NS: RangeInclusive<i64> = 1..=10_000_000_000;

/// Default length of the history.
const DEFAULT_HISTORY_NS: i64 = 60_000_000_000;

/// Maximum length of the history.
const MAX_HISTORY_NS: i64 = 3_600_000_000_000;

abi_enum! {
    /// The thread that runs the worker, and the way in which the worker learns of new frames.
    #[derive(Default)]
    pub enum Drive: u32 {
        /// A library thread, which sleeps until a push wakes it. To wake it, the acquisition thread
        /// makes one system call (futex).
        #[default]
        Wake = 0,
        /// A library thread, which checks the ring every half millisecond. A push makes no system
        /// call.
        Poll = 1,
        /// A host thread, which calls `process`. The library starts no thread.
        Host = 2,
    }
}

/// Settings of a stream.
///
/// ```
/// use tteview::{Drive, StreamConfig};
///
/// let config = StreamConfig { ring_slots: 32, drive: Drive::Poll, ..StreamConfig::default() };
/// assert_eq!(config.gap_ns, 250_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Number of frames that fit into the ring, 2 to 1024. The default is 16. While the
    /// worker keeps no previous frame in the ring, one more frame fits.
    pub ring_slots: usize,
    /// Maximum width of a frame in pixels, 32 to 4096. The default is 1024.
    pub max_width_px: u32,
    /// Maximum height of a frame in pixels, 32 to 4096. The default is 1024.
    pub max_height_px: u32,
    /// Maximum size in bytes of a frame with packed rows; 0 selects four bytes per pixel.
    pub max_frame_bytes: usize,
    /// Maximum time between two consecutive accepted frames of one segment, at most 10 s. A longer
    /// time is a gap, which restarts the temporal state. The default is 250 ms.
    pub gap_ns: i64,
    /// Time that the label covers, counted back from the newest output; 0 selects the whole time
    /// since the last change.
    pub label_span_ns: i64,
    /// Time for which outputs are kept for [`Reader::query`](crate::Reader::query), at least
    /// `label_span_ns` and at most an hour; 0 selects the longer of 60 s and `label_span_ns`.
    pub history_ns: i64,
    /// Time for which samples are kept for [`Reader::query_exact`](crate::Reader::query_exact), at
    /// most an hour; 0 turns exact queries off.
    pub exact_history_ns: i64,
    /// Number of samples from the start of one window to the start of the next in window mode, at
    /// most the number in a clip. If this is 0, [`Stream::open`](crate::Stream::open) chooses the
    /// hop from the run time that [`Engine::prepare`](crate::Engine::prepare) measured: the
    /// shortest hop with which the network runs at most half of the time, but never less than a
    /// quarter of a clip or more than a whole clip. Without a measurement, the hop is half a clip.
    pub window_hop_samples: usize,
    /// Rule that stops the network when the label is settled.
    pub early_stop: Option<EarlyStop>,
    /// Rule that restarts the mean when the posterior shows another view.
    pub view_change: Option<ViewChange>,
    /// Time from one frame to the next, for hosts without timestamps: frame `n` of an acquisition
    /// gets the time `n * frame_period_ns`. If this is 0, the stream uses the time that the host
    /// gives for each frame.
    pub frame_period_ns: i64,
    /// Treatment of a partial chunk when its segment ends.
    pub partial_chunk: PartialChunk,
    /// Thread that runs the worker.
    pub drive: Drive,
    /// Whether a provisional result is published after each sample instead of after each chunk.
    /// This has an effect only on packages with frame steps.
    pub publish_each_sample: bool,
    /// Whether the ring's frame buffers are locked into memory, so that they are never swapped out.
    pub lock_memory: bool,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            ring_slots: 16,
            max_width_px: 1024,
            max_height_px: 1024,
            max_frame_bytes: 0,
            gap_ns: 250_000_000,
            label_span_ns: 0,
            history_ns: 0,
            exact_history_ns: 0,
            window_hop_samples: 0,
            early_stop: None,
            view_change: None,
            frame_period_ns: 0,
            partial_chunk: PartialChunk::Auto,
            drive: Drive::Wake,
            publish_each_sample: false,
            lock_memory: false,
        }
    }
}

impl StreamConfig {
    /// Checks every setting against its range.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if a setting is out of range.
    pub(super) fn check(&self, spec: &ModelSpec) -> Result<()> {
        check_range("ring_slots", self.ring_slots, RING_SLOTS)?;
        check_range("max_width_px", self.max_width_px, FRAME_SIDE_PX)?;
        check_range("max_height_px", self.max_height_px, FRAME_SIDE_PX)?;
        check_range("max_frame_bytes", self.max_frame_bytes, 0..=self.rgba_bytes())?;
        check_range("gap_ns", self.gap_ns, GAP_NS)?;
        check_range("label_span_ns", self.label_span_ns, 0..=MAX_HISTORY_NS)?;
        if self.history_ns != 0 {
            let smallest = self.label_span_ns.max(1);
            check_range("history_ns", self.history_ns, smallest..=MAX_HISTORY_NS)?;
        }
        check_range("exact_history_ns", self.exact_history_ns, 0..=MAX_HISTORY_NS)?;
        if spec.mode == Mode::Window {
            let clip = spec.clip_samples;
            check_range("window_hop_samples", self.window_hop_samples, 0..=clip)?;
        }
        self.rules().check()?;
        check_range("frame_period_ns", self.frame_period_ns, 0..=i64::MAX)
    }

    /// Returns the maximum size of a frame in bytes.
    pub(super) fn frame_bytes(&self) -> usize {
        if self.max_frame_bytes == 0 { self.rgba_bytes() } else { self.max_frame_bytes }
    }

    fn rgba_bytes(&self) -> usize {
        4 * self.max_width_px as usize * self.max_height_px as usize
    }

    /// Returns the length of the history.
    pub(super) fn history_span_ns(&self) -> i64 {
        match self.history_ns {
            0 => DEFAULT_HISTORY_NS.max(self.label_span_ns),
            span => span,
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { early_stop: self.early_stop, view_change: self.view_change }
    }
}
