//! Ranges of GPU memory that copies read and write, also in tensors that a provider has allocated.

use super::queue::GpuQueue;
use crate::error::{Error, Result, Status};
use ort::value::{DynValue, TensorValueType};
use std::marker::PhantomData;

/// An address in GPU memory, which CUDA calls `CUdeviceptr`.
pub(super) type Address = u64;

/// Floats in GPU memory, which the slice borrows.
///
/// The host cannot access this memory, so several slices may refer to the same floats. The order of
/// copies on a CUDA stream determines what they contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuSlice<'a> {
    address: Address,
    len: usize,
    memory: PhantomData<&'a ()>,
}

impl<'a> GpuSlice<'a> {
    /// Creates a slice.
    ///
    /// # Safety
    /// The address must be that of `len` floats in GPU memory, which must exist during `'a`.
    pub(super) unsafe fn from_raw(address: Address, len: usize) -> Self {
        Self { address, len, memory: PhantomData }
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl GpuQueue {
    /// Returns the floats of a tensor in the memory of this queue's GPU.
    ///
    /// # Errors
    /// Returns [`Status::Internal`] if the value is not a tensor of float32 in this memory.
    pub(crate) fn tensor_slice<'a>(&self, value: &'a DynValue) -> Result<GpuSlice<'a>> {
        let tensor = value
            .view()
            .downcast::<TensorValueType<f32>>()
            .map_err(|error| Error::new(Status::Internal, error.to_string()))?;
        let (kind, number) = self.memory_kind();
        let info = tensor.memory_info();
        let (found, found_number) = (info.allocation_device(), info.device_id());
        if (found.as_str(), found_number) != (kind.as_str(), number) {
            let message = format!(
                "a tensor must be in the memory {} {number}, got {} {found_number}",
                kind.as_str(),
                found.as_str()
            );
            return Err(Error::new(Status::Internal, message));
        }
        let len = tensor.shape().num_elements();
        // SAFETY: `value` owns the memory of the tensor, and the slice borrows `value`.
        Ok(unsafe { GpuSlice::from_raw(tensor.data_ptr() as Address, len) })
    }
}
