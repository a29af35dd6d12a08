//! Settings of a stream.

use crate::classifier::{EarlyStop, Rules, ViewChange};
use crate::frame::FRAME_SIDE_PX;
use crate::model::{Mode, ModelSpec};
use crate::sampling::PartialChunk;
use crate::{Error, Result, Status};

/// Longest gap that can be asked for; bounds the samples that one frame can decide.
const MAX_GAP_NS: i64 = 10_000_000_000;

/// How far back queries can look if the host names no time, and at most.
const DEFAULT_HISTORY_NS: i64 = 60_000_000_000;
const MAX_HISTORY_NS: i64 = 3_600_000_000_000;

/// Settings of a stream.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Frames the ring holds, 2 to 1024.
    pub ring_slots: usize,
    /// Width of the largest frame.
    pub max_width_px: u32,
    /// Height of the largest frame.
    pub max_height_px: u32,
    /// Bytes of the largest frame, rows packed; 0: four bytes a pixel.
    pub max_frame_bytes: usize,
    /// Two accepted frames further apart restart the temporal state; 10 s at most.
    pub gap_ns: i64,
    /// The label speaks of the last `label_span_ns`; 0: of the whole acquisition.
    pub label_span_ns: i64,
    /// How far back [`Reader::query`](crate::Reader::query) can look, at least `label_span_ns` and at most an hour; 0: 60 s.
    pub history_ns: i64,
    /// How far back [`Reader::query_exact`](crate::Reader::query_exact) can look, at most an hour: preprocessed samples
    /// are kept so long. 0: not at all.
    pub exact_history_ns: i64,
    /// Window mode: samples from one window to the next, at most a clip; 0: chosen when the stream is created, from the
    /// time of a clip that [`Engine::prepare`](crate::Engine::prepare) measured, so that windows take half of the time
    /// at most, but at least a quarter of a clip and at most a clip; half of one if it measured nothing.
    pub window_hop_samples: usize,
    /// Stops the network when the label is settled.
    pub early_stop: Option<EarlyStop>,
    /// Begins the mean anew when the view has changed.
    pub view_change: Option<ViewChange>,
    /// For hosts without timestamps: frame n of an acquisition has the time n * period. 0: use the frame's time.
    pub frame_period_ns: i64,
    /// What becomes of a partial chunk at the end.
    pub partial: PartialChunk,
    /// Who drives the worker.
    pub drive: Drive,
    /// Locks the ring's pixels into memory, so that no page of them is ever swapped out.
    pub pin: Option<Pin>,
}

/// Locks memory into RAM and unlocks it; the system calls belong to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    /// Locks, and brings every page in.
    pub lock: fn(&[u8]) -> std::io::Result<()>,
    /// Takes the lock back.
    pub unlock: fn(&[u8]),
}

/// Who drives the worker, and what wakes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drive {
    /// A thread of the library, which sleeps until a push wakes it: one futex wake.
    #[default]
    Park,
    /// A thread of the library, which looks into the ring every half millisecond: pushing makes no system call.
    Poll,
    /// The host, by [`Stream::process`](crate::Stream::process).
    Host,
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
            partial: PartialChunk::Auto,
            drive: Drive::Park,
            pin: None,
        }
    }
}

impl StreamConfig {
    /// How far the history reaches back.
    pub(super) fn history(&self) -> Result<i64> {
        match self.history_ns {
            0 => Ok(DEFAULT_HISTORY_NS.max(self.label_span_ns)),
            history if (self.label_span_ns.max(1)..=MAX_HISTORY_NS).contains(&history) => Ok(history),
            history => Err(Error::new(
                Status::InvalidArgument,
                format!("history_ns is {history}, label_span_ns to {MAX_HISTORY_NS} are possible"),
            )),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { early_stop: self.early_stop, view_change: self.view_change }
    }

    /// Bytes of the largest frame, if every setting is in its range.
    pub(super) fn check(&self, spec: &ModelSpec) -> Result<usize> {
        let invalid = |what: String| Error::new(Status::InvalidArgument, what);
        if !(2..=1024).contains(&self.ring_slots) {
            return Err(invalid(format!("ring_slots is {}, 2 to 1024 are possible", self.ring_slots)));
        }
        if !FRAME_SIDE_PX.contains(&self.max_width_px) || !FRAME_SIDE_PX.contains(&self.max_height_px) {
            let (width, height) = (self.max_width_px, self.max_height_px);
            return Err(invalid(format!("largest frame is {width} x {height}, 32 to 4096 are possible")));
        }
        if !(1..=MAX_GAP_NS).contains(&self.gap_ns) {
            return Err(invalid(format!("gap_ns is {}, 1 to {MAX_GAP_NS} are possible", self.gap_ns)));
        }
        if !(0..=MAX_HISTORY_NS).contains(&self.label_span_ns) || self.frame_period_ns < 0 {
            return Err(invalid("label_span_ns or frame_period_ns is negative or too long".into()));
        }
        self.history()?;
        self.rules().check()?;
        if !(0..=MAX_HISTORY_NS).contains(&self.exact_history_ns) {
            let exact = self.exact_history_ns;
            return Err(invalid(format!("exact_history_ns is {exact}, 0 to {MAX_HISTORY_NS} are possible")));
        }
        if spec.mode == Mode::Window && self.window_hop_samples > spec.clip_samples {
            let (hop, clip) = (self.window_hop_samples, spec.clip_samples);
            return Err(invalid(format!("window_hop_samples is {hop}, a clip has {clip}")));
        }
        let most = 4 * self.max_width_px as usize * self.max_height_px as usize;
        match self.max_frame_bytes {
            0 => Ok(most),
            bytes if bytes <= most => Ok(bytes),
            bytes => {
                Err(invalid(format!("max_frame_bytes is {bytes}, the largest frame has at most {most}")))
            }
        }
    }
}
