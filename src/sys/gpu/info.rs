//! The GPU properties that the driver reports, and the version of the loaded TensorRT library.

use super::driver::{DRIVER_LIBRARY, Driver, Symbol};
use crate::error::{Error, Result};
use libloading::os::unix::{Library as UnixLibrary, RTLD_NOW};
use std::ffi::{CStr, c_char, c_int};

/// Names of the TensorRT libraries that a provider of ONNX Runtime may have loaded.
const TENSORRT_LIBRARIES: [&str; 4] =
    ["libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.9", "libnvinfer.so.8"];

/// Flag with which `dlopen` opens a library only if it is already loaded.
const RTLD_NOLOAD: c_int = 4;

/// Values of `CUdevice_attribute`.
const MULTIPROCESSORS: c_int = 16;
const COMPUTE_MAJOR: c_int = 75;
const COMPUTE_MINOR: c_int = 76;

/// The properties of a GPU that determine whether it can run an engine that was built on another
/// GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuInfo {
    /// Name that the driver reports, for example `Orin` for every Orin module.
    pub(crate) name: String,
    /// Compute capability, such as `8.7`.
    pub(crate) compute: String,
    pub(crate) multiprocessors: String,
}

/// Queries the driver for the properties of a GPU.
///
/// # Errors
/// Returns [`Status::ProviderUnavailable`](crate::Status::ProviderUnavailable) if there is no
/// driver or no GPU, or [`Status::InvalidArgument`](crate::Status::InvalidArgument) if no GPU has
/// this number.
pub(crate) fn query_gpu(number: u32) -> Result<GpuInfo> {
    query_gpu_with(DRIVER_LIBRARY, number)
}

fn query_gpu_with(driver: &str, number: u32) -> Result<GpuInfo> {
    let driver = Driver::open(driver)?;
    let device = driver.device(number)?;
    let mut name = [0; 256];
    driver.call(
        c"cuDeviceGetName",
        |f: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>| {
            // SAFETY: `name` is writable, and one byte longer than the length passed to the driver.
            // The driver therefore never writes the last byte, and a zero always terminates the
            // name.
            unsafe { f(name.as_mut_ptr(), name.len() as c_int - 1, device) }
        },
    )?;
    let attribute = |attribute| {
        let mut value = 0;
        driver.call(
            c"cuDeviceGetAttribute",
            |f: Symbol<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>| {
                // SAFETY: `value` is writable memory for a number.
                unsafe { f(&raw mut value, attribute, device) }
            },
        )?;
        Ok::<_, Error>(value)
    };
    // SAFETY: `name` is NUL-terminated, because its last byte is zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy();
    Ok(GpuInfo {
        name: name.chars().filter(|c| !c.is_control()).collect(),
        compute: format!("{}.{}", attribute(COMPUTE_MAJOR)?, attribute(COMPUTE_MINOR)?),
        multiprocessors: attribute(MULTIPROCESSORS)?.to_string(),
    })
}

/// Returns the version of the TensorRT library that this process has loaded, such as `10.3.0`.
pub(crate) fn tensorrt_version() -> Option<String> {
    TENSORRT_LIBRARIES.iter().find_map(|name| loaded_version(name))
}

fn loaded_version(name: &str) -> Option<String> {
    // SAFETY: the call fails unless the library is already loaded, so no initialiser runs.
    let library = unsafe { UnixLibrary::open(Some(name), RTLD_NOW | RTLD_NOLOAD) }.ok()?;
    // SAFETY: `getInferLibVersion` has this type in every version of TensorRT.
    let version =
        unsafe { library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion\0") }.ok()?;
    // SAFETY: the function takes no arguments and returns a number.
    Some(format_version(unsafe { version() }))
}

/// Formats a version number, which is the sum of the major version times 10,000 (1,000 before
/// TensorRT 10), the minor version times 100, and the patch number.
fn format_version(number: i32) -> String {
    let major_unit = if number < 10_000 { 1000 } else { 10_000 };
    let (major, rest) = (number / major_unit, number % major_unit);
    format!("{major}.{}.{}", rest / 100, rest % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::sys::gpu::build_fake_driver;
    use libloading::Library;

    fn query_fake(name: &str, defines: &[&str], number: u32) -> Result<GpuInfo> {
        let library = build_fake_driver(name, defines);
        let gpu = query_gpu_with(library.to_str().unwrap(), number);
        std::fs::remove_file(library).unwrap();
        gpu
    }

    #[test]
    fn a_gpu_has_name_capability_and_multiprocessors() {
        let gpu = query_fake("libdriver.so", &[], 1).unwrap();
        assert_eq!(
            gpu,
            GpuInfo { name: "Orin".into(), compute: "8.7".into(), multiprocessors: "8".into() }
        );
    }

    #[test]
    fn errors_name_the_driver_file_and_a_remedy() {
        let error = query_gpu_with("libcuda-of-nobody.so.1", 0).unwrap_err();
        assert_eq!(error.status(), Status::ProviderUnavailable);
        for word in ["libcuda-of-nobody.so.1", "install the NVIDIA driver"] {
            assert!(error.message().contains(word), "{error}");
        }
        for (name, define, word) in [
            ("libnogpu.so", "-DINIT=100", "CUDA_VISIBLE_DEVICES"),
            ("libbroken.so", "-DINIT=999", "CUDA error 999"),
            ("libold.so", "-DWITHOUT_ATTRIBUTE", "no cuDeviceGetAttribute"),
        ] {
            let error = query_fake(name, &[define], 0).unwrap_err();
            assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
            assert!(error.message().contains(word) && error.message().contains(name), "{error}");
        }
        let error = query_fake("libfew.so", &[], 2).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("device_id must be 0 to 1, got 2"), "{error}");
    }

    #[test]
    fn the_version_of_tensorrt_loads_no_library() {
        let library = build_fake_driver("libversion.so", &["-DVERSION=100300"]);
        assert_eq!(loaded_version("libversion.so"), None);
        // SAFETY: the library was built above and has no initialisers.
        let loaded = unsafe { Library::new(&library) }.unwrap();
        assert_eq!(loaded_version("libversion.so").as_deref(), Some("10.3.0"));
        drop(loaded);
        std::fs::remove_file(library).unwrap();
        for (number, text) in
            [(8601, "8.6.1"), (9300, "9.3.0"), (101_304, "10.13.4"), (110_001, "11.0.1")]
        {
            assert_eq!(format_version(number), text);
        }
    }
}
