//! Runtime
//!
//! A host can install hooks and choose the ONNX Runtime library for the whole process. To do so, it
//! calls ttv_runtime_init once, before it creates the first engine.

use super::call::control;
use super::cancellation::CancellationGuard;
use super::panics::{adopt_thread, install_hook};
use super::pointers::{argument_error, read_path, read_struct, versioned};
use super::types::{ttv_log_level, ttv_status};
use crate::abi::abi_enum;
use crate::error::{Error, Result, Status};
use crate::memory::ReserveWatch;
use std::ffi::{CString, c_char, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::OnceLock;

/// Major version of the ABI.
pub const TTV_ABI_MAJOR: u32 = 0;

/// Minor version of the ABI.
pub const TTV_ABI_MINOR: u32 = 1;

/// Version of the ABI: the major version in the high 16 bits and the minor version in the low 16
/// bits. While the major version is 0, the host must be compiled for exactly the library's version.
pub const TTV_ABI_VERSION: u32 = TTV_ABI_MAJOR << 16 | TTV_ABI_MINOR;

abi_enum! {
    /// Severity of a log message.
    pub enum LogLevel: i32 {
        /// An error, which might not be reported by the status of any call.
        Error = 1,
        /// An unexpected situation that the library handled.
        Warning = 2,
        /// Information that is worth keeping in the device's log.
        Info = 3,
    }
}

/// Settings for the whole process. Initialize this struct with TTV_RUNTIME_CONFIG_INIT.
///
/// The hooks must not throw exceptions, and must remain callable while the process uses the
/// library.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ttv_runtime_config {
    /// Size of this struct in bytes.
    pub struct_size: u32,
    /// Version of the ABI. TTV_RUNTIME_CONFIG_INIT sets it to TTV_ABI_VERSION.
    pub abi_version: u32,
    /// Pointer that the library passes to the hooks.
    pub user: *mut c_void,
    /// Hook for log messages, or NULL. `message` has `length` bytes and no terminating NUL. The
    /// library may call the hook on any thread, but never during a real-time call. The library may
    /// hold locks while it calls the hook, so the hook must not call functions of the library.
    pub log: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            level: ttv_log_level,
            message: *const c_char,
            length: usize,
        ),
    >,
    /// Hook that every thread of the library calls when it starts, or NULL. The hook can set the
    /// affinity and the priority of the thread. `role` is "tteview" for the worker thread of a
    /// stream, "tteview-slow" for the thread of a stream that runs the slow part of a network with
    /// frame steps, "tteview-helper" for a thread that helps to run the network of an engine with
    /// `threads` above 1, and "tteview-build" for the thread that builds a TensorRT engine.
    pub thread_start: Option<unsafe extern "C" fn(user: *mut c_void, role: *const c_char)>,
    /// Path of the shared library of ONNX Runtime, or a name that the system's dynamic loader looks
    /// up. NULL selects "libonnxruntime.so". ONNX Runtime is loaded when the first engine with a
    /// provider other than "embedded" is created. ONNX Runtime 1.29 and later may send telemetry
    /// unless the environment variable ORT_DISABLE_TELEMETRY is 1. If the variable is not set,
    /// ttv_engine_create refuses these versions with TTV_ERR_PROVIDER_UNAVAILABLE.
    pub runtime_library: *const c_char,
}
// The struct is `repr(C)`, begins with its size, and contains only numbers, pointers and
// optional function pointers. The host guarantees that each function pointer is NULL or valid.
versioned!(ttv_runtime_config {
    struct_size,
    abi_version,
    user,
    log,
    thread_start,
    runtime_library
});

struct Runtime {
    user: *mut c_void,
    log: Option<unsafe extern "C" fn(*mut c_void, ttv_log_level, *const c_char, usize)>,
    thread_start: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
    runtime_library: Option<PathBuf>,
}
// SAFETY: the host guarantees that its hooks may be called from any thread.
unsafe impl Send for Runtime {}
// SAFETY: the host guarantees that its hooks may be called from several threads at the same time.
unsafe impl Sync for Runtime {}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

impl Runtime {
    const DEFAULT: Self =
        Self { user: null_mut(), log: None, thread_start: None, runtime_library: None };
}

/// Returns the path or name of the ONNX Runtime library that the host has set. From this call
/// on, `ttv_runtime_init` fails, because the engine that is being created uses the settings.
pub(super) fn runtime_library() -> Option<PathBuf> {
    RUNTIME.get_or_init(|| Runtime::DEFAULT).runtime_library.clone()
}

/// Prepares the current thread, which belongs to the library, and calls the host's `thread_start`
/// hook if it is set. The thread can never be cancelled, because cancellation would abort the
/// process.
pub(super) fn call_thread_start(role: &str) {
    adopt_thread();
    std::mem::forget(CancellationGuard::new());
    let hook = RUNTIME.get().and_then(|runtime| Some((runtime.user, runtime.thread_start?)));
    if let (Some((user, hook)), Ok(role)) = (hook, CString::new(role)) {
        // SAFETY: the host guarantees that the hook is a function of this type. The string outlives
        // the call.
        unsafe { hook(user, role.as_ptr()) };
    }
}

/// Returns whether a library with one version of the ABI accepts a host with another. From version
/// 1.0 on, only the major versions must be equal.
fn is_compatible(library: u32, host: u32) -> bool {
    host == library || (library >> 16 > 0 && host >> 16 == library >> 16)
}

/// Returns an error if the host was compiled for an incompatible version of the ABI.
pub(super) fn check_abi_version(version: u32) -> Result<()> {
    if is_compatible(TTV_ABI_VERSION, version) {
        return Ok(());
    }
    let (major, minor) = (version >> 16, version & 0xffff);
    let message = format!(
        "abi_version must be {TTV_ABI_MAJOR}.{TTV_ABI_MINOR}, got {major}.{minor}; compile the host \
         with the header of this library"
    );
    Err(Error::new(Status::AbiVersion, message))
}

impl log::Log for Runtime {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.log.is_some() && metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(hook) = self.log.filter(|_| self.enabled(record.metadata())) {
            let level = match record.level() {
                log::Level::Error => LogLevel::Error,
                log::Level::Warn => LogLevel::Warning,
                _ => LogLevel::Info,
            };
            let message = record.args().to_string();
            // SAFETY: the host guarantees that the hook is a function of this type. The message
            // outlives the call.
            unsafe { hook(self.user, level.code(), message.as_ptr().cast(), message.len()) };
        }
    }

    fn flush(&self) {}
}

/// Returns the ABI version of the library. A host can compare it with TTV_ABI_VERSION.
///
/// @return The major version in the high 16 bits and the minor version in the low 16 bits.
///
/// [any, rt, any state]
#[unsafe(no_mangle)]
pub extern "C" fn ttv_abi_version() -> u32 {
    TTV_ABI_VERSION
}

/// Sets the hooks and the ONNX Runtime library of the process. The call is optional. A host may
/// call this function at most once, before it creates the first engine.
///
/// @param config  The settings. The library copies them.
///
/// @return TTV_OK; TTV_ERR_ABI_VERSION if the host was compiled for an incompatible version;
/// TTV_ERR_WRONG_STATE if an earlier call of this function succeeded, or if ttv_engine_create has
/// already been called; TTV_ERR_OUT_OF_MEMORY.
///
/// [ctl, any state]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn ttv_runtime_init(config: *const ttv_runtime_config) -> ttv_status {
    control(|| {
        install_hook();
        let config = read_struct(config).map_err(argument_error("config"))?;
        check_abi_version(config.abi_version)?;
        let watch = ReserveWatch::new();
        let runtime_library = read_path(config.runtime_library, "runtime_library")?;
        let runtime = Runtime {
            user: config.user,
            log: config.log,
            thread_start: config.thread_start,
            runtime_library,
        };
        // The settings are kept until the process ends, so they must not be in the reserve.
        watch.check()?;
        if RUNTIME.set(runtime).is_err() {
            let message = "ttv_runtime_init must be called once per process, before the first \
                           ttv_engine_create";
            return Err(Error::new(Status::WrongState, message));
        }
        if let Some(runtime) = RUNTIME.get()
            && runtime.log.is_some()
            && log::set_logger(runtime).is_ok()
        {
            log::set_max_level(log::LevelFilter::Info);
        }
        Ok(Status::Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_minor_version_is_refused_while_the_major_is_0() {
        assert_eq!(check_abi_version(TTV_ABI_VERSION), Ok(()));
        for other in [0, TTV_ABI_VERSION + 1, 0x0001_0000] {
            assert_eq!(check_abi_version(other).unwrap_err().status(), Status::AbiVersion);
        }
    }

    #[test]
    fn another_minor_version_is_accepted_from_major_version_1_on() {
        assert!(
            [0x0001_0002, 0x0001_0000, 0x0001_ffff]
                .into_iter()
                .all(|host| is_compatible(0x0001_0002, host))
        );
        assert!(
            [0, 0x0000_0002, 0x0002_0002].iter().all(|&host| !is_compatible(0x0001_0002, host))
        );
        assert!(!is_compatible(0x0000_0002, 0x0000_0001));
    }

    #[test]
    fn the_log_hook_gets_no_message_below_its_level() {
        unsafe extern "C" fn count(
            user: *mut c_void,
            _: ttv_log_level,
            message: *const c_char,
            length: usize,
        ) {
            // SAFETY: the test passes a counter, and the library a message of this length.
            unsafe {
                assert_eq!(std::slice::from_raw_parts(message.cast::<u8>(), length), b"a message");
                *user.cast::<u32>() += 1;
            }
        }
        let mut messages = 0u32;
        let user = std::ptr::from_mut(&mut messages).cast();
        let write = |runtime: &Runtime, level| {
            let message = format_args!("a message");
            log::Log::log(runtime, &log::Record::builder().level(level).args(message).build());
        };
        let runtime = Runtime { user, log: Some(count), ..Runtime::DEFAULT };
        write(&runtime, log::Level::Debug);
        write(&Runtime { user, ..Runtime::DEFAULT }, log::Level::Error);
        // SAFETY: the counter lives until the end of the test, and no other thread uses it.
        assert_eq!(unsafe { *user.cast::<u32>() }, 0);
        write(&runtime, log::Level::Error);
        write(&runtime, log::Level::Info);
        // SAFETY: as above.
        assert_eq!(unsafe { *user.cast::<u32>() }, 2);
    }
}
