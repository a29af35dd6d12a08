//! Tensors at fixed addresses in GPU memory. Captured CUDA graphs need such tensors, because a
//! graph uses the same addresses in every run.

use super::memory::GpuMemory;
use super::queue::GpuQueue;
use crate::error::{Error, Result, Status};
use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
use ort::value::DynTensor;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// Alignment of a tensor in floats. It corresponds to 256 bytes, the alignment of `cudaMalloc`.
const ALIGNMENT: usize = 64;

/// Positions of tensors in one block of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Start and length of each tensor in floats.
    pub(crate) tensors: Vec<(usize, usize)>,
    /// Length of the block in floats.
    pub(crate) len: usize,
}

impl Layout {
    /// Computes the layout of tensors with these shapes.
    pub(crate) fn new<'a>(shapes: impl IntoIterator<Item = &'a Vec<usize>>) -> Self {
        let mut layout = Self { tensors: Vec::new(), len: 0 };
        for shape in shapes {
            let len = shape.iter().product::<usize>();
            layout.tensors.push((layout.len, len));
            layout.len += len.next_multiple_of(ALIGNMENT);
        }
        layout
    }

    /// Returns the start of the tensor with this index. For the index after the last tensor,
    /// returns the length of the block.
    pub(crate) fn start_of(&self, index: usize) -> usize {
        self.tensors.get(index).map_or(self.len, |&(start, _)| start)
    }
}

/// All inputs and outputs of a graph.
pub(crate) struct FixedTensors {
    // These fields come first, so that they are dropped before the memory that they use.
    values: Vec<SessionInputValue<'static>>,
    options: RunOptions<HasSelectedOutputs>,
    inputs: GpuMemory,
    outputs: GpuMemory,
    /// Layouts of the inputs and the outputs.
    layouts: (Layout, Layout),
}

impl FixedTensors {
    /// Allocates tensors with these names and shapes, which must be in the order of the graph.
    /// Their initial values are undefined.
    ///
    /// # Errors
    /// Returns [`Status::OutOfMemory`] if an allocation fails.
    pub(crate) fn new(
        queue: &Arc<GpuQueue>,
        inputs: &[(String, Vec<usize>)],
        outputs: &[(String, Vec<usize>)],
    ) -> Result<Self> {
        let layout =
            |named: &[(String, Vec<usize>)]| Layout::new(named.iter().map(|(_, shape)| shape));
        let (read, written) = (layout(inputs), layout(outputs));
        let (input_memory, output_memory) =
            (queue.allocate_on_gpu(read.len)?, queue.allocate_on_gpu(written.len)?);
        let mut values = Vec::with_capacity(inputs.len());
        for ((_, shape), &(start, _)) in inputs.iter().zip(&read.tensors) {
            // SAFETY: this struct owns the tensor and the memory, and drops the tensor first.
            values.push(unsafe { create_tensor_at(&input_memory, start, shape) }?.into());
        }
        let mut selector = OutputSelector::default();
        for ((name, shape), &(start, _)) in outputs.iter().zip(&written.tensors) {
            // SAFETY: this struct owns the tensor and the memory, and drops the tensor first.
            selector = selector
                .preallocate(name, unsafe { create_tensor_at(&output_memory, start, shape) }?);
        }
        let options = RunOptions::new().map_err(out_of_memory_error)?.with_outputs(selector);
        Ok(Self {
            values,
            options,
            inputs: input_memory,
            outputs: output_memory,
            layouts: (read, written),
        })
    }

    /// Returns the layouts of the inputs and the outputs.
    pub(crate) fn layouts(&self) -> (&Layout, &Layout) {
        (&self.layouts.0, &self.layouts.1)
    }

    /// Returns the memory of the inputs.
    pub(crate) fn inputs(&self) -> &GpuMemory {
        &self.inputs
    }

    /// Returns the memory of the outputs.
    pub(crate) fn outputs(&self) -> &GpuMemory {
        &self.outputs
    }

    /// Runs the graph on these tensors.
    ///
    /// # Errors
    /// Returns the error of ONNX Runtime.
    pub(crate) fn run(&self, session: &mut Session) -> ort::Result<()> {
        session.run_with_options(&self.values[..], &self.options).map(drop)
    }
}

fn out_of_memory_error(error: ort::Error) -> Error {
    Error::new(Status::OutOfMemory, error.to_string())
}

/// Creates a tensor in `memory`, beginning at index `start`.
///
/// # Safety
/// The tensor must be dropped before the memory.
unsafe fn create_tensor_at(memory: &GpuMemory, start: usize, shape: &[usize]) -> Result<DynTensor> {
    let len = shape.iter().product::<usize>();
    let address = memory.address_of(start, len)?;
    let (kind, number): (AllocationDevice<'static>, i32) = memory.queue().memory_kind();
    let info = MemoryInfo::new(kind, number, AllocatorType::Device, MemoryType::Default)
        .map_err(out_of_memory_error)?;
    let sides: Vec<i64> =
        shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect();
    let mut value = std::ptr::null_mut();
    // SAFETY: the memory contains `len` floats at this address, `sides` outlives the call, and
    // `value` is writable memory for a handle. `result_from_status` frees the status that the
    // function returns.
    unsafe {
        ort::Error::result_from_status((ort::api().CreateTensorWithDataAsOrtValue)(
            info.ptr(),
            address as usize as *mut c_void,
            len * size_of::<f32>(),
            sides.as_ptr(),
            sides.len(),
            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &raw mut value,
        ))
    }
    .map_err(out_of_memory_error)?;
    let value = NonNull::new(value)
        .ok_or_else(|| Error::new(Status::Internal, "ONNX Runtime returned no tensor"))?;
    // SAFETY: the tensor was created above and has no other owner. ONNX Runtime does not free the
    // caller's data, so the allocator is not used.
    Ok(unsafe { DynTensor::from_ptr(value, Some(&Allocator::default())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_aligned_and_do_not_overlap() {
        let layout = Layout::new(&[vec![1, 3], vec![2, 64], vec![1], vec![65]]);
        assert_eq!(layout.tensors, [(0, 3), (64, 128), (192, 1), (256, 65)]);
        assert_eq!(layout.len, 384);
        assert_eq!((layout.start_of(2), layout.start_of(4)), (192, 384));
        assert_eq!(Layout::new(&[]).len, 0);
    }
}
