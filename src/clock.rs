//! The clock for measuring durations.

use std::time::Instant;

/// Returns the current time. In tests, once a thread has called `advance`, that thread's clock
/// moves only when the thread calls `advance` again.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(test_time) = TEST_TIME.get() {
        return test_time;
    }
    Instant::now()
}

#[cfg(test)]
thread_local! {
    static TEST_TIME: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Stops the calling thread's clock, if the clock is still running, and advances it by `time`.
#[cfg(test)]
pub(crate) fn advance(time: std::time::Duration) {
    TEST_TIME.set(Some(now() + time));
}

/// Returns the number of nanoseconds from `from` to `to`, at most `i64::MAX`, or 0 if `to` is
/// earlier.
pub(crate) fn elapsed_ns(from: Instant, to: Instant) -> i64 {
    i64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(i64::MAX)
}
