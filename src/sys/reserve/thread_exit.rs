//! What the library needs for the functions that the standard library runs at the end of a thread.
//!
//! The standard library registers these functions with `__cxa_thread_atexit_impl` of the C library
//! if that function exists. It allocates memory, and ends the process if this fails. `cargo xtask
//! install` therefore renames this reference with the linker option `--wrap`, so that it stays
//! undefined and the standard library uses a key of `pthread_setspecific` and a list of its own.
//! The list is allocated with `malloc`, so the reserve serves it.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Keeps the shared object that contains this library in memory, because a thread may end after the
/// host has closed the object. `__cxa_thread_atexit_impl` would also do this. The function has no
/// effect in a program that contains the library itself.
pub(crate) fn keep_library() {
    if IS_KEPT.swap(true, Relaxed) {
        return;
    }
    let mut info = libc::Dl_info {
        dli_fname: null_mut(),
        dli_fbase: null_mut(),
        dli_sname: null_mut(),
        dli_saddr: null_mut(),
    };
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    let address = keep_library as *const c_void;
    // SAFETY: the address is that of a function, the place is writable, and the name that `dladdr`
    // returns is a string of the dynamic loader. With `RTLD_NOLOAD`, nothing is loaded.
    let is_kept = unsafe {
        libc::dladdr(address, &raw mut info) == 0
            || info.dli_fname.is_null()
            || !libc::dlopen(info.dli_fname, flags).is_null()
    };
    // After a failure, the next call tries again. It always fails in a program.
    IS_KEPT.store(is_kept, Relaxed);
}
