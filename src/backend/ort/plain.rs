//! A graph that ONNX Runtime runs node by node.
//!
//! A session has two sets of output tensors. A run reads the states from one set and writes to the
//! other set, so no state is copied. With `cuda` and `tensorrt`, the states of both sets are in GPU
//! memory.

use super::provider::Settings;
use super::runtime::Runtime;
use super::session::load_session;
use super::tensor::{
    create_filled, describe_outlet, describe_runtime, inference_error, out_of_memory_error,
};
use crate::backend::interface::{Backend, Inputs, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::signature::{
    NamedShape, check_inputs, check_outputs, expected_inputs, expected_outputs,
};
use crate::error::{Error, Result, Status};
use crate::memory::fill_values;
use crate::model::{ModelPackage, ModelSpec};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::Tensor;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

struct Shared {
    /// The lock is held during a run, because the `ort` crate does not allow concurrent runs of one
    /// session.
    session: Mutex<ort::session::Session>,
    report: RuntimeReport,
    /// Kind and device number of the memory that contains the states; `None` for host memory.
    device: Option<(AllocationDevice<'static>, i32)>,
    spec: ModelSpec,
}

pub(super) struct PlainBackend(Arc<Shared>);

pub(super) struct PlainSession {
    shared: Arc<Shared>,
    /// Inputs of the next run in graph order: `slow` (if the network has two pathways), `fast` and
    /// the states.
    inputs: Vec<SessionInputValue<'static>>,
    /// Index of the input `fast`.
    fast: usize,
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
    /// Loads the graph and checks its inputs and outputs.
    pub(super) fn load(
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
        engines: Option<&Path>,
        version: &str,
    ) -> Result<Self> {
        let spec = package.spec.clone();
        let session = load_session(runtime, &package.bytes, settings, engines)?;
        check_inputs(&spec, session.inputs().iter().map(describe_outlet))?;
        check_outputs(&spec, session.outputs().iter().map(describe_outlet))?;
        let number = i32::try_from(settings.device_id).unwrap_or(i32::MAX);
        let shared = Shared {
            session: Mutex::new(session),
            report: describe_runtime(&runtime.version, settings, &spec, version),
            device: settings.provider.state_memory().map(|device| (device, number)),
            spec,
        };
        Ok(Self(Arc::new(shared)))
    }
}

impl Backend for PlainBackend {
    fn report(&self) -> RuntimeReport {
        self.0.report.clone()
    }

    fn create_session(&self) -> Result<Box<dyn Session>> {
        PlainSession::new(&self.0).map(|session| Box::new(session) as Box<dyn Session>)
    }
}

impl Shared {
    /// Allocates an output tensor for a state. The tensor's content is undefined.
    fn create_state(&self, shape: &[usize]) -> Result<Tensor<f32>> {
        let Some((device, number)) = self.device.clone() else { return create_filled(shape, 0.0) };
        let memory = MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default)
            .map_err(inference_error)?;
        let allocator = Allocator::new(&self.session.lock(), memory).map_err(inference_error)?;
        Tensor::new(&allocator, shape).map_err(out_of_memory_error)
    }

    /// Allocates a set of outputs: the logits and the next states.
    fn create_outputs(&self) -> Result<RunOptions<HasSelectedOutputs>> {
        let mut selector = OutputSelector::default();
        for (index, (name, shape)) in expected_outputs(&self.spec).into_iter().enumerate() {
            let is_logits = index == 0;
            let tensor =
                if is_logits { create_filled(&shape, 0.0)? } else { self.create_state(&shape)? };
            selector = selector.preallocate(name, tensor);
        }
        Ok(RunOptions::new().map_err(inference_error)?.with_outputs(selector))
    }
}

impl PlainSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let states = &shared.spec.states;
        let shapes = expected_inputs(&shared.spec);
        let fast = shapes.len() - states.len() - 1;
        let samples = std::iter::repeat_n(0.0, fast + 1);
        let values = samples.chain(states.iter().map(|state| state.initial));
        let create = |((_, shape), value): (&NamedShape, f32)| {
            create_filled(shape, value).map(SessionInputValue::from)
        };
        Ok(Self {
            inputs: shapes.iter().zip(values).map(create).collect::<Result<_>>()?,
            fast,
            outputs: (shared.create_outputs()?, shared.create_outputs()?),
            initial: Vec::with_capacity(states.len()),
            is_fresh: true,
            logits: fill_values(shared.spec.labels.len(), 0.0, "the logits")?,
            shared: shared.clone(),
        })
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
        match self.inputs.split_at_mut(self.fast) {
            ([slow], [fast, ..]) => Inputs { slow: values_of(slow), fast: values_of(fast) },
            (_, [fast, ..]) => Inputs { slow: &mut [], fast: values_of(fast) },
            _ => Inputs { slow: &mut [], fast: &mut [] },
        }
    }

    fn run(&mut self) -> Result<()> {
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
        for (state, next) in self.inputs.iter_mut().skip(self.fast + 1).zip(outputs) {
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
        let states = self.inputs.iter_mut().skip(self.fast + 1);
        for (state, initial) in states.zip(self.initial.drain(..)) {
            *state = initial;
        }
        self.is_fresh = true;
        Ok(())
    }
}

#[cfg(test)]
impl PlainSession {
    /// Creates a session on the CPU provider, with the states in the memory that `device` selects.
    pub(super) fn on_cpu(
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
        device: Option<(AllocationDevice<'static>, i32)>,
    ) -> Self {
        let shared = Shared {
            session: Mutex::new(load_session(runtime, &package.bytes, settings, None).unwrap()),
            report: describe_runtime("", settings, &package.spec, ""),
            device,
            spec: package.spec.clone(),
        };
        Self::new(&Arc::new(shared)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ort::{Provider, runtime};
    use crate::engine::config::EngineConfig;

    /// Runs five steps on samples that differ from step to step, and returns all logits.
    fn run_five_steps(session: &mut PlainSession) -> Vec<f32> {
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
        let create = |device| PlainSession::on_cpu(&runtime, &package, &settings, device);
        let expected = run_five_steps(&mut create(None));
        let mut on_device = create(Some((AllocationDevice::CPU, 0)));
        assert_eq!(run_five_steps(&mut on_device), expected);
        assert_ne!(run_five_steps(&mut on_device), expected, "the states were not carried over");
        on_device.reset().unwrap();
        assert_eq!(run_five_steps(&mut on_device), expected);
    }
}
