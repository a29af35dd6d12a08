//! Sleeping until a word in memory changes.
//!
//! On Linux, a thread sleeps in the futex of the word, which belongs to no lock: a sleeping or
//! preempted thread never holds up the thread that wakes it. Other systems use one lock and one
//! condition variable for the whole process.

use std::sync::atomic::AtomicU32;
use std::time::Instant;

#[cfg(target_os = "linux")]
#[cfg_attr(loom, allow(unused_imports, reason = "loom has its own waits"))]
pub(crate) use linux::{wait, wake_all};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{wait, wake_all};

#[cfg(target_os = "linux")]
mod linux {
    use super::{AtomicU32, Instant};

    /// Sleeps if `word` has the value `expected`, until [`wake_all`] is called or the deadline
    /// passes. The function can also return early, for example after a signal.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word outlives the call, and the timeout is NULL or points to a timespec that
        // also outlives the call. The kernel only reads both.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, timeout) };
    }

    /// Wakes every thread that sleeps in [`wait`] on `word`.
    pub(crate) fn wake_all(word: &AtomicU32) {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the kernel uses the address only to find the threads that sleep on it.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
    }
}

#[cfg(any(not(target_os = "linux"), test))]
mod portable {
    use super::{AtomicU32, Instant};
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::{Condvar, Mutex, PoisonError};

    static LOCK: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();

    /// Does the same as the function for Linux.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
        let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        if word.load(SeqCst) != expected {
            return;
        }
        match deadline {
            None => drop(CHANGED.wait(guard)),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                drop(CHANGED.wait_timeout(guard, left));
            }
        }
    }

    /// Does the same as the function for Linux.
    pub(crate) fn wake_all(_: &AtomicU32) {
        drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
        CHANGED.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;

    type Wait = fn(&AtomicU32, u32, Option<Instant>);
    type Wake = fn(&AtomicU32);

    const IMPLEMENTATIONS: [(Wait, Wake); 2] =
        [(wait, wake_all), (portable::wait, portable::wake_all)];

    #[test]
    fn a_wait_ends_when_the_word_changes() {
        for (wait, wake_all) in IMPLEMENTATIONS {
            let word = AtomicU32::new(7);
            wait(&word, 6, None);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    while word.load(SeqCst) == 7 {
                        wait(&word, 7, None);
                    }
                });
                word.store(8, SeqCst);
                wake_all(&word);
                waiting.join().unwrap();
            });
        }
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        for (wait, _) in IMPLEMENTATIONS {
            let word = AtomicU32::new(0);
            let deadline = Instant::now() + Duration::from_millis(20);
            while Instant::now() < deadline {
                wait(&word, 0, Some(deadline));
            }
            wait(&word, 0, Some(deadline));
        }
    }
}
