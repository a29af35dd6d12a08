//! Tests of exact queries during which the host's clock steps or starts again.

use super::network::{CHUNK, DARK, INTERVAL_NS, Network, config, push};
use crate::error::{Result, Status};
use crate::stream::Stream;
use crate::stream::acquirer::Acquirer;
use crate::stream::config::{Drive, StreamConfig};
use crate::stream::driver::Driver;
use crate::stream::history::Coverage;
use crate::stream::reader::Reader;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::{scope, yield_now};
use std::time::Duration;

const NEVER: Duration = Duration::MAX;

fn host_driven() -> StreamConfig {
    StreamConfig { drive: Drive::Host, exact_history_ns: 1_000_000_000, ..config() }
}

type Handles = (Acquirer, Driver);

fn process_all(driver: &mut Driver) {
    while driver.process().is_ok() {}
}

/// Returns the coverage of an exact query and the number of its chunks.
fn query(reader: &Reader, first: i64, last: i64) -> Result<(Coverage, u32), Status> {
    let (from, to) = (first * INTERVAL_NS, last * INTERVAL_NS);
    let answer = reader.query_exact(from, to, NEVER, &mut []);
    answer.map(|answer| (answer.coverage, answer.result.chunks))
}

/// Acquires samples 0 to 15 and queries samples 0 to `last`. `disturb` is called in the second of
/// the four runs of the query.
fn query_disturbed(
    last: i64,
    disturb: impl Fn(&mut Handles) + Send + Sync + 'static,
) -> Result<(Coverage, u32), Status> {
    let handles = Arc::new(Mutex::new(None));
    let (shared, runs) = (Arc::clone(&handles), Mutex::new(0));
    let during = move || {
        // The mutex is locked if the run is one of `disturb`.
        let Some(mut handles) = shared.try_lock() else { return Ok(()) };
        let Some(handles) = handles.as_mut() else { return Ok(()) };
        *runs.lock() += 1;
        if *runs.lock() == 2 {
            disturb(handles);
        }
        Ok(())
    };
    let engine = Network { during: Some(Box::new(during)), ..Network::default() }.engine();
    let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &host_driven()).unwrap();
    let mut driver = driver.unwrap();
    acquirer.begin().unwrap();
    for sample in 0..4 * CHUNK as i64 {
        assert_eq!(push(&mut acquirer, sample, DARK), Ok(()));
    }
    process_all(&mut driver);
    *handles.lock() = Some((acquirer, driver));
    let answer = query(&reader, 0, last);
    // The stream keeps the network, and the network keeps the handles until they are taken.
    let handles = handles.lock().take();
    drop(handles);
    answer
}

/// Steps the clock back, so that sample 9 is the first on the new clock. The network does not run.
fn step_clock((acquirer, driver): &mut Handles) {
    let accepted = (5..10).filter(|&sample| push(acquirer, sample, DARK).is_ok()).count();
    assert_eq!(accepted, 1);
    process_all(driver);
}

/// Ends the acquisition and begins the next one, whose times start again.
fn begin_again((acquirer, driver): &mut Handles) {
    acquirer.end().unwrap();
    acquirer.begin().unwrap();
    assert_eq!(push(acquirer, 0, DARK), Ok(()));
    process_all(driver);
}

#[test]
fn a_clock_step_during_an_exact_query_makes_it_partial() {
    assert_eq!(query_disturbed(15, |_| ()), Ok((Coverage::Complete, 4)));
    assert_eq!(query_disturbed(15, step_clock), Ok((Coverage::Partial, 4)));
}

#[test]
fn a_later_acquisition_does_not_make_a_query_partial() {
    // Nothing of the interval was still to come when the query began.
    assert_eq!(query_disturbed(15, begin_again), Ok((Coverage::Complete, 4)));
    assert_eq!(query_disturbed(20, begin_again), Ok((Coverage::Partial, 4)));
}

#[test]
fn an_exact_query_waits_for_samples_on_a_new_clock() {
    let engine = Network::default().engine();
    for restarts in [false, true] {
        let frame_period_ns = if restarts { INTERVAL_NS } else { 0 };
        let settings = StreamConfig { frame_period_ns, ..host_driven() };
        let Stream { mut acquirer, driver, reader } = Stream::open(&engine, &settings).unwrap();
        let mut driver = driver.unwrap();
        acquirer.begin().unwrap();
        for sample in 0..2 * CHUNK as i64 {
            assert_eq!(push(&mut acquirer, sample, DARK), Ok(()));
        }
        if restarts {
            acquirer.end().unwrap();
            acquirer.begin().unwrap();
        }
        process_all(&mut driver);
        scope(|scope| {
            let asking = scope.spawn(|| query(&reader, 20, 23));
            while reader.exact_waiters() == 0 {
                yield_now();
            }
            // Either the clock steps back, and sample 5 is the first on the new clock, or the new
            // acquisition begins with sample 0.
            for sample in 1..30 {
                let is_refused = !restarts && sample < 5;
                assert_eq!(push(&mut acquirer, sample, DARK).is_err(), is_refused, "{sample}");
                process_all(&mut driver);
            }
            assert_eq!(asking.join().unwrap(), Ok((Coverage::Complete, 1)), "{restarts}");
        });
    }
}
