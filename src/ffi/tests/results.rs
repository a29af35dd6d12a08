//! Results in C structs.

use super::init;
use crate::error::Status;
use crate::ffi::result::{RESULT_SIZE, ScoreBuffer, convert_result, ttv_result};
use crate::result::{ResultFlags, ViewResult};

#[test]
fn every_field_of_a_result_arrives_in_its_place() {
    let result = ViewResult {
        status: Status::Inference,
        flags: ResultFlags::FINAL | ResultFlags::DROPPED,
        label: Some(3),
        confidence: 0.75,
        margin: 0.5,
        chunks: 4,
        first_sequence: 5,
        last_sequence: 6,
        frames_used: 7,
        frames_dropped: 8,
        first_time_ns: -9,
        last_time_ns: 10,
        latency_ns: 11,
        queue_ns: 12,
        preprocess_ns: 13,
        inference_ns: 14,
        group: Some(15),
        group_confidence: 0.875,
        novelty: -2.25,
        ..ViewResult::new(2)
    };
    let mut scores = [0.0_f32; 6];
    let buffer = || ScoreBuffer { scores: std::ptr::null_mut(), capacity: 5 };
    let found = convert_result(&result, 6, RESULT_SIZE, buffer());
    assert_eq!(found.struct_size as usize, size_of::<ttv_result>());
    assert_eq!((found.status, found.acquisition), (Status::Inference.code(), 2));
    assert_eq!(found.flags, (ResultFlags::FINAL | ResultFlags::DROPPED).bits());
    assert_eq!((found.label, found.confidence, found.margin), (3, 0.75, 0.5));
    assert_eq!((found.chunks, found.first_sequence, found.last_sequence), (4, 5, 6));
    assert_eq!((found.frames_used, found.frames_dropped), (7, 8));
    assert_eq!((found.first_time_ns, found.last_time_ns), (-9, 10));
    assert_eq!((found.latency_ns, found.queue_ns), (11, 12));
    assert_eq!((found.preprocess_ns, found.inference_ns), (13, 14));
    assert_eq!((found.group, found.group_confidence, found.novelty), (15, 0.875, -2.25));
    assert!(found.scores.is_null());
    assert_eq!((found.scores_capacity, found.scores_length), (5, 6));
    let withheld = ViewResult { label: None, group: None, ..result };
    let withheld = convert_result(&withheld, 6, 0, buffer());
    assert_eq!((withheld.label, withheld.group), (-1, -1));
    let mut caller: ttv_result = init();
    (caller.scores, caller.scores_capacity) = (scores.as_mut_ptr(), 6);
    assert_eq!(caller.score_buffer().scores, scores.as_mut_ptr());
    assert_eq!(caller.score_buffer().capacity, 6);
}

#[test]
fn memory_for_scores_is_limited_to_the_labels_and_aligned() {
    let mut scores = [0.0_f32; 4];
    let at = scores.as_mut_ptr();
    let len = |scores, capacity| ScoreBuffer { scores, capacity }.as_slice(3).map(|s| s.len());
    assert_eq!(len(at, 2), Ok(2));
    assert_eq!(len(at, 4), Ok(3));
    assert_eq!(len(std::ptr::null_mut(), 4), Ok(0));
    let misaligned = at.cast::<u8>().wrapping_add(1).cast();
    assert_eq!(len(misaligned, 2), Err(Status::InvalidArgument));
}
