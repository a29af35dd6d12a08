//! Comparison of two functions that do the same thing. Calls of the two functions alternate, so
//! machine noise affects both.
//!
//! Criterion runs both functions and reports their times. The ratios are computed from all calls in
//! the run. If `TTEVIEW_BENCH_TABLE` names a file, each row is appended to that file for
//! `cargo xtask bench`.

#![allow(dead_code, reason = "not every bench has something to compare with")]

use criterion::Criterion;
use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Times of all calls in a run, in nanoseconds.
type Calls = Vec<f64>;

/// A function that makes one call and returns its time. It may also do setup work that is not
/// timed.
pub(crate) type Timed<'a> = &'a mut dyn FnMut() -> Duration;

/// Returns the settings that all benchmarks use.
pub(crate) fn create_criterion() -> Criterion {
    let criterion = Criterion::default().sample_size(30);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1))
}

/// Measures the time of a call.
pub(crate) fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(call());
    start.elapsed()
}

/// Compares `ours` with `other`. `each` is the number of operations in one call, and `at_most` is
/// the limit for the ratio of the medians.
pub(crate) fn compare(
    criterion: &mut Criterion,
    what: &str,
    each: u32,
    ours: Timed<'_>,
    (name, other): (&str, Timed<'_>),
    at_most: Option<f64>,
) {
    let sides = RefCell::new((ours, other));
    let calls = RefCell::new((Calls::new(), Calls::new()));
    let mut group = criterion.benchmark_group(what);
    for side in ["tteview", name] {
        group.bench_function(side, |bencher| {
            bencher.iter_custom(|iterations| {
                let (ours, other) = &mut *sides.borrow_mut();
                let (our_calls, other_calls) = &mut *calls.borrow_mut();
                let (mut our_time, mut other_time) = (Duration::ZERO, Duration::ZERO);
                for iteration in 0..iterations {
                    // The order of the two calls alternates, because the first call changes the
                    // content of the caches for the second one.
                    let (a, b) = if iteration % 2 == 0 {
                        let a = ours();
                        (a, other())
                    } else {
                        let b = other();
                        (ours(), b)
                    };
                    our_time += a;
                    other_time += b;
                    our_calls.push(a.as_nanos() as f64 / f64::from(each));
                    other_calls.push(b.as_nanos() as f64 / f64::from(each));
                }
                (if side == "tteview" { our_time } else { other_time }) / each
            });
        });
    }
    group.finish();
    let (mut ours, mut other) = calls.into_inner();
    if ours.is_empty() {
        return; // The benchmark was not selected on the command line.
    }
    let (ours, other) = (Spread::new(&mut ours), Spread::new(&mut other));
    let bar = at_most.map_or_else(|| "-".into(), |bar| format!("{bar}"));
    print_row(&format!(
        "{what}\t{name}\t{ours}\t{other}\t{:.3}\t{:.3}\t{bar}",
        ours.median / other.median,
        ours.p99 / other.p99
    ));
}

/// Measures `ours` without comparing it with another function.
pub(crate) fn measure(criterion: &mut Criterion, what: &str, each: u32, ours: Timed<'_>) {
    let mut calls = Calls::new();
    criterion.bench_function(what, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let time = ours();
                total += time;
                calls.push(time.as_nanos() as f64 / f64::from(each));
            }
            total / each
        });
    });
    if !calls.is_empty() {
        print_row(&format!("{what}\t-\t{}\t-\t-\t-\t-\t-\t-", Spread::new(&mut calls)));
    }
}

/// Median and high percentiles of the times of the calls in a run, in nanoseconds.
struct Spread {
    median: f64,
    p99: f64,
    p999: f64,
}

impl Spread {
    fn new(calls: &mut Calls) -> Self {
        calls.sort_by(f64::total_cmp);
        // The result is NaN if there are too few calls for this percentile.
        let at = |share: f64| {
            let beyond = (calls.len() as f64 * (1.0 - share)) as usize;
            if beyond == 0 { f64::NAN } else { calls[calls.len() - 1 - beyond] }
        };
        Self { median: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}\t{:.1}\t{:.1}", self.median, self.p99, self.p999)
    }
}

fn print_row(text: &str) {
    println!("ratio: {}", text.replace('\t', " | "));
    if let Some(path) = std::env::var_os("TTEVIEW_BENCH_TABLE") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the table");
        writeln!(file, "{text}").expect("the table");
    }
}
