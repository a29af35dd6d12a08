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

/// Gives the calling thread the scheduling policy `SCHED_BATCH` if it has the default one. Under
/// this policy, the thread gets the same share of the processor, but does not interrupt a running
/// thread when it is woken (`man 7 sched`).
pub(crate) fn set_batch_policy() {
    #[cfg(target_os = "linux")]
    {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: 0 stands for the calling thread, and `parameters` outlives the call.
        unsafe {
            if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
                // The thread also works under the default policy, so an error does not matter.
                let _ = libc::sched_setscheduler(0, libc::SCHED_BATCH, &parameters);
            }
        }
    }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn batch_policy_replaces_only_the_default_policy() {
        // SAFETY: 0 stands for the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let set = |policy| {
            let parameters = libc::sched_param { sched_priority: 0 };
            // SAFETY: 0 stands for the calling thread, and `parameters` outlives the call.
            assert_eq!(unsafe { libc::sched_setscheduler(0, policy, &parameters) }, 0);
        };
        let check = move || {
            set(libc::SCHED_OTHER);
            set_batch_policy();
            assert_eq!(policy(), libc::SCHED_BATCH);
            set(libc::SCHED_IDLE);
            set_batch_policy();
            assert_eq!(policy(), libc::SCHED_IDLE);
        };
        // The policies belong to a thread of their own.
        start_thread("policies", check).unwrap().join().unwrap();
    }
}
