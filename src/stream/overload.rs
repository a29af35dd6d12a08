//! The overload rule, which skips chunks or windows if the network cannot keep up with the frame
//! rate.
//!
//! This module implements docs/stream-contract.md#overload. In stream mode, the pipeline skips
//! several chunks in a row. In window mode, the classifier skips windows while
//! [`OverloadPolicy::is_behind`] is true.

use crate::model::{Mode, ModelSpec};
use std::ops::Range;

/// Number of consecutive steps that must all be too slow before anything is skipped. A single slow
/// step is not an overload.
const SLOW_STEPS: usize = 4;

/// The policy that decides when chunks or windows are skipped.
pub(super) struct OverloadPolicy {
    skips_chunks: bool,
    /// Time from one output to the next.
    output_interval_ns: i64,
    /// Number of chunks that must run in a segment before any may be skipped. It equals the number
    /// of chunks in a clip.
    min_chunks: u64,
    /// Durations of the last [`SLOW_STEPS`] steps, newest first.
    step_times_ns: [i64; SLOW_STEPS],
    /// Number of chunks or windows that have run in this segment.
    segment_chunks: u64,
    skip: Option<Skip>,
}

/// A sequence of skipped frames.
#[derive(Clone, Copy)]
struct Skip {
    /// Grid time of the first sample after the last chunk that ran.
    from_ns: i64,
    /// Time of the first frame that is not skipped. This frame is in the ring when the sequence
    /// begins, so the sequence ends before the acquisition does.
    to_ns: i64,
}

impl OverloadPolicy {
    pub(super) fn new(spec: &ModelSpec, output_interval_ns: i64) -> Self {
        Self {
            skips_chunks: spec.mode == Mode::Stream,
            output_interval_ns,
            min_chunks: (spec.clip_samples / spec.alpha).max(1) as u64,
            step_times_ns: [0; SLOW_STEPS],
            segment_chunks: 0,
            skip: None,
        }
    }

    /// Begins an acquisition.
    pub(super) fn begin(&mut self) {
        self.segment_chunks = 0;
        self.skip = None;
    }

    /// Begins a segment.
    pub(super) fn start_segment(&mut self) {
        self.segment_chunks = 0;
    }

    /// Records the duration of a step.
    pub(super) fn add_step(&mut self, time_ns: i64) {
        self.step_times_ns.rotate_right(1);
        self.step_times_ns[0] = time_ns;
        self.segment_chunks += 1;
    }

    /// Returns whether the last [`SLOW_STEPS`] steps were all too slow and the frames of a whole
    /// step are waiting. `ahead_ns` is the time from the current frame to the newest one in the
    /// ring. A burst of frames, for example from a file, does not count as an overload if the steps
    /// are fast enough.
    pub(super) fn is_behind(&self, ahead_ns: i64) -> bool {
        let is_slow = self.step_times_ns.iter().all(|&time| time > self.output_interval_ns);
        is_slow && ahead_ns >= self.output_interval_ns
    }

    /// Returns whether frames are being skipped.
    pub(super) fn is_skipping(&self) -> bool {
        self.skip.is_some()
    }

    /// Ends the sequence of skipped frames if the frame at `time_ns` is not part of it. Returns the
    /// number of chunks that were skipped, or 0 if no sequence ends.
    pub(super) fn end_skip(&mut self, time_ns: i64) -> u64 {
        let Some(skip) = self.skip.filter(|skip| time_ns >= skip.to_ns) else { return 0 };
        self.skip = None;
        let skipped_ns = time_ns.saturating_sub(skip.from_ns);
        u64::try_from(skipped_ns / self.output_interval_ns).unwrap_or(0)
    }

    /// Returns whether the pipeline must begin to skip chunks now.
    pub(super) fn must_skip(&self, ahead_ns: i64) -> bool {
        self.skips_chunks
            && self.skip.is_none()
            && self.segment_chunks >= self.min_chunks
            && self.is_behind(ahead_ns)
    }

    /// Begins a sequence of skipped frames with the frame at `time_ns`. The newest frame, which is
    /// `ahead_ns` later, is the first that is not skipped. `segment_start_ns` is the start of the
    /// segment that was in progress, if there was one. Returns the times of the samples that the
    /// sequence leaves out.
    pub(super) fn start_skip(
        &mut self,
        segment_start_ns: Option<i64>,
        time_ns: i64,
        ahead_ns: i64,
    ) -> Range<i64> {
        let chunks = i64::try_from(self.segment_chunks).unwrap_or(i64::MAX);
        let processed_ns = chunks.saturating_mul(self.output_interval_ns);
        let from_ns = segment_start_ns.map_or(time_ns, |start| start.saturating_add(processed_ns));
        let to_ns = time_ns.saturating_add(ahead_ns);
        self.skip = Some(Skip { from_ns, to_ns });
        from_ns..to_ns
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
