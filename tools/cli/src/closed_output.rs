//! Detection of a closed standard output.
//!
//! Before `main`, Rust opens `/dev/null` in place of each standard stream that is closed, so that
//! all later writes succeed. A closed standard output can therefore be noticed only before Rust's
//! start-up code runs.
#![allow(unsafe_code, reason = "a function must run before Rust's start-up code")]

use std::sync::atomic::{AtomicBool, Ordering};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_closed_output() {
    // SAFETY: fcntl with F_GETFD only reads the flags of a file descriptor, which need not be open.
    let is_closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// The C library calls the functions in this section before it calls `main`.
// SAFETY: the section contains pointers to functions, and the C library may call this function with
// arguments, which the C calling convention lets it ignore. The function uses no part of Rust's
// standard library that needs the start-up code.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_CLOSED_OUTPUT: extern "C" fn() = note_closed_output;

/// Returns whether standard output was closed when the program started.
pub(crate) fn is_output_closed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}
