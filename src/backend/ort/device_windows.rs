//! Lateral windows of sessions whose states are in device memory. The windows are copied within
//! device memory, from tensors that the fast part has written to tensors that the slow part reads.
//!
//! ONNX Runtime waits for its work on the device before a run returns, and each of these functions
//! waits for its copies. The copies therefore need not be on the CUDA stream of ONNX Runtime.

use crate::backend::windows::LateralWindows;
use crate::error::{Error, Result, Status};
use crate::model::{ModelSpec, StateSpec};
use crate::sys::gpu::{Access, GpuQueue, Layout};
use ort::session::SessionInputValue;
use std::sync::Arc;

/// The queue that copies the lateral windows of a package, and their positions in GPU memory.
pub(super) struct DeviceWindows {
    layout: Layout,
    queue: Arc<GpuQueue>,
}

impl DeviceWindows {
    pub(super) fn new(queue: Arc<GpuQueue>, spec: &ModelSpec) -> Self {
        let layout = Layout::new(spec.lateral_windows().map(|window| &window.shape));
        Self { layout, queue }
    }

    /// Allocates memory for a copy of the windows.
    pub(super) fn allocate(&self) -> Result<LateralWindows> {
        self.queue.allocate_on_gpu(self.layout.len).map(LateralWindows::Gpu)
    }

    /// Sets the tensors that a session of the slow part reads to the initial values of the windows.
    pub(super) fn fill(
        &self,
        tensors: &[SessionInputValue<'static>],
        windows: &[StateSpec],
    ) -> Result<()> {
        self.queue.run_scope(Access::Run, |scope| {
            for (tensor, window) in tensors.iter().zip(windows) {
                scope.fill(self.queue.tensor_slice(tensor)?, window.initial)?;
            }
            Ok(())
        })
    }

    /// Copies windows out of the states of a session of the fast part. `indices` contains the index
    /// of each window in the states.
    pub(super) fn copy_from_states(
        &self,
        states: &[SessionInputValue<'static>],
        indices: &[usize],
        to: &LateralWindows,
    ) -> Result<()> {
        let to = to.gpu()?;
        self.queue.run_scope(Access::Run, |scope| {
            for (&index, &(start, len)) in indices.iter().zip(&self.layout.tensors) {
                let missing = || Error::new(Status::Internal, "a lateral window is not a state");
                let state = states.get(index).ok_or_else(missing)?;
                scope.copy(self.queue.tensor_slice(state)?, to.slice(start..start + len)?)?;
            }
            Ok(())
        })
    }

    /// Copies windows to the tensors that a session of the slow part reads.
    pub(super) fn copy_to_inputs(
        &self,
        from: &LateralWindows,
        tensors: &[SessionInputValue<'static>],
    ) -> Result<()> {
        let from = from.gpu()?;
        self.queue.run_scope(Access::Run, |scope| {
            for (tensor, &(start, len)) in tensors.iter().zip(&self.layout.tensors) {
                scope.copy(from.slice(start..start + len)?, self.queue.tensor_slice(tensor)?)?;
            }
            Ok(())
        })
    }
}
