//! Results, each of which contains the provisional or final label of an acquisition.

use crate::error::Status;

bitflags::bitflags! {
    /// Facts about a result.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ResultFlags: u32 {
        /// The acquisition is in progress. The label covers what has been processed so far.
        const PROVISIONAL = 1 << 0;
        /// The acquisition has ended and nothing is left to compute.
        const FINAL = 1 << 1;
        /// The confidence is below the threshold of the model package, so the label is withheld.
        /// The group may still be given.
        const ABSTAINED = 1 << 2;
        /// Fewer samples were decided than a clip has.
        const SHORT = 1 << 3;
        /// Frames were dropped because the ring was full.
        const DROPPED = 1 << 4;
        /// A gap, a change, a clock step, or a failed or skipped chunk restarted the temporal
        /// state.
        const DISCONTINUITY = 1 << 5;
        /// Chunks or windows were skipped because the network could not keep up with the frame
        /// rate. In the result of a query: chunks or windows that overlap the interval.
        const DEGRADED = 1 << 6;
        /// The label was settled before the acquisition ended, so the early-stop rule stopped the
        /// network.
        const SETTLED = 1 << 7;
        /// The posterior showed another view, so the view-change rule restarted the mean. The label
        /// covers only the outputs since the new view appeared.
        const VIEW_CHANGED = 1 << 8;
        /// Chunks or windows failed: the runtime reported an error, or the logits were not finite.
        /// The label does not cover them.
        const FAILED_CHUNKS = 1 << 9;
        /// The host's clock stepped back: frames that were not later than an accepted frame agreed
        /// with one another, so the library continued with their times.
        const CLOCK_STEP = 1 << 10;
        /// The view with the largest value lies outside the group with the largest confidence, so
        /// the label is withheld. The group may still be given.
        const OUTSIDE_GROUP = 1 << 11;
        /// The confidence of the group is below the threshold for groups of the model package, so
        /// the group and the label are withheld.
        const GROUP_ABSTAINED = 1 << 12;
        /// The novelty score is above the threshold of the model package, so the group and the
        /// label are withheld.
        const NOVEL = 1 << 13;
        /// The model package defines no novelty score.
        const NO_NOVELTY = 1 << 14;
    }
}

/// The provisional or final label of an acquisition, and facts about it.
///
/// The posterior is not part of this struct. The functions that read a result write the posterior
/// to a slice that the caller provides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewResult {
    /// [`Status::Ok`], or the error that ended the processing.
    pub status: Status,
    /// Identifier that `begin` returned; 0 in the result of a query.
    pub acquisition: u64,
    /// Facts about the result.
    pub flags: ResultFlags,
    /// Number of chunks or windows that the posterior covers.
    pub chunks: u32,
    /// Index of the label in the model; `None` if the label is withheld, if no output counts yet,
    /// or after an error. The flags give each reason why a label is withheld.
    pub label: Option<u32>,
    /// Largest value of the posterior.
    pub confidence: f32,
    /// Difference between the largest and the second largest value of the posterior.
    pub margin: f32,
    /// Sequence number of the first accepted frame.
    pub first_sequence: u64,
    /// Sequence number of the last accepted frame.
    pub last_sequence: u64,
    /// Number of accepted frames.
    pub frames_used: u64,
    /// Number of frames dropped because the ring was full.
    pub frames_dropped: u64,
    /// Grid time of the first sample that the posterior covers.
    pub first_time_ns: i64,
    /// Grid time of the last sample that the posterior covers. After a clock step, it can be
    /// earlier than `first_time_ns`.
    pub last_time_ns: i64,
    /// Time from the end of the acquisition to the publication of the final result.
    pub latency_ns: i64,
    /// Part of `latency_ns` that passed before the worker reached the end of the acquisition.
    pub queue_ns: i64,
    /// Total time spent in preprocessing during the acquisition.
    pub preprocess_ns: i64,
    /// Total time spent in the network during the acquisition. With frame steps, it includes the
    /// slow runs, which may overlap with the fast ones.
    pub inference_ns: i64,
    /// Number of chunks or windows of the acquisition that failed. In the result of a query, the
    /// number of those in the interval.
    pub failed_chunks: u64,
    /// Part of `inference_ns` that the slow runs of frame steps took.
    pub slow_inference_ns: i64,
    /// Index of the group in the model; `None` if the group is withheld, if the model has no
    /// groups, if no output counts yet, or after an error. If a label is given, it lies in this
    /// group.
    pub group: Option<u32>,
    /// Largest confidence of a group, which is the sum of the posterior over the labels of the
    /// group; 0 if the model has no groups.
    pub group_confidence: f32,
    /// The novelty score, which says how far the cine is from all that the network was trained on;
    /// 0 if no output counts yet, or if the flag [`ResultFlags::NO_NOVELTY`] is set.
    pub novelty: f64,
}

impl ViewResult {
    /// Creates an empty result for an acquisition.
    pub(crate) fn new(acquisition: u64) -> Self {
        Self {
            status: Status::Ok,
            acquisition,
            flags: ResultFlags::empty(),
            chunks: 0,
            label: None,
            confidence: 0.0,
            margin: 0.0,
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
            failed_chunks: 0,
            slow_inference_ns: 0,
            group: None,
            group_confidence: 0.0,
            novelty: 0.0,
        }
    }

    /// Takes the label and the group away, because the acquisition has ended with an error.
    pub(crate) fn withhold(&mut self) {
        (self.label, self.group) = (None, None);
    }

    /// Returns whether this is the final result of its acquisition.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.flags.contains(ResultFlags::FINAL)
    }
}
