use super::query::QueryMemory;
use super::*;
use crate::counting::peak;

fn span(first_ns: i64, last_ns: i64) -> Span {
    Span { first_ns, last_ns }
}

/// Creates a history of consecutive chunks of 10 ns. The output of each chunk has one value,
/// which is the number of the chunk.
fn create_filled(slots: i64, chunks: i64) -> History {
    let history = History::new(1, (slots - 2) * 10, 10).unwrap();
    history.begin(1);
    history.end(None);
    for chunk in 0..chunks {
        history.add(&[chunk as f32], span(chunk * 10, chunk * 10 + 9));
    }
    history
}

fn query(history: &History, from: i64, to: i64) -> Result<(Coverage, f32), Status> {
    let mut mean = [f32::NAN];
    let answer = history.query(span(from, to), 1, Wait::AtMost(Duration::ZERO), &mut mean);
    answer.map(|(coverage, _)| (coverage, mean[0]))
}

#[test]
fn a_query_covers_the_chunks_with_both_ends_inside() {
    let history = create_filled(10, 8);
    assert_eq!(query(&history, 10, 39), Ok((Coverage::Complete, 2.0)));
    assert_eq!(query(&history, 11, 39), Ok((Coverage::Complete, 2.5)));
    assert_eq!(query(&history, 10, 38), Ok((Coverage::Complete, 1.5)));
    assert_eq!(query(&history, 11, 19), Err(Status::Empty));
    assert_eq!(query(&history, 500, 600), Err(Status::Empty));
}

#[test]
fn forgotten_and_future_outputs_make_a_query_partial() {
    let history = create_filled(4, 9);
    assert_eq!(query(&history, 50, 89), Ok((Coverage::Complete, 6.5)));
    assert_eq!(query(&history, 49, 89), Ok((Coverage::Partial, 6.5)));
    history.expect(99);
    assert_eq!(query(&history, 50, 98), Ok((Coverage::Complete, 6.5)));
    assert_eq!(query(&history, 50, 99), Ok((Coverage::Partial, 6.5)));
    history.end(None);
    assert_eq!(query(&history, 50, 99), Ok((Coverage::Complete, 6.5)));
}

#[test]
fn a_closed_history_cancels_only_queries_that_would_wait() {
    let history = create_filled(8, 2);
    history.expect(29);
    history.close();
    assert_eq!(query(&history, 0, 19), Ok((Coverage::Complete, 0.5)));
    assert_eq!(query(&history, 1, 8), Err(Status::Empty));
    assert_eq!(query(&history, 20, 29), Err(Status::Cancelled));
}

#[test]
fn a_query_waits_for_an_expected_output() {
    let history = create_filled(8, 1);
    history.expect(19);
    std::thread::scope(|scope| {
        let query = scope.spawn(|| {
            let mut mean = [0.0];
            let answer = history.query(span(0, 19), 1, Wait::AtMost(Duration::MAX), &mut mean);
            answer.map(|(coverage, _)| (coverage, mean[0]))
        });
        history.add(&[5.0], span(10, 19));
        history.expect(29);
        assert_eq!(query.join().unwrap(), Ok((Coverage::Complete, 2.5)));
    });
}

#[test]
fn a_restarted_clock_clears_the_history() {
    let history = create_filled(10, 5);
    history.add(&[70.0], span(0, 9));
    assert_eq!(query(&history, 0, 100), Ok((Coverage::Complete, 70.0)));
}

#[test]
fn outputs_that_failed_do_not_enter_a_mean() {
    // Only two outputs fit, so the record of the output that failed has held values before.
    for slots in [10, 3] {
        let history = create_filled(slots, 3);
        history.add_failed(span(30, 39));
        history.add(&[4.0], span(40, 49));
        let mut mean = [0.0];
        let (_, covered) =
            history.query(span(30, 99), 1, Wait::AtMost(Duration::ZERO), &mut mean).unwrap();
        assert_eq!((covered, mean), (Covered { outputs: 1, failed: 1, span: span(40, 49) }, [4.0]));
    }
    let history = create_filled(10, 3);
    history.add_failed(span(30, 39));
    history.add(&[4.0], span(40, 49));
    let mut mean = [0.0];
    let (coverage, covered) =
        history.query(span(20, 99), 1, Wait::AtMost(Duration::ZERO), &mut mean).unwrap();
    assert_eq!((coverage, mean), (Coverage::Complete, [3.0]));
    assert_eq!(covered, Covered { outputs: 2, failed: 1, span: span(20, 49) });
    assert_eq!(query(&history, 30, 39), Err(Status::Inference));
    assert_eq!(query(&history, 31, 39), Err(Status::Empty));
    let recent = history.mean_of_recent(2, 30, &mut mean);
    assert_eq!(recent, Some(Covered { outputs: 1, failed: 1, span: span(40, 49) }));
    history.add_failed(span(50, 59));
    assert_eq!(history.mean_of_recent(6, 10, &mut mean), None);
}

#[test]
fn a_clock_step_forgets_outputs_that_overlap() {
    let history = create_filled(10, 5);
    history.step_clock(50);
    assert_eq!(query(&history, 0, 100), Ok((Coverage::Complete, 2.0)));
    history.step_clock(49);
    assert_eq!(query(&history, 0, 100), Err(Status::Empty));
    history.add(&[9.0], span(49, 58));
    assert_eq!(query(&history, 0, 100), Ok((Coverage::Partial, 9.0)));
    assert_eq!(query(&history, 49, 100), Ok((Coverage::Complete, 9.0)));
    // The clock of a later acquisition starts again.
    history.add(&[7.0], span(0, 9));
    assert_eq!(query(&history, -5, 100), Ok((Coverage::Complete, 7.0)));
}

#[test]
fn the_recent_mean_is_limited_by_count_and_span() {
    let history = create_filled(20, 10);
    let covered = |outputs, span| Some(Covered { outputs, failed: 0, span });
    let mut mean = [0.0];
    assert_eq!(history.mean_of_recent(10, 30, &mut mean), covered(3, span(70, 99)));
    assert_eq!(mean, [8.0]);
    assert_eq!(history.mean_of_recent(2, 30, &mut mean), covered(2, span(80, 99)));
}

#[test]
fn a_query_that_lost_its_first_output_is_partial() {
    let history = create_filled(4, 4);
    let front = history.read_front().unwrap();
    let ask = |from| {
        let (mut memory, mut mean) = (QueryMemory::new(1).unwrap(), [0.0]);
        let found = history.read_mean(front, span(from, 39), &mut memory, &mut mean);
        found.map(|(is_whole, _)| (is_whole, mean[0]))
    };
    assert_eq!(ask(0), Ok((true, 1.5)));
    // The worker overwrites the first output after the query has read the front.
    for chunk in 4..6 {
        history.add(&[chunk as f32], span(chunk * 10, chunk * 10 + 9));
    }
    assert_eq!([ask(0), ask(9)], [Ok((false, 2.0)); 2]);
    assert_eq!(ask(10), Ok((true, 2.0)), "the interval begins with an output");
    assert_eq!(ask(11), Ok((true, 2.5)), "the output before the interval is kept");
}

#[test]
fn a_full_history_answers_while_outputs_are_overwritten() {
    let history = create_filled(4, 9);
    let front = history.read_front().unwrap();
    history.add(&[9.0], span(90, 99));
    history.add(&[10.0], span(100, 109));
    let (mut memory, mut mean) = (QueryMemory::new(1).unwrap(), [0.0]);
    let found = history.read_mean(front, span(75, 89), &mut memory, &mut mean);
    assert_eq!((found.map(|(is_whole, _)| is_whole), mean), (Ok(true), [8.0]));
}

#[test]
fn a_query_waits_for_outputs_after_a_clock_step() {
    let history = create_filled(10, 5);
    history.expect(89);
    assert_eq!(query(&history, 50, 60), Err(Status::Empty));
    assert_eq!(query(&history, 0, 60), Ok((Coverage::Complete, 2.0)));
    // No output overlaps the new times, so none is forgotten.
    history.step_clock(50);
    assert_eq!(query(&history, 0, 60), Ok((Coverage::Partial, 2.0)));
    assert_eq!(query(&history, 0, 49), Ok((Coverage::Complete, 2.0)));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut mean = [0.0];
            let wait = Wait::AtMost(Duration::MAX);
            let answer = history.query(span(50, 60), 1, wait, &mut mean);
            answer.map(|(coverage, _)| (coverage, mean[0]))
        });
        while history.changed.waiters() == 0 {
            std::thread::yield_now();
        }
        history.add(&[9.0], span(50, 59));
        history.expect(69);
        assert_eq!(asking.join().unwrap(), Ok((Coverage::Complete, 9.0)));
    });
}

#[test]
fn a_clock_that_restarts_later_makes_a_query_partial() {
    let history = create_filled(10, 1);
    history.expect(19);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut mean = [0.0];
            let wait = Wait::AtMost(Duration::MAX);
            let answer = history.query(span(0, 19), 1, wait, &mut mean);
            answer.map(|(coverage, _)| (coverage, mean[0]))
        });
        while history.changed.waiters() == 0 {
            std::thread::yield_now();
        }
        // The next acquisition forgets the output before the query can read it.
        history.begin(2);
        history.add(&[7.0], span(0, 9));
        history.expect(19);
        assert_eq!(asking.join().unwrap(), Ok((Coverage::Partial, 7.0)));
    });
}

#[test]
fn a_query_that_must_not_wait_fails_only_if_it_would() {
    let history = create_filled(4, 9);
    history.expect(99);
    let mut mean = [7.0];
    let mut ask = |from, to| {
        let answer = history.query(span(from, to), 1, Wait::Refused, &mut mean);
        (answer.map(|(coverage, _)| coverage), mean[0])
    };
    assert_eq!(ask(0, 99), (Err(Status::WrongThread), 7.0));
    assert_eq!(ask(95, 99), (Err(Status::WrongThread), 7.0));
    assert_eq!(ask(0, 9), (Err(Status::Empty), 7.0));
    assert_eq!(ask(0, 98), (Ok(Coverage::Partial), 6.5));
    assert_eq!(ask(60, 98), (Ok(Coverage::Complete), 7.0));
}

#[test]
fn skips_that_overlap_an_interval_are_reported() {
    let history = create_filled(4, 2);
    let has = |from, to| history.has_skipped(span(from, to));
    assert!(!has(0, 100));
    history.add_skip(span(20, 49));
    history.add(&[2.0], span(50, 59));
    assert_eq!([has(0, 19), has(0, 20), has(30, 35), has(49, 60)], [false, true, true, true]);
    assert!(!has(50, 60));
    for first in [60, 70, 80, 90, 100] {
        history.add_skip(span(first, first + 5));
    }
    // The first skip has been overwritten, so the history cannot exclude it.
    assert_eq!([has(66, 69), has(50, 55), has(106, 200)], [false, true, false]);
    assert_eq!(query(&history, 0, 100), Ok((Coverage::Complete, 1.0)), "outputs are not affected");
    history.step_clock(59);
    assert!(!has(0, 200), "the times before a clock step are forgotten");
    history.add(&[3.0], span(60, 69));
    history.add_skip(span(70, 79));
    assert!(has(75, 75));
    // A later acquisition, whose times start again, begins with a skip.
    history.add_skip(span(0, 9));
    assert_eq!([has(0, 9), has(70, 79)], [true, false]);
    assert_eq!(query(&history, 0, 100), Err(Status::Empty));
}

#[test]
fn the_size_in_bytes_is_what_is_allocated() {
    for (labels, span_ns, interval_ns) in [(1, 0, 1), (3, 1000, 10), (21, 60_000, 133)] {
        let (used, _history) = peak(|| History::new(labels, span_ns, interval_ns).unwrap());
        let size = History::memory_bytes(labels, span_ns, interval_ns);
        assert_eq!(used, size as isize, "{labels} labels, {span_ns} / {interval_ns}");
    }
}

#[test]
fn a_history_has_room_for_its_span_and_two_more_outputs() {
    let capacities = [(0, 10), (9, 10), (10, 10), (100, 10), (-100, 10), (3, 0)];
    assert_eq!(
        capacities.map(|(span, interval)| History::capacity(span, interval)),
        [2, 2, 3, 12, 2, 5]
    );
    let error = History::new((1 << 23) + 1, 0, 10).err().expect("too many values");
    assert_eq!(error.status(), Status::OutOfMemory);
    let message = "at most 16777216 values, got 2 outputs of 8388609 values";
    assert!(error.message().contains(message), "{error}");
    let error = History::new(1, i64::MAX, 1).err().expect("too many outputs");
    assert!(error.message().contains("at most 16777216 values"), "{error}");
}
