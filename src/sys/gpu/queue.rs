//! A CUDA stream on one GPU. Copies and the provider's work run in order on this stream. All calls
//! use the driver API, which is the same in all versions of CUDA.
//!
//! While a provider captures a graph, CUDA does not allow other threads of the process to make
//! calls that it calls unsafe, and a forbidden call makes the capture fail
//! (`cudaStreamCaptureModeGlobal`). CUDA names allocations as an example, and does not list all of
//! these calls. Two locks therefore make a capture exclusive. All other work only shares them, so
//! without a capture no queue waits for another:
//!
//! - [`MEMORY`] belongs to the process. It keeps queues from allocating and freeing memory, also
//!   those of other engines.
//! - The lock in [`GpuQueue::runs`] belongs to all queues of one engine. It keeps its other threads
//!   from copying, from launching graphs and from waiting for the GPU. Runs of other engines go on,
//!   because the first run of a network may take seconds.
//!
//! A capture takes the lock of the runs first. Nothing else holds both locks, so no thread can wait
//! for a thread that waits for it.

use super::driver::{DRIVER_LIBRARY, Driver, Symbol};
use super::stream::GpuStream;
use crate::error::{Error, Result, Status};
use ort::memory::AllocationDevice;
use parking_lot::RwLock;
use std::ffi::{CStr, c_int, c_uint};
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`: the stream does not wait for the default stream.
const NON_BLOCKING: c_uint = 1;

/// Lock that is shared by the threads that allocate or free memory, and held alone by a thread that
/// may capture a graph.
static MEMORY: RwLock<()> = RwLock::new(());

/// What a thread may do on a queue, and thus what other threads must not do at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The thread copies, or launches a captured graph.
    Run,
    /// The provider may capture a graph.
    Capture,
}

/// A CUDA stream on one GPU, and the GPU's primary context, which providers also use.
pub(crate) struct GpuQueue {
    driver: Arc<Driver>,
    number: u32,
    device: c_int,
    context: usize,
    stream: usize,
    /// Whether this queue created the stream and must destroy it.
    owns_stream: bool,
    /// ONNX Runtime's name for the memory of this GPU.
    kind: AllocationDevice<'static>,
    /// Lock that the queues of an engine have in common. The threads that run a network share it,
    /// and a thread that may capture a graph holds it alone.
    runs: Arc<RwLock<()>>,
}

impl GpuQueue {
    /// Opens a queue on the host's CUDA stream, or on a new CUDA stream if `stream` is `None`.
    ///
    /// # Errors
    /// Returns [`Status::ProviderUnavailable`] if there is no driver or no GPU, or
    /// [`Status::InvalidArgument`] if no GPU has this number.
    pub(crate) fn new(number: u32, stream: Option<GpuStream>) -> Result<Arc<Self>> {
        let driver = Arc::new(Driver::open(DRIVER_LIBRARY)?);
        Self::open(driver, AllocationDevice::CUDA, number, stream, Arc::default())
    }

    /// Opens a queue for another part of the same engine, so that both parts can run at the same
    /// time. It uses a new CUDA stream, or the host's stream if this queue uses it.
    ///
    /// # Errors
    /// Returns the errors of [`Self::new`].
    pub(crate) fn open_sibling(self: &Arc<Self>) -> Result<Arc<Self>> {
        if !self.owns_stream {
            return Ok(Arc::clone(self));
        }
        let (driver, runs) = (Arc::clone(&self.driver), Arc::clone(&self.runs));
        Self::open(driver, self.kind.clone(), self.number, None, runs)
    }

    /// Opens a queue on the fake driver, whose GPUs use host memory.
    #[cfg(test)]
    pub(super) fn on_fake_driver(
        driver: &std::path::Path,
        stream: Option<GpuStream>,
    ) -> Result<Arc<Self>> {
        let driver = Arc::new(Driver::open(driver.to_str().unwrap_or_default())?);
        Self::open(driver, AllocationDevice::CPU, 0, stream, Arc::default())
    }

    fn open(
        driver: Arc<Driver>,
        kind: AllocationDevice<'static>,
        number: u32,
        stream: Option<GpuStream>,
        runs: Arc<RwLock<()>>,
    ) -> Result<Arc<Self>> {
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
        let mut queue =
            Self { driver, number, device, context, stream: 0, owns_stream: false, kind, runs };
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
        self.with_memory_lock(|| {
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

    /// Runs `work`, which allocates or frees memory, while no thread captures a graph.
    pub(super) fn with_memory_lock<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _shared = MEMORY.read();
        self.with_context(work)
    }

    /// Runs `work`, which uses the CUDA stream, while no other thread does what `access` excludes.
    pub(super) fn with_access<T>(
        &self,
        access: Access,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match access {
            Access::Run => {
                let _shared = self.runs.read();
                self.with_context(work)
            }
            Access::Capture => {
                let _runs = self.runs.write();
                let _memory = MEMORY.write();
                self.with_context(work)
            }
        }
    }

    /// Runs `work` with the queue's context as the current context of this thread, and restores the
    /// host's context afterwards.
    fn with_context<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
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
            let _ = self.with_memory_lock(|| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::gpu::FakeDriver;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

    #[test]
    fn parts_run_at_the_same_time() {
        let driver = FakeDriver::new("libsiblings.so");
        {
            let fast = driver.queue();
            let slow = fast.open_sibling().unwrap();
            assert_ne!(fast.stream(), slow.stream());
            // Each run waits until all of them have begun.
            let begun = Barrier::new(3);
            let run = |queue: &GpuQueue| {
                let wait = |_: &_| {
                    begun.wait();
                    Ok(())
                };
                queue.run_scope(Access::Run, wait).unwrap();
            };
            std::thread::scope(|scope| {
                for queue in [&fast, &fast, &slow] {
                    scope.spawn(|| run(queue));
                }
            });
        }
        assert_eq!(driver.alive(), 0);
    }

    #[test]
    fn parts_share_the_stream_of_the_host() {
        let driver = FakeDriver::new("libhost-stream.so");
        let host = driver.queue();
        let fast = driver.queue_on(host.stream());
        assert_eq!(fast.open_sibling().unwrap().stream(), host.stream());
        drop(fast);
        host.run_scope(Access::Run, |_| Ok(())).expect("the stream still exists");
    }

    /// The captures have no effect in the driver, so the test itself tells the driver which calls
    /// are wrong.
    #[test]
    fn captures_exclude_runs_and_allocations() {
        let driver = FakeDriver::new("libcapture.so");
        {
            let fast = driver.queue();
            // The third queue belongs to another engine, whose runs go on.
            let (slow, other) = (fast.open_sibling().unwrap(), driver.queue());
            let (is_capturing, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
            let overlaps = AtomicU32::new(0);
            let until_over = |work: &dyn Fn()| {
                while !is_over.load(SeqCst) {
                    work();
                }
            };
            std::thread::scope(|scope| {
                for queue in [&slow, &other] {
                    scope.spawn(|| until_over(&|| drop(queue.allocate_on_gpu(1).unwrap())));
                    scope.spawn(|| until_over(&|| drop(queue.allocate_on_host(1).unwrap())));
                }
                scope.spawn(|| {
                    until_over(&|| {
                        let count = |_: &_| {
                            overlaps.fetch_add(is_capturing.load(SeqCst).into(), SeqCst);
                            Ok(())
                        };
                        slow.run_scope(Access::Run, count).unwrap();
                    });
                });
                let mut outcome = Ok(());
                for _ in 0..200 {
                    let capture = |_: &_| {
                        is_capturing.store(true, SeqCst);
                        driver.set_capturing(true);
                        std::thread::yield_now();
                        other.run_scope(Access::Run, |_| Ok(()))?;
                        driver.set_capturing(false);
                        is_capturing.store(false, SeqCst);
                        Ok(())
                    };
                    outcome = outcome.and(fast.run_scope(Access::Capture, capture));
                }
                is_over.store(true, SeqCst);
                outcome.unwrap();
            });
            assert_eq!((driver.wrong_calls(), overlaps.load(SeqCst)), (0, 0));
        }
        assert_eq!(driver.alive(), 0);
    }
}
