//! A global allocator that counts the allocator calls and bytes of each thread, and the allocated
//! bytes of the process.

#![allow(unsafe_code, reason = "an allocator is unsafe to write")]
#![allow(dead_code, reason = "each test uses some of the counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    // The initial values are constant and the types have no destructor, so counting never
    // allocates.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
    PEAK.set(PEAK.get().max(BYTES.get()));
    LIVE_BYTES.fetch_add(bytes, Relaxed);
}

// SAFETY: every call is passed unchanged to the system allocator, which implements `GlobalAlloc`
// correctly.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, and `System` requires no more.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, and `System` requires no more.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, and `System` requires no more.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // Freeing memory is also counted, because it may take a lock or make a system call.
        count(-(layout.size() as isize));
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, and `System` requires no more.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work`. Returns the number of allocator calls that this thread made in `work`, and the
/// result of `work`.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = CALLS.get();
    let result = work();
    (CALLS.get() - before, result)
}

/// Runs `work`. Returns the number of bytes that this thread allocated in `work` and did not free,
/// and the result of `work`.
pub(crate) fn grown<T>(work: impl FnOnce() -> T) -> (isize, T) {
    let before = BYTES.get();
    let result = work();
    (BYTES.get() - before, result)
}

/// Runs `work`. Returns the largest number of bytes that this thread had allocated in `work` and
/// not freed, and the result of `work`.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (isize, T) {
    let before = BYTES.get();
    PEAK.set(before);
    let result = work();
    (PEAK.get() - before, result)
}

/// Returns the number of bytes that the process has allocated and not freed.
pub(crate) fn live_bytes() -> isize {
    LIVE_BYTES.load(Relaxed)
}
