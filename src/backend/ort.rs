//! ONNX Runtime, loaded at run time from a library of the host, on its CPU, CUDA or TensorRT provider, or on TensorRT for
//! RTX.

mod captured;
#[cfg(test)]
mod gpu_tests;
#[cfg(feature = "tensorrt-rtx")]
mod plugin;
#[cfg(all(test, feature = "tensorrt-rtx"))]
mod plugin_tests;
mod provider;
#[cfg(feature = "bench")]
pub(crate) mod raw;
mod runtime;
mod session;
mod tensorrt;

use super::{Backend, Found, RuntimeReport, Session, check_inputs, check_outputs};
use crate::engine::EngineConfig;
use crate::model::{ModelPackage, ModelSpec};
use crate::{Error, Result, Status};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use provider::Settings;
use std::path::Path;
use std::sync::Arc;

pub(crate) use provider::Provider;

struct Shared {
    /// Runs one graph at a time: the `ort` crate does not trust concurrent runs of one session.
    session: Mutex<ort::session::Session>,
    report: RuntimeReport,
    /// Where the states lie that runs write, and which of these it is; `None`: in host memory.
    device: Option<(AllocationDevice<'static>, i32)>,
    spec: ModelSpec,
}

struct Ort(Arc<Shared>);

struct OrtSession {
    shared: Arc<Shared>,
    /// What the next run reads, in graph order: slow (unless there is one pathway), fast, the current states.
    inputs: Vec<SessionInputValue<'static>>,
    /// Index of `fast`.
    fast: usize,
    /// Two sets of outputs: the next run writes the first, and reads the states of the other.
    outputs: (RunOptions<HasSelectedOutputs>, RunOptions<HasSelectedOutputs>),
    /// Initial states, in host memory, while they are not among the inputs. The first run after a reset reads them where
    /// they lie, so nothing has to be copied into the memory of a device.
    initial: Vec<SessionInputValue<'static>>,
    /// The next run starts from the initial states.
    fresh: bool,
    logits: Vec<f32>,
}

/// Loads the runtime, then the graph on one provider of it, and checks that inputs and outputs are those of the
/// metadata; on TensorRT, of either kind, the graph is loaded when the engine is prepared.
///
/// # Errors
/// As [`runtime::runtime`]; `ProviderUnavailable` where the provider is not there or cannot run the whole graph,
/// `ModelInvalid` where the graph cannot be loaded, `ModelMismatch` where a tensor is not as the metadata says.
pub(crate) fn load(
    package: &ModelPackage,
    provider: Provider,
    config: &EngineConfig,
) -> Result<Arc<dyn Backend>> {
    let runtime = runtime::runtime(config.runtime_library.as_deref())?;
    let settings = Settings::new(provider, package.spec.precision, config);
    match provider {
        Provider::Cpu | Provider::Cuda => made(&runtime, package, &settings, None, ""),
        Provider::TensorRt => tensorrt::load(runtime, package, settings, config),
        #[cfg(feature = "tensorrt-rtx")]
        Provider::TensorRtRtx => tensorrt::load_rtx(runtime, package, settings, config),
    }
}

/// The graph, loaded and checked. `engines`: where the provider keeps its engines; `version`: its own, if it has one.
fn made(
    runtime: &runtime::Runtime,
    package: &ModelPackage,
    settings: &Settings,
    engines: Option<&Path>,
    version: &str,
) -> Result<Arc<dyn Backend>> {
    if settings.captures_graph() {
        return captured::made(runtime, package, settings, engines, version);
    }
    let spec = package.spec.clone();
    let session = session::session(runtime, &package.bytes, settings, engines)?;
    check_inputs(&spec, session.inputs().iter().map(found))?;
    check_outputs(&spec, session.outputs().iter().map(found))?;
    let number = i32::try_from(settings.device_id).unwrap_or(i32::MAX);
    let shared = Shared {
        session: Mutex::new(session),
        report: report(&runtime.version, settings, &spec, version),
        device: settings.provider.device().map(|device| (device, number)),
        spec,
    };
    Ok(Arc::new(Ort(Arc::new(shared))))
}

/// What runs, or will run once it is made.
fn report(runtime: &str, settings: &Settings, spec: &ModelSpec, version: &str) -> RuntimeReport {
    let runtime = format!("onnxruntime {runtime}");
    RuntimeReport {
        provider: settings.provider.name().into(),
        provider_version: if version.is_empty() { runtime.clone() } else { version.to_owned() },
        runtime_version: runtime,
        precision: spec.precision,
    }
}

fn found(outlet: &Outlet) -> Found<'_> {
    let (shape, float32) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            // Dimensions that are not static are negative.
            let sides = shape.iter().map(|&side| usize::try_from(side).ok()).collect();
            (sides, *ty == TensorElementType::Float32)
        }
        _ => (Vec::new(), false),
    };
    Found { name: outlet.name(), shape, float32 }
}

fn failed(error: ort::Error) -> Error {
    Error::new(Status::Inference, error.to_string())
}

fn out_of_memory(error: ort::Error) -> Error {
    Error::new(Status::OutOfMemory, error.to_string())
}

/// A tensor in host memory that holds `value` everywhere.
fn filled(shape: &[usize], value: f32) -> Result<Tensor<f32>> {
    let mut tensor = Tensor::new(&Allocator::default(), shape).map_err(out_of_memory)?;
    tensor.try_extract_tensor_mut().map_err(failed)?.1.fill(value);
    Ok(tensor)
}

impl Shared {
    /// A tensor for a state that a run writes, with any content.
    fn next_state(&self, shape: &[usize]) -> Result<Tensor<f32>> {
        let Some((device, number)) = self.device.clone() else { return filled(shape, 0.0) };
        let memory =
            MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default).map_err(failed)?;
        let allocator = Allocator::new(&self.session.lock(), memory).map_err(failed)?;
        Tensor::new(&allocator, shape).map_err(out_of_memory)
    }

    /// Where the outputs of a run go: logits and next states.
    fn outputs(&self) -> Result<RunOptions<HasSelectedOutputs>> {
        let mut selector = OutputSelector::default();
        for (index, (name, shape)) in super::expected_outputs(&self.spec).into_iter().enumerate() {
            let tensor = if index == 0 { filled(&shape, 0.0)? } else { self.next_state(&shape)? };
            selector = selector.preallocate(name, tensor);
        }
        Ok(RunOptions::new().map_err(failed)?.with_outputs(selector))
    }
}

impl Backend for Ort {
    fn report(&self) -> RuntimeReport {
        self.0.report.clone()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        OrtSession::new(&self.0).map(|session| Box::new(session) as Box<dyn Session>)
    }
}

impl OrtSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let states = &shared.spec.states;
        let shapes = super::expected_inputs(&shared.spec);
        let fast = shapes.len() - states.len() - 1;
        let values = std::iter::repeat_n(0.0, fast + 1).chain(states.iter().map(|state| state.initial));
        let tensor = |((_, shape), value): (&(String, Vec<usize>), f32)| {
            filled(shape, value).map(SessionInputValue::from)
        };
        Ok(Self {
            inputs: shapes.iter().zip(values).map(tensor).collect::<Result<_>>()?,
            fast,
            outputs: (shared.outputs()?, shared.outputs()?),
            initial: Vec::with_capacity(states.len()),
            fresh: true,
            logits: vec![0.0; shared.spec.labels.len()],
            shared: shared.clone(),
        })
    }
}

/// The values of an input of ours, which lies in host memory.
fn values<'a>(input: &'a mut SessionInputValue<'static>) -> &'a mut [f32] {
    match input {
        SessionInputValue::Owned(value) => {
            value.try_extract_tensor_mut().map(|(_, values)| values).unwrap_or_default()
        }
        _ => &mut [],
    }
}

impl Session for OrtSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        match self.inputs.split_at_mut(self.fast) {
            ([slow], [fast, ..]) => (values(slow), values(fast)),
            (_, [fast, ..]) => (&mut [], values(fast)),
            _ => (&mut [], &mut []),
        }
    }

    fn run(&mut self) -> Result<()> {
        let mut session = self.shared.session.lock();
        let outputs = session.run_with_options(&self.inputs[..], &self.outputs.0).map_err(failed)?;
        let mut outputs = outputs.into_iter().map(|(_, value)| value);
        let logits = outputs.next().ok_or_else(|| Error::new(Status::Inference, "the graph gave nothing"))?;
        let (_, logits) = logits.try_extract_tensor::<f32>().map_err(failed)?;
        self.logits.copy_from_slice(logits);
        // The other set is free now: these were its last handles, apart from those that the next run writes by.
        for (state, next) in self.inputs.iter_mut().skip(self.fast + 1).zip(outputs) {
            let read = std::mem::replace(state, next.into());
            if self.fresh {
                self.initial.push(read);
            }
        }
        self.fresh = false;
        std::mem::swap(&mut self.outputs.0, &mut self.outputs.1);
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        for (state, initial) in self.inputs.iter_mut().skip(self.fast + 1).zip(self.initial.drain(..)) {
            *state = initial;
        }
        self.fresh = true;
        Ok(())
    }
}

/// A graph on the CPU provider, with this memory as its device's.
#[cfg(test)]
fn shared_on_cpu(
    runtime: &runtime::Runtime,
    package: &ModelPackage,
    settings: &Settings,
    device: Option<(AllocationDevice<'static>, i32)>,
) -> Arc<Shared> {
    Arc::new(Shared {
        session: Mutex::new(session::session(runtime, &package.bytes, settings, None).unwrap()),
        report: report("", settings, &package.spec, ""),
        device,
        spec: package.spec.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of five steps on samples that differ from step to step.
    fn five_steps(session: &mut OrtSession) -> Vec<f32> {
        let mut logits = Vec::new();
        for step in 0..5u8 {
            let (slow, fast) = session.inputs();
            for (index, value) in slow.iter_mut().chain(fast).enumerate() {
                *value = ((index % 97) as f32 - 48.0) / 48.0 * f32::from(step + 1);
            }
            session.run().unwrap();
            logits.extend_from_slice(session.logits());
        }
        logits
    }

    /// The way of a device's memory, with the host's as the device: no machine with a GPU runs these tests.
    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn states_in_memory_of_a_device_give_the_same_logits_and_start_anew_bit_for_bit() {
        let library = std::env::var_os("TTEVIEW_ORT_DYLIB").expect("TTEVIEW_ORT_DYLIB names no ONNX Runtime");
        let bytes = include_bytes!("../../models/standin.stream.onnx").to_vec();
        let package = ModelPackage::from_bytes(bytes, None).unwrap();
        let runtime = runtime::runtime(Some(Path::new(&library))).unwrap();
        let settings = Settings::new(Provider::Cpu, package.spec.precision, &EngineConfig::default());
        let shared = |device| shared_on_cpu(&runtime, &package, &settings, device);
        let expected = five_steps(&mut OrtSession::new(&shared(None)).unwrap());
        let mut on_device = OrtSession::new(&shared(Some((AllocationDevice::CPU, 0)))).unwrap();
        assert_eq!(five_steps(&mut on_device), expected);
        assert_ne!(five_steps(&mut on_device), expected, "the states were not carried on");
        on_device.reset().unwrap();
        assert_eq!(five_steps(&mut on_device), expected);
    }
}
