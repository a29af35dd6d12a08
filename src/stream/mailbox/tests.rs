use super::*;
use crate::counting::peak;

/// Creates a result whose fields and posterior are computed from one number.
fn create_result(number: u64, flags: ResultFlags) -> (ViewResult, [f32; 5]) {
    let value = number as f32;
    let result = ViewResult {
        flags,
        label: Some(number as u32 % 7),
        confidence: value,
        margin: -value,
        first_time_ns: -(number as i64),
        inference_ns: number as i64,
        ..ViewResult::new(number)
    };
    (result, [value; 5])
}

#[test]
fn every_field_arrives_as_it_was_published() {
    let mailbox = Mailbox::new(5).unwrap();
    let mut scores = [0.0; 5];
    assert_eq!(mailbox.read_newest(&mut scores), Err(Status::NotReady));
    let (result, posterior) = create_result(41, ResultFlags::FINAL | ResultFlags::SHORT);
    let published = ViewResult {
        status: Status::Inference,
        chunks: 3,
        margin: 0.25,
        first_sequence: u64::MAX,
        last_sequence: 4,
        frames_used: 5,
        frames_dropped: 6,
        last_time_ns: i64::MIN,
        latency_ns: 8,
        queue_ns: 9,
        preprocess_ns: 10,
        failed_chunks: 11,
        slow_inference_ns: 12,
        group: Some(13),
        group_confidence: 0.875,
        novelty: -14.5,
        ..result
    };
    mailbox.publish(&published, &posterior);
    let newest = mailbox.read_newest(&mut scores);
    assert_eq!((newest, scores), (Ok(published), posterior));
    let last = mailbox.wait_for_final(41, Duration::ZERO, &mut scores);
    assert_eq!((last, scores), (Ok(published), posterior));
}

/// The largest number of labels whose results fit on the stack of a reader.
const MAX_ON_STACK: usize = 1024;

#[test]
fn the_size_in_bytes_is_what_is_allocated() {
    for labels in [1, 5, 68, 69, MAX_ON_STACK, MAX_ON_STACK + 1, 5000] {
        let (used, mailbox) = peak(|| Mailbox::new(labels).unwrap());
        let size = Mailbox::memory_bytes(labels);
        assert_eq!(used, size as isize, "{labels} labels");
        let has_copy = mailbox.copy.lock().unwrap().capacity() > 0;
        assert_eq!(has_copy, labels > MAX_ON_STACK, "{labels} labels");
    }
}

#[test]
fn a_call_without_a_result_leaves_the_scores() {
    let mailbox = Mailbox::new(5).unwrap();
    let wait = |acquisition| {
        let mut scores = [7.0; 5];
        let found = mailbox.wait_for_final(acquisition, Duration::ZERO, &mut scores);
        assert_eq!(scores == [7.0; 5], found.is_err());
        found.map(|result| result.acquisition)
    };
    assert_eq!(wait(1), Err(Status::TimedOut));
    for number in 1..=5 {
        let (result, posterior) = create_result(number, ResultFlags::FINAL);
        mailbox.publish(&result, &posterior);
    }
    assert_eq!([1, 2, 5, 6].map(wait), [Err(Status::Empty), Ok(2), Ok(5), Err(Status::TimedOut)]);
    mailbox.close();
    assert_eq!([1, 2, 5, 6].map(wait), [Err(Status::Empty), Ok(2), Ok(5), Err(Status::Cancelled)]);
}

#[test]
fn results_of_every_size_can_be_read() {
    for labels in [1, 68, 69, 1024, 1025, 5000] {
        let mailbox = Mailbox::new(labels).unwrap();
        let (result, _) = create_result(3, ResultFlags::FINAL);
        let posterior: Vec<f32> = (0..labels).map(|label| label as f32).collect();
        mailbox.publish(&result, &posterior);
        let mut scores = [vec![0.0; labels], vec![0.0; labels]];
        assert_eq!(mailbox.read_newest(&mut scores[0]), Ok(result));
        assert_eq!(mailbox.wait_for_final(3, Duration::ZERO, &mut scores[1]), Ok(result));
        assert_eq!(scores, [posterior.clone(), posterior]);
    }
}

#[test]
fn a_wait_during_the_write_of_a_result_returns() {
    let mailbox = Mailbox::new(5).unwrap();
    let record = mailbox.find_final(1).unwrap();
    record.start_write();
    let mut scores = [7.0; 5];
    for timeout in [0, 10] {
        let timeout = Duration::from_millis(timeout);
        let found = mailbox.wait_for_final(1, timeout, &mut scores);
        assert_eq!((found, scores), (Err(Status::TimedOut), [7.0; 5]));
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| mailbox.wait_for_final(1, Duration::MAX, &mut [0.0; 5]));
        let (result, posterior) = create_result(1, ResultFlags::FINAL);
        mailbox.publish(&result, &posterior);
        assert_eq!(waiting.join().unwrap(), Ok(result));
    });
}

#[test]
fn readers_never_see_a_torn_result() {
    let mailbox = Mailbox::new(5).unwrap();
    let publish = |number| {
        let (result, posterior) = create_result(number, ResultFlags::empty());
        mailbox.publish(&result, &posterior);
    };
    publish(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut scores, mut before) = ([0.0; 5], 0);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let Ok(found) = mailbox.read_newest(&mut scores) else { continue };
                    assert!(found.acquisition >= before, "an older result came later");
                    before = found.acquisition;
                    let expected = create_result(found.acquisition, ResultFlags::empty());
                    assert_eq!((found, scores), expected);
                }
            });
        }
        (2..100_000).for_each(publish);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
