//! Tests of timestamps near both limits of `i64`, from push to label.

use super::network::{CHUNK, INTERVAL_NS, Network, config, push_at, wait};
use crate::engine::Engine;
use crate::stream::Stream;
use crate::stream::acquirer::PushError;
use proptest::prelude::*;
use std::sync::OnceLock;
use std::time::Duration;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Network { runs: None, ..Network::default() }.engine())
}

/// Generates times within two seconds of one of the limits of `i64`.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let offset = 0..200 * INTERVAL_NS;
    let near_end = prop_oneof![
        offset.clone().prop_map(|offset| i64::MIN + offset),
        offset.prop_map(|offset| i64::MAX - offset),
    ];
    prop::collection::vec(near_end, 1..60)
}

proptest! {
    #[test]
    fn times_near_the_ends_of_i64_give_a_label(mut times in times(), is_sorted: bool) {
        if is_sorted {
            times.sort_unstable();
        }
        let Stream { mut acquirer, reader, .. } = Stream::open(engine(), &config()).unwrap();
        let acquisition = acquirer.begin().unwrap();
        let (mut accepted, mut last) = (Vec::new(), None);
        for &time in &times {
            let expected =
                if last.is_some_and(|last| time <= last) { Err(PushError::Refused) } else { Ok(()) };
            prop_assert_eq!(push_at(&mut acquirer, time, 0), expected);
            if expected.is_ok() {
                accepted.push(time);
                last = Some(time);
            }
        }
        acquirer.end().unwrap();
        let result = wait(&reader, acquisition);
        prop_assert_eq!(result.status, crate::Status::Ok);
        prop_assert_eq!(result.label, Some(0));
        prop_assert_eq!(result.frames_used, accepted.len() as u64);
        prop_assert!(result.first_time_ns >= accepted[0]);
        prop_assert!(result.first_time_ns <= result.last_time_ns);
        prop_assert!(result.last_time_ns <= *accepted.last().unwrap());

        // A query that covers all times ends at the same sample as the final result.
        let all = reader.query(i64::MIN, i64::MAX, Duration::ZERO, &mut []).unwrap();
        prop_assert!(all.result.chunks >= 1);
        prop_assert_eq!(all.result.last_time_ns, result.last_time_ns);
    }

    #[test]
    fn whole_chunks_at_the_ends_of_i64_have_exact_times(chunks in 1i64..8, is_late: bool) {
        let samples = chunks * CHUNK as i64;
        let length = (samples - 1) * INTERVAL_NS;
        let start = if is_late { i64::MAX - length } else { i64::MIN };
        let Stream { mut acquirer, reader, .. } = Stream::open(engine(), &config()).unwrap();
        let acquisition = acquirer.begin().unwrap();
        for sample in 0..samples {
            push_at(&mut acquirer, start + sample * INTERVAL_NS, 0).unwrap();
        }
        acquirer.end().unwrap();
        let result = wait(&reader, acquisition);
        prop_assert_eq!(i64::from(result.chunks), chunks);
        prop_assert_eq!(result.first_time_ns, start);
        prop_assert_eq!(result.last_time_ns, start + length);
    }
}
