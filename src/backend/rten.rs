//! The provider `embedded`, which uses rten, a CPU runtime in Rust that needs no other software.

mod bounds;
#[cfg(test)]
mod tests;

use super::helpers::{HelperThread, HelperThreads, threads_for};
use super::interface::{Backend, Inputs, Session, missing_part_error};
use super::report::RuntimeReport;
use super::signature::{GraphTensor, check_inputs, check_outputs};
use super::windows::LateralWindows;
use crate::engine::config::EngineConfig;
use crate::error::{Error, Result, Status};
use crate::memory::step::StepMemory;
use crate::memory::{check_budget, copy_values, fill_values, reserve_values};
use crate::model::part::{Part, PartModel, PartSpec};
use crate::model::{Cost, ModelPackage, ModelSpec, Precision, StateSpec, check_run_bytes};
use bounds::Plan;
use rten::{
    DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType,
};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// Name and version of the runtime. The version must match the dependency in `Cargo.toml`.
const RUNTIME: &str = "rten 0.27";

/// A part of the network, loaded.
struct Shared {
    model: Model,
    pool: Pool,
    spec: PartSpec,
    memory: StepMemory,
}

/// The threads in which the network runs. The thread that runs a session is one of the pool's
/// threads; the helpers are the others.
struct Pool {
    threads: Arc<ThreadPool>,
    /// This field follows the pool, because the helpers end when the pool is dropped.
    _helpers: Vec<HelperThread>,
}

struct RtenBackend {
    spec: ModelSpec,
    parts: Vec<(Part, Arc<Shared>)>,
}

struct RtenSession {
    shared: Arc<Shared>,
    slow: Vec<f32>,
    fast: Vec<f32>,
    /// Lateral windows that the slow part reads.
    windows: Vec<Vec<f32>>,
    /// Tensors of the lateral windows during a run; empty between runs.
    tensors: Vec<Value>,
    /// Current states. After a successful run, the graph's state outputs replace them.
    states: Vec<Value>,
    logits: Vec<f32>,
}

/// Loads the parts of the network and checks their inputs and outputs against the metadata.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if the graph cannot be loaded, or [`Status::ModelMismatch`] if
/// an input or output does not match the metadata, [`Status::OutOfMemory`] if memory is missing, or
/// [`Status::System`] if a thread cannot be started, or [`Status::Unsupported`] if only ONNX Runtime
/// runs the graph.
pub(crate) fn load(package: &ModelPackage, config: &EngineConfig) -> Result<Arc<dyn Backend>> {
    if let Some(operator) = package.runtime_operator() {
        let message = format!(
            "the package contains the operator {operator}, which only ONNX Runtime runs; use one \
             of its providers, for example cpu"
        );
        return Err(Error::new(Status::Unsupported, message));
    }
    // The models of frame steps are copies of the parts of the package.
    let copies = if package.spec.frame_steps.is_some() { package.bytes.len() } else { 0 };
    check_budget("loading the model", copies)?;
    let (mut parts, mut live_bytes) = (Vec::new(), 0u64);
    for (model, cost) in package.part_models()?.into_iter().zip(&package.costs) {
        let part = model.part;
        let (shared, live) = load_part(&package.spec, model, cost, config)?;
        // All parts may run at the same time.
        live_bytes = live_bytes.saturating_add(live);
        check_run_bytes(&package.spec, live_bytes)?;
        parts.push((part, Arc::new(shared)));
    }
    Ok(Arc::new(RtenBackend { spec: package.spec.clone(), parts }))
}

/// Loads a part of the network. Also returns the memory that a run needs, in bytes.
fn load_part(
    spec: &ModelSpec,
    model: PartModel<'_>,
    cost: &Cost,
    config: &EngineConfig,
) -> Result<(Shared, u64)> {
    let PartModel { part, bytes } = model;
    // rten ends the process if an allocation fails.
    check_budget("loading the model", bounds::bound_load(bytes.len(), cost))?;
    let bytes = match bytes {
        Cow::Borrowed(bytes) => copy_values(bytes, "the graph")?,
        Cow::Owned(bytes) => bytes,
    };
    let model = Model::load(bytes).map_err(|error| {
        Error::new(Status::ModelInvalid, format!("the graph cannot be loaded: {error}"))
    })?;
    let spec = PartSpec::new(spec, part);
    check_inputs(&spec, model.input_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    check_outputs(&spec, model.output_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    let threads = threads_for(part, config.threads);
    let pool = create_pool(threads, config)?;
    let live_bytes = measure_live_bytes(&model, cost)?;
    let memory = StepMemory::new(bounds::bound_step(cost, live_bytes, threads));
    let needed_bytes = live_bytes.max(cost.scratch_bytes);
    Ok((Shared { model, pool, spec, memory }, needed_bytes))
}

/// Returns the size of the computed values that exist at the same time in a run.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if rten computes a value whose size is not known.
fn measure_live_bytes(model: &Model, cost: &Cost) -> Result<u64> {
    match model.execution_plan() {
        Some(plan) => bounds::measure_live(model, &plan, cost),
        None => Ok(cost.tensor_bytes),
    }
}

fn create_pool(threads: u32, config: &EngineConfig) -> Result<Pool> {
    let idle = HelperThreads::start(threads - 1, config.thread_start)?;
    let mut helpers = Vec::with_capacity(threads as usize);
    let pool = ThreadPool::with_caller_thread(threads as usize, |work| {
        let helper = idle.assign(work).ok_or_else(|| io::Error::other("no thread is left"))?;
        helpers.push(helper);
        Ok(())
    });
    let pool = pool.map_err(|error| {
        Error::new(Status::System, format!("the threads cannot be used: {error}"))
    })?;
    Ok(Pool { threads: Arc::new(pool), _helpers: helpers })
}

/// A replacement for the function that `third_party/rten.patch` adds to [`ThreadPool`]. A build of
/// a Rust host that does not use the patched crates calls it, and rten then starts its own threads.
#[allow(dead_code)]
trait UnpatchedPool {
    fn with_caller_thread(
        threads: usize,
        _: impl FnMut(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    ) -> io::Result<ThreadPool> {
        Ok(ThreadPool::with_num_threads(threads))
    }
}

impl UnpatchedPool for ThreadPool {}

/// A replacement for the function that `third_party/rten.patch` adds to [`Model`]. Without the
/// patch, the memory of a step is estimated from the order of the file.
#[allow(dead_code)]
trait UnpatchedModel {
    fn execution_plan(&self) -> Option<Plan> {
        None
    }
}

impl UnpatchedModel for Model {}

fn describe_tensor(model: &Model, id: NodeId) -> GraphTensor<'_> {
    let Some(info) = model.node_info(id) else {
        return GraphTensor { name: "", shape: Vec::new(), is_float32: false };
    };
    let side = |side: Dimension| match side {
        Dimension::Fixed(side) => Some(side),
        Dimension::Symbolic(_) => None,
    };
    GraphTensor {
        name: info.name().unwrap_or_default(),
        shape: info.shape().unwrap_or_default().into_iter().map(side).collect(),
        is_float32: info.dtype().is_none_or(|kind| kind == ValueType::Tensor(DataType::Float)),
    }
}

fn inference_error(message: impl Into<String>) -> Error {
    Error::new(Status::Inference, message)
}

fn create_states(states: &[StateSpec]) -> Result<Vec<Value>> {
    let create = |state: &StateSpec| {
        let values = fill_values(state.shape.iter().product(), state.initial, "a state")?;
        Value::from_shape(&state.shape, values)
            .map_err(|error| inference_error(format!("state {}: {error:?}", state.name)))
    };
    states.iter().map(create).collect()
}

impl Backend for RtenBackend {
    fn report(&self) -> RuntimeReport {
        RuntimeReport {
            provider: "embedded".into(),
            provider_version: RUNTIME.into(),
            runtime_version: RUNTIME.into(),
            // Weights in fp16 are converted to fp32 when the graph is loaded.
            precision: Precision::Fp32,
        }
    }

    fn create_session(&self, part: Part) -> Result<Box<dyn Session>> {
        let found = self.parts.iter().find(|(found, _)| *found == part);
        let (_, shared) = found.ok_or_else(missing_part_error)?;
        let spec = &shared.spec;
        let windows = spec.windows.iter().map(|window| {
            fill_values(window.shape.iter().product(), window.initial, "the lateral windows")
        });
        Ok(Box::new(RtenSession {
            slow: fill_values(spec.slow.iter().product(), 0.0, "the slow input")?,
            fast: fill_values(spec.fast.iter().product(), 0.0, "the fast input")?,
            windows: windows.collect::<Result<_>>()?,
            tensors: reserve_values(spec.windows.len(), "the lateral windows")?,
            states: create_states(&spec.states)?,
            logits: fill_values(spec.output_len, 0.0, "the logits")?,
            shared: Arc::clone(shared),
        }))
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        LateralWindows::in_host_memory(&self.spec)
    }
}

/// Moves the values of an input into a tensor.
fn take_tensor(shape: &[usize], values: &mut Vec<f32>) -> Result<Value> {
    Value::from_shape(shape, std::mem::take(values))
        .map_err(|error| inference_error(format!("{error:?}")))
}

/// Moves the values of an input out of its tensor.
fn take_values(tensor: Value) -> Result<Vec<f32>> {
    let parts = tensor.into_shape_vec::<f32, 4>();
    parts.map(|(_, values)| values).map_err(|error| inference_error(format!("{error:?}")))
}

impl Session for RtenSession {
    fn inputs(&mut self) -> Inputs<'_> {
        Inputs { slow: &mut self.slow, fast: &mut self.fast }
    }

    fn run(&mut self) -> Result<()> {
        let shared = &self.shared;
        let spec = &shared.spec;
        // The vectors are moved into tensors for the run and moved back afterwards. An input that
        // the part does not read has no values.
        let slow = take_tensor(&spec.slow, &mut self.slow)?;
        let fast = take_tensor(&spec.fast, &mut self.fast)?;
        for (window, values) in spec.windows.iter().zip(&mut self.windows) {
            self.tensors.push(take_tensor(&window.shape, values)?);
        }
        let samples = [(&slow, spec.slow), (&fast, spec.fast)].into_iter();
        let samples = samples.filter(|(_, shape)| shape[0] > 0).map(|(tensor, _)| tensor);
        let values = samples.chain(&self.tensors).chain(&self.states).map(ValueOrView::from);
        let inputs = shared.model.input_ids().iter().copied().zip(values).collect();
        let options =
            RunOptions::default().with_thread_pool(Some(Arc::clone(&shared.pool.threads)));
        let outputs = shared.memory.run(|| {
            let outputs = shared.model.run(inputs, shared.model.output_ids(), Some(options));
            outputs.map_err(|error| inference_error(error.to_string()))
        });
        self.slow = take_values(slow)?;
        self.fast = take_values(fast)?;
        for (values, tensor) in self.windows.iter_mut().zip(self.tensors.drain(..)) {
            *values = take_values(tensor)?;
        }
        let mut outputs = outputs?.into_iter();
        let logits = outputs.next().ok_or_else(|| inference_error("the graph has no output"))?;
        let (_, logits) = logits
            .into_shape_vec::<f32, 2>()
            .map_err(|error| inference_error(format!("logits: {error:?}")))?;
        if logits.len() != self.logits.len() {
            let (expected, found) = (self.logits.len(), logits.len());
            return Err(inference_error(format!(
                "the graph must return {expected} logits, got {found}"
            )));
        }
        self.logits = logits;
        self.states = outputs.collect();
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        for (value, state) in self.states.iter_mut().zip(&self.shared.spec.states) {
            let Value::FloatTensor(tensor) = value else {
                return Err(inference_error(format!("the state {} must be float32", state.name)));
            };
            tensor.fill(state.initial);
        }
        Ok(())
    }

    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        let spec = &self.shared.spec;
        for (to, &index) in to.host_mut()?.iter_mut().zip(&spec.written_windows) {
            let (Some(value), Some(state)) = (self.states.get_mut(index), spec.states.get(index))
            else {
                continue;
            };
            // rten gives access to the values of a tensor only by moving them.
            let empty = take_tensor(&[0, 0, 0, 0], &mut Vec::new())?;
            let mut values = take_values(std::mem::replace(value, empty))?;
            to.copy_from_slice(&values);
            *value = take_tensor(&state.shape, &mut values)?;
        }
        Ok(())
    }

    fn set_windows(&mut self, from: &LateralWindows) -> Result<()> {
        for (to, from) in self.windows.iter_mut().zip(from.host()?) {
            to.copy_from_slice(from);
        }
        Ok(())
    }
}
