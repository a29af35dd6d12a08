//! A look at a shared library before it becomes the runtime of the process: is it ONNX Runtime, and how old?
//!
//! The `ort` crate keeps the first library it loads for the life of the process and panics on one that only looks
//! right, so nothing reaches it unseen.

use crate::{Error, Result, Status};
use libloading::Library;
use ort::sys::OrtApiBase;
use std::error::Error as _;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};

/// The entry point of every ONNX Runtime library.
type GetApiBase = unsafe extern "system" fn() -> *const OrtApiBase;

/// A library that can be the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeLibrary {
    /// Its file, as the system's loader found it.
    pub(crate) file: PathBuf,
    /// What it says of itself, as in `1.23.2`.
    pub(crate) version: String,
    /// Major and minor number of the version.
    pub(crate) release: (u32, u32),
}

/// Opens the library and asks for its version; `lowest` is the oldest that will do, `api` the level of the C API it
/// must offer. It is not open any more when this returns.
///
/// # Errors
/// `RuntimeMissing` where the file cannot be loaded or is not ONNX Runtime, `RuntimeTooOld` where it is older.
pub(crate) fn inspect(path: &Path, lowest: (u32, u32), api: u32) -> Result<RuntimeLibrary> {
    let missing = |what: String| Error::new(Status::RuntimeMissing, what);
    let not_onnxruntime =
        |what: &str| missing(format!("{}: not an ONNX Runtime library, {what}", path.display()));
    // SAFETY: loading runs the library's initialisers. The host names a library that its process may load.
    let library = unsafe { Library::new(path) }.map_err(|e| {
        // The loader's own words stand in the source; most of the time they start with the file.
        let cause = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        let file = path.display().to_string();
        missing(if cause.contains(&file) { cause } else { format!("{file}: {cause}") })
    })?;
    // SAFETY: a symbol of this name has this type in every ONNX Runtime.
    let entry = unsafe { library.get::<GetApiBase>("OrtGetApiBase") }
        .map_err(|_| not_onnxruntime("it has no OrtGetApiBase"))?;
    // SAFETY: it takes nothing; the table it returns lives as long as the library, which is open here.
    let base = unsafe { entry().as_ref() }.ok_or_else(|| not_onnxruntime("OrtGetApiBase returns NULL"))?;
    // SAFETY: as above; the text is static in the library.
    let version = unsafe { text((base.GetVersionString)()) };
    let release = version.as_deref().and_then(major_minor);
    let (Some(version), Some(release)) = (version, release) else {
        return Err(not_onnxruntime("it has no version"));
    };
    // SAFETY: asks for a table of functions; NULL where the library has none of this level.
    let offers_api = !unsafe { (base.GetApi)(api) }.is_null();
    if release < lowest || !offers_api {
        let (major, minor) = lowest;
        let what = format!("{}: ONNX Runtime {version}, needed is {major}.{minor} or later", path.display());
        return Err(Error::new(Status::RuntimeTooOld, what));
    }
    Ok(RuntimeLibrary { file: file_of(*entry).unwrap_or_else(|| path.to_owned()), version, release })
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Text of the library; `None` for NULL and for what is not UTF-8.
///
/// # Safety
/// `pointer` is NULL or NUL-terminated text.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok().map(str::to_owned)
}

/// The file that this function was loaded from: a name without a folder is looked up by the system's loader, and
/// the runtime must later be loaded from the very file that was looked at.
fn file_of(function: GetApiBase) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked for; `info` is a place for the answer.
    let found = unsafe { libc::dladdr(function as *const libc::c_void, &raw mut info) } != 0;
    if !found || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gave NUL-terminated text, which lives as long as the library is open.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::path::absolute(std::ffi::OsStr::from_bytes(name.to_bytes())).ok()
}
