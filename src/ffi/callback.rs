//! Callbacks for results that are in progress on the current thread.
//!
//! A callback runs on the thread that produces the results of its stream. If the callback waited
//! for a further result of that stream, the thread would wait for itself.

use crate::error::{Error, Status};
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Identifier of a stream. It is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId(u64);

impl StreamId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// A callback in progress. The callbacks of a thread form a list, because a callback can run the
/// worker of another stream, which calls the callback of that stream.
struct Entry {
    stream: StreamId,
    outer: *const Entry,
}

thread_local! {
    // The value has no destructor, so it can be used in destructors of the host.
    static INNERMOST: Cell<*const Entry> = const { Cell::new(null()) };
}

/// Restores the list when a callback returns.
struct Restore(*const Entry);

impl Drop for Restore {
    fn drop(&mut self) {
        INNERMOST.set(self.0);
    }
}

/// Calls the host's callback for a result of `stream`.
pub(super) fn run_callback(stream: StreamId, call: impl FnOnce()) {
    let outer = INNERMOST.get();
    let entry = Entry { stream, outer };
    let _restore = Restore(outer);
    INNERMOST.set(&raw const entry);
    call();
}

/// Returns whether the current thread is in a callback of `stream`.
pub(super) fn is_in_callback(stream: StreamId) -> bool {
    let mut next = INNERMOST.get();
    // SAFETY: each pointer is NULL or refers to an entry of `run_callback` further up the stack of
    // this thread, which removes its entry from the list before it returns.
    while let Some(entry) = unsafe { next.as_ref() } {
        if entry.stream == stream {
            return true;
        }
        next = entry.outer;
    }
    false
}

/// Returns the error for a call that would wait for the callback that makes it.
pub(super) fn waits_for_itself(advice: &str) -> Error {
    let message = format!(
        "the call would wait for the callback on_result that makes it, because the thread of the \
         callback produces the results of the stream; {advice}"
    );
    Error::new(Status::WrongThread, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_callbacks_are_known_until_they_return() {
        let (a, b, c) = (StreamId::new(), StreamId::new(), StreamId::new());
        let known = || [a, b, c].map(is_in_callback);
        run_callback(a, || {
            assert_eq!(known(), [true, false, false]);
            run_callback(b, || assert_eq!(known(), [true, true, false]));
            assert_eq!(known(), [true, false, false]);
        });
        assert_eq!(known(), [false; 3]);
        assert!(!std::thread::spawn(move || is_in_callback(a)).join().unwrap());
    }
}
