//! The time that durations are measured with.

use std::time::Instant;

/// Now; in tests later by what [`pass`] let pass on this thread.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    {
        Instant::now() + PASSED.get()
    }
    #[cfg(not(test))]
    {
        Instant::now()
    }
}

#[cfg(test)]
thread_local! {
    static PASSED: std::cell::Cell<std::time::Duration> = const { std::cell::Cell::new(std::time::Duration::ZERO) };
}

/// Lets time pass on this thread without waiting for it.
#[cfg(test)]
pub(crate) fn pass(time: std::time::Duration) {
    PASSED.set(PASSED.get() + time);
}
