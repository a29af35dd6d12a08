//! Tests of the rule by itself, at the limits of its conditions.

use super::*;
use crate::stream::tests::network::{CHUNK, CLIP, create_spec};

/// Time from one output to the next.
const STEP_NS: i64 = 100;

/// Creates a policy after `steps` steps of `time_ns`.
fn create_policy(mode: Mode, steps: usize, time_ns: i64) -> OverloadPolicy {
    let mut policy = OverloadPolicy::new(&create_spec(mode, 2), STEP_NS);
    policy.begin();
    policy.start_segment();
    (0..steps).for_each(|_| policy.add_step(time_ns));
    policy
}

#[test]
fn four_slow_steps_and_a_waiting_step_are_an_overload() {
    for steps in 0..SLOW_STEPS {
        assert!(!create_policy(Mode::Window, steps, STEP_NS + 1).is_behind(STEP_NS), "{steps}");
    }
    let policy = create_policy(Mode::Window, SLOW_STEPS, STEP_NS + 1);
    assert!(policy.is_behind(STEP_NS) && policy.is_behind(STEP_NS + 1));
    assert!(!policy.is_behind(STEP_NS - 1), "less than a step waits");
    assert!(!create_policy(Mode::Window, SLOW_STEPS, STEP_NS).is_behind(STEP_NS), "just in time");
}

#[test]
fn one_fast_step_among_the_last_four_ends_an_overload() {
    for fast in 0..=SLOW_STEPS {
        let mut policy = create_policy(Mode::Window, 10, STEP_NS + 1);
        policy.add_step(STEP_NS);
        (0..fast).for_each(|_| policy.add_step(STEP_NS + 1));
        assert_eq!(policy.is_behind(STEP_NS), fast == SLOW_STEPS, "{fast} slow steps later");
    }
}

#[test]
fn chunks_are_skipped_only_after_a_clip_of_the_segment() {
    let min_chunks = CLIP / CHUNK;
    for steps in 1..=min_chunks + 1 {
        let mut policy = create_policy(Mode::Stream, 10, STEP_NS + 1);
        policy.start_segment();
        assert!(!policy.must_skip(STEP_NS), "the segment has no chunk");
        (0..steps).for_each(|_| policy.add_step(STEP_NS + 1));
        assert_eq!(policy.must_skip(STEP_NS), steps >= min_chunks, "{steps} steps");
        policy.begin();
        assert!(!policy.must_skip(STEP_NS), "a new acquisition starts to count again");
    }
    let policy = create_policy(Mode::Window, 10, STEP_NS + 1);
    assert!(!policy.must_skip(STEP_NS), "in window mode, the classifier skips windows");
}

#[test]
fn skipped_chunks_are_counted_from_the_last_chunk_that_ran() {
    let mut policy = create_policy(Mode::Stream, 6, STEP_NS + 1);
    assert!(!policy.is_skipping());
    assert_eq!(policy.end_skip(i64::MAX), 0, "nothing is skipped");
    // Six chunks of the segment from 1000 ran, so the first skipped sample is at 1600.
    assert_eq!(policy.start_skip(Some(1000), 1650, 300), 1600..1950);
    assert!(policy.is_skipping() && !policy.must_skip(1000));
    assert_eq!(policy.end_skip(1949), 0);
    assert!(policy.is_skipping());
    assert_eq!(policy.end_skip(1950), 3);
    assert!(!policy.is_skipping() && policy.must_skip(STEP_NS));
    assert_eq!(policy.start_skip(None, 2000, 500), 2000..2500);
    assert_eq!(policy.end_skip(2500), 5);
    policy.start_skip(None, 2000, 500);
    policy.begin();
    assert!(!policy.is_skipping(), "a new acquisition skips nothing");
}

#[test]
fn skips_at_the_ends_of_i64_do_not_overflow() {
    let mut policy = create_policy(Mode::Stream, 6, STEP_NS + 1);
    policy.start_skip(Some(i64::MAX - 10), i64::MAX - 5, 100);
    assert_eq!(policy.end_skip(i64::MAX - 1), 0);
    assert_eq!(policy.end_skip(i64::MAX), 0);
    policy.start_skip(None, i64::MIN, 10);
    assert_eq!(policy.end_skip(i64::MAX), (i64::MAX / STEP_NS) as u64);
}
