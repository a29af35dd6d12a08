//! A file descriptor that becomes readable when a result is published.

use crate::error::{Error, Result, Status};

/// An eventfd that is non-blocking and closed on exec.
pub(crate) struct Event(i32);

impl Event {
    /// Creates an event. Returns `None` on systems without eventfd.
    ///
    /// # Errors
    /// Returns [`Status::System`] if the process has too many open files.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> Result<Option<Self>> {
        // SAFETY: the call takes no pointers, and `eventfd` accepts both flags.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            let error = std::io::Error::last_os_error();
            let message = format!("an eventfd cannot be created: {error}");
            return Err(Error::new(Status::System, message));
        }
        Ok(Some(Self(descriptor)))
    }

    /// Creates an event. Returns `None` on systems without eventfd.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> Result<Option<Self>> {
        Ok(None)
    }

    /// Returns the file descriptor, which this event owns.
    pub(crate) fn descriptor(&self) -> i32 {
        self.0
    }

    /// Makes the descriptor readable.
    pub(crate) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open, and the bytes outlive the call. If the counter is at its
        // maximum, the write fails, but then the descriptor is already readable.
        unsafe { libc::write(self.0, one.as_ptr().cast(), one.len()) };
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: `new` opened the descriptor, and only this function closes it.
        unsafe { libc::close(self.0) };
    }
}
