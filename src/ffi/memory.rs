//! Memory locks.

use std::io::{Error, Result};

/// Locks the pages of `memory`, which brings them in.
pub(super) fn lock(memory: &[u8]) -> Result<()> {
    // SAFETY: the range is memory of ours.
    let failed = unsafe { libc::mlock(memory.as_ptr().cast(), memory.len()) } != 0;
    if failed { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Unlocks what [`lock`] locked.
pub(super) fn unlock(memory: &[u8]) {
    // SAFETY: as in lock.
    unsafe { libc::munlock(memory.as_ptr().cast(), memory.len()) };
}
