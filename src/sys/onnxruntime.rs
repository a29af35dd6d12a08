//! Inspection of a shared library before the process uses it as the runtime. The inspection checks
//! that the library is ONNX Runtime, and reads its version.
//!
//! For the lifetime of the process, the `ort` crate keeps the first library that it loads. It
//! panics if this library is not a suitable ONNX Runtime. The crate therefore receives only
//! libraries that have passed this inspection.

use crate::error::{Error, Result, Status};
use libloading::Library;
use ort::sys::OrtApiBase;
use std::error::Error as _;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};

/// Type of `OrtGetApiBase`, which every ONNX Runtime library exports.
type GetApiBase = unsafe extern "system" fn() -> *const OrtApiBase;

/// A library that can be used as the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeLibrary {
    /// File that the system's dynamic loader found.
    pub(crate) file: PathBuf,
    /// Version that the library reports, such as `1.23.2`.
    pub(crate) version: String,
    /// Major and minor version numbers.
    pub(crate) release: (u32, u32),
}

/// Opens a library, reads its version and closes it. `min_version` is the oldest version that is
/// accepted, and `api` is the level of the C API that the library must offer.
///
/// # Errors
/// Returns [`Status::RuntimeMissing`] if the file cannot be loaded or is not ONNX Runtime, or
/// [`Status::RuntimeTooOld`] if its version is too old or it does not offer the API level.
pub(crate) fn inspect_library(
    path: &Path,
    min_version: (u32, u32),
    api: u32,
) -> Result<RuntimeLibrary> {
    let missing = |message: String| Error::new(Status::RuntimeMissing, message);
    let not_onnxruntime = |reason: &str| {
        missing(format!("{}: not an ONNX Runtime library: {reason}", path.display()))
    };
    // SAFETY: loading runs the library's initialisers. The host has chosen the library and must
    // ensure that the initialisers are safe to run.
    let library = unsafe { Library::new(path) }.map_err(|e| {
        // The error's source is the loader's message, which usually begins with the file name.
        let cause = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        let file = path.display().to_string();
        missing(if cause.contains(&file) { cause } else { format!("{file}: {cause}") })
    })?;
    // SAFETY: in every version of ONNX Runtime, `OrtGetApiBase` has the type `GetApiBase`.
    let entry = unsafe { library.get::<GetApiBase>("OrtGetApiBase") }
        .map_err(|_| not_onnxruntime("it has no OrtGetApiBase"))?;
    // SAFETY: the function takes no arguments. The table that it returns is valid as long as the
    // library is open.
    let base =
        unsafe { entry().as_ref() }.ok_or_else(|| not_onnxruntime("OrtGetApiBase returns NULL"))?;
    // SAFETY: the table is valid, and `GetVersionString` returns a static string in the library.
    let version = unsafe { read_text((base.GetVersionString)()) };
    let release = version.as_deref().and_then(parse_release);
    let (Some(version), Some(release)) = (version, release) else {
        return Err(not_onnxruntime("it has no version"));
    };
    // SAFETY: the table is valid, and `GetApi` accepts any level. `GetApi` returns NULL if the
    // library does not offer the level.
    let offers_api = !unsafe { (base.GetApi)(api) }.is_null();
    if release < min_version || !offers_api {
        let ((major, minor), file) = (min_version, path.display());
        let message =
            format!("{file}: ONNX Runtime must be {major}.{minor} or later, got {version}");
        return Err(Error::new(Status::RuntimeTooOld, message));
    }
    Ok(RuntimeLibrary {
        file: find_file(*entry).unwrap_or_else(|| path.to_owned()),
        version,
        release,
    })
}

/// Returns the major and minor numbers of a version such as `1.23.2`.
fn parse_release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Reads a string from the library. Returns `None` for NULL and for a string that is not UTF-8.
///
/// # Safety
/// `pointer` must be NULL or point to a NUL-terminated string.
unsafe fn read_text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: `pointer` is not NULL, and the caller guarantees that it points to a NUL-terminated
    // string.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok().map(str::to_owned)
}

/// Returns the file from which a function was loaded. If the library's name contains no folder, the
/// dynamic loader chooses the file. The runtime must later be loaded from that same file, because
/// only that file has been inspected.
fn find_file(function: GetApiBase) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: `dladdr` accepts any address, and `info` is writable memory for the result.
    let found = unsafe { libc::dladdr(function as *const libc::c_void, &raw mut info) } != 0;
    if !found || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dladdr` returned a NUL-terminated string, which is valid as long as the library is
    // open.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::path::absolute(std::ffi::OsStr::from_bytes(name.to_bytes())).ok()
}
