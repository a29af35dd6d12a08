//! The provider `embedded`, which uses rten, a CPU runtime in Rust that needs no other software.

mod bounds;
#[cfg(test)]
mod tests;

use super::helpers::{HelperThread, HelperThreads};
use super::interface::{Backend, Inputs, Session};
use super::report::RuntimeReport;
use super::signature::{GraphTensor, check_inputs, check_outputs};
use crate::engine::config::EngineConfig;
use crate::error::{Error, Result, Status};
use crate::memory::step::StepMemory;
use crate::memory::{check_budget, copy_values, fill_values};
use crate::model::{ModelPackage, ModelSpec, Precision, StateSpec, check_run_bytes};
use bounds::Plan;
use rten::{
    DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType,
};
use std::io;
use std::sync::Arc;

/// Name and version of the runtime. The version must match the dependency in `Cargo.toml`.
const RUNTIME: &str = "rten 0.27";

struct Shared {
    model: Model,
    pool: Pool,
    spec: ModelSpec,
    memory: StepMemory,
}

/// The threads in which the network runs. The thread that runs a session is one of the pool's
/// threads; the helpers are the others.
struct Pool {
    threads: Arc<ThreadPool>,
    /// This field follows the pool, because the helpers end when the pool is dropped.
    _helpers: Vec<HelperThread>,
}

struct RtenBackend(Arc<Shared>);

struct RtenSession {
    shared: Arc<Shared>,
    /// Shapes of the slow and the fast samples.
    shapes: [[usize; 4]; 2],
    slow: Vec<f32>,
    fast: Vec<f32>,
    /// Current states. After a successful run, the graph's state outputs replace them.
    states: Vec<Value>,
    logits: Vec<f32>,
}

/// Loads the graph and checks its inputs and outputs against the metadata.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if the graph cannot be loaded, or [`Status::ModelMismatch`] if
/// an input or output does not match the metadata, [`Status::OutOfMemory`] if memory is missing, or
/// [`Status::System`] if a thread cannot be started.
pub(crate) fn load(package: &ModelPackage, config: &EngineConfig) -> Result<Arc<dyn Backend>> {
    // rten ends the process if an allocation fails.
    check_budget("loading the model", bounds::bound_load(package))?;
    let model = Model::load(copy_values(&package.bytes, "the graph")?).map_err(|error| {
        Error::new(Status::ModelInvalid, format!("the graph cannot be loaded: {error}"))
    })?;
    let spec = package.spec.clone();
    check_inputs(&spec, model.input_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    check_outputs(&spec, model.output_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    let pool = create_pool(config)?;
    let memory = StepMemory::new(bound_step_bytes(package, &model, config)?);
    Ok(Arc::new(RtenBackend(Arc::new(Shared { model, pool, spec, memory }))))
}

/// Returns an upper bound for the bytes that a step allocates.
///
/// # Errors
/// Returns [`Status::ModelInvalid`] if the tensors of a run exceed the limit in rten's order, or if
/// the memory of a node exceeds it.
fn bound_step_bytes(package: &ModelPackage, model: &Model, config: &EngineConfig) -> Result<usize> {
    let cost = &package.cost;
    let live_bytes = match model.execution_plan() {
        Some(plan) => bounds::measure_live(model, &plan, cost)?,
        None => cost.tensor_bytes,
    };
    check_run_bytes(&package.spec, live_bytes.max(cost.scratch_bytes))?;
    Ok(bounds::bound_step(cost, live_bytes, config.threads.max(1)))
}

fn create_pool(config: &EngineConfig) -> Result<Pool> {
    let threads = config.threads.max(1);
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

fn create_states(spec: &ModelSpec) -> Result<Vec<Value>> {
    let create = |state: &StateSpec| {
        let values = fill_values(state.shape.iter().product(), state.initial, "a state")?;
        Value::from_shape(&state.shape, values)
            .map_err(|error| inference_error(format!("state {}: {error:?}", state.name)))
    };
    spec.states.iter().map(create).collect()
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

    fn create_session(&self) -> Result<Box<dyn Session>> {
        let spec = &self.0.spec;
        let shapes = spec.input_shapes();
        Ok(Box::new(RtenSession {
            slow: fill_values(shapes[0].iter().product(), 0.0, "the slow input")?,
            fast: fill_values(shapes[1].iter().product(), 0.0, "the fast input")?,
            shapes,
            states: create_states(spec)?,
            logits: fill_values(spec.labels.len(), 0.0, "the logits")?,
            shared: self.0.clone(),
        }))
    }
}

impl Session for RtenSession {
    fn inputs(&mut self) -> Inputs<'_> {
        Inputs { slow: &mut self.slow, fast: &mut self.fast }
    }

    fn run(&mut self) -> Result<()> {
        let shared = &self.shared;
        // The vectors are moved into tensors for the run and moved back afterwards.
        let tensor = |shape: &[usize; 4], values: &mut Vec<f32>| {
            Value::from_shape(shape, std::mem::take(values))
                .map_err(|error| inference_error(format!("{error:?}")))
        };
        let slow = tensor(&self.shapes[0], &mut self.slow)?;
        let fast = tensor(&self.shapes[1], &mut self.fast)?;
        let has_slow = self.shapes[0][0] > 0;
        let samples = has_slow.then_some(&slow).into_iter().chain([&fast]);
        let values = samples.chain(&self.states).map(ValueOrView::from);
        let inputs = shared.model.input_ids().iter().copied().zip(values).collect();
        let options =
            RunOptions::default().with_thread_pool(Some(Arc::clone(&shared.pool.threads)));
        let outputs = shared.memory.run(|| {
            let outputs = shared.model.run(inputs, shared.model.output_ids(), Some(options));
            outputs.map_err(|error| inference_error(error.to_string()))
        });
        let values = |tensor: Value| {
            let parts = tensor.into_shape_vec::<f32, 4>();
            parts.map(|(_, values)| values).map_err(|error| inference_error(format!("{error:?}")))
        };
        self.slow = values(slow)?;
        self.fast = values(fast)?;
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
}
