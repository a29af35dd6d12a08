//! Threads of the library, and the identity of threads.

use crate::error::{Error, Result, Status};
use crate::sys::fp_environment;
use std::thread::JoinHandle;

/// Size of the stack of every thread of the library. With an explicit size, the standard library
/// does not read the environment variable `RUST_MIN_STACK`.
const STACK_BYTES: usize = 2 << 20;

/// Starts a thread with the default floating-point environment, whatever that of the calling thread
/// is. `name` is also the role that `thread_start` receives.
///
/// # Errors
/// Returns [`Status::System`] if the system cannot start a thread.
pub(crate) fn start_thread(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES);
    let run = move || {
        fp_environment::set_default();
        run();
    };
    builder.spawn(run).map_err(|error| {
        Error::new(Status::System, format!("the thread {name} cannot be started: {error}"))
    })
}

/// The identity of a thread, which is unique among the threads that exist. Unlike
/// [`std::thread::ThreadId`], it allocates no memory on threads of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadKey(libc::pthread_t);

impl ThreadKey {
    /// Returns the identity of the calling thread.
    pub(crate) fn current() -> Self {
        // SAFETY: the call has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }
}
