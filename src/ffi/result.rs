//! Result
//!
//! A result contains the label and the group of an acquisition. Results are provisional while
//! frames arrive. The last result of an acquisition is final.

use super::pointers::versioned;
use super::types::{ttv_result_flags, ttv_status};
use crate::error::Status;
use crate::result::ViewResult;

/// A result of an acquisition or a query. Initialize this struct with TTV_RESULT_INIT. To get the
/// posterior, set `scores` and `scores_capacity`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_result {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// TTV_OK, or the error that ended the processing of the acquisition. In a final result without
    /// any chunk or window, the error of the chunks that failed.
    pub status: ttv_status,
    /// Identifier that ttv_stream_begin returned; 0 in the result of a query.
    pub acquisition: u64,
    /// Flags: TTV_RESULT_FLAG_* joined by `|`, or 0.
    pub flags: ttv_result_flags,
    /// Index of the label, for ttv_engine_get_label; -1 if the label is withheld, if no chunk or
    /// window counts yet, or if `status` is an error. The flags TTV_RESULT_FLAG_ABSTAINED,
    /// TTV_RESULT_FLAG_OUTSIDE_GROUP, TTV_RESULT_FLAG_GROUP_ABSTAINED and TTV_RESULT_FLAG_NOVEL are
    /// the reasons why a label is withheld.
    pub label: i32,
    /// Largest value of the posterior.
    pub confidence: f32,
    /// Difference between the largest and the second largest value of the posterior.
    pub margin: f32,
    /// Number of chunks or windows that the posterior covers.
    pub chunks: u64,
    /// Sequence number of the first accepted frame of the acquisition.
    pub first_sequence: u64,
    /// Sequence number of the last accepted frame of the acquisition.
    pub last_sequence: u64,
    /// Number of accepted frames of the acquisition, including those before a mark.
    pub frames_used: u64,
    /// Number of frames that were dropped because the ring was full.
    pub frames_dropped: u64,
    /// Grid time of the first sample that the posterior covers.
    pub first_time_ns: i64,
    /// Grid time of the last sample that the posterior covers. After a clock step, it can be
    /// earlier than `first_time_ns`.
    pub last_time_ns: i64,
    /// Time from ttv_stream_end to the publication of the result. Valid only in final results.
    pub latency_ns: i64,
    /// Part of `latency_ns` that passed before the worker reached the end of the acquisition. Valid
    /// only in final results.
    pub queue_ns: i64,
    /// Total time that preprocessing has taken in this acquisition so far.
    pub preprocess_ns: i64,
    /// Total time that the network has taken in this acquisition so far. With frame steps, it
    /// includes the slow runs, which may overlap with the fast ones.
    pub inference_ns: i64,
    /// Memory that the caller provides for the posterior (one value per label), or NULL.
    pub scores: *mut f32,
    /// Maximum number of values to write to `scores`.
    pub scores_capacity: u32,
    /// Number of values in the posterior: one for each label of the model.
    pub scores_length: u32,
    /// Number of chunks or windows of the acquisition that failed, including those before a mark.
    /// In the result of a query, the number of those in the interval. If it is not 0,
    /// TTV_RESULT_FLAG_FAILED_CHUNKS is set.
    pub failed_chunks: u64,
    /// Part of `inference_ns` that the slow runs of frame steps took.
    pub slow_inference_ns: i64,
    /// Index of the group, for ttv_engine_get_group; -1 if the group is withheld, if the model has
    /// no groups, if no chunk or window counts yet, or if `status` is an error. If a label is
    /// given, it lies in this group.
    pub group: i32,
    /// Largest confidence of a group, which is the sum of the posterior over the labels of the
    /// group; 0 if the model has no groups.
    pub group_confidence: f32,
    /// Novelty score, which says how far the cine is from all that the network was trained on. If
    /// it is above the threshold of the model package, TTV_RESULT_FLAG_NOVEL is set. The score is 0
    /// if no chunk or window counts yet, or if TTV_RESULT_FLAG_NO_NOVELTY is set.
    pub novelty: f64,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers and a pointer,
// for which every bit pattern is valid.
versioned!(ttv_result {
    struct_size,
    status,
    acquisition,
    flags,
    label,
    confidence,
    margin,
    chunks,
    first_sequence,
    last_sequence,
    frames_used,
    frames_dropped,
    first_time_ns,
    last_time_ns,
    latency_ns,
    queue_ns,
    preprocess_ns,
    inference_ns,
    scores,
    scores_capacity,
    scores_length,
    failed_chunks,
    slow_inference_ns,
    group,
    group_confidence,
    novelty
});

pub(super) const RESULT_SIZE: u32 = size_of::<ttv_result>() as u32;

/// The caller's memory for the posterior.
pub(super) struct ScoreBuffer {
    pub(super) scores: *mut f32,
    pub(super) capacity: u32,
}

impl ttv_result {
    pub(super) fn score_buffer(&self) -> ScoreBuffer {
        ScoreBuffer { scores: self.scores, capacity: self.scores_capacity }
    }
}

impl ScoreBuffer {
    /// Returns the caller's memory, limited to `labels` values.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if the pointer is not aligned.
    pub(super) fn as_slice<'a>(&self, labels: usize) -> Result<&'a mut [f32], Status> {
        if self.scores.is_null() {
            return Ok(&mut []);
        }
        if !self.scores.is_aligned() {
            return Err(Status::InvalidArgument);
        }
        let count = labels.min(self.capacity as usize);
        // SAFETY: the pointer is aligned and not NULL. The caller guarantees that it points to
        // `scores_capacity` values that nothing else uses during the call.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.scores, count) })
    }
}

/// Converts a result to a C struct. `labels` is the number of labels in the model.
pub(super) fn convert_result(
    result: &ViewResult,
    labels: usize,
    struct_size: u32,
    buffer: ScoreBuffer,
) -> ttv_result {
    ttv_result {
        struct_size,
        status: result.status.code(),
        acquisition: result.acquisition,
        flags: result.flags.bits(),
        label: to_index(result.label),
        confidence: result.confidence,
        margin: result.margin,
        chunks: result.chunks.into(),
        first_sequence: result.first_sequence,
        last_sequence: result.last_sequence,
        frames_used: result.frames_used,
        frames_dropped: result.frames_dropped,
        first_time_ns: result.first_time_ns,
        last_time_ns: result.last_time_ns,
        latency_ns: result.latency_ns,
        queue_ns: result.queue_ns,
        preprocess_ns: result.preprocess_ns,
        inference_ns: result.inference_ns,
        scores: buffer.scores,
        scores_capacity: buffer.capacity,
        scores_length: u32::try_from(labels).unwrap_or(u32::MAX),
        failed_chunks: result.failed_chunks,
        slow_inference_ns: result.slow_inference_ns,
        group: to_index(result.group),
        group_confidence: result.group_confidence,
        novelty: result.novelty,
    }
}

/// Converts an index to a number that is -1 for `None`.
fn to_index(index: Option<u32>) -> i32 {
    index.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
}
