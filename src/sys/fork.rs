//! Detection of `fork`, after which the handles of the parent process cannot be used in the child.

use crate::error::{Error, Result, Status};
use parking_lot::Mutex;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Number of calls of `fork` between the process that loaded the library and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A handler that is registered only once, even if earlier attempts failed.
struct Registration {
    is_done: Mutex<bool>,
}

impl Registration {
    const fn new() -> Self {
        Self { is_done: Mutex::new(false) }
    }

    /// Calls `register`, which returns an error number or 0, unless an earlier call succeeded.
    fn complete(&self, register: impl FnOnce() -> i32) -> Result<()> {
        let mut is_done = self.is_done.lock();
        if *is_done {
            return Ok(());
        }
        let error = register();
        if error != 0 {
            let error = std::io::Error::from_raw_os_error(error);
            let message = format!("a handler for fork cannot be registered: {error}");
            return Err(Error::new(Status::OutOfMemory, message));
        }
        *is_done = true;
        Ok(())
    }
}

/// Makes sure that calls of `fork` are counted. Every handle belongs to an engine, so only the
/// creation of an engine calls this function.
///
/// # Errors
/// Returns [`Status::OutOfMemory`] if the system cannot register a handler. A later call tries
/// again.
pub(crate) fn count_forks() -> Result<()> {
    extern "C" fn count_fork() {
        FORKS.fetch_add(1, Relaxed);
    }
    static REGISTRATION: Registration = Registration::new();
    // SAFETY: the handler only adds to an atomic number, which is allowed in a child process.
    REGISTRATION.complete(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) })
}

/// The process that created a handle.
///
/// A child process has none of the threads of its parent, and a lock that another thread held at
/// the time of `fork` is never released. In the child, the library therefore takes no lock of an
/// inherited handle and waits for none of its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Creator(u32);

impl Creator {
    /// Returns the calling process.
    pub(crate) fn this_process() -> Self {
        Self(FORKS.load(Relaxed))
    }

    /// Returns whether a child process inherited the handle with `fork`. The call makes no system
    /// call.
    pub(crate) fn is_other_process(self) -> bool {
        FORKS.load(Relaxed) != self.0
    }
}

/// A value that only the process that created it drops. A child process that inherited the value
/// leaves it as it is, because dropping it would wait for threads that do not exist there.
pub(crate) struct CreatorOwned<T> {
    value: ManuallyDrop<T>,
    creator: Creator,
}

impl<T> CreatorOwned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), creator: Creator::this_process() }
    }

    /// Returns the process that created the value.
    pub(crate) fn creator(&self) -> Creator {
        self.creator
    }
}

impl<T> Deref for CreatorOwned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for CreatorOwned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for CreatorOwned<T> {
    fn drop(&mut self) {
        if !self.creator.is_other_process() {
            // SAFETY: the value is not used after this call.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_registration_is_reported_and_repeated_once() {
        let registration = Registration::new();
        let error = registration.complete(|| libc::ENOMEM).unwrap_err();
        assert_eq!(error.status(), Status::OutOfMemory);
        assert!(error.message().starts_with("a handler for fork"), "{error}");
        assert_eq!(registration.complete(|| 0), Ok(()));
        assert_eq!(registration.complete(|| panic!("registered twice")), Ok(()));
    }
}
