//! A CUDA stream that belongs to the host.

use std::ffi::c_void;

/// A `cudaStream_t` that the host has created, with a priority that the host chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuStream(usize);

impl GpuStream {
    /// Wraps a stream. Returns `None` for NULL.
    ///
    /// # Safety
    /// The CUDA stream must belong to the device for which the engine is created, and must outlive
    /// the engine and all streams that use the engine.
    #[must_use]
    pub unsafe fn from_raw(stream: *mut c_void) -> Option<Self> {
        (!stream.is_null()).then_some(Self(stream as usize))
    }

    #[cfg(feature = "ort")]
    pub(super) fn from_address(address: usize) -> Self {
        Self(address)
    }

    #[cfg(feature = "ort")]
    pub(crate) fn address(self) -> usize {
        self.0
    }

    /// Returns a stream with an invalid address, for tests that run nothing on it.
    #[cfg(all(test, feature = "ort"))]
    pub(crate) fn dangling() -> Self {
        Self(0x1234)
    }
}
