//! What the driver says of a GPU, and the version of the TensorRT that is loaded.

use super::driver::{DRIVER, Driver, Symbol};
use crate::{Error, Result};
use libloading::os::unix::{Library as UnixLibrary, RTLD_NOW};
use std::ffi::{CStr, c_char, c_int};

/// TensorRT's library under every name that a provider of ONNX Runtime may have loaded.
const TENSORRT: [&str; 4] = ["libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.9", "libnvinfer.so.8"];

/// `dlopen` finds what is loaded and loads nothing.
const RTLD_NOLOAD: c_int = 4;

/// Numbers of `CUdevice_attribute`.
const MULTIPROCESSORS: c_int = 16;
const COMPUTE_MAJOR: c_int = 75;
const COMPUTE_MINOR: c_int = 76;

/// What of a GPU decides whether an engine built on another fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// As the driver names it: `Orin` on every Orin.
    pub(crate) name: String,
    pub(crate) compute: String,
    pub(crate) multiprocessors: String,
}

/// The GPU of this number.
///
/// # Errors
/// `ProviderUnavailable` without driver or GPU, `InvalidArgument` where there are fewer GPUs.
pub(crate) fn gpu(number: u32) -> Result<Gpu> {
    gpu_of(DRIVER, number)
}

fn gpu_of(driver: &str, number: u32) -> Result<Gpu> {
    let driver = Driver::open(driver)?;
    let device = driver.device(number)?;
    let mut name = [0; 256];
    driver.call(
        c"cuDeviceGetName",
        |f: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>| {
            // SAFETY: as documented; room for one byte less than there is, so that a zero ends it.
            unsafe { f(name.as_mut_ptr(), name.len() as c_int - 1, device) }
        },
    )?;
    let attribute = |attribute| {
        let mut value = 0;
        driver.call(
            c"cuDeviceGetAttribute",
            |f: Symbol<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>| {
                // SAFETY: as documented; a place for a number.
                unsafe { f(&raw mut value, attribute, device) }
            },
        )?;
        Ok::<_, Error>(value)
    };
    // SAFETY: the last byte is zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy();
    Ok(Gpu {
        name: name.chars().filter(|c| !c.is_control()).collect(),
        compute: format!("{}.{}", attribute(COMPUTE_MAJOR)?, attribute(COMPUTE_MINOR)?),
        multiprocessors: attribute(MULTIPROCESSORS)?.to_string(),
    })
}

/// Version of the TensorRT that this process has loaded, as in `10.3.0`; `None` if there is none.
pub(crate) fn tensorrt_version() -> Option<String> {
    TENSORRT.iter().find_map(|name| version_of(name))
}

fn version_of(name: &str) -> Option<String> {
    // SAFETY: it is loaded already, or this fails: no initialiser runs.
    let library = unsafe { UnixLibrary::open(Some(name), RTLD_NOW | RTLD_NOLOAD) }.ok()?;
    // SAFETY: TensorRT's C entry point of this name has this type in every version.
    let version = unsafe { library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion\0") }.ok()?;
    // SAFETY: it takes nothing and only returns a number.
    Some(version_text(unsafe { version() }))
}

/// From TensorRT 10 on the parts have two digits, before that the last three have one, one and two.
fn version_text(number: i32) -> String {
    let (major, rest, minor) = if number < 10_000 {
        (number / 1000, number % 1000, 100)
    } else {
        (number / 10_000, number % 10_000, 100)
    };
    format!("{major}.{}.{}", rest / minor, rest % minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::ffi::gpu::fake;
    use libloading::Library;

    fn asked(name: &str, defines: &[&str], number: u32) -> Result<Gpu> {
        let library = fake(name, defines);
        let gpu = gpu_of(library.to_str().unwrap(), number);
        std::fs::remove_file(library).unwrap();
        gpu
    }

    #[test]
    fn a_gpu_is_told_by_name_compute_capability_and_multiprocessors() {
        let gpu = asked("libdriver.so", &[], 1).unwrap();
        assert_eq!(gpu, Gpu { name: "Orin".into(), compute: "8.7".into(), multiprocessors: "8".into() });
    }

    #[test]
    fn without_driver_gpu_or_function_the_message_names_the_file_and_what_to_do() {
        let error = gpu_of("libcuda-of-nobody.so.1", 0).unwrap_err();
        assert_eq!(error.status(), Status::ProviderUnavailable);
        for word in ["libcuda-of-nobody.so.1", "install the NVIDIA driver"] {
            assert!(error.message().contains(word), "{error}");
        }
        for (name, define, word) in [
            ("libnogpu.so", "-DINIT=100", "CUDA_VISIBLE_DEVICES"),
            ("libbroken.so", "-DINIT=999", "CUDA error 999"),
            ("libold.so", "-DWITHOUT_ATTRIBUTE", "no cuDeviceGetAttribute"),
        ] {
            let error = asked(name, &[define], 0).unwrap_err();
            assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
            assert!(error.message().contains(word) && error.message().contains(name), "{error}");
        }
        let error = asked("libfew.so", &[], 2).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("device_id is 2"), "{error}");
    }

    #[test]
    fn the_version_is_that_of_a_library_that_is_loaded_and_none_is_loaded_for_it() {
        let library = fake("libversion.so", &["-DVERSION=100300"]);
        assert_eq!(version_of("libversion.so"), None);
        // SAFETY: a library without initialisers, built above.
        let loaded = unsafe { Library::new(&library) }.unwrap();
        assert_eq!(version_of("libversion.so").as_deref(), Some("10.3.0"));
        drop(loaded);
        std::fs::remove_file(library).unwrap();
        for (number, text) in [(8601, "8.6.1"), (9300, "9.3.0"), (101_304, "10.13.4"), (110_001, "11.0.1")] {
            assert_eq!(version_text(number), text);
        }
    }
}
