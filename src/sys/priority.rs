//! Locks that lend the priority of waiting threads to the thread that holds the lock.
//!
//! If a thread with a real-time priority waits for such a lock, the thread that holds the lock runs
//! with that priority until it releases the lock. A thread with a priority in between can therefore
//! not hold up the waiting thread.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A value in a lock that lends priority.
pub(crate) struct PriorityMutex<T> {
    lock: PriorityLock,
    value: UnsafeCell<T>,
}
// SAFETY: the lock ensures that only one thread at a time uses the value.
unsafe impl<T: Send> Sync for PriorityMutex<T> {}

/// Access to the value of a [`PriorityMutex`]. Dropping the guard releases the lock.
pub(crate) struct PriorityGuard<'a, T>(&'a PriorityMutex<T>);

impl<T> PriorityMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { lock: PriorityLock::new(), value: UnsafeCell::new(value) }
    }

    pub(crate) fn lock(&self) -> PriorityGuard<'_, T> {
        self.lock.acquire();
        PriorityGuard(self)
    }
}

impl<T> Deref for PriorityGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for PriorityGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for PriorityGuard<'_, T> {
    fn drop(&mut self) {
        self.0.lock.release();
    }
}

/// A lock without a value. The thread that acquires the lock must release it.
pub(crate) struct PriorityLock(platform::Lock);

impl PriorityLock {
    pub(crate) fn new() -> Self {
        Self(platform::Lock::new())
    }

    /// Acquires the lock.
    pub(crate) fn acquire(&self) {
        self.0.acquire();
    }

    /// Waits until the lock is free, at most about `timeout`, and lends the priority of the calling
    /// thread to the thread that holds the lock.
    pub(crate) fn wait_for(&self, timeout: Duration) {
        if self.0.acquire_for(timeout) {
            self.release();
        }
    }

    /// Releases the lock. Only the thread that holds the lock may call this function.
    pub(crate) fn release(&self) {
        self.0.release();
    }
}

/// A notification for threads that wait for a change of a value in a [`PriorityMutex`]. Neither
/// side holds a lock while it waits or notifies.
pub(crate) struct Notice(AtomicU32);

impl Notice {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Returns the number of notifications so far. A waiting thread reads it while it holds the
    /// mutex, before it releases the mutex and waits.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Waits until there have been more than `seen` notifications, or until the deadline. The
    /// function may also return earlier.
    pub(crate) fn wait(&self, seen: u32, deadline: Option<Instant>) {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        platform::wait(&self.0, seen, timeout);
    }

    /// Wakes all waiting threads.
    pub(crate) fn notify(&self) {
        self.0.fetch_add(1, SeqCst);
        platform::wake_all(&self.0);
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod platform {
    use std::cell::UnsafeCell;
    use std::mem::{MaybeUninit, transmute};
    use std::ptr::{null, null_mut};
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    /// The function `pthread_mutex_clocklock`.
    type ClockLock = unsafe extern "C" fn(
        *mut libc::pthread_mutex_t,
        libc::clockid_t,
        *const libc::timespec,
    ) -> libc::c_int;

    /// The function that waits for a lock until a time of the monotonic clock, which cannot be set;
    /// `None` if this system does not have it.
    static CLOCK_LOCK: OnceLock<Option<ClockLock>> = OnceLock::new();

    /// Looks up the function at run time, because a program that was linked with the symbol would
    /// not start with glibc before 2.30.
    fn find_clock_lock() -> Option<ClockLock> {
        // Linux before 5.14 does not know the operation. If it does, it fails because the address
        // is not valid.
        // SAFETY: the kernel checks the address and writes nothing.
        let result = unsafe {
            let (address, timeout) = (null_mut::<u32>(), null::<libc::timespec>());
            libc::syscall(libc::SYS_futex, address, libc::FUTEX_LOCK_PI2, 0, timeout)
        };
        let error = std::io::Error::last_os_error().raw_os_error();
        if result == 0 || error == Some(libc::ENOSYS) {
            return None;
        }
        // SAFETY: the name is a C string.
        let symbol =
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"pthread_mutex_clocklock".as_ptr()) };
        // SAFETY: the symbol is NULL, which becomes `None`, or the function of this type.
        unsafe { transmute::<*mut libc::c_void, Option<ClockLock>>(symbol) }
    }

    /// Returns the time of the clock that comes `timeout` after now.
    fn find_deadline(clock: libc::clockid_t, timeout: Duration) -> libc::timespec {
        let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `until` is writable memory for the result.
        unsafe { libc::clock_gettime(clock, &raw mut until) };
        let nanoseconds = until.tv_nsec + i64::from(timeout.subsec_nanos());
        until.tv_sec += timeout.as_secs().cast_signed() + nanoseconds / 1_000_000_000;
        until.tv_nsec = nanoseconds % 1_000_000_000;
        until
    }

    /// A mutex of the C library. It must not move, so it has its own allocation.
    pub(super) struct Lock(Box<UnsafeCell<libc::pthread_mutex_t>>);
    // SAFETY: the C library allows all operations on all threads.
    unsafe impl Send for Lock {}
    // SAFETY: as above.
    unsafe impl Sync for Lock {}

    impl Lock {
        pub(super) fn new() -> Self {
            CLOCK_LOCK.get_or_init(find_clock_lock);
            let lock = Self(Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)));
            let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
            let at = attributes.as_mut_ptr();
            // SAFETY: the attributes are initialized before they are used, and the mutex is not in
            // use yet. A system without priority inheritance refuses the protocol; the mutex is
            // then an ordinary one.
            unsafe {
                libc::pthread_mutexattr_init(at);
                libc::pthread_mutexattr_setprotocol(at, libc::PTHREAD_PRIO_INHERIT);
                libc::pthread_mutex_init(lock.0.get(), at);
                libc::pthread_mutexattr_destroy(at);
            }
            lock
        }

        pub(super) fn acquire(&self) {
            // SAFETY: the mutex is initialized and does not move.
            let error = unsafe { libc::pthread_mutex_lock(self.0.get()) };
            debug_assert_eq!(error, 0, "the lock cannot be acquired");
        }

        /// Returns whether the lock was acquired before the timeout.
        pub(super) fn acquire_for(&self, timeout: Duration) -> bool {
            if let Some(Some(lock_until)) = CLOCK_LOCK.get() {
                let until = find_deadline(libc::CLOCK_MONOTONIC, timeout);
                // SAFETY: the mutex is initialized and does not move, and `until` is a valid time.
                match unsafe { lock_until(self.0.get(), libc::CLOCK_MONOTONIC, &raw const until) } {
                    0 => return true,
                    libc::ETIMEDOUT => return false,
                    // glibc before 2.35 refuses the monotonic clock for locks that lend priority.
                    _ => {}
                }
            }
            // If the wall clock is set, this call returns early or late, but not later than the
            // release of the lock.
            let until = find_deadline(libc::CLOCK_REALTIME, timeout);
            // SAFETY: the mutex is initialized and does not move, and `until` is a valid time.
            unsafe { libc::pthread_mutex_timedlock(self.0.get(), &raw const until) == 0 }
        }

        pub(super) fn release(&self) {
            // SAFETY: the mutex is initialized and does not move.
            let error = unsafe { libc::pthread_mutex_unlock(self.0.get()) };
            debug_assert_eq!(error, 0, "the lock is released by another thread");
        }
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            // SAFETY: nothing uses the mutex any more. In a child process, a thread of the parent
            // may have held it; the call then returns an error.
            unsafe { libc::pthread_mutex_destroy(self.0.get()) };
        }
    }

    pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let until = timeout.as_ref().map_or(null(), std::ptr::from_ref);
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word and the timeout outlive the call.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, until) };
    }

    pub(super) fn wake_all(word: &AtomicU32) {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word outlives the call.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
    }
}

/// Systems without these functions use ordinary locks, which do not lend priority. Miri is one of
/// them.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod platform {
    use parking_lot::{Condvar, Mutex};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    pub(super) struct Lock {
        is_held: Mutex<bool>,
        released: Condvar,
    }

    impl Lock {
        pub(super) fn new() -> Self {
            Self { is_held: Mutex::new(false), released: Condvar::new() }
        }

        pub(super) fn acquire(&self) {
            let mut is_held = self.is_held.lock();
            self.released.wait_while(&mut is_held, |is_held| *is_held);
            *is_held = true;
        }

        pub(super) fn acquire_for(&self, timeout: Duration) -> bool {
            let mut is_held = self.is_held.lock();
            let until = Instant::now() + timeout;
            while *is_held {
                if self.released.wait_until(&mut is_held, until).timed_out() {
                    return false;
                }
            }
            *is_held = true;
            true
        }

        pub(super) fn release(&self) {
            *self.is_held.lock() = false;
            self.released.notify_all();
        }
    }

    static WAITING: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();

    pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let mut waiting = WAITING.lock();
        if word.load(SeqCst) == expected {
            CHANGED.wait_for(&mut waiting, timeout.unwrap_or(Duration::from_secs(1)));
        }
    }

    pub(super) fn wake_all(_: &AtomicU32) {
        drop(WAITING.lock());
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn only_one_thread_at_a_time_holds_the_lock() {
        let total = PriorityMutex::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *total.lock() += 1));
            }
        });
        assert_eq!(*total.lock(), 40_000);
    }

    #[test]
    fn waiting_for_a_lock_ends_at_the_release_or_the_timeout() {
        let lock = Arc::new(PriorityLock::new());
        lock.acquire();
        let start = Instant::now();
        let other = Arc::clone(&lock);
        let waits = move || other.wait_for(Duration::from_millis(20));
        std::thread::spawn(waits).join().unwrap();
        assert!(start.elapsed() >= Duration::from_millis(15));
        let other = Arc::clone(&lock);
        let waiting = std::thread::spawn(move || other.wait_for(Duration::from_secs(60)));
        lock.release();
        waiting.join().unwrap();
        lock.acquire();
        lock.release();
    }

    #[test]
    fn a_notice_wakes_waiting_threads_and_misses_none() {
        let notice = Notice::new();
        let seen = notice.count();
        notice.wait(seen, Instant::now().checked_add(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while notice.count() == seen {
                    notice.wait(seen, None)
                }
            });
            notice.notify();
        });
        notice.wait(seen, None);
    }
}
