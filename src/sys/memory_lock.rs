//! Memory pages: their size, and functions that lock them, so that they are never swapped out.

use std::io::{Error, Result};

/// Returns the size of a memory page, which is the unit in which the system maps and locks memory.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: the call takes no pointers and reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Every system has a page size. It is 4096 bytes on most processors.
    usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4096)
}

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
