//! Copies to, from and within GPU memory, in the order of a CUDA stream.

use super::driver::Symbol;
use super::memory::{FLOAT_BYTES, GpuMemory, HostMemory};
use super::queue::{Access, GpuQueue};
use super::slice::{Address, GpuSlice};
use crate::error::{Error, Result, Status};
use std::ffi::{c_int, c_uint, c_void};
use std::marker::PhantomData;

/// A scope in which copies can be started. All copies end before [`GpuQueue::run_scope`] returns.
/// The type is invariant in `'env`, so that memory with a shorter lifetime cannot be copied.
pub(crate) struct Scope<'env> {
    queue: &'env GpuQueue,
    env: PhantomData<&'env mut &'env ()>,
}

impl GpuQueue {
    /// Runs `work`, which may add copies and network runs to the stream. All of them have finished
    /// when this function returns. `access` determines what other threads must not do meanwhile.
    /// `work` must neither allocate nor free a queue's memory, nor call this function for a queue
    /// of the same engine.
    ///
    /// # Errors
    /// Returns the error of `work`, or [`Status::Inference`](crate::Status::Inference) if the GPU
    /// fails.
    pub(crate) fn run_scope<'env>(
        &'env self,
        access: Access,
        work: impl FnOnce(&Scope<'env>) -> Result<()>,
    ) -> Result<()> {
        /// Waits for the copies even if `work` panics, because the GPU accesses the borrowed memory
        /// until they have finished.
        struct SynchronizeGuard<'a>(&'a GpuQueue);
        impl Drop for SynchronizeGuard<'_> {
            fn drop(&mut self) {
                let _ = self.0.synchronize();
            }
        }
        self.with_access(access, || {
            let guard = SynchronizeGuard(self);
            let outcome = work(&Scope { queue: self, env: PhantomData });
            std::mem::forget(guard);
            let synchronized = self.synchronize();
            outcome.and(synchronized)
        })
    }
}

impl<'env> Scope<'env> {
    /// Copies all of `from` to `to`, beginning at index `start` in `to`.
    ///
    /// # Errors
    /// Returns [`Status::Inference`](crate::Status::Inference) if the GPU fails, or
    /// [`Status::Internal`](crate::Status::Internal) if the copy extends beyond the end of the
    /// [`GpuMemory`].
    pub(crate) fn upload(
        &self,
        from: &'env HostMemory,
        to: &'env GpuMemory,
        start: usize,
    ) -> Result<()> {
        let (address, stream) = (to.address_of(start, from.len())?, self.queue.stream_handle());
        let bytes = from.len() * FLOAT_BYTES;
        self.queue.call(
            c"cuMemcpyHtoDAsync_v2",
            |f: Symbol<unsafe extern "C" fn(Address, *const c_void, usize, usize) -> c_int>| {
                // SAFETY: `from` contains `bytes` bytes, `address_of` has checked the range in
                // `to`, and both are borrowed until the scope has synchronized.
                unsafe { f(address, from.pointer(), bytes, stream) }
            },
        )
    }

    /// Copies floats within GPU memory.
    ///
    /// # Errors
    /// Returns [`Status::Inference`](crate::Status::Inference) if the GPU fails, or
    /// [`Status::Internal`](crate::Status::Internal) if the slices differ in length.
    pub(crate) fn copy(&self, from: GpuSlice<'env>, to: GpuSlice<'env>) -> Result<()> {
        if from.len() != to.len() {
            let (from, to) = (from.len(), to.len());
            let message = format!("a copy must write as many floats as it reads, {from}, got {to}");
            return Err(Error::new(Status::Internal, message));
        }
        let (bytes, stream) = (from.len() * FLOAT_BYTES, self.queue.stream_handle());
        self.queue.call(
            c"cuMemcpyDtoDAsync_v2",
            |f: Symbol<unsafe extern "C" fn(Address, Address, usize, usize) -> c_int>| {
                // SAFETY: both slices contain `bytes` bytes, and are borrowed until the scope has
                // synchronized.
                unsafe { f(to.address(), from.address(), bytes, stream) }
            },
        )
    }

    /// Sets all floats in `to` to `value`.
    ///
    /// # Errors
    /// Returns [`Status::Inference`](crate::Status::Inference) if the GPU fails.
    pub(crate) fn fill(&self, to: GpuSlice<'env>, value: f32) -> Result<()> {
        let stream = self.queue.stream_handle();
        self.queue.call(
            c"cuMemsetD32Async",
            |f: Symbol<unsafe extern "C" fn(Address, c_uint, usize, usize) -> c_int>| {
                // SAFETY: the slice contains `to.len()` floats of 32 bits, and is borrowed until
                // the scope has synchronized.
                unsafe { f(to.address(), value.to_bits(), to.len(), stream) }
            },
        )
    }

    /// Fills `to` with values from `from`, beginning at index `start` in `from`.
    ///
    /// # Errors
    /// Returns the errors of [`Self::upload`].
    pub(crate) fn download(
        &self,
        from: &'env GpuMemory,
        start: usize,
        to: &'env mut HostMemory,
    ) -> Result<()> {
        let (address, stream) = (from.address_of(start, to.len())?, self.queue.stream_handle());
        let bytes = to.len() * FLOAT_BYTES;
        self.queue.call(
            c"cuMemcpyDtoHAsync_v2",
            |f: Symbol<unsafe extern "C" fn(*mut c_void, Address, usize, usize) -> c_int>| {
                // SAFETY: `to` has room for `bytes` bytes, `address_of` has checked the range in
                // `from`, and both are borrowed until the scope has synchronized.
                unsafe { f(to.pointer(), address, bytes, stream) }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::gpu::FakeDriver;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn copies_through_the_gpu_return_the_values() {
        let driver = FakeDriver::new("libcopies.so");
        {
            let queue = driver.queue();
            let mut host = queue.allocate_on_host(8).unwrap();
            assert_eq!(*host, [0.0; 8]);
            host.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
            let (first, second) =
                (queue.allocate_on_gpu(16).unwrap(), queue.allocate_on_gpu(8).unwrap());
            let mut back = queue.allocate_on_host(3).unwrap();
            queue
                .run_scope(Access::Run, |scope| {
                    scope.upload(&host, &first, 4)?;
                    scope.copy(first.slice(6..11)?, second.slice(1..6)?)?;
                    scope.fill(second.slice(4..5)?, -0.5)?;
                    scope.download(&second, 2, &mut back)
                })
                .unwrap();
            assert_eq!(*back, [4.0, 5.0, -0.5]);
        }
        assert_eq!(driver.alive(), 0);
    }

    #[test]
    fn copies_outside_the_memory_are_refused() {
        let driver = FakeDriver::new("libbounds.so");
        let queue = driver.queue();
        let (host, memory) =
            (queue.allocate_on_host(8).unwrap(), queue.allocate_on_gpu(8).unwrap());
        let mut back = queue.allocate_on_host(8).unwrap();
        for outcome in [
            queue.run_scope(Access::Run, |scope| scope.upload(&host, &memory, 1)),
            queue.run_scope(Access::Run, |scope| {
                scope.copy(memory.slice(0..4)?, memory.slice(4..9)?)
            }),
            queue.run_scope(Access::Run, |scope| {
                scope.copy(memory.slice(0..4)?, memory.slice(4..7)?)
            }),
            queue.run_scope(Access::Run, |scope| {
                scope.fill(memory.slice(usize::MAX - 1..usize::MAX)?, 0.0)
            }),
            queue.run_scope(Access::Run, |scope| scope.download(&memory, 1, &mut back)),
        ] {
            assert_eq!(outcome.unwrap_err().status(), Status::Internal);
        }
        assert_eq!(driver.copies(), 0);
    }

    #[test]
    fn a_panic_waits_for_copies_and_restores_the_context() {
        let driver = FakeDriver::new("libpanic.so");
        let queue = driver.queue();
        let mut host = queue.allocate_on_host(4).unwrap();
        host.fill(7.0);
        let (memory, mut back) =
            (queue.allocate_on_gpu(4).unwrap(), queue.allocate_on_host(4).unwrap());
        queue.run_scope(Access::Run, |scope| scope.upload(&host, &memory, 0)).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            queue.run_scope(Access::Run, |scope| {
                scope.download(&memory, 0, &mut back)?;
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*back, [7.0; 4]);
        assert_eq!(driver.contexts(), 0);
    }
}
