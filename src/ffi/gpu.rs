//! The GPU as the driver sees it, the version of TensorRT, and a stream of the host's: what decides whether a built engine
//! fits, asked without linking anything of NVIDIA's.

use std::ffi::c_void;

/// A `cudaStream_t` of the host's, made with the priority it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuStream(usize);

impl GpuStream {
    /// The stream at this address; `None` for NULL.
    ///
    /// # Safety
    /// It is a stream of the device that the engine is made for, and lives as long as the engine and its streams.
    #[must_use]
    pub unsafe fn from_raw(stream: *mut c_void) -> Option<Self> {
        (!stream.is_null()).then_some(Self(stream as usize))
    }

    /// An address that nothing lies at, for tests in which nothing runs.
    #[cfg(all(test, feature = "ort"))]
    pub(crate) fn of_nobody() -> Self {
        Self(0x1234)
    }

    #[cfg(feature = "ort")]
    pub(crate) fn address(self) -> usize {
        self.0
    }
}

#[cfg(feature = "ort")]
pub(crate) use probe::{Gpu, gpu, tensorrt_version};

#[cfg(feature = "ort")]
mod probe {
    use crate::{Error, Result, Status};
    use libloading::Library;
    use libloading::os::unix::{Library as UnixLibrary, RTLD_NOW};
    use std::error::Error as _;
    use std::ffi::{CStr, c_char, c_int, c_uint};

    /// The driver's library.
    const DRIVER: &str = "libcuda.so.1";

    /// TensorRT's library under every name that a provider of ONNX Runtime may have loaded.
    const TENSORRT: [&str; 4] =
        ["libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.9", "libnvinfer.so.8"];

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
        let unavailable = |what: String| Error::new(Status::ProviderUnavailable, what);
        // SAFETY: loading runs the library's initialisers. It is the driver, which the provider loads too.
        let library = unsafe { Library::new(driver) }.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let cause = if cause.contains(driver) { cause } else { format!("{driver}: {cause}") };
            unavailable(format!(
                "{cause}; install the NVIDIA driver (JetPack has it), or start the container with NVIDIA's runtime"
            ))
        })?;
        let driver = Driver { library: &library, name: driver };
        driver.call(c"cuInit", |f: Symbol<unsafe extern "C" fn(c_uint) -> c_int>| {
            // SAFETY: as the driver API documents it; flags must be 0.
            unsafe { f(0) }
        })?;
        let mut count = 0;
        driver.call(c"cuDeviceGetCount", |f: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int>| {
            // SAFETY: as documented; a place for a number.
            unsafe { f(&raw mut count) }
        })?;
        let ordinal = c_int::try_from(number).unwrap_or(c_int::MAX);
        if ordinal >= count {
            let what = format!("device_id is {number}, and {} sees {count} GPUs", driver.name);
            return Err(Error::new(Status::InvalidArgument, what));
        }
        let mut device = 0;
        driver.call(c"cuDeviceGet", |f: Symbol<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>| {
            // SAFETY: as documented; a place for a handle.
            unsafe { f(&raw mut device, ordinal) }
        })?;
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

    type Symbol<'a, T> = libloading::Symbol<'a, T>;

    struct Driver<'a> {
        library: &'a Library,
        name: &'a str,
    }

    impl Driver<'_> {
        /// Calls a function of the driver; what it returns is 0 or an error.
        fn call<F>(&self, function: &CStr, call: impl FnOnce(Symbol<'_, F>) -> c_int) -> Result<()> {
            let unavailable = |what: String| {
                let what = format!("{}: {what}; install the NVIDIA driver anew", self.name);
                Err(Error::new(Status::ProviderUnavailable, what))
            };
            // SAFETY: every caller names a function of the driver API with its documented type.
            let Ok(symbol) = (unsafe { self.library.get::<F>(function.to_bytes_with_nul()) }) else {
                return unavailable(format!("it has no {}", function.to_string_lossy()));
            };
            match call(symbol) {
                0 => Ok(()),
                100 => Err(Error::new(
                    Status::ProviderUnavailable,
                    format!(
                        "{}: no GPU; look whether CUDA_VISIBLE_DEVICES hides it and this user may open /dev/nvidia*",
                        self.name
                    ),
                )),
                code => unavailable(format!("{} fails with CUDA error {code}", function.to_string_lossy())),
            }
        }
    }

    /// Version of the TensorRT that this process has loaded, as in `10.3.0`; `None` if there is none.
    pub(crate) fn tensorrt_version() -> Option<String> {
        TENSORRT.iter().find_map(|name| version_of(name))
    }

    fn version_of(name: &str) -> Option<String> {
        // SAFETY: it is loaded already, or this fails: no initialiser runs.
        let library = unsafe { UnixLibrary::open(Some(name), RTLD_NOW | RTLD_NOLOAD) }.ok()?;
        // SAFETY: TensorRT's C entry point of this name has this type in every version.
        let version =
            unsafe { library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion\0") }.ok()?;
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
        use std::path::{Path, PathBuf};
        use std::process::Command;

        /// Builds `tests/c/fake_driver.c`.
        fn fake(name: &str, defines: &[&str]) -> PathBuf {
            let folder = std::env::temp_dir().join(format!("tteview-driver-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let library = folder.join(name);
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_driver.c");
            let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
            let mut command = Command::new(compiler);
            command.args(["-shared", "-fPIC"]).args(defines).arg(format!("-Wl,-soname,{name}"));
            assert!(command.arg("-o").arg(&library).arg(source).status().expect("a C compiler").success());
            library
        }

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
            for (number, text) in
                [(8601, "8.6.1"), (9300, "9.3.0"), (101_304, "10.13.4"), (110_001, "11.0.1")]
            {
                assert_eq!(version_text(number), text);
            }
        }
    }
}
