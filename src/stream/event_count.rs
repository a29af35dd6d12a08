//! An event count, with which threads wait for a change that the worker makes.
//!
//! A waiting thread reads the count, checks the state that it waits for, and sleeps only if the
//! count is still the same. The worker changes the state first and then the count. No lock is
//! involved, so a waiting thread cannot hold up the worker, whatever the priorities are.

use super::sync::{AtomicBool, AtomicU32, Ordering, fence};
use std::time::Instant;

/// A count of events, and the threads that wait for the next event.
pub(super) struct EventCount {
    /// Number of events so far, modulo 2^32. A waiting thread would miss exactly 2^32 events that
    /// occur between its check and its sleep, which takes years at the rate of a stream.
    count: AtomicU32,
    /// Number of threads that sleep or are about to sleep.
    waiters: AtomicU32,
    is_closed: AtomicBool,
    #[cfg(loom)]
    futex: LoomFutex,
}

impl EventCount {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            is_closed: AtomicBool::new(false),
            #[cfg(loom)]
            futex: LoomFutex::new(),
        }
    }

    /// Returns the current count. Read it before the state that [`Self::wait`] waits for.
    pub(super) fn current(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Returns whether no further event will occur. Like the count, this must be read before the
    /// state, so that the last change of the state is not missed.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Counts an event and wakes all waiting threads. Makes no system call if no thread waits.
    pub(super) fn advance(&self) {
        self.count.fetch_add(1, Ordering::Release);
        // This fence pairs with the fence in `wait`: either this thread sees the waiting thread, or
        // the waiting thread sees the new count.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.wake_all();
        }
    }

    /// Announces that no further event will occur, and wakes all waiting threads.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.advance();
    }

    /// Sleeps until the count differs from `seen` or the deadline passes. The function can also
    /// return early, so the caller must check the state again.
    pub(super) fn wait(&self, seen: u32, deadline: Option<Instant>) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == seen {
            self.sleep(seen, deadline);
        }
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of threads that sleep or are about to sleep.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiters(&self) -> u32 {
        self.waiters.load(Ordering::Relaxed)
    }

    #[cfg(not(loom))]
    fn sleep(&self, seen: u32, deadline: Option<Instant>) {
        crate::sys::futex::wait(&self.count, seen, deadline);
    }

    #[cfg(not(loom))]
    fn wake_all(&self) {
        crate::sys::futex::wake_all(&self.count);
    }

    #[cfg(loom)]
    fn sleep(&self, seen: u32, _: Option<Instant>) {
        self.futex.wait(&self.count, seen);
    }

    #[cfg(loom)]
    fn wake_all(&self) {
        self.futex.wake_all();
    }
}

/// The kernel's part of a futex, for loom. Like the kernel, it compares the word and falls asleep
/// under a lock that the waking thread takes, too.
#[cfg(loom)]
struct LoomFutex {
    lock: super::sync::Mutex<()>,
    changed: super::sync::Condvar,
}

#[cfg(loom)]
impl LoomFutex {
    fn new() -> Self {
        Self { lock: super::sync::Mutex::new(()), changed: super::sync::Condvar::new() }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        let Ok(guard) = self.lock.lock() else { return };
        if word.load(Ordering::Relaxed) == expected {
            drop(self.changed.wait(guard));
        }
    }

    fn wake_all(&self) {
        drop(self.lock.lock());
        self.changed.notify_all();
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::sync::AtomicU64;
    use super::*;

    #[test]
    fn no_wakeup_is_lost_in_any_interleaving() {
        loom::model(|| {
            let shared = loom::sync::Arc::new((EventCount::new(), AtomicU64::new(0)));
            let worker = shared.clone();
            let thread = loom::thread::spawn(move || {
                worker.1.store(1, Ordering::Relaxed);
                worker.0.advance();
            });
            let (events, state) = &*shared;
            loop {
                let seen = events.current();
                if state.load(Ordering::Relaxed) == 1 {
                    break;
                }
                // If the wake-up were lost, loom would report a deadlock here.
                events.wait(seen, None);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn closing_ends_a_wait_in_every_interleaving() {
        loom::model(|| {
            let shared = loom::sync::Arc::new(EventCount::new());
            let closing = shared.clone();
            let thread = loom::thread::spawn(move || closing.close());
            loop {
                let seen = shared.current();
                if shared.is_closed() {
                    break;
                }
                shared.wait(seen, None);
            }
            thread.join().unwrap();
        });
    }
}
