use super::*;

fn create_filled(count: i64) -> SampleStore {
    let samples = SampleStore::new(40, 10, 1).unwrap();
    samples.begin(1);
    for number in 0..count {
        samples.keep(number * 10, number * 10 + 10, number == 0, &[number as f32]);
    }
    samples
}

fn oldest(samples: &SampleStore) -> (u64, bool) {
    samples.oldest_in(samples.read_front().unwrap())
}

fn find_first(samples: &SampleStore, time_ns: i64) -> u64 {
    samples.find_first(samples.read_front().unwrap(), time_ns)
}

#[test]
fn the_last_samples_are_found_by_time() {
    let samples = create_filled(20);
    assert_eq!(oldest(&samples), (14, true));
    assert_eq!(
        [find_first(&samples, 0), find_first(&samples, 155), find_first(&samples, 500)],
        [14, 16, 20]
    );
    let mut value = [0.0];
    let found = samples.sample(16).unwrap();
    assert!(samples.copy(found, &mut value));
    assert_eq!((found.time_ns, value), (160, [16.0]));
    // The record of a sample that is no longer visible is overwritten by the sample after the next.
    samples.keep(200, 210, false, &[20.0]);
    samples.keep(210, 220, false, &[21.0]);
    assert_eq!(samples.sample(14), None);
}

#[test]
fn a_restarted_clock_hides_earlier_samples() {
    let samples = create_filled(3);
    samples.keep(0, 10, true, &[7.0]);
    assert_eq!(oldest(&samples), (3, false));
    assert_eq!(find_first(&samples, 0), 3);
}

#[test]
fn a_clock_step_hides_samples_that_are_not_earlier() {
    let samples = create_filled(3);
    samples.step_clock(21);
    assert_eq!(oldest(&samples), (0, false));
    samples.step_clock(20);
    assert_eq!(oldest(&samples), (3, true));
    samples.keep(20, 30, true, &[7.0]);
    assert_eq!((oldest(&samples), find_first(&samples, 0)), ((3, true), 3));
    samples.keep(10, 20, true, &[7.0]);
    assert_eq!(oldest(&samples), (4, false));
}

#[test]
fn a_sample_is_awaited_during_its_acquisition_only() {
    let samples = create_filled(3);
    assert_eq!(samples.wait_for_sample(2, 90, 1, Some(Instant::now())), Availability::Exists);
    assert_eq!(samples.wait_for_sample(3, 29, 1, None), Availability::Never);
    assert_eq!(samples.wait_for_sample(3, 30, 1, Some(Instant::now())), Availability::Late);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| samples.wait_for_sample(3, 30, 1, None));
        samples.keep(30, 40, false, &[3.0]);
        assert_eq!(waiting.join().unwrap(), Availability::Exists);
    });
    samples.end(None);
    assert_eq!(samples.wait_for_sample(4, 90, 1, None), Availability::Never);
}

#[test]
fn samples_are_awaited_again_after_a_clock_step() {
    let samples = create_filled(3);
    assert_eq!(samples.wait_for_sample(3, 25, 1, None), Availability::Never);
    let before = samples.clock(25, 1).unwrap();
    assert!(!before.is_awaited && !before.has_stepped && !before.is_over);
    // No sample overlaps the new times, so none is hidden.
    samples.step_clock(22);
    assert_eq!(samples.clock(25, 1), Ok(ClockState { is_awaited: true, ..before }));
    assert_eq!(samples.wait_for_sample(3, 25, 1, Some(Instant::now())), Availability::Late);
    assert_eq!(samples.wait_for_sample(3, 21, 1, None), Availability::Never);
}

#[test]
fn the_beginning_of_an_interval_is_known_to_be_kept() {
    let find = |samples: &SampleStore, first_ns| {
        let beginning = samples.find_beginning(Span { first_ns, last_ns: 500 }, 1).unwrap();
        (beginning.first, beginning.is_kept)
    };
    let samples = create_filled(6);
    assert_eq!([find(&samples, 0), find(&samples, -5)], [(0, true); 2]);
    samples.keep(60, 70, false, &[6.0]);
    assert_eq!([find(&samples, 10), find(&samples, 5)], [(1, true), (1, false)]);
    assert_eq!([find(&samples, 15), find(&samples, 500)], [(2, true), (7, true)]);
    samples.step_clock(40);
    assert_eq!(find(&samples, 40), (7, false));
    samples.keep(40, 50, true, &[7.0]);
    assert_eq!([find(&samples, 40), find(&samples, 30)], [(7, true), (7, false)]);
}

#[test]
fn more_samples_than_memory_are_refused_by_the_setting() {
    let error = SampleStore::new(i64::MAX, 1, 3).err().expect("too many samples");
    assert_eq!(error.status(), Status::OutOfMemory);
    let message = "exact_history_ns needs memory for 9223372036854775809 samples of 3 values";
    assert!(error.message().contains(message), "{error}");
}
