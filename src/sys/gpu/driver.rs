//! NVIDIA's driver, which is loaded at run time.

use crate::error::{Error, Result, Status};
use libloading::Library;
use std::error::Error as _;
use std::ffi::{CStr, c_int, c_uint};

/// File name of the driver's library.
pub(super) const DRIVER_LIBRARY: &str = "libcuda.so.1";

/// A function of the driver.
pub(super) type Symbol<'a, T> = libloading::Symbol<'a, T>;

pub(super) struct Driver {
    library: Library,
    name: String,
}

impl Driver {
    /// Loads and initialises the driver.
    ///
    /// # Errors
    /// Returns [`Status::ProviderUnavailable`] if there is no driver or no GPU.
    pub(super) fn open(name: &str) -> Result<Self> {
        // SAFETY: loading runs the library's initialisers. The library is NVIDIA's driver, whose
        // initialisers also run when the provider loads it.
        let library = unsafe { Library::new(name) }.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let cause = if cause.contains(name) { cause } else { format!("{name}: {cause}") };
            let message = format!(
                "{cause}; install the NVIDIA driver (part of JetPack), or start the container with \
                 NVIDIA's runtime"
            );
            Error::new(Status::ProviderUnavailable, message)
        })?;
        let driver = Self { library, name: name.to_owned() };
        driver.call(c"cuInit", |f: Symbol<unsafe extern "C" fn(c_uint) -> c_int>| {
            // SAFETY: `cuInit` takes no pointers, and its flags are 0, as the driver API requires.
            unsafe { f(0) }
        })?;
        Ok(driver)
    }

    /// Returns the handle of a GPU.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] if no GPU has this number.
    pub(super) fn device(&self, number: u32) -> Result<c_int> {
        let mut count = 0;
        self.call(c"cuDeviceGetCount", |f: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int>| {
            // SAFETY: `count` is writable memory for a number.
            unsafe { f(&raw mut count) }
        })?;
        let ordinal = c_int::try_from(number).unwrap_or(c_int::MAX);
        if ordinal >= count {
            let (name, largest) = (&self.name, count - 1);
            let message =
                format!("device_id must be 0 to {largest}, got {number}; {name} has no such GPU");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let mut device = 0;
        self.call(
            c"cuDeviceGet",
            |f: Symbol<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>| {
                // SAFETY: `device` is writable memory for a handle, and `ordinal` is less than
                // `count`.
                unsafe { f(&raw mut device, ordinal) }
            },
        )?;
        Ok(device)
    }

    /// Returns the driver's function with this name.
    ///
    /// # Safety
    /// The driver's function with this name must have the type `F`.
    ///
    /// # Errors
    /// Returns [`Status::ProviderUnavailable`] if the driver does not have the function.
    pub(super) unsafe fn function<F>(&self, name: &CStr) -> Result<Symbol<'_, F>> {
        // SAFETY: the caller guarantees that the function has the type `F`.
        unsafe { self.library.get::<F>(name.to_bytes_with_nul()) }
            .map_err(|_| self.driver_error(&format!("it has no {}", name.to_string_lossy())))
    }

    /// Calls a driver function, which returns 0 or an error code.
    ///
    /// # Errors
    /// Returns [`Status::ProviderUnavailable`] if the function is missing or fails.
    pub(super) fn call<F>(
        &self,
        name: &CStr,
        call: impl FnOnce(Symbol<'_, F>) -> c_int,
    ) -> Result<()> {
        // SAFETY: every caller uses the type that the driver API documents for the function.
        match call(unsafe { self.function::<F>(name) }?) {
            0 => Ok(()),
            100 => Err(Error::new(
                Status::ProviderUnavailable,
                format!(
                    "{}: no GPU; check that CUDA_VISIBLE_DEVICES does not hide it and that this \
                     user may open /dev/nvidia*",
                    self.name
                ),
            )),
            code => Err(self
                .driver_error(&format!("{} fails with CUDA error {code}", name.to_string_lossy()))),
        }
    }

    fn driver_error(&self, problem: &str) -> Error {
        let message = format!("{}: {problem}; install the NVIDIA driver again", self.name);
        Error::new(Status::ProviderUnavailable, message)
    }
}
