//! The GPU as its driver sees it: what it is, which decides whether a built engine fits, its memory, and a stream of the
//! host's. Nothing of NVIDIA's is linked.

#[cfg(feature = "ort")]
mod driver;
#[cfg(all(test, feature = "ort"))]
mod fake;
#[cfg(feature = "ort")]
mod memory;
#[cfg(feature = "ort")]
mod probe;
#[cfg(feature = "ort")]
mod tensors;

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

#[cfg(all(test, feature = "ort"))]
pub(crate) use fake::{Fake, fake};
#[cfg(feature = "ort")]
pub(crate) use memory::{GpuMemory, GpuQueue, HostMemory};
#[cfg(feature = "ort")]
pub(crate) use probe::{Gpu, gpu, tensorrt_version};
#[cfg(feature = "ort")]
pub(crate) use tensors::{FixedTensors, Places};
