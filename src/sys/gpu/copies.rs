//! Copies to, from and within GPU memory, in the order of a CUDA stream.

use super::driver::Symbol;
use super::memory::{Address, FLOAT_BYTES, GpuMemory, HostMemory};
use super::queue::GpuQueue;
use crate::error::Result;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

/// A scope in which copies can be started. All copies end before [`GpuQueue::run_scope`] returns.
/// The type is invariant in `'env`, so that memory with a shorter lifetime cannot be copied.
pub(crate) struct Scope<'env> {
    queue: &'env GpuQueue,
    env: PhantomData<&'env mut &'env ()>,
}

impl GpuQueue {
    /// Runs `work`, which may add copies and network runs to the stream. All of them have finished
    /// when this function returns. `work` must neither allocate nor free this queue's memory.
    ///
    /// # Errors
    /// Returns the error of `work`, or [`Status::Inference`](crate::Status::Inference) if the GPU
    /// fails.
    pub(crate) fn run_scope<'env>(
        &'env self,
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
        self.with_context(|| {
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

    /// Copies `len` floats from one position in GPU memory to another.
    ///
    /// # Errors
    /// Returns the errors of [`Self::upload`].
    pub(crate) fn copy(
        &self,
        (from, from_start): (&'env GpuMemory, usize),
        (to, to_start): (&'env GpuMemory, usize),
        len: usize,
    ) -> Result<()> {
        let (from, to) = (from.address_of(from_start, len)?, to.address_of(to_start, len)?);
        let (bytes, stream) = (len * FLOAT_BYTES, self.queue.stream_handle());
        self.queue.call(
            c"cuMemcpyDtoDAsync_v2",
            |f: Symbol<unsafe extern "C" fn(Address, Address, usize, usize) -> c_int>| {
                // SAFETY: `address_of` has checked both ranges, and `from` and `to` are borrowed
                // until the scope has synchronized.
                unsafe { f(to, from, bytes, stream) }
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
    use crate::error::Status;
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
                .run_scope(|scope| {
                    scope.upload(&host, &first, 4)?;
                    scope.copy((&first, 6), (&second, 1), 5)?;
                    scope.download(&second, 2, &mut back)
                })
                .unwrap();
            assert_eq!(*back, [4.0, 5.0, 6.0]);
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
            queue.run_scope(|scope| scope.upload(&host, &memory, 1)),
            queue.run_scope(|scope| scope.copy((&memory, 0), (&memory, 4), 5)),
            queue.run_scope(|scope| scope.copy((&memory, usize::MAX), (&memory, 4), 2)),
            queue.run_scope(|scope| scope.download(&memory, 1, &mut back)),
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
        queue.run_scope(|scope| scope.upload(&host, &memory, 0)).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            queue.run_scope(|scope| {
                scope.download(&memory, 0, &mut back)?;
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*back, [7.0; 4]);
        assert_eq!(driver.contexts(), 0);
    }
}
