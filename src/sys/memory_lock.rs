//! Functions that lock memory, so that it is never swapped out.

use std::io::{Error, Result};

/// Loads the pages of `memory` into RAM and locks them.
pub(crate) fn lock(memory: &[u8]) -> Result<()> {
    // SAFETY: `memory` is a slice, so its address range is valid.
    let has_failed = unsafe { libc::mlock(memory.as_ptr().cast(), memory.len()) } != 0;
    if has_failed { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Unlocks memory that [`lock`] locked.
pub(crate) fn unlock(memory: &[u8]) {
    // SAFETY: `memory` is a slice, so its address range is valid. If the call fails, the pages
    // remain locked until the process ends, which does no harm.
    unsafe { libc::munlock(memory.as_ptr().cast(), memory.len()) };
}
