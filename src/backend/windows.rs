//! Copies of the lateral windows of a network with frame steps. The fast part hands them over to
//! the slow part, which may run at the same time as later runs of the fast part.

#![cfg_attr(
    not(any(feature = "ort", feature = "rten")),
    allow(dead_code, reason = "only the backends create windows")
)]

use crate::error::Result;
#[cfg(feature = "ort")]
use crate::error::Status;
use crate::memory::{fill_values, push_value};
use crate::model::ModelSpec;
#[cfg(feature = "ort")]
use crate::sys::gpu::GpuMemory;

/// One copy of all lateral windows, in the order in which the slow part reads them.
pub(crate) enum LateralWindows {
    /// The windows are in host memory.
    Host(Vec<Vec<f32>>),
    /// The windows follow one another in GPU memory, at the positions of their
    /// [`Layout`](crate::sys::gpu::Layout).
    #[cfg(feature = "ort")]
    Gpu(GpuMemory),
}

impl LateralWindows {
    /// Allocates the windows of a package in host memory.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if the memory is not available.
    pub(crate) fn in_host_memory(spec: &ModelSpec) -> Result<Self> {
        const PURPOSE: &str = "the lateral windows";
        let mut windows = Vec::new();
        for state in spec.lateral_windows() {
            let window = fill_values(state.shape.iter().product(), state.initial, PURPOSE)?;
            push_value(&mut windows, window, PURPOSE)?;
        }
        Ok(Self::Host(windows))
    }

    /// Returns the windows if they are in host memory.
    ///
    /// # Errors
    /// Returns [`Status::Internal`](crate::Status::Internal) if they are in other memory.
    pub(crate) fn host(&self) -> Result<&[Vec<f32>]> {
        match self {
            Self::Host(windows) => Ok(windows),
            #[cfg(feature = "ort")]
            Self::Gpu(_) => Err(Status::Internal.into()),
        }
    }

    /// Returns the windows for writing if they are in host memory.
    ///
    /// # Errors
    /// Returns [`Status::Internal`](crate::Status::Internal) if they are in other memory.
    pub(crate) fn host_mut(&mut self) -> Result<&mut [Vec<f32>]> {
        match self {
            Self::Host(windows) => Ok(windows),
            #[cfg(feature = "ort")]
            Self::Gpu(_) => Err(Status::Internal.into()),
        }
    }

    /// Returns the windows if they are in GPU memory.
    ///
    /// # Errors
    /// Returns [`Status::Internal`](crate::Status::Internal) if they are in other memory.
    #[cfg(feature = "ort")]
    pub(crate) fn gpu(&self) -> Result<&GpuMemory> {
        match self {
            Self::Gpu(memory) => Ok(memory),
            Self::Host(_) => Err(Status::Internal.into()),
        }
    }
}
