//! Tests of a head that is not linear and fails
//! (docs/stream-contract.md#heads-that-are-not-linear).

use super::frame_network::FrameNetwork;
use super::network::{config, push_at, wait};
use crate::error::{Error, Status};
use crate::model::part::Part;
use crate::result::ResultFlags;
use crate::stream::Stream;
use crate::stream::config::StreamConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ALPHA: usize = 4;
const INTERVAL_NS: i64 = 10_000_000;

/// Opens a stream whose head fails while the returned flag is set.
fn open_stream(config: &StreamConfig) -> (Stream, Arc<AtomicBool>) {
    let mut network = FrameNetwork::new(ALPHA, 0);
    network.add_head();
    let fails = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&fails);
    network.during = Box::new(move |part, _| {
        if part == Part::Head && flag.load(Ordering::SeqCst) {
            return Err(Error::new(Status::Inference, "device lost"));
        }
        Ok(())
    });
    (Stream::open(&network.engine(), config).unwrap(), fails)
}

/// Acquires eight frames whose grey values are their numbers.
fn acquire(stream: &mut Stream) -> u64 {
    let acquisition = stream.acquirer.begin().unwrap();
    for frame in 0..8 {
        push_at(&mut stream.acquirer, i64::from(frame) * INTERVAL_NS, frame).unwrap();
    }
    stream.acquirer.end().unwrap();
    acquisition
}

#[test]
fn a_head_that_fails_fails_the_label_and_nothing_else() {
    let (mut stream, fails) = open_stream(&config());
    fails.store(true, Ordering::SeqCst);
    let acquisition = acquire(&mut stream);
    let failed = wait(&stream.reader, acquisition);
    assert_eq!(failed.status, Status::Inference);
    assert!(failed.flags.contains(ResultFlags::FINAL), "{:?}", failed.flags);
    assert_eq!(failed.label, None);
    // The runs of the network did not fail, so a query has the features and runs the head again.
    let query = |stream: &Stream| {
        let (from, to) = (0, 7 * INTERVAL_NS);
        let answer = stream.reader.query(from, to, Duration::from_secs(60), &mut []);
        answer.map(|answer| (answer.result.label, answer.result.chunks))
    };
    assert_eq!(query(&stream), Err(Status::Inference));
    fails.store(false, Ordering::SeqCst);
    let answer = query(&stream).expect("the head runs again");
    assert_eq!(answer.1, 2);
    // So does the next acquisition, whose label is that of a stream that never failed.
    let acquisition = acquire(&mut stream);
    let again = wait(&stream.reader, acquisition);
    let (mut other, _) = open_stream(&config());
    let acquisition = acquire(&mut other);
    let sound = wait(&other.reader, acquisition);
    assert_eq!(again.status, Status::Ok);
    assert_eq!((&again.scores, again.label), (&sound.scores, sound.label));
    assert_eq!(answer.0, sound.label);
}
