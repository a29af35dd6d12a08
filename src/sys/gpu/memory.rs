//! GPU memory and page-locked host memory, both measured in floats.

use super::driver::Symbol;
use super::queue::GpuQueue;
use super::slice::{Address, GpuSlice};
use crate::error::{Error, Result, Status};
use std::ffi::{c_int, c_void};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// Size of a float in bytes.
pub(super) const FLOAT_BYTES: usize = size_of::<f32>();

/// An array of floats in GPU memory.
pub(crate) struct GpuMemory {
    queue: Arc<GpuQueue>,
    address: Address,
    len: usize,
}

/// An array of floats in page-locked host memory, which a GPU can read and write directly.
pub(crate) struct HostMemory {
    queue: Arc<GpuQueue>,
    floats: NonNull<f32>,
    len: usize,
}
// SAFETY: this type owns its memory, which any thread may access, and the queue may be shared
// between threads.
unsafe impl Send for HostMemory {}
// SAFETY: a shared reference allows only reads, and the queue may be shared between threads.
unsafe impl Sync for HostMemory {}

impl GpuQueue {
    /// Allocates `len` floats in GPU memory. Their values are undefined.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the allocation fails.
    pub(crate) fn allocate_on_gpu(self: &Arc<Self>, len: usize) -> Result<GpuMemory> {
        let mut address = 0;
        self.allocate(len, || {
            let name = c"cuMemAlloc_v2";
            self.call(name, |f: Symbol<unsafe extern "C" fn(*mut Address, usize) -> c_int>| {
                // SAFETY: the driver writes one address, and `address` is a variable of that type.
                // The size is at least one float, because the driver does not allocate 0 bytes.
                unsafe { f(&raw mut address, len.max(1) * FLOAT_BYTES) }
            })
        })?;
        Ok(GpuMemory { queue: Arc::clone(self), address, len })
    }

    /// Allocates `len` floats in page-locked host memory. Their values are 0.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the allocation fails.
    pub(crate) fn allocate_on_host(self: &Arc<Self>, len: usize) -> Result<HostMemory> {
        let mut pointer = std::ptr::null_mut::<c_void>();
        self.allocate(len, || {
            let name = c"cuMemAllocHost_v2";
            self.call(name, |f: Symbol<unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int>| {
                // SAFETY: the driver writes one pointer, and `pointer` is a variable of that type.
                unsafe { f(&raw mut pointer, len.max(1) * FLOAT_BYTES) }
            })
        })?;
        let null_error =
            || Error::new(Status::OutOfMemory, "the driver returned NULL for page-locked memory");
        let floats = NonNull::new(pointer.cast::<f32>()).ok_or_else(null_error)?;
        // SAFETY: `len` floats were allocated, and all-zero bytes are valid for a float.
        unsafe { floats.write_bytes(0, len) };
        Ok(HostMemory { queue: Arc::clone(self), floats, len })
    }

    fn allocate(&self, len: usize, call: impl FnOnce() -> Result<()>) -> Result<()> {
        self.with_memory_lock(call).map_err(|error| {
            let (bytes, number) = (len * FLOAT_BYTES, self.number());
            let message = format!("{bytes} bytes cannot be allocated on GPU {number}: {error}");
            Error::new(Status::OutOfMemory, message)
        })
    }
}

impl GpuMemory {
    /// Returns the floats in a range of this memory.
    ///
    /// # Errors
    /// Returns [`Status::Internal`] if the range extends beyond this memory.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<GpuSlice<'_>> {
        let address = self.address_of(range.start, range.len())?;
        // SAFETY: this memory contains the range, and the slice borrows it.
        Ok(unsafe { GpuSlice::from_raw(address, range.len()) })
    }

    pub(super) fn queue(&self) -> &Arc<GpuQueue> {
        &self.queue
    }

    /// Returns the address of `len` floats that begin at index `start`.
    ///
    /// # Errors
    /// Returns [`Status::Internal`] if the floats extend beyond this memory.
    pub(super) fn address_of(&self, start: usize, len: usize) -> Result<Address> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            let message = format!("{len} floats at {start} exceed a memory of {}", self.len);
            return Err(Error::new(Status::Internal, message));
        }
        Ok(self.address + (start * FLOAT_BYTES) as Address)
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        let queue = &self.queue;
        let _ = queue.with_memory_lock(|| {
            queue.call(c"cuMemFree_v2", |f: Symbol<unsafe extern "C" fn(Address) -> c_int>| {
                // SAFETY: this value owns the memory, and nothing accesses it any more.
                unsafe { f(self.address) }
            })
        });
    }
}

impl HostMemory {
    pub(super) fn pointer(&self) -> *mut c_void {
        self.floats.as_ptr().cast()
    }
}

impl Deref for HostMemory {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` floats were allocated and initialised. The GPU writes to them only while
        // they are borrowed mutably.
        unsafe { std::slice::from_raw_parts(self.floats.as_ptr(), self.len) }
    }
}

impl DerefMut for HostMemory {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: `len` floats were allocated and initialised. The GPU accesses them only while a
        // copy borrows them.
        unsafe { std::slice::from_raw_parts_mut(self.floats.as_ptr(), self.len) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let queue = &self.queue;
        let _ = queue.with_memory_lock(|| {
            queue.call(c"cuMemFreeHost", |f: Symbol<unsafe extern "C" fn(*mut c_void) -> c_int>| {
                // SAFETY: this value owns the memory, and no copy is in progress.
                unsafe { f(self.pointer()) }
            })
        });
    }
}
