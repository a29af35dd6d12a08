use super::*;

fn create_filled(count: i64) -> SampleStore {
    let samples = SampleStore::new(40, 10, 1).unwrap();
    samples.begin(1);
    for number in 0..count {
        samples.keep(number * 10, number * 10 + 10, number == 0, &[number as f32]);
    }
    samples
}

#[test]
fn the_last_samples_are_found_by_time() {
    let samples = create_filled(20);
    assert_eq!(samples.oldest(), (14, true));
    assert_eq!(
        [samples.find_first(0), samples.find_first(155), samples.find_first(500)],
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
    assert_eq!(samples.oldest(), (3, false));
    assert_eq!(samples.find_first(0), 3);
}

#[test]
fn a_clock_step_hides_samples_that_are_not_earlier() {
    let samples = create_filled(3);
    samples.step_clock(21);
    assert_eq!(samples.oldest(), (0, false));
    samples.step_clock(20);
    assert_eq!((samples.oldest(), samples.first_valid()), ((3, true), Ok(3)));
    samples.keep(20, 30, true, &[7.0]);
    assert_eq!((samples.oldest(), samples.find_first(0)), ((3, true), 3));
    samples.keep(10, 20, true, &[7.0]);
    assert_eq!(samples.oldest(), (4, false));
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
