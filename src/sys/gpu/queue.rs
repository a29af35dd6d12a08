//! A CUDA stream on one GPU. Copies and the provider's work run in order on this stream. All calls
//! use the driver API, which is the same in all versions of CUDA.

use super::driver::{DRIVER_LIBRARY, Driver, Symbol};
use super::stream::GpuStream;
use crate::error::{Error, Result, Status};
use ort::memory::AllocationDevice;
use parking_lot::Mutex;
use std::ffi::{CStr, c_int, c_uint};
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`: the stream does not wait for the default stream.
const NON_BLOCKING: c_uint = 1;

/// A CUDA stream on one GPU, and the GPU's primary context, which providers also use.
pub(crate) struct GpuQueue {
    driver: Driver,
    number: u32,
    device: c_int,
    context: usize,
    stream: usize,
    /// Whether this queue created the stream and must destroy it.
    owns_stream: bool,
    /// ONNX Runtime's name for the memory of this GPU.
    kind: AllocationDevice<'static>,
    /// Lock that a thread holds while it uses the context. While a provider captures a graph, other
    /// threads must not allocate or free memory (`cudaStreamCaptureModeGlobal`), and the lock
    /// prevents them from doing so.
    exclusive: Mutex<()>,
}

impl GpuQueue {
    /// Opens a queue on the host's CUDA stream, or on a new CUDA stream if `stream` is `None`.
    ///
    /// # Errors
    /// Returns [`Status::ProviderUnavailable`] if there is no driver or no GPU, or
    /// [`Status::InvalidArgument`] if no GPU has this number.
    pub(crate) fn new(number: u32, stream: Option<GpuStream>) -> Result<Arc<Self>> {
        Self::open(DRIVER_LIBRARY, AllocationDevice::CUDA, number, stream)
    }

    /// Opens a queue on the fake driver, whose GPUs use host memory.
    #[cfg(test)]
    pub(super) fn on_fake_driver(driver: &std::path::Path) -> Result<Arc<Self>> {
        Self::open(driver.to_str().unwrap_or_default(), AllocationDevice::CPU, 0, None)
    }

    fn open(
        driver: &str,
        kind: AllocationDevice<'static>,
        number: u32,
        stream: Option<GpuStream>,
    ) -> Result<Arc<Self>> {
        let driver = Driver::open(driver)?;
        let device = driver.device(number)?;
        let mut context = 0;
        driver.call(
            c"cuDevicePrimaryCtxRetain",
            |f: Symbol<unsafe extern "C" fn(*mut usize, c_int) -> c_int>| {
                // SAFETY: `context` is writable memory for a handle, and `device` is a valid
                // handle.
                unsafe { f(&raw mut context, device) }
            },
        )?;
        let mut queue = Self {
            driver,
            number,
            device,
            context,
            stream: 0,
            owns_stream: false,
            kind,
            exclusive: Mutex::new(()),
        };
        match stream {
            Some(stream) => queue.stream = stream.address(),
            None => {
                (queue.stream, queue.owns_stream) = (queue.create_stream()?, true);
            }
        }
        Ok(Arc::new(queue))
    }

    fn create_stream(&self) -> Result<usize> {
        let mut stream = 0;
        self.with_context(|| {
            let name = c"cuStreamCreate";
            self.call(name, |f: Symbol<unsafe extern "C" fn(*mut usize, c_uint) -> c_int>| {
                // SAFETY: `stream` is writable memory for a handle.
                unsafe { f(&raw mut stream, NON_BLOCKING) }
            })
        })?;
        Ok(stream)
    }

    /// Returns the CUDA stream as the settings of the provider take it.
    pub(crate) fn stream(&self) -> GpuStream {
        GpuStream::from_address(self.stream)
    }

    /// Returns the CUDA stream as a handle for driver calls.
    pub(super) fn stream_handle(&self) -> usize {
        self.stream
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Returns ONNX Runtime's name for the kind of memory that the queue allocates, and the number
    /// of the GPU.
    pub(super) fn memory_kind(&self) -> (AllocationDevice<'static>, i32) {
        (self.kind.clone(), i32::try_from(self.number).unwrap_or(i32::MAX))
    }

    /// Waits until all work on the stream has finished.
    pub(super) fn synchronize(&self) -> Result<()> {
        self.call(c"cuStreamSynchronize", |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
            // SAFETY: the stream is valid as long as this queue exists.
            unsafe { f(self.stream) }
        })
    }

    /// Runs `work` with the queue's context as the current context of this thread, and restores the
    /// host's context afterwards. This function holds a lock while `work` runs, so `work` must not
    /// call this function.
    pub(super) fn with_context<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        /// Restores the context even if `work` panics.
        struct ContextGuard<'a>(&'a GpuQueue);
        impl Drop for ContextGuard<'_> {
            fn drop(&mut self) {
                let mut popped = 0;
                let name = c"cuCtxPopCurrent_v2";
                let _ =
                    self.0.call(name, |f: Symbol<unsafe extern "C" fn(*mut usize) -> c_int>| {
                        // SAFETY: `popped` is writable memory for a handle.
                        unsafe { f(&raw mut popped) }
                    });
            }
        }
        let _exclusive = self.exclusive.lock();
        self.call(c"cuCtxPushCurrent_v2", |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
            // SAFETY: the context is valid, because this queue has retained it.
            unsafe { f(self.context) }
        })?;
        let _guard = ContextGuard(self);
        work()
    }

    /// Calls a driver function.
    ///
    /// # Errors
    /// Returns [`Status::Inference`] if the function fails.
    pub(super) fn call<F>(
        &self,
        name: &CStr,
        call: impl FnOnce(Symbol<'_, F>) -> c_int,
    ) -> Result<()> {
        // SAFETY: every caller uses the type that the driver API documents for the function.
        match call(unsafe { self.driver.function::<F>(name) }?) {
            0 => Ok(()),
            code => {
                let message = format!("{} fails with CUDA error {code}", name.to_string_lossy());
                Err(Error::new(Status::Inference, message))
            }
        }
    }
}

impl Drop for GpuQueue {
    fn drop(&mut self) {
        if self.owns_stream {
            let _ = self.with_context(|| {
                let name = c"cuStreamDestroy_v2";
                self.call(name, |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
                    // SAFETY: this queue created the stream, and nothing uses it any more.
                    unsafe { f(self.stream) }
                })
            });
        }
        let name = c"cuDevicePrimaryCtxRelease_v2";
        let _ = self.call(name, |f: Symbol<unsafe extern "C" fn(c_int) -> c_int>| {
            // SAFETY: `open` retained the context once, and only this function releases it.
            unsafe { f(self.device) }
        });
    }
}
