use super::*;

/// Explores every interleaving with up to three preemptions.
fn explore(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn a_query_gets_the_output_for_which_it_waits() {
    explore(|| {
        let history = loom::sync::Arc::new(History::new(1, 0, 1).unwrap());
        let worker = loom::sync::Arc::clone(&history);
        let thread = loom::thread::spawn(move || {
            worker.begin(1);
            worker.add(&[2.0], Span { first_ns: 0, last_ns: 9 });
            worker.end(None);
        });
        let (interval, mut mean) = (Span { first_ns: 0, last_ns: 9 }, [0.0]);
        let found = history.query(interval, 1, Wait::AtMost(Duration::MAX), &mut mean);
        let covered = Covered { outputs: 1, failed: 0, span: interval };
        assert_eq!((found, mean), (Ok((Coverage::Complete, covered)), [2.0]));
        thread.join().unwrap();
    });
}

#[test]
fn an_overwritten_output_is_not_part_of_a_mean() {
    explore(|| {
        let history = loom::sync::Arc::new(History::new(1, -10, 10).unwrap());
        let add = |history: &History, value: i64| {
            history.add(&[value as f32], Span { first_ns: value, last_ns: value });
        };
        (1..=2).for_each(|value| add(&history, value));
        let worker = loom::sync::Arc::clone(&history);
        let thread = loom::thread::spawn(move || (3..=4).for_each(|value| add(&worker, value)));
        let (interval, mut mean) = (Span { first_ns: 1, last_ns: 2 }, [0.0]);
        match history.query(interval, 0, Wait::AtMost(Duration::ZERO), &mut mean) {
            Ok((_, covered)) => {
                let Span { first_ns, last_ns } = covered.span;
                assert_eq!(covered.outputs as i64, last_ns - first_ns + 1);
                assert_eq!(mean, [(first_ns + last_ns) as f32 / 2.0]);
            }
            Err(status) => assert_eq!(status, Status::Empty),
        }
        thread.join().unwrap();
    });
}
