//! The provider `embedded`, which uses rten, a CPU runtime in Rust that needs no other software.

use super::helpers::{HelperThread, HelperThreads};
use super::interface::{Backend, Inputs, Session};
use super::report::RuntimeReport;
use super::signature::{GraphTensor, check_inputs, check_outputs};
use crate::engine::config::EngineConfig;
use crate::error::{Error, Result, Status};
use crate::memory::step::StepMemory;
use crate::memory::{check_budget, copy_values, fill_values};
use crate::model::{ModelPackage, ModelSpec, Precision, StateSpec};
use rten::{
    DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType,
};
use std::io;
use std::sync::Arc;

/// Name and version of the runtime. The version must match the dependency in `Cargo.toml`.
const RUNTIME: &str = "rten 0.27";

/// Bytes that must be available when rten loads a package: a fixed amount, and a multiple of the
/// size of the package. rten allocates at most three times the size of the demo model's packages.
const LOAD_BYTES: usize = 4 << 20;
const LOAD_FACTOR: usize = 4;

/// Bytes that must be available for the first step: a fixed amount, and a multiple of the tensors
/// of a session. Of these tensors, the demo model's packages need at most five times the size.
const STEP_BYTES: usize = 4 << 20;
const STEP_FACTOR: usize = 8;

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
    check_budget("loading the model", LOAD_BYTES + LOAD_FACTOR * package.bytes.len())?;
    let model = Model::load(copy_values(&package.bytes, "the graph")?).map_err(|error| {
        Error::new(Status::ModelInvalid, format!("the graph cannot be loaded: {error}"))
    })?;
    let spec = package.spec.clone();
    check_inputs(&spec, model.input_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    check_outputs(&spec, model.output_ids().iter().map(|&id| describe_tensor(&model, id)))?;
    let pool = create_pool(config)?;
    let memory = StepMemory::new(estimate_step_bytes(package));
    Ok(Arc::new(RtenBackend(Arc::new(Shared { model, pool, spec, memory }))))
}

/// Returns an upper estimate of the bytes that rten allocates in a step.
fn estimate_step_bytes(package: &ModelPackage) -> usize {
    let tensors = STEP_FACTOR.saturating_mul(package.spec.session_bytes());
    STEP_BYTES.saturating_add(tensors).saturating_add(package.bytes.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> ModelPackage {
        let bytes = include_bytes!("../../models/standin.stream.onnx").to_vec();
        ModelPackage::from_bytes(bytes, None).expect("a valid package")
    }

    #[test]
    fn state_is_carried_and_reset_restores_the_first_result() {
        let mut session = load(&package(), &EngineConfig::default())
            .expect("loads")
            .create_session()
            .expect("a session");
        let inputs = session.inputs();
        inputs.slow.fill(0.5);
        inputs.fast.fill(0.5);
        session.run().expect("runs");
        let first = session.logits().to_vec();
        session.run().expect("runs");
        assert_ne!(session.logits(), first);
        session.reset().expect("resets");
        session.run().expect("runs");
        assert_eq!(session.logits(), first);
    }

    #[test]
    fn a_state_of_another_shape_is_refused_by_name() {
        let mut package = package();
        package.spec.states[0].shape[0] += 1;
        let error = load(&package, &EngineConfig::default()).err().expect("refused");
        assert_eq!(error.status(), Status::ModelMismatch);
        assert!(error.message().contains(&package.spec.states[0].name), "{error}");
    }

    fn pool(threads: u32) -> Pool {
        create_pool(&EngineConfig { threads, ..EngineConfig::default() }).expect("threads start")
    }

    fn run_on_own_thread(pool: &ThreadPool) {
        let caller = std::thread::current().id();
        assert_eq!(pool.run(|| std::thread::current().id()), caller);
    }

    #[test]
    fn nested_pools_and_panics_leave_the_caller_as_it_was() {
        let pools = (pool(1), pool(3));
        let (one, two) = (&pools.0.threads, &pools.1.threads);
        for _ in 0..3 {
            one.run(|| two.run(|| one.run(|| run_on_own_thread(two))));
            let panics = || one.run(|| two.run(|| panic!("on purpose")));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
            run_on_own_thread(one);
            run_on_own_thread(two);
        }
    }

    #[test]
    fn callers_of_one_pool_take_turns_and_compute_the_same() {
        let package = package();
        for threads in 1..=3 {
            let config = EngineConfig { threads, ..EngineConfig::default() };
            let backend = load(&package, &config).expect("loads");
            let run_once = || {
                let mut session = backend.create_session().expect("a session");
                session.inputs().fast.fill(0.25);
                session.run().expect("runs");
                session.logits().to_vec()
            };
            let expected = run_once();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let repeat = || (0..20).for_each(|_| assert_eq!(run_once(), expected));
                    scope.spawn(repeat);
                }
            });
        }
    }
}
