//! The floating-point environment of a thread: its rounding mode, its exception flags, its traps
//! and its treatment of subnormal numbers.
//!
//! A new thread inherits the environment of the thread that starts it, so a host that traps
//! floating-point exceptions, or that flushes subnormal numbers to zero, would change what the
//! network computes or would stop the process in the runtime's code.

// Without the C interface, only the threads of the library set their environment.
#![cfg_attr(not(feature = "capi"), allow(dead_code))]

/// Sets the environment of the calling thread to the default: rounding to nearest, no traps, no
/// flags, and subnormal numbers as IEEE 754 defines them.
pub(crate) fn set_default() {
    platform::set_default();
}

/// The default environment, in which the calling thread computes until this value is dropped. The
/// thread then has its earlier environment again, including the earlier flags.
pub(crate) struct DefaultEnvironment {
    saved: platform::Environment,
}

impl DefaultEnvironment {
    /// Saves the environment of the calling thread and sets the default.
    pub(crate) fn enter() -> Self {
        let saved = platform::save();
        platform::set_default();
        Self { saved }
    }
}

impl Drop for DefaultEnvironment {
    fn drop(&mut self) {
        platform::restore(&self.saved);
    }
}

#[cfg(all(target_os = "linux", not(miri), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod platform {
    use std::ffi::{c_int, c_void};

    /// Memory for a `fenv_t`, which has at most 32 bytes on these platforms.
    #[repr(C, align(16))]
    pub(super) struct Environment([u8; 64]);

    unsafe extern "C" {
        fn fegetenv(environment: *mut c_void) -> c_int;
        fn fesetenv(environment: *const c_void) -> c_int;
    }

    /// The constant `FE_DFL_ENV` of glibc and musl on these platforms.
    const DEFAULT: *const c_void = std::ptr::without_provenance(usize::MAX);

    pub(super) fn save() -> Environment {
        let mut environment = Environment([0; 64]);
        // SAFETY: the memory is larger than a `fenv_t` and has its alignment.
        unsafe { fegetenv((&raw mut environment).cast()) };
        environment
    }

    pub(super) fn set_default() {
        // SAFETY: `FE_DFL_ENV` is a valid argument.
        unsafe { fesetenv(DEFAULT) };
    }

    pub(super) fn restore(environment: &Environment) {
        // SAFETY: `fegetenv` wrote this environment.
        unsafe { fesetenv((&raw const *environment).cast()) };
    }
}

#[cfg(not(all(
    target_os = "linux",
    not(miri),
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod platform {
    // Miri has no floating-point environment.
    pub(super) struct Environment;

    pub(super) fn save() -> Environment {
        Environment
    }

    pub(super) fn set_default() {}

    pub(super) fn restore(_: &Environment) {}
}

#[cfg(all(
    test,
    target_os = "linux",
    not(miri),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod tests {
    use super::*;
    use std::ffi::c_int;
    use std::hint::black_box;

    #[cfg(target_arch = "x86_64")]
    const UPWARD: c_int = 0x800;
    #[cfg(target_arch = "aarch64")]
    const UPWARD: c_int = 0x40_0000;
    #[cfg(target_arch = "x86_64")]
    const DIVIDE_BY_ZERO: c_int = 0x04;
    #[cfg(target_arch = "aarch64")]
    const DIVIDE_BY_ZERO: c_int = 0x02;

    unsafe extern "C" {
        fn fegetround() -> c_int;
        fn fesetround(mode: c_int) -> c_int;
        fn fetestexcept(flags: c_int) -> c_int;
    }

    #[test]
    fn the_earlier_mode_and_flags_return_when_the_default_ends() {
        let caller = DefaultEnvironment::enter();
        // SAFETY: the constant is a rounding mode of this platform. No floating-point operation of
        // this test depends on the mode.
        assert_eq!(unsafe { fesetround(UPWARD) }, 0);
        let default = DefaultEnvironment::enter();
        // SAFETY: the functions only read the environment.
        assert_eq!(unsafe { (fegetround(), fetestexcept(DIVIDE_BY_ZERO)) }, (0, 0));
        assert!((black_box(1.0f32) / black_box(0.0)).is_infinite());
        // SAFETY: as above.
        assert_ne!(unsafe { fetestexcept(DIVIDE_BY_ZERO) }, 0, "the division raises a flag");
        drop(default);
        // SAFETY: as above.
        assert_eq!(unsafe { (fegetround(), fetestexcept(DIVIDE_BY_ZERO)) }, (UPWARD, 0));
        drop(caller);
    }
}
