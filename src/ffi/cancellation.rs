//! Thread cancellation (`pthread_cancel`).
//!
//! A cancelled thread unwinds its stack, which aborts the process if Rust functions are on the
//! stack. Calls that contain cancellation points, such as `open` and `read`, therefore run with
//! cancellation disabled. A request that arrives meanwhile stays pending until the thread reaches a
//! cancellation point of the host.

/// A guard that disables the cancellation of the current thread. Dropping the guard restores the
/// previous setting.
pub(super) struct CancellationGuard {
    #[cfg(all(target_os = "linux", not(miri)))]
    previous: libc::c_int,
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    unsafe extern "C" {
        // glibc and musl define this function, but the crate libc does not declare it for Linux.
        pub(super) fn pthread_setcancelstate(
            state: libc::c_int,
            previous: *mut libc::c_int,
        ) -> libc::c_int;
    }

    pub(super) const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

    pub(super) fn set_state(state: libc::c_int) -> libc::c_int {
        let mut previous = 0;
        // SAFETY: `previous` is writable, and `state` is a state that the C library defines.
        unsafe { pthread_setcancelstate(state, &raw mut previous) };
        previous
    }
}

impl CancellationGuard {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(all(target_os = "linux", not(miri)))]
            previous: system::set_state(system::PTHREAD_CANCEL_DISABLE),
        }
    }
}

impl Drop for CancellationGuard {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", not(miri)))]
        system::set_state(self.previous);
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn nested_guards_restore_the_setting() {
        let state = || {
            let current = system::set_state(system::PTHREAD_CANCEL_DISABLE);
            system::set_state(current);
            current
        };
        let before = state();
        let outer = CancellationGuard::new();
        drop(CancellationGuard::new());
        assert_eq!(state(), system::PTHREAD_CANCEL_DISABLE);
        drop(outer);
        assert_eq!(state(), before);
        assert_ne!(before, system::PTHREAD_CANCEL_DISABLE);
    }
}
