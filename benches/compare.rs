//! Measurement of one function, and comparison of two functions that do the same thing. Calls of
//! the two functions alternate, so machine noise affects both.
//!
//! Criterion runs the functions and reports their times. The percentiles and the ratios are
//! computed from all calls in the run, including those of the warm-up. If `TTEVIEW_BENCH_TABLE`
//! names a file, each row is appended to that file for `cargo xtask bench`.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, PlottingBackend, SamplingMode};
use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// A function that makes one call and returns its time. It may also do work that is not timed.
pub(crate) type Timed<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// A group of benches.
pub(crate) type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Name of the bench of the library in a comparison.
const OURS: &str = "tteview";

/// Returns the settings that all benches use, changed by the options on the command line.
pub(crate) fn create_criterion() -> Criterion {
    let mut criterion = Criterion::default()
        .plotting_backend(PlottingBackend::Plotters)
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    if std::env::var_os("CARGO").is_none() && std::env::var_os("CRITERION_HOME").is_none() {
        criterion = criterion.output_directory(std::path::Path::new("tteview-bench-report"));
    }
    criterion.configure_from_args()
}

/// Lets a group make as few calls as criterion permits, because each call takes long.
pub(crate) fn make_few_calls(group: &mut Group<'_>) {
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
}

/// Measures the time of a call.
pub(crate) fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(call());
    start.elapsed()
}

/// One bench of a group.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    /// Name of the group, which begins the row of the table.
    pub(crate) group: &'a str,
    pub(crate) name: &'a str,
    /// Number of operations in one call.
    pub(crate) each: u32,
}

/// Compares a function of the library with `other`. `create` runs only if a bench is selected, and
/// returns first the library's function. `limit` is the limit for the ratio of the medians.
pub(crate) fn compare<'a>(
    group: &mut Group<'_>,
    bench: Bench<'_>,
    other: &str,
    limit: Option<f64>,
    create: impl Fn() -> (Timed<'a>, Timed<'a>),
) {
    let sides = RefCell::new(None);
    let calls = RefCell::new((Calls::default(), Calls::default()));
    for side in [OURS, other] {
        group.bench_function(BenchmarkId::new(side, bench.name), |bencher| {
            let mut sides = sides.borrow_mut();
            let (ours, other) = sides.get_or_insert_with(&create);
            let (our_calls, other_calls) = &mut *calls.borrow_mut();
            bencher.iter_custom(|iterations| {
                let (mut our_time, mut other_time) = (Duration::ZERO, Duration::ZERO);
                for iteration in 0..iterations {
                    // The order of the two calls alternates, because the first call changes the
                    // content of the caches for the second one.
                    if iteration % 2 == 0 {
                        our_time += our_calls.add(ours(), bench.each);
                        other_time += other_calls.add(other(), bench.each);
                    } else {
                        other_time += other_calls.add(other(), bench.each);
                        our_time += our_calls.add(ours(), bench.each);
                    }
                }
                (if side == OURS { our_time } else { other_time }) / bench.each
            });
        });
    }
    let (ours, theirs) = calls.into_inner();
    let Some((ours, theirs)) = ours.spread().zip(theirs.spread()) else { return };
    let (ratio, p99_ratio) = (ours.median / theirs.median, ours.p99 / theirs.p99);
    let limit = limit.map_or_else(|| "-".into(), |limit| limit.to_string());
    print_row(bench, &format!("{other}\t{ours}\t{theirs}\t{ratio:.3}\t{p99_ratio:.3}\t{limit}"));
}

/// Measures a function of the library. `create` runs only if the bench is selected.
pub(crate) fn measure<'a>(group: &mut Group<'_>, bench: Bench<'_>, create: impl Fn() -> Timed<'a>) {
    let mut side = None;
    let mut calls = Calls::default();
    group.bench_function(bench.name, |bencher| {
        let side = side.get_or_insert_with(&create);
        bencher.iter_custom(|iterations| {
            let total: Duration = (0..iterations).map(|_| calls.add(side(), bench.each)).sum();
            total / bench.each
        });
    });
    if let Some(spread) = calls.spread() {
        print_row(bench, &format!("-\t{spread}\t-\t-\t-\t-\t-\t-"));
    }
}

/// Times of all calls in a run, in nanoseconds for one operation.
#[derive(Default)]
struct Calls(Vec<f64>);

impl Calls {
    fn add(&mut self, time: Duration, each: u32) -> Duration {
        self.0.push(time.as_nanos() as f64 / f64::from(each));
        time
    }

    /// Returns the percentiles, or `None` if there were no calls because the bench was not
    /// selected.
    fn spread(mut self) -> Option<Spread> {
        let calls = &mut self.0;
        calls.sort_by(f64::total_cmp);
        // The result is NaN if there are too few calls for this percentile.
        let at = |share: f64| {
            let beyond = (calls.len() as f64 * (1.0 - share)) as usize;
            if beyond == 0 { f64::NAN } else { calls[calls.len() - 1 - beyond] }
        };
        let median = *calls.get(calls.len() / 2)?;
        Some(Spread { median, p99: at(0.99), p999: at(0.999) })
    }
}

/// Median and high percentiles of the times of the calls in a run, in nanoseconds.
struct Spread {
    median: f64,
    p99: f64,
    p999: f64,
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}\t{:.1}\t{:.1}", self.median, self.p99, self.p999)
    }
}

/// Prints a row of the table: the bench, the name of the other side, the three times of the library
/// and of the other side, the ratios of the medians and of the p99, and the limit.
fn print_row(bench: Bench<'_>, values: &str) {
    let row = format!("{} {}\t{}", bench.group, bench.name, values);
    println!("row: {}", row.replace('\t', " | "));
    if let Some(path) = std::env::var_os("TTEVIEW_BENCH_TABLE") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the table");
        writeln!(file, "{row}").expect("the table");
    }
}
