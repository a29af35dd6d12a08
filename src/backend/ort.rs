//! ONNX Runtime, loaded at run time from a library of the host, on its CPU, CUDA or TensorRT provider.

#[cfg(feature = "bench")]
pub(crate) mod raw;
mod runtime;

use super::{Backend, Found, RuntimeReport, Session, check_inputs, check_outputs};
use crate::model::{ModelPackage, ModelSpec, Precision};
use crate::{Error, Result, Status};
use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// What of ONNX Runtime computes the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
}

impl Provider {
    /// The provider that the host calls by this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Cuda, Self::TensorRt].into_iter().find(|provider| provider.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }

    /// What a session must register; the CPU provider is always there.
    fn registration(self, precision: Precision) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            Self::Cpu => return None,
            // Without TF32, so that float32 is float32.
            Self::Cuda => CUDA::default().with_tf32(false).build(),
            Self::TensorRt => TensorRT::default().with_fp16(precision == Precision::Fp16).build(),
        };
        Some(provider.error_on_failure())
    }
}

struct Shared {
    /// Runs one graph at a time: the `ort` crate does not trust concurrent runs of one session.
    session: Mutex<ort::session::Session>,
    provider: Provider,
    version: String,
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
    logits: Vec<f32>,
}

/// Loads the runtime, then the graph on one provider of it, and checks that inputs and outputs are those of the
/// metadata.
///
/// # Errors
/// As [`runtime::runtime`]; `ProviderUnavailable` where the provider is not there or cannot run the whole graph,
/// `ModelInvalid` where the graph cannot be loaded, `ModelMismatch` where a tensor is not as the metadata says.
pub(crate) fn load(
    package: &ModelPackage,
    provider: Provider,
    threads: u32,
    library: Option<&Path>,
) -> Result<Arc<dyn Backend>> {
    let runtime = runtime::runtime(library)?;
    let spec = package.spec.clone();
    let session = session(&runtime, package, provider, threads)?;
    check_inputs(&spec, session.inputs().iter().map(found))?;
    check_outputs(&spec, session.outputs().iter().map(found))?;
    let shared = Shared { session: Mutex::new(session), provider, version: runtime.version, spec };
    Ok(Arc::new(Ort(Arc::new(shared))))
}

fn session(
    runtime: &runtime::Runtime,
    package: &ModelPackage,
    provider: Provider,
    threads: u32,
) -> Result<ort::session::Session> {
    let registered = || -> ort::Result<_> {
        // Threads that spin would take the acquisition's cores between two chunks.
        let builder = ort::session::Session::builder(&runtime.environment)?
            .with_intra_threads(threads.max(1) as usize)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?;
        Ok(match provider.registration(package.spec.precision) {
            Some(provider) => builder.with_execution_providers([provider])?.with_disable_cpu_fallback()?,
            None => builder,
        })
    };
    let named = |e: ort::Error| format!("onnxruntime {}: {}", runtime.version, e.message().trim_end());
    let mut builder = registered().map_err(|e| Error::new(Status::ProviderUnavailable, named(e)))?;
    builder.commit_from_memory(&package.bytes).map_err(|e| match provider {
        Provider::Cpu => {
            Error::new(Status::ModelInvalid, format!("the graph cannot be loaded: {}", named(e)))
        }
        Provider::Cuda | Provider::TensorRt => Error::new(Status::ProviderUnavailable, named(e)),
    })
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

/// A tensor in host memory that holds `value` everywhere.
fn filled(allocator: &Allocator, shape: &[usize], value: f32) -> Result<Tensor<f32>> {
    let mut tensor =
        Tensor::new(allocator, shape).map_err(|e| Error::new(Status::OutOfMemory, e.to_string()))?;
    tensor.try_extract_tensor_mut().map_err(failed)?.1.fill(value);
    Ok(tensor)
}

/// Where the outputs of a run go: logits and next states.
fn outputs(allocator: &Allocator, spec: &ModelSpec) -> Result<RunOptions<HasSelectedOutputs>> {
    let mut selector = OutputSelector::default();
    for (name, shape) in super::expected_outputs(spec) {
        selector = selector.preallocate(name, filled(allocator, &shape, 0.0)?);
    }
    Ok(RunOptions::new().map_err(failed)?.with_outputs(selector))
}

impl Backend for Ort {
    fn report(&self) -> RuntimeReport {
        let version = format!("onnxruntime {}", self.0.version);
        RuntimeReport {
            provider: self.0.provider.name().into(),
            provider_version: version.clone(),
            runtime_version: version,
            precision: self.0.spec.precision,
        }
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let spec = &self.0.spec;
        let allocator = Allocator::default();
        let inputs = super::expected_inputs(spec);
        let fast = inputs.len() - spec.states.len() - 1;
        let initials =
            std::iter::repeat_n(0.0, fast + 1).chain(spec.states.iter().map(|state| state.initial));
        let tensor = |((_, shape), initial): (&(String, Vec<usize>), f32)| {
            filled(&allocator, shape, initial).map(SessionInputValue::from)
        };
        Ok(Box::new(OrtSession {
            inputs: inputs.iter().zip(initials).map(tensor).collect::<Result<_>>()?,
            fast,
            outputs: (outputs(&allocator, spec)?, outputs(&allocator, spec)?),
            logits: vec![0.0; spec.labels.len()],
            shared: self.0.clone(),
        }))
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
            *state = next.into();
        }
        std::mem::swap(&mut self.outputs.0, &mut self.outputs.1);
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        for (input, state) in self.inputs.iter_mut().skip(self.fast + 1).zip(&self.shared.spec.states) {
            values(input).fill(state.initial);
        }
        Ok(())
    }
}
