use super::*;

/// Explores every interleaving with up to three preemptions.
fn explore(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn a_copy_contains_one_sample_in_every_interleaving() {
    explore(|| {
        let samples = loom::sync::Arc::new(SampleStore::allocate(1, 2).unwrap());
        let worker = loom::sync::Arc::clone(&samples);
        samples.keep(0, 1, true, &[0.0; 2]);
        let thread = loom::thread::spawn(move || {
            for number in 1..=3 {
                worker.keep(number, number + 1, false, &[number as f32; 2]);
            }
        });
        for number in 0..=1 {
            let mut values = [f32::NAN; 2];
            if let Some(sample) = samples.sample(number)
                && samples.copy(sample, &mut values)
            {
                assert_eq!(values, [sample.time_ns as f32; 2]);
                assert_eq!(sample.time_ns, number as i64);
            }
        }
        thread.join().unwrap();
        // No sample was lost, although a copy may have been in progress.
        let last = samples.sample(3).unwrap();
        let mut values = [f32::NAN; 2];
        assert!(samples.copy(last, &mut values));
        assert_eq!(values, [3.0; 2]);
    });
}

#[test]
fn a_query_gets_the_sample_for_which_it_waits() {
    explore(|| {
        let samples = loom::sync::Arc::new(SampleStore::allocate(1, 1).unwrap());
        let worker = loom::sync::Arc::clone(&samples);
        let thread = loom::thread::spawn(move || worker.keep(0, 1, true, &[0.0]));
        assert_eq!(samples.wait_for_sample(0, 9, 1, None), Availability::Exists);
        thread.join().unwrap();
    });
}
