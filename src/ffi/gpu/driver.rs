//! NVIDIA's driver, opened at run time: nothing of it is linked.

use crate::{Error, Result, Status};
use libloading::Library;
use std::error::Error as _;
use std::ffi::{CStr, c_int, c_uint};

/// The driver's library.
pub(super) const DRIVER: &str = "libcuda.so.1";

/// A function of the driver, found by name.
pub(super) type Symbol<'a, T> = libloading::Symbol<'a, T>;

pub(super) struct Driver {
    library: Library,
    name: String,
}

impl Driver {
    /// Loads and starts it.
    ///
    /// # Errors
    /// `ProviderUnavailable` without driver or GPU.
    pub(super) fn open(name: &str) -> Result<Self> {
        // SAFETY: loading runs the library's initialisers. It is the driver, which the provider loads too.
        let library = unsafe { Library::new(name) }.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let cause = if cause.contains(name) { cause } else { format!("{name}: {cause}") };
            let what = format!(
                "{cause}; install the NVIDIA driver (JetPack has it), or start the container with NVIDIA's runtime"
            );
            Error::new(Status::ProviderUnavailable, what)
        })?;
        let driver = Self { library, name: name.to_owned() };
        driver.call(c"cuInit", |f: Symbol<unsafe extern "C" fn(c_uint) -> c_int>| {
            // SAFETY: as the driver API documents it; flags must be 0.
            unsafe { f(0) }
        })?;
        Ok(driver)
    }

    /// The GPU of this number.
    ///
    /// # Errors
    /// `InvalidArgument` where there are fewer GPUs.
    pub(super) fn device(&self, number: u32) -> Result<c_int> {
        let mut count = 0;
        self.call(c"cuDeviceGetCount", |f: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int>| {
            // SAFETY: as documented; a place for a number.
            unsafe { f(&raw mut count) }
        })?;
        let ordinal = c_int::try_from(number).unwrap_or(c_int::MAX);
        if ordinal >= count {
            let what = format!("device_id is {number}, and {} sees {count} GPUs", self.name);
            return Err(Error::new(Status::InvalidArgument, what));
        }
        let mut device = 0;
        self.call(c"cuDeviceGet", |f: Symbol<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>| {
            // SAFETY: as documented; a place for a handle.
            unsafe { f(&raw mut device, ordinal) }
        })?;
        Ok(device)
    }

    /// A function by its name.
    ///
    /// # Safety
    /// The driver's function of this name has the type `F`.
    ///
    /// # Errors
    /// `ProviderUnavailable` where the driver does not have it.
    pub(super) unsafe fn function<F>(&self, name: &CStr) -> Result<Symbol<'_, F>> {
        // SAFETY: the caller's promise.
        unsafe { self.library.get::<F>(name.to_bytes_with_nul()) }
            .map_err(|_| self.unavailable(&format!("it has no {}", name.to_string_lossy())))
    }

    /// Calls a function of the driver; what it returns is 0 or an error.
    pub(super) fn call<F>(&self, name: &CStr, call: impl FnOnce(Symbol<'_, F>) -> c_int) -> Result<()> {
        // SAFETY: every caller names a function of the driver API with its documented type.
        match call(unsafe { self.function::<F>(name) }?) {
            0 => Ok(()),
            100 => Err(Error::new(
                Status::ProviderUnavailable,
                format!(
                    "{}: no GPU; look whether CUDA_VISIBLE_DEVICES hides it and this user may open /dev/nvidia*",
                    self.name
                ),
            )),
            code => {
                Err(self.unavailable(&format!("{} fails with CUDA error {code}", name.to_string_lossy())))
            }
        }
    }

    fn unavailable(&self, what: &str) -> Error {
        let what = format!("{}: {what}; install the NVIDIA driver anew", self.name);
        Error::new(Status::ProviderUnavailable, what)
    }
}
