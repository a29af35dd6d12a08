//! Memory of a GPU, page-locked memory of the host, and a stream in which copies between them take their turn with what a
//! provider runs there. By the driver's functions, which are the same in all versions of CUDA.

use super::GpuStream;
use super::driver::{DRIVER, Driver, Symbol};
use crate::{Error, Result, Status};
use ort::memory::AllocationDevice;
use parking_lot::Mutex;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream.
const NON_BLOCKING: c_uint = 1;

/// An address in a GPU's memory, `CUdeviceptr`.
type Address = u64;

const FLOAT: usize = size_of::<f32>();

/// A stream of one GPU and the context that it belongs to: CUDA's primary one, in which the providers work too.
pub(crate) struct GpuQueue {
    driver: Driver,
    number: u32,
    device: c_int,
    context: usize,
    stream: usize,
    /// The stream is ours and not the host's.
    own: bool,
    /// What ONNX Runtime calls its memory.
    kind: AllocationDevice<'static>,
    /// While a provider captures a graph, no other thread may allocate or free (`cudaStreamCaptureModeGlobal`).
    turn: Mutex<()>,
}

/// Floats in a GPU's memory.
pub(crate) struct GpuMemory {
    queue: Arc<GpuQueue>,
    address: Address,
    len: usize,
}

/// Floats in page-locked memory of the host, which a GPU reads and writes by itself.
pub(crate) struct HostMemory {
    queue: Arc<GpuQueue>,
    floats: NonNull<f32>,
    len: usize,
}
// SAFETY: owned memory; the queue is shared between threads by itself.
unsafe impl Send for HostMemory {}
// SAFETY: as above; a shared borrow only reads.
unsafe impl Sync for HostMemory {}

/// Copies that end with [`GpuQueue::scope`]. Invariant in `'env`, so that nothing that is gone sooner is copied.
pub(crate) struct Scope<'env> {
    queue: &'env GpuQueue,
    env: PhantomData<&'env mut &'env ()>,
}

impl GpuQueue {
    /// A stream of this GPU: the host's, or one of its own.
    ///
    /// # Errors
    /// `ProviderUnavailable` without driver or GPU, `InvalidArgument` where there are fewer GPUs.
    pub(crate) fn new(number: u32, stream: Option<GpuStream>) -> Result<Arc<Self>> {
        Self::on(DRIVER, AllocationDevice::CUDA, number, stream)
    }

    /// One of the driver that `tests/c/fake_driver.c` is, whose GPUs have the host's memory.
    #[cfg(test)]
    pub(crate) fn fake(driver: &std::path::Path) -> Result<Arc<Self>> {
        Self::on(driver.to_str().unwrap_or_default(), AllocationDevice::CPU, 0, None)
    }

    fn on(
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
                // SAFETY: as the driver API documents it; a place for a handle.
                unsafe { f(&raw mut context, device) }
            },
        )?;
        let mut queue =
            Self { driver, number, device, context, stream: 0, own: false, kind, turn: Mutex::new(()) };
        match stream {
            Some(stream) => queue.stream = stream.address(),
            None => {
                let mut made = 0;
                queue.within(|| {
                    let name = c"cuStreamCreate";
                    queue.call(name, |f: Symbol<unsafe extern "C" fn(*mut usize, c_uint) -> c_int>| {
                        // SAFETY: as documented; a place for a handle.
                        unsafe { f(&raw mut made, NON_BLOCKING) }
                    })
                })?;
                (queue.stream, queue.own) = (made, true);
            }
        }
        Ok(Arc::new(queue))
    }

    /// The stream, for the provider to work in.
    pub(crate) fn stream(&self) -> GpuStream {
        GpuStream(self.stream)
    }

    /// The kind of its memory as ONNX Runtime calls it, and the number of the GPU.
    pub(super) fn memory_kind(&self) -> (AllocationDevice<'static>, i32) {
        (self.kind.clone(), i32::try_from(self.number).unwrap_or(i32::MAX))
    }

    /// So many floats of the GPU's memory, with any content.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn memory(self: &Arc<Self>, len: usize) -> Result<GpuMemory> {
        let mut address = 0;
        self.allocated(len, || {
            let name = c"cuMemAlloc_v2";
            self.call(name, |f: Symbol<unsafe extern "C" fn(*mut Address, usize) -> c_int>| {
                // SAFETY: as documented; a place for an address. The driver allocates nothing of size 0.
                unsafe { f(&raw mut address, len.max(1) * FLOAT) }
            })
        })?;
        Ok(GpuMemory { queue: Arc::clone(self), address, len })
    }

    /// So many zeros in page-locked memory of the host.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn host(self: &Arc<Self>, len: usize) -> Result<HostMemory> {
        let mut pointer = std::ptr::null_mut::<c_void>();
        self.allocated(len, || {
            let name = c"cuMemAllocHost_v2";
            self.call(name, |f: Symbol<unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int>| {
                // SAFETY: as documented; a place for a pointer.
                unsafe { f(&raw mut pointer, len.max(1) * FLOAT) }
            })
        })?;
        let floats = NonNull::new(pointer.cast::<f32>())
            .ok_or_else(|| Error::new(Status::OutOfMemory, "page-locked memory: the driver gave NULL"))?;
        // SAFETY: that many floats were allocated, and zero bytes are a float.
        unsafe { floats.write_bytes(0, len) };
        Ok(HostMemory { queue: Arc::clone(self), floats, len })
    }

    fn allocated(&self, len: usize, allocate: impl FnOnce() -> Result<()>) -> Result<()> {
        self.within(allocate).map_err(|error| {
            Error::new(Status::OutOfMemory, format!("{} bytes of GPU {}: {error}", len * FLOAT, self.number))
        })
    }

    /// Runs `work`, which may put copies and runs into the stream; all of them are done when this returns. It must neither
    /// allocate nor free memory of this queue.
    ///
    /// # Errors
    /// Those of `work`; `Inference` where the GPU fails.
    pub(crate) fn scope<'env>(&'env self, work: impl FnOnce(&Scope<'env>) -> Result<()>) -> Result<()> {
        /// Waits even if `work` panics: what it borrows is read and written until then.
        struct Waits<'a>(&'a GpuQueue);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                let _ = self.0.wait();
            }
        }
        self.within(|| {
            let waits = Waits(self);
            let done = work(&Scope { queue: self, env: PhantomData });
            std::mem::forget(waits);
            let waited = self.wait();
            done.and(waited)
        })
    }

    fn wait(&self) -> Result<()> {
        self.call(c"cuStreamSynchronize", |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
            // SAFETY: as documented; the stream lives.
            unsafe { f(self.stream) }
        })
    }

    /// With the context as the thread's current one; a host's own is put back. One thread at a time, and not within
    /// itself.
    fn within<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        /// Puts it back even if `work` panics.
        struct Pops<'a>(&'a GpuQueue);
        impl Drop for Pops<'_> {
            fn drop(&mut self) {
                let mut left = 0;
                let name = c"cuCtxPopCurrent_v2";
                let _ = self.0.call(name, |f: Symbol<unsafe extern "C" fn(*mut usize) -> c_int>| {
                    // SAFETY: as documented; a place for a handle.
                    unsafe { f(&raw mut left) }
                });
            }
        }
        let _turn = self.turn.lock();
        self.call(c"cuCtxPushCurrent_v2", |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
            // SAFETY: as documented; the context is retained.
            unsafe { f(self.context) }
        })?;
        let _pops = Pops(self);
        work()
    }

    fn call<F>(&self, name: &CStr, call: impl FnOnce(Symbol<'_, F>) -> c_int) -> Result<()> {
        // SAFETY: every caller names a function of the driver API with its documented type.
        match call(unsafe { self.driver.function::<F>(name) }?) {
            0 => Ok(()),
            code => {
                let what = format!("{} fails with CUDA error {code}", name.to_string_lossy());
                Err(Error::new(Status::Inference, what))
            }
        }
    }
}

impl Drop for GpuQueue {
    fn drop(&mut self) {
        if self.own {
            let _ = self.within(|| {
                self.call(c"cuStreamDestroy_v2", |f: Symbol<unsafe extern "C" fn(usize) -> c_int>| {
                    // SAFETY: as documented; ours, and nothing works in it any more.
                    unsafe { f(self.stream) }
                })
            });
        }
        let _ =
            self.call(c"cuDevicePrimaryCtxRelease_v2", |f: Symbol<unsafe extern "C" fn(c_int) -> c_int>| {
                // SAFETY: as documented; retained once in `on`.
                unsafe { f(self.device) }
            });
    }
}

impl GpuMemory {
    pub(super) fn queue(&self) -> &Arc<GpuQueue> {
        &self.queue
    }

    /// The address of `len` floats from place `at` on.
    ///
    /// # Errors
    /// `Internal` where they do not lie within.
    pub(super) fn address(&self, at: usize, len: usize) -> Result<Address> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            let what = format!("{len} floats from place {at} of {}", self.len);
            return Err(Error::new(Status::Internal, what));
        }
        Ok(self.address + (at * FLOAT) as Address)
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        let queue = &self.queue;
        let _ = queue.within(|| {
            queue.call(c"cuMemFree_v2", |f: Symbol<unsafe extern "C" fn(Address) -> c_int>| {
                // SAFETY: as documented; ours, and nothing reads or writes it any more.
                unsafe { f(self.address) }
            })
        });
    }
}

impl Deref for HostMemory {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: allocated and filled with so many floats; the GPU writes only through a mutable borrow.
        unsafe { std::slice::from_raw_parts(self.floats.as_ptr(), self.len) }
    }
}

impl DerefMut for HostMemory {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above; the GPU reads only during a borrow.
        unsafe { std::slice::from_raw_parts_mut(self.floats.as_ptr(), self.len) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let queue = &self.queue;
        let _ = queue.within(|| {
            queue.call(c"cuMemFreeHost", |f: Symbol<unsafe extern "C" fn(*mut c_void) -> c_int>| {
                // SAFETY: as documented; ours, and no copy is under way.
                unsafe { f(self.floats.as_ptr().cast()) }
            })
        });
    }
}

impl<'env> Scope<'env> {
    /// Copies all of `from` to place `at` and on.
    ///
    /// # Errors
    /// `Inference` where the GPU fails, `Internal` where there is no room.
    pub(crate) fn upload(&self, from: &'env HostMemory, to: &'env GpuMemory, at: usize) -> Result<()> {
        let (address, stream) = (to.address(at, from.len)?, self.queue.stream);
        self.queue.call(
            c"cuMemcpyHtoDAsync_v2",
            |f: Symbol<unsafe extern "C" fn(Address, *const c_void, usize, usize) -> c_int>| {
                // SAFETY: as documented; both are borrowed until the scope has waited.
                unsafe { f(address, from.floats.as_ptr().cast(), from.len * FLOAT, stream) }
            },
        )
    }

    /// Copies `len` floats of `from`, from place `from_at` on, to place `to_at` of `to` and on.
    ///
    /// # Errors
    /// As [`Self::upload`].
    pub(crate) fn copy(
        &self,
        (from, from_at): (&'env GpuMemory, usize),
        (to, to_at): (&'env GpuMemory, usize),
        len: usize,
    ) -> Result<()> {
        let (from, to, stream) = (from.address(from_at, len)?, to.address(to_at, len)?, self.queue.stream);
        self.queue.call(
            c"cuMemcpyDtoDAsync_v2",
            |f: Symbol<unsafe extern "C" fn(Address, Address, usize, usize) -> c_int>| {
                // SAFETY: as documented; both are borrowed until the scope has waited.
                unsafe { f(to, from, len * FLOAT, stream) }
            },
        )
    }

    /// Fills all of `to` from place `at` on.
    ///
    /// # Errors
    /// As [`Self::upload`].
    pub(crate) fn download(&self, from: &'env GpuMemory, at: usize, to: &'env mut HostMemory) -> Result<()> {
        let (address, stream) = (from.address(at, to.len)?, self.queue.stream);
        self.queue.call(
            c"cuMemcpyDtoHAsync_v2",
            |f: Symbol<unsafe extern "C" fn(*mut c_void, Address, usize, usize) -> c_int>| {
                // SAFETY: as documented; `to` is borrowed mutably until the scope has waited.
                unsafe { f(to.floats.as_ptr().cast(), address, to.len * FLOAT, stream) }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::gpu::Fake;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn what_is_copied_through_the_gpu_comes_back() {
        let driver = Fake::new("libcopies.so");
        {
            let queue = driver.queue();
            let mut host = queue.host(8).unwrap();
            assert_eq!(*host, [0.0; 8]);
            host.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
            let (first, second) = (queue.memory(16).unwrap(), queue.memory(8).unwrap());
            let mut back = queue.host(3).unwrap();
            queue
                .scope(|scope| {
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
    fn what_does_not_lie_within_is_not_copied() {
        let driver = Fake::new("libbounds.so");
        let queue = driver.queue();
        let (host, memory) = (queue.host(8).unwrap(), queue.memory(8).unwrap());
        let mut back = queue.host(8).unwrap();
        for done in [
            queue.scope(|scope| scope.upload(&host, &memory, 1)),
            queue.scope(|scope| scope.copy((&memory, 0), (&memory, 4), 5)),
            queue.scope(|scope| scope.copy((&memory, usize::MAX), (&memory, 4), 2)),
            queue.scope(|scope| scope.download(&memory, 1, &mut back)),
        ] {
            assert_eq!(done.unwrap_err().status(), Status::Internal);
        }
        assert_eq!(driver.copies(), 0);
    }

    #[test]
    fn a_panic_waits_for_the_copies_under_way_and_leaves_the_context() {
        let driver = Fake::new("libpanic.so");
        let queue = driver.queue();
        let mut host = queue.host(4).unwrap();
        host.fill(7.0);
        let (memory, mut back) = (queue.memory(4).unwrap(), queue.host(4).unwrap());
        queue.scope(|scope| scope.upload(&host, &memory, 0)).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            queue.scope(|scope| {
                scope.download(&memory, 0, &mut back)?;
                panic!("on the way")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*back, [7.0; 4]);
        assert_eq!(driver.contexts(), 0);
    }
}
