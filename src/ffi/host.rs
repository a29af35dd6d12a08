//! Versions, statuses, and what the host gives: hooks and runtime.

use super::border::{Versioned, control, read, text};
use crate::{Error, Status};
use std::ffi::{CString, c_char, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Version of this ABI: the major number in the high 16 bits, the minor in the low.
pub const TTV_ABI_VERSION: u32 = 0x0001_0000;

/// Hooks and runtime of the host; any may be NULL. Hooks must not throw, and outlive the process's use of the library.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, missing_docs)]
pub struct ttv_host {
    /// `sizeof(ttv_host)`.
    pub struct_size: u32,
    /// `TTV_ABI_VERSION`.
    pub abi_version: u32,
    /// Handed back to the hooks.
    pub user: *mut c_void,
    /// Takes a message: level 1 error, 2 warning, 3 information. Called from any thread but never from an [rt] call,
    /// with locks of ours held: it must not call this library.
    pub log:
        Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char, length: usize)>,
    /// Called in every thread of ours before it works: the place for affinity and priority. `role` is "tteview" in a
    /// stream's thread and "tteview-build" in the one that builds an engine.
    pub thread_start: Option<unsafe extern "C" fn(user: *mut c_void, role: *const c_char)>,
    /// Shared library of ONNX Runtime for all providers but "embedded": a path, or a name that the system's loader
    /// looks up; copied. NULL: "libonnxruntime.so". It is loaded by the first engine that needs it.
    /// From 1.29 on ONNX Runtime sends telemetry over the network unless ORT_DISABLE_TELEMETRY=1 stands in the
    /// environment of the process: there TTV_PROVIDER_UNAVAILABLE without that variable (0 allows the telemetry).
    pub runtime_library: *const c_char,
}
// SAFETY: repr(C); numbers, pointers and a nullable function pointer.
unsafe impl Versioned for ttv_host {}

struct Host {
    user: *mut c_void,
    log: Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char, usize)>,
    thread_start: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
    runtime_library: Option<PathBuf>,
}
// SAFETY: the host promises that its hooks may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

static HOST: OnceLock<Host> = OnceLock::new();

/// The library that the host gave to `ttv_runtime_init`.
pub(super) fn runtime_library() -> Option<PathBuf> {
    HOST.get().and_then(|host| host.runtime_library.clone())
}

impl log::Log for Host {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.log.is_some() && metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(hook) = self.log.filter(|_| self.enabled(record.metadata())) {
            let message = record.args().to_string();
            // SAFETY: the host's hook, called as its type says; the message lives through the call.
            unsafe { hook(self.user, record.level() as i32, message.as_ptr().cast(), message.len()) };
        }
    }

    fn flush(&self) {}
}

/// Calls the host's hook in a new thread.
pub(super) fn thread_start(role: &str) {
    let hook = HOST.get().and_then(|host| Some((host.user, host.thread_start?)));
    if let (Some((user, hook)), Ok(role)) = (hook, CString::new(role)) {
        // SAFETY: the host's hook, called as its type says; the text lives through the call.
        unsafe { hook(user, role.as_ptr()) };
    }
}

/// Gives the library the host's hooks and runtime, once per process and before the first engine. Optional. [ctl]
///
/// Returns `TTV_WRONG_STATE` the second time.
///
/// # Safety
/// `host` points to a `ttv_host` of the size its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttv_runtime_init(host: *const ttv_host) -> i32 {
    control(|| {
        let host = read(host).map_err(|status| Error::new(status, "host"))?;
        if host.abi_version >> 16 != TTV_ABI_VERSION >> 16 {
            let message =
                format!("host.abi_version is {:#x}, this is {TTV_ABI_VERSION:#x}", host.abi_version);
            return Err(Error::new(Status::Unsupported, message));
        }
        let runtime_library = text(host.runtime_library, "runtime_library")?.map(PathBuf::from);
        let hooks = Host { user: host.user, log: host.log, thread_start: host.thread_start, runtime_library };
        if HOST.set(hooks).is_err() {
            return Err(Error::new(Status::WrongState, "ttv_runtime_init was called before"));
        }
        if let Some(host) = HOST.get()
            && host.log.is_some()
            && log::set_logger(host).is_ok()
        {
            log::set_max_level(log::LevelFilter::Info);
        }
        Ok(Status::Ok)
    })
}

/// Version of the ABI that this library has, as `TTV_ABI_VERSION`. [any rt]
#[unsafe(no_mangle)]
pub extern "C" fn ttv_abi_version() -> u32 {
    TTV_ABI_VERSION
}

/// One sentence for a status; static text. [any rt]
#[unsafe(no_mangle)]
pub extern "C" fn ttv_status_string(status: i32) -> *const c_char {
    Status::from_code(status).map_or(c"unknown status", Status::c_text).as_ptr()
}
