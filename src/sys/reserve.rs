//! The reserve of the C library, which serves allocations when the system has no memory left.
//!
//! Rust code that does not expect a failed allocation ends the process, and the standard library
//! and the runtimes contain such code. In the C library, a failed allocation is therefore served in
//! this order:
//!
//! 1. Each engine holds a [`Ballast`], which is address space that nothing uses. The reserve
//!    returns all ballast to the system and asks the system again.
//! 2. The slots of a static arena serve small requests.
//! 3. A mapping of its own serves a large request, in case only the C allocator failed.
//!
//! [`count_uses`] counts these requests. A control call that keeps memory compares the counts
//! before and after its work, and fails with `OutOfMemory` if they differ. It frees the memory that
//! it allocated, so no handle keeps a part of the reserve.
//!
//! The standard library allocates some memory of threads without the global allocator. The
//! functions in `functions` therefore take the place of `malloc` and its relatives: `cargo xtask
//! install` links the library's objects with the linker option `--wrap`. All operations are
//! lock-free, because an allocation may fail in any thread.

// Without one of these features, only a part of the functions is used.
#![cfg_attr(
    any(test, not(all(feature = "memory-reserve", feature = "capi", feature = "rten"))),
    allow(dead_code, unused_imports)
)]

mod arena;
mod constants;
#[cfg(all(feature = "memory-reserve", not(test)))]
mod functions;
mod mapping;
mod measurement;
#[cfg(all(feature = "memory-reserve", not(test)))]
mod thread_exit;

use constants::ALIGNMENT;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) use constants::IS_ACTIVE;
pub(crate) use mapping::{Ballast, can_map};
#[cfg(test)]
pub(crate) use measurement::count_growth;
pub(crate) use measurement::measure_peak;
#[cfg(all(feature = "memory-reserve", not(test)))]
pub(crate) use thread_exit::keep_library;

/// Does nothing in a build without the reserve.
#[cfg(not(all(feature = "memory-reserve", not(test))))]
pub(crate) fn keep_library() {}

static USES: AtomicU64 = AtomicU64::new(0);

/// Returns the number of requests that the system could not serve and the reserve served.
pub(crate) fn count_uses() -> u64 {
    USES.load(Relaxed)
}

/// Serves a request that the system could not serve; `retry` asks the system again. Returns NULL if
/// the reserve cannot serve it either.
#[cold]
fn allocate(bytes: usize, alignment: usize, retry: impl FnOnce() -> *mut u8) -> *mut u8 {
    if alignment > ALIGNMENT {
        return null_mut();
    }
    let mut memory = null_mut();
    if mapping::release_ballast() {
        memory = retry();
    }
    if memory.is_null() {
        memory = arena::take_small_slot(bytes, alignment);
    }
    if memory.is_null() {
        memory = mapping::map_block(bytes);
    }
    if memory.is_null() {
        memory = arena::take_large_slot(bytes);
    }
    if !memory.is_null() {
        USES.fetch_add(1, Relaxed);
    }
    memory
}

/// Returns the size of a block of the reserve, or `None` for other memory.
fn find_size(memory: *mut u8) -> Option<usize> {
    arena::slot_bytes(memory).or_else(|| mapping::block_bytes(memory))
}

/// Frees memory if it is from the reserve. Otherwise returns false.
fn free(memory: *mut u8) -> bool {
    arena::free_slot(memory) || mapping::free_block(memory)
}

#[cfg(all(test, not(loom)))]
mod tests;
