//! The embedded CPU backend: pure Rust, nothing to install.

use super::{Backend, Found, RuntimeReport, Session, check_inputs, check_outputs};
use crate::model::{ModelPackage, ModelSpec, Precision};
use crate::{Error, Result, Status};
use rten::{DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType};
use std::sync::Arc;

/// Version of rten in `Cargo.toml`.
const RTEN: &str = "rten 0.27";

struct Shared {
    model: Model,
    pool: Arc<ThreadPool>,
    spec: ModelSpec,
}

struct Rten(Arc<Shared>);

struct RtenSession {
    shared: Arc<Shared>,
    /// Shapes of slow and fast.
    shapes: [[usize; 4]; 2],
    slow: Vec<f32>,
    fast: Vec<f32>,
    /// Current states; the runtime's outputs take their place after every run that succeeds.
    states: Vec<Value>,
    logits: Vec<f32>,
}

/// Loads the graph and checks that its inputs and outputs are those of the metadata.
///
/// # Errors
/// `ModelInvalid` where the graph cannot be loaded, `ModelMismatch` where a tensor is not as the metadata says.
pub(crate) fn load(package: &ModelPackage, threads: u32) -> Result<Arc<dyn Backend>> {
    let model = Model::load(package.bytes.to_vec())
        .map_err(|e| Error::new(Status::ModelInvalid, format!("the graph cannot be loaded: {e}")))?;
    let spec = package.spec.clone();
    check_inputs(&spec, model.input_ids().iter().map(|&id| found(&model, id)))?;
    check_outputs(&spec, model.output_ids().iter().map(|&id| found(&model, id)))?;
    let pool = Arc::new(ThreadPool::with_num_threads(threads.max(1) as usize));
    Ok(Arc::new(Rten(Arc::new(Shared { model, pool, spec }))))
}

fn found(model: &Model, id: NodeId) -> Found<'_> {
    let Some(info) = model.node_info(id) else {
        return Found { name: "", shape: Vec::new(), float32: false };
    };
    let side = |side: Dimension| match side {
        Dimension::Fixed(side) => Some(side),
        Dimension::Symbolic(_) => None,
    };
    Found {
        name: info.name().unwrap_or_default(),
        shape: info.shape().unwrap_or_default().into_iter().map(side).collect(),
        float32: info.dtype().is_none_or(|t| t == ValueType::Tensor(DataType::Float)),
    }
}

fn initial(spec: &ModelSpec) -> Result<Vec<Value>> {
    let value = |s: &crate::model::StateSpec| {
        Value::from_shape(&s.shape, vec![s.initial; s.shape.iter().product()])
            .map_err(|e| failed(format!("state {}: {e:?}", s.name)))
    };
    spec.states.iter().map(value).collect()
}

fn failed(what: String) -> Error {
    Error::new(Status::Inference, what)
}

impl Backend for Rten {
    fn report(&self) -> RuntimeReport {
        RuntimeReport {
            provider: "embedded".into(),
            provider_version: RTEN.into(),
            runtime_version: RTEN.into(),
            // Weights in fp16 are widened when the graph is loaded.
            precision: Precision::Fp32,
        }
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let spec = &self.0.spec;
        let shapes = spec.input_shapes();
        Ok(Box::new(RtenSession {
            slow: vec![0.0; shapes[0].iter().product()],
            fast: vec![0.0; shapes[1].iter().product()],
            shapes,
            states: initial(spec)?,
            logits: vec![0.0; spec.labels.len()],
            shared: self.0.clone(),
        }))
    }
}

impl Session for RtenSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.slow, &mut self.fast)
    }

    fn run(&mut self) -> Result<()> {
        let shared = &self.shared;
        // The vectors move into tensors for the run and back after it.
        let slow = Value::from_shape(&self.shapes[0], std::mem::take(&mut self.slow));
        let fast = Value::from_shape(&self.shapes[1], std::mem::take(&mut self.fast));
        let (slow, fast) =
            (slow.map_err(|e| failed(format!("{e:?}")))?, fast.map_err(|e| failed(format!("{e:?}")))?);
        let pathways = (self.shapes[0][0] > 0).then_some(&slow).into_iter().chain([&fast]);
        let values = pathways.chain(&self.states).map(ValueOrView::from);
        let inputs = shared.model.input_ids().iter().copied().zip(values).collect();
        let options = RunOptions::default().with_thread_pool(Some(shared.pool.clone()));
        let outputs = shared.model.run(inputs, shared.model.output_ids(), Some(options));
        self.slow = slow.into_shape_vec::<f32, 4>().map_err(|e| failed(format!("{e:?}")))?.1;
        self.fast = fast.into_shape_vec::<f32, 4>().map_err(|e| failed(format!("{e:?}")))?.1;
        let mut outputs = outputs.map_err(|e| failed(e.to_string()))?.into_iter();
        let logits = outputs.next().ok_or_else(|| failed("the graph gave nothing".into()))?;
        let (_, logits) = logits.into_shape_vec::<f32, 2>().map_err(|e| failed(format!("logits: {e:?}")))?;
        if logits.len() != self.logits.len() {
            return Err(failed(format!("{} logits, not {}", logits.len(), self.logits.len())));
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
            match value {
                Value::FloatTensor(tensor) => {
                    tensor.fill(state.initial);
                }
                _ => return Err(failed(format!("state {} is not float32", state.name))),
            }
        }
        Ok(())
    }
}
