//! rten, in which the self-test runs models.

use crate::error::{CompileError, Result};
use crate::run::{NamedTensor, RunModel};
use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use std::sync::Arc;

/// A model in rten, which runs on one thread.
pub(crate) struct EmbeddedModel {
    model: Model,
}

fn fail(what: &str, cause: String) -> CompileError {
    CompileError::Verify(format!("the package {what} in its self-test: {cause}"))
}

/// Returns an error if a number is not finite.
pub(crate) fn check_finite(values: &[f32]) -> Result<()> {
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => {
            Err(fail("has an unusable result", format!("the output must be finite, got {v}")))
        }
        None => Ok(()),
    }
}

impl EmbeddedModel {
    /// Loads a model from the content of its file.
    pub(crate) fn load(model: Vec<u8>) -> Result<Self> {
        let model = Model::load(model).map_err(|e| fail("does not load", e.to_string()))?;
        Ok(Self { model })
    }

    /// Returns the name and the static shape of each input.
    pub(crate) fn inputs(&self) -> Vec<(String, Vec<usize>)> {
        self.model.input_ids().iter().map(|&id| (self.name(id), self.shape(id))).collect()
    }

    /// Runs the graph once and returns its first output, and computes nothing else.
    pub(crate) fn run_first(&self, inputs: &[NamedTensor]) -> Result<Vec<f32>> {
        let first: Vec<NodeId> = self.model.output_ids().iter().take(1).copied().collect();
        let output = self.run_outputs(inputs, &first)?.into_iter().next();
        output
            .map(|output| output.data)
            .ok_or_else(|| fail("has no result", "the graph has no output".into()))
    }

    fn name(&self, id: NodeId) -> String {
        let info = self.model.node_info(id);
        info.and_then(|i| i.name()).unwrap_or_default().to_owned()
    }

    /// Returns the static shape of an input or output.
    fn shape(&self, id: NodeId) -> Vec<usize> {
        let size = |d: &Dimension| match d {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Symbolic(_) => None,
        };
        let shape = self.model.node_info(id).and_then(|info| info.shape()).unwrap_or_default();
        shape.iter().filter_map(size).collect()
    }

    fn run_outputs(&self, inputs: &[NamedTensor], outputs: &[NodeId]) -> Result<Vec<NamedTensor>> {
        let mut values: Vec<(NodeId, ValueOrView)> = Vec::new();
        for NamedTensor { name, shape, data } in inputs {
            let unusable = |e: String| fail(&format!("has an unusable input \"{name}\""), e);
            let id = self.model.find_node(name);
            let id = id.ok_or_else(|| unusable("the graph has no such input".into()))?;
            let value =
                Value::from_shape(shape, data.clone()).map_err(|e| unusable(format!("{e:?}")))?;
            values.push((id, value.into()));
        }
        let options =
            RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(1))));
        let results = self
            .model
            .run(values, outputs, Some(options))
            .map_err(|e| fail("does not run", e.to_string()))?;
        let mut tensors = Vec::new();
        for (value, &id) in results.into_iter().zip(outputs) {
            let unusable = |e: String| fail("has an unusable result", e);
            let data = value.into_tensor::<f32>().ok_or_else(|| unusable("not float32".into()))?;
            let (name, shape) = (self.name(id), self.shape(id));
            tensors.push(NamedTensor { name, shape, data: data.into_data() });
        }
        Ok(tensors)
    }
}

impl RunModel for EmbeddedModel {
    fn run(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.run_outputs(inputs, self.model.output_ids())
    }
}
