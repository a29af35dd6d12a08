//! The time that durations are measured with.

use std::time::Instant;

/// Now. In tests, on a thread that has called `pass`, the time that it let pass, and no other.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(virtual_now) = STANDING.get() {
        return virtual_now;
    }
    Instant::now()
}

#[cfg(test)]
thread_local! {
    static STANDING: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Stops the clock of this thread and lets time pass on it without waiting for it.
#[cfg(test)]
pub(crate) fn pass(time: std::time::Duration) {
    STANDING.set(Some(now() + time));
}
