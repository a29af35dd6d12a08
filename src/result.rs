//! Results: what the host reads.

use crate::Status;

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
    /// The label was settled and the network stopped before the acquisition ended.
    pub const SETTLED: u32 = 1 << 7;
    /// The posterior said that the view had changed, and the mean began anew.
    pub const VIEW_CHANGED: u32 = 1 << 8;
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

    /// Sets label, confidence and margin from the scores, of which there is at least one.
    pub(crate) fn decide(&mut self, scores: &[f32], threshold: f32) {
        let (mut best, mut second, mut label) = (f32::MIN, f32::MIN, 0);
        for (index, &score) in (0u32..).zip(scores) {
            if score > best {
                (second, best, label) = (best, score, index);
            } else {
                second = second.max(score);
            }
        }
        self.confidence = best;
        self.margin = if second == f32::MIN { best } else { best - second };
        self.label = (best >= threshold).then_some(label);
        self.flags &= !flags::ABSTAINED;
        if self.label.is_none() {
            self.flags |= flags::ABSTAINED;
        }
    }
}
