//! The functions that take the place of `malloc` and its relatives in the C library. The linker
//! option `--wrap=malloc` renames the calls of `malloc` in the library's objects to
//! `__wrap_malloc`, and `__real_malloc` to `malloc`. Calls of the host are not renamed.

// The linker needs these names and `pub`.
#![allow(unreachable_pub)]

use super::measurement::{count_growth, is_measuring};
use super::{allocate, find_size, free};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// Alignment of the memory that `malloc` returns.
const ALIGNMENT: usize = 16;

unsafe extern "C" {
    fn __real_malloc(bytes: usize) -> *mut c_void;
    fn __real_calloc(count: usize, bytes: usize) -> *mut c_void;
    fn __real_realloc(memory: *mut c_void, bytes: usize) -> *mut c_void;
    fn __real_posix_memalign(place: *mut *mut c_void, alignment: usize, bytes: usize) -> c_int;
    fn __real_free(memory: *mut c_void);
    fn malloc_usable_size(memory: *mut c_void) -> usize;
}

/// Counts new memory of the system if a measurement is in progress.
fn count_new(memory: *mut c_void) -> *mut c_void {
    if is_measuring() {
        // SAFETY: the memory is NULL or from the system's allocator.
        count_growth(unsafe { malloc_usable_size(memory) } as i64);
    }
    memory
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_malloc(bytes: usize) -> *mut c_void {
    // SAFETY: `malloc` accepts every size.
    let request = || unsafe { __real_malloc(bytes) };
    let memory = request();
    if memory.is_null() {
        return allocate(bytes, ALIGNMENT, || request().cast()).cast();
    }
    count_new(memory)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_calloc(count: usize, bytes: usize) -> *mut c_void {
    // SAFETY: `calloc` accepts every size.
    let request = || unsafe { __real_calloc(count, bytes) };
    let memory = request();
    if !memory.is_null() {
        return count_new(memory);
    }
    let Some(bytes) = count.checked_mul(bytes) else { return null_mut() };
    let memory = allocate(bytes, ALIGNMENT, || request().cast());
    if !memory.is_null() {
        // SAFETY: the block has at least `bytes` bytes.
        unsafe { memory.write_bytes(0, bytes) };
    }
    memory.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_posix_memalign(
    place: *mut *mut c_void,
    alignment: usize,
    bytes: usize,
) -> c_int {
    let request = |place: *mut *mut c_void| {
        // SAFETY: the place is writable, and the caller chose a valid alignment.
        unsafe { __real_posix_memalign(place, alignment, bytes) }
    };
    let error = request(place);
    if error == 0 {
        // SAFETY: the call has written the address of the new memory.
        count_new(unsafe { *place });
    }
    if error != libc::ENOMEM {
        return error;
    }
    let memory = allocate(bytes, alignment, || {
        let mut memory = null_mut();
        if request(&raw mut memory) == 0 { memory.cast() } else { null_mut() }
    });
    if memory.is_null() {
        return error;
    }
    // SAFETY: the caller guarantees that the place is writable.
    unsafe { *place = memory.cast() };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_realloc(memory: *mut c_void, bytes: usize) -> *mut c_void {
    if memory.is_null() {
        // SAFETY: `malloc` accepts every size.
        return unsafe { __wrap_malloc(bytes) };
    }
    let kept = find_size(memory.cast());
    if kept.is_none() {
        // SAFETY: the memory is from the system's allocator.
        let before = if is_measuring() { unsafe { malloc_usable_size(memory) } } else { 0 };
        // SAFETY: as above.
        let moved = unsafe { __real_realloc(memory, bytes) };
        if !moved.is_null() {
            if is_measuring() {
                count_growth(-(before as i64));
            }
            return count_new(moved);
        }
        if bytes == 0 {
            return moved;
        }
    }
    // SAFETY: memory that is not from the reserve is from the system's allocator.
    let size = kept.unwrap_or_else(|| unsafe { malloc_usable_size(memory) });
    if bytes <= size {
        return memory;
    }
    // SAFETY: `malloc` accepts every size.
    let moved = unsafe { __wrap_malloc(bytes) };
    if !moved.is_null() {
        // SAFETY: both blocks have at least `size` bytes and do not overlap. The old one is not
        // used afterwards.
        unsafe {
            std::ptr::copy_nonoverlapping(memory.cast::<u8>(), moved.cast::<u8>(), size);
            __wrap_free(memory);
        }
    }
    moved
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_free(memory: *mut c_void) {
    if memory.is_null() || free(memory.cast()) {
        return;
    }
    if is_measuring() {
        // SAFETY: the memory is from the system's allocator.
        count_growth(-(unsafe { malloc_usable_size(memory) } as i64));
    }
    // SAFETY: as above, and the caller does not use the memory afterwards.
    unsafe { __real_free(memory) };
}
