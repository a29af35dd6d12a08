//! An event descriptor, readable when a result is new.

use crate::{Error, Result, Status};

/// An eventfd, non-blocking and closed on exec.
pub(super) struct Event(i32);

impl Event {
    /// `None` where the system has no eventfd.
    #[cfg(target_os = "linux")]
    pub(super) fn new() -> Result<Option<Self>> {
        // SAFETY: no pointers; the flags are eventfd's.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            let cause = std::io::Error::last_os_error();
            return Err(Error::new(Status::System, format!("eventfd: {cause}")));
        }
        Ok(Some(Self(descriptor)))
    }

    /// `None`: the system has no eventfd.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn new() -> Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0
    }

    pub(super) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open, the bytes live through the call. A full counter is readable already.
        unsafe { libc::write(self.0, one.as_ptr().cast(), one.len()) };
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: opened by new, closed once.
        unsafe { libc::close(self.0) };
    }
}
