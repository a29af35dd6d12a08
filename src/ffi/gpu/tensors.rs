//! A graph's tensors at fixed places of a GPU's memory: what a captured CUDA graph works on, run after run.

use super::memory::{GpuMemory, GpuQueue};
use crate::{Error, Result, Status};
use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
use ort::value::DynTensor;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// Tensors begin at multiples of this, as `cudaMalloc`'s memory does: 256 bytes.
const ALIGNMENT: usize = 64;

/// Tensors one after the other in one memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Where each begins, and its length; floats.
    pub(crate) tensors: Vec<(usize, usize)>,
    /// Floats of all.
    pub(crate) len: usize,
}

impl Places {
    /// Places for tensors of these names and shapes.
    fn of(named: &[(String, Vec<usize>)]) -> Self {
        let mut places = Self { tensors: Vec::new(), len: 0 };
        for (_, shape) in named {
            let len = shape.iter().product::<usize>();
            places.tensors.push((places.len, len));
            places.len += len.next_multiple_of(ALIGNMENT);
        }
        places
    }

    /// Where the tensors from this one on begin.
    pub(crate) fn start(&self, index: usize) -> usize {
        self.tensors.get(index).map_or(self.len, |&(at, _)| at)
    }
}

/// All inputs and outputs of a graph.
pub(crate) struct FixedTensors {
    // Go before the memory that they lie in.
    values: Vec<SessionInputValue<'static>>,
    options: RunOptions<HasSelectedOutputs>,
    inputs: GpuMemory,
    outputs: GpuMemory,
    /// Where in them.
    places: (Places, Places),
}

impl FixedTensors {
    /// Tensors of these names and shapes, in the graph's order, with any content.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(
        queue: &Arc<GpuQueue>,
        inputs: &[(String, Vec<usize>)],
        outputs: &[(String, Vec<usize>)],
    ) -> Result<Self> {
        let (read, written) = (Places::of(inputs), Places::of(outputs));
        let (input_memory, output_memory) = (queue.memory(read.len)?, queue.memory(written.len)?);
        let mut values = Vec::with_capacity(inputs.len());
        for ((_, shape), &(at, _)) in inputs.iter().zip(&read.tensors) {
            // SAFETY: goes before its memory, which is this struct's own.
            values.push(unsafe { tensor_at(&input_memory, at, shape) }?.into());
        }
        let mut selector = OutputSelector::default();
        for ((name, shape), &(at, _)) in outputs.iter().zip(&written.tensors) {
            // SAFETY: as above.
            selector = selector.preallocate(name, unsafe { tensor_at(&output_memory, at, shape) }?);
        }
        let options = RunOptions::new().map_err(failed)?.with_outputs(selector);
        Ok(Self { values, options, inputs: input_memory, outputs: output_memory, places: (read, written) })
    }

    /// The places of the inputs and of the outputs.
    pub(crate) fn places(&self) -> (&Places, &Places) {
        (&self.places.0, &self.places.1)
    }

    /// Where the inputs lie.
    pub(crate) fn inputs(&self) -> &GpuMemory {
        &self.inputs
    }

    /// Where the outputs lie.
    pub(crate) fn outputs(&self) -> &GpuMemory {
        &self.outputs
    }

    /// Runs the graph on them.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub(crate) fn run(&self, session: &mut Session) -> ort::Result<()> {
        session.run_with_options(&self.values[..], &self.options).map(drop)
    }
}

fn failed(error: ort::Error) -> Error {
    Error::new(Status::OutOfMemory, error.to_string())
}

/// A tensor of floats that lies in `memory` from place `at` on.
///
/// # Safety
/// It goes before the memory.
unsafe fn tensor_at(memory: &GpuMemory, at: usize, shape: &[usize]) -> Result<DynTensor> {
    let len = shape.iter().product::<usize>();
    let address = memory.address(at, len)?;
    let (kind, number): (AllocationDevice<'static>, i32) = memory.queue().memory_kind();
    let info = MemoryInfo::new(kind, number, AllocatorType::Device, MemoryType::Default).map_err(failed)?;
    let sides: Vec<i64> = shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect();
    let mut value = std::ptr::null_mut();
    // SAFETY: the memory described holds so many floats from that address on; `value` is a place for a handle. The function
    // gives a status that is ours to free.
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
    .map_err(failed)?;
    let value =
        NonNull::new(value).ok_or_else(|| Error::new(Status::Internal, "a tensor without a value"))?;
    // SAFETY: a tensor made just now and nobody else's. ONNX Runtime frees no data that a caller brought, so that the
    // allocator is but a handle.
    Ok(unsafe { DynTensor::from_ptr(value, Some(&Allocator::default())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_begin_at_multiples_of_256_bytes_and_do_not_overlap() {
        let named = |shape: &[usize]| ("x".to_owned(), shape.to_vec());
        let places = Places::of(&[named(&[1, 3]), named(&[2, 64]), named(&[1]), named(&[65])]);
        assert_eq!(places.tensors, [(0, 3), (64, 128), (192, 1), (256, 65)]);
        assert_eq!(places.len, 384);
        assert_eq!((places.start(2), places.start(4)), (192, 384));
        assert_eq!(Places::of(&[]).len, 0);
    }
}
