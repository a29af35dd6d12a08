//! A graph that ONNX Runtime runs node by node.
//!
//! A session has two sets of output tensors. A run reads the states from one set and writes to the
//! other set, so no state is copied. With `cuda` and `tensorrt`, the states of both sets are in GPU
//! memory, and so are the lateral windows that the slow part of frame steps reads.

use super::device_windows::DeviceWindows;
use super::provider::Settings;
use super::runtime::Runtime;
use super::session::load_session;
use super::tensor::{
    create_filled, describe_outlet, describe_runtime, inference_error, out_of_memory_error,
};
use crate::backend::helpers::threads_for;
use crate::backend::interface::{Backend, Inputs, Session, missing_part_error};
use crate::backend::report::RuntimeReport;
use crate::backend::signature::{check_inputs, check_outputs};
use crate::backend::windows::LateralWindows;
use crate::error::{Error, Result, Status};
use crate::memory::fill_values;
use crate::model::part::{Part, PartModel, PartSpec};
use crate::model::{ModelPackage, ModelSpec};
use crate::sys::gpu::GpuQueue;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::Tensor;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// A part of the network, loaded.
struct Shared {
    /// The lock is held during a run, because the `ort` crate does not allow concurrent runs of one
    /// session.
    session: Mutex<ort::session::Session>,
    memory: StateMemory,
    spec: PartSpec,
}

/// The memory that contains the states and the lateral windows.
#[derive(Clone, Default)]
pub(super) struct StateMemory {
    /// Kind and device number of the memory; `None` for host memory.
    device: Option<(AllocationDevice<'static>, i32)>,
    /// What copies the lateral windows in device memory; `None` in host memory, and for a package
    /// without lateral windows.
    windows: Option<Arc<DeviceWindows>>,
}

impl StateMemory {
    /// Chooses the memory for a package.
    ///
    /// # Errors
    /// Returns the errors of [`GpuQueue::new`].
    fn choose(settings: &Settings, spec: &ModelSpec) -> Result<Self> {
        let Some(kind) = settings.provider.state_memory() else { return Ok(Self::default()) };
        let has_windows = spec.lateral_windows().next().is_some();
        let create = || GpuQueue::new(settings.device_id, settings.gpu_stream());
        let queue = has_windows.then(create).transpose()?;
        let number = i32::try_from(settings.device_id).unwrap_or(i32::MAX);
        Ok(Self::on_device(kind, number, queue, spec))
    }

    /// Describes device memory, and the queue that copies lateral windows in it.
    pub(super) fn on_device(
        kind: AllocationDevice<'static>,
        number: i32,
        queue: Option<Arc<GpuQueue>>,
        spec: &ModelSpec,
    ) -> Self {
        let windows = queue.map(|queue| Arc::new(DeviceWindows::new(queue, spec)));
        Self { device: Some((kind, number)), windows }
    }
}

pub(super) struct PlainBackend {
    report: RuntimeReport,
    spec: ModelSpec,
    memory: StateMemory,
    parts: Vec<(Part, Arc<Shared>)>,
}

pub(super) struct PlainSession {
    shared: Arc<Shared>,
    /// Inputs of the next run in graph order: `slow`, `fast`, the lateral windows and the states,
    /// as far as the part reads them.
    inputs: Vec<SessionInputValue<'static>>,
    /// Two sets of outputs. The next run writes to the first set, and the previous run wrote to the
    /// second.
    outputs: (RunOptions<HasSelectedOutputs>, RunOptions<HasSelectedOutputs>),
    /// Initial states, in host memory. Before the run that starts from them, they are in `inputs`.
    /// The run moves them to this field, and a reset moves them back. Their values are not copied.
    initial: Vec<SessionInputValue<'static>>,
    /// Whether the next run starts from the initial states.
    is_fresh: bool,
    logits: Vec<f32>,
}

impl PlainBackend {
    /// Loads the parts of the network and checks their inputs and outputs.
    pub(super) fn load(
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
        engines: Option<&Path>,
        version: &str,
    ) -> Result<Self> {
        let choose = || StateMemory::choose(settings, &package.spec);
        Self::load_with(choose, runtime, package, settings, engines, version)
    }

    /// Loads the parts with their states in the memory that `choose_memory` returns.
    pub(super) fn load_with(
        choose_memory: impl FnOnce() -> Result<StateMemory>,
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
        engines: Option<&Path>,
        version: &str,
    ) -> Result<Self> {
        let spec = package.spec.clone();
        let mut sessions = Vec::new();
        for PartModel { part, bytes } in package.part_models()? {
            let settings = settings.clone().with_threads(threads_for(part, settings.threads));
            sessions.push((part, load_session(runtime, &bytes, &settings, engines)?));
        }
        // The provider comes first, because its errors say more about what is missing.
        let memory = choose_memory()?;
        let mut parts = Vec::new();
        for (part, session) in sessions {
            let shared = Shared::new(session, PartSpec::new(&spec, part), memory.clone())?;
            parts.push((part, Arc::new(shared)));
        }
        let report = describe_runtime(&runtime.version, settings, &spec, version);
        Ok(Self { report, spec, memory, parts })
    }
}

impl Backend for PlainBackend {
    fn report(&self) -> RuntimeReport {
        self.report.clone()
    }

    fn create_session(&self, part: Part) -> Result<Box<dyn Session>> {
        let found = self.parts.iter().find(|(found, _)| *found == part);
        let (_, shared) = found.ok_or_else(missing_part_error)?;
        PlainSession::new(shared).map(|session| Box::new(session) as Box<dyn Session>)
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        match &self.memory.windows {
            Some(windows) => windows.allocate(),
            None => LateralWindows::in_host_memory(&self.spec),
        }
    }
}

impl Shared {
    fn new(session: ort::session::Session, spec: PartSpec, memory: StateMemory) -> Result<Self> {
        check_inputs(&spec, session.inputs().iter().map(describe_outlet))?;
        check_outputs(&spec, session.outputs().iter().map(describe_outlet))?;
        Ok(Self { session: Mutex::new(session), memory, spec })
    }

    /// Allocates a tensor in the memory of the states. In device memory, its content is undefined.
    fn create_state(&self, shape: &[usize], value: f32) -> Result<Tensor<f32>> {
        let Some((device, number)) = self.memory.device.clone() else {
            return create_filled(shape, value);
        };
        let memory = MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default)
            .map_err(inference_error)?;
        let allocator = Allocator::new(&self.session.lock(), memory).map_err(inference_error)?;
        Tensor::new(&allocator, shape).map_err(out_of_memory_error)
    }

    /// Allocates a set of outputs: the logits and the next states.
    fn create_outputs(&self) -> Result<RunOptions<HasSelectedOutputs>> {
        let mut selector = OutputSelector::default();
        for (index, (name, shape)) in self.spec.outputs().into_iter().enumerate() {
            let is_logits = index == 0;
            let tensor = if is_logits {
                create_filled(&shape, 0.0)?
            } else {
                self.create_state(&shape, 0.0)?
            };
            selector = selector.preallocate(name, tensor);
        }
        Ok(RunOptions::new().map_err(inference_error)?.with_outputs(selector))
    }
}

impl PlainSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let spec = &shared.spec;
        let (windows, states) = (&spec.windows, &spec.states);
        let shapes = spec.inputs();
        let (samples, _) = shapes.split_at(shapes.len() - windows.len() - states.len());
        let mut inputs = Vec::with_capacity(shapes.len());
        for (_, shape) in samples {
            inputs.push(create_filled(shape, 0.0)?.into());
        }
        for window in windows {
            inputs.push(shared.create_state(&window.shape, window.initial)?.into());
        }
        if let Some(device) = &shared.memory.windows {
            device.fill(inputs.get(samples.len()..).unwrap_or_default(), windows)?;
        }
        for state in states {
            inputs.push(create_filled(&state.shape, state.initial)?.into());
        }
        Ok(Self {
            inputs,
            outputs: (shared.create_outputs()?, shared.create_outputs()?),
            initial: Vec::with_capacity(states.len()),
            is_fresh: true,
            logits: fill_values(spec.output_len, 0.0, "the logits")?,
            shared: shared.clone(),
        })
    }

    /// Returns the index of the first state in the inputs.
    fn first_state(&self) -> usize {
        self.inputs.len() - self.shared.spec.states.len()
    }

    /// Returns the index of the first lateral window in the inputs.
    fn first_window(&self) -> usize {
        self.first_state() - self.shared.spec.windows.len()
    }
}

/// Returns the values of an input tensor that a session owns in host memory.
fn values_of<'a>(input: &'a mut SessionInputValue<'static>) -> &'a mut [f32] {
    match input {
        SessionInputValue::Owned(value) => {
            value.try_extract_tensor_mut().map(|(_, values)| values).unwrap_or_default()
        }
        _ => &mut [],
    }
}

impl Session for PlainSession {
    fn inputs(&mut self) -> Inputs<'_> {
        let has_slow = self.shared.spec.slow[0] > 0;
        let samples = self.first_window();
        match self.inputs.get_mut(..samples).unwrap_or_default() {
            [slow, fast] => Inputs { slow: values_of(slow), fast: values_of(fast) },
            [only] => {
                let (only, none) = (values_of(only), &mut [][..]);
                let (slow, fast) = if has_slow { (only, none) } else { (none, only) };
                Inputs { slow, fast }
            }
            _ => Inputs { slow: &mut [], fast: &mut [] },
        }
    }

    fn run(&mut self) -> Result<()> {
        let first_state = self.first_state();
        let mut session = self.shared.session.lock();
        let outputs =
            session.run_with_options(&self.inputs[..], &self.outputs.0).map_err(inference_error)?;
        let mut outputs = outputs.into_iter().map(|(_, value)| value);
        let no_output = || Error::new(Status::Inference, "the graph has no output");
        let logits = outputs.next().ok_or_else(no_output)?;
        let (_, logits) = logits.try_extract_tensor::<f32>().map_err(inference_error)?;
        self.logits.copy_from_slice(logits);
        // The next run writes to the other set of outputs. This is allowed because, once the inputs
        // are replaced here, only the run options have handles to that set.
        for (state, next) in self.inputs.iter_mut().skip(first_state).zip(outputs) {
            let previous = std::mem::replace(state, next.into());
            if self.is_fresh {
                self.initial.push(previous);
            }
        }
        self.is_fresh = false;
        std::mem::swap(&mut self.outputs.0, &mut self.outputs.1);
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        let first_state = self.first_state();
        let states = self.inputs.iter_mut().skip(first_state);
        for (state, initial) in states.zip(self.initial.drain(..)) {
            *state = initial;
        }
        self.is_fresh = true;
        Ok(())
    }

    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        let first_state = self.first_state();
        let Shared { memory, spec, .. } = &*self.shared;
        if let Some(windows) = &memory.windows {
            if self.is_fresh {
                let message = "lateral windows are copied after a run of the fast part only";
                return Err(Error::new(Status::Internal, message));
            }
            let states = self.inputs.get(first_state..).unwrap_or_default();
            return windows.copy_from_states(states, &spec.written_windows, to);
        }
        for (to, &index) in to.host_mut()?.iter_mut().zip(&spec.written_windows) {
            if let Some(state) = self.inputs.get_mut(first_state + index) {
                to.copy_from_slice(values_of(state));
            }
        }
        Ok(())
    }

    fn set_windows(&mut self, from: &LateralWindows) -> Result<()> {
        let first_window = self.first_window();
        if let Some(windows) = &self.shared.memory.windows {
            let tensors = self.inputs.get(first_window..self.first_state()).unwrap_or_default();
            return windows.copy_to_inputs(from, tensors);
        }
        for (to, from) in self.inputs.iter_mut().skip(first_window).zip(from.host()?) {
            values_of(to).copy_from_slice(from);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ort::{Provider, runtime};
    use crate::engine::config::EngineConfig;

    /// Runs five steps on samples that differ from step to step, and returns all logits.
    fn run_five_steps(session: &mut dyn Session) -> Vec<f32> {
        let mut logits = Vec::new();
        for step in 0..5u8 {
            let inputs = session.inputs();
            for (index, value) in inputs.slow.iter_mut().chain(inputs.fast).enumerate() {
                *value = ((index % 97) as f32 - 48.0) / 48.0 * f32::from(step + 1);
            }
            session.run().unwrap();
            logits.extend_from_slice(session.logits());
        }
        logits
    }

    /// The test uses host memory as the device memory, because the machines that run it have no
    /// GPU.
    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn states_in_device_memory_give_the_same_logits_bit_for_bit() {
        let library = std::env::var_os("TTEVIEW_ORT_DYLIB").expect("TTEVIEW_ORT_DYLIB is set");
        let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
        let package = ModelPackage::from_bytes(bytes, None).unwrap();
        let runtime = runtime::get_runtime(Some(Path::new(&library))).unwrap();
        let config = EngineConfig::default();
        let settings = Settings::new(Provider::Cpu, package.spec.precision, &config);
        let create = |memory: StateMemory| {
            let backend = PlainBackend::load_with(
                || Ok(memory.clone()),
                &runtime,
                &package,
                &settings,
                None,
                "",
            )
            .unwrap();
            backend.create_session(Part::Whole).unwrap()
        };
        let expected = run_five_steps(create(StateMemory::default()).as_mut());
        let device = StateMemory::on_device(AllocationDevice::CPU, 0, None, &package.spec);
        let mut on_device = create(device);
        assert_eq!(run_five_steps(on_device.as_mut()), expected);
        let carried = run_five_steps(on_device.as_mut());
        assert_ne!(carried, expected, "the states were not carried over");
        on_device.reset().unwrap();
        assert_eq!(run_five_steps(on_device.as_mut()), expected);
    }
}
