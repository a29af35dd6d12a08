//! ONNX Runtime, in which `verify` runs graphs.

use crate::error::{CompileError, Result};
use crate::run::{NamedTensor, RunModel};
use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use std::fmt;
use std::path::Path;

/// ONNX Runtime, loaded into this process.
pub struct Runtime {
    environment: Environment,
}

/// A loaded graph, which runs on one CPU thread.
pub(crate) struct Runner {
    session: Session,
    outputs: Vec<String>,
}

/// Returns an error with the message `what: cause`.
pub(super) fn verify_error(what: &str, cause: impl fmt::Display) -> CompileError {
    CompileError::Verify(format!("{what}: {cause}"))
}

impl Runtime {
    /// Loads ONNX Runtime from a shared library. A process can do this only once.
    ///
    /// # Errors
    /// Returns [`CompileError::Verify`] if the library cannot be loaded, or if the process has
    /// already loaded ONNX Runtime.
    pub fn load(library: &Path) -> Result<Self> {
        let builder = ort::init_from(library)
            .map_err(|e| verify_error("ONNX Runtime cannot be loaded", e))?;
        let environment =
            builder.build().map_err(|e| verify_error("ONNX Runtime cannot be started", e))?;
        Ok(Self { environment })
    }

    /// Loads a model from the content of its file.
    pub(crate) fn load_model(&self, model: &[u8]) -> Result<Runner> {
        self.load_session(|builder| builder.commit_from_memory(model))
    }

    /// Loads a model from its file. The folder of the file may contain external weights.
    pub(crate) fn load_model_file(&self, model: &Path) -> Result<Runner> {
        self.load_session(|builder| builder.commit_from_file(model))
    }

    fn load_session(
        &self,
        commit: impl Fn(&mut SessionBuilder) -> std::result::Result<Session, ort::Error>,
    ) -> Result<Runner> {
        let build = || -> std::result::Result<Session, ort::Error> {
            let builder = Session::builder(&self.environment)?;
            let mut builder = builder.with_intra_threads(1)?;
            commit(&mut builder)
        };
        let session = build().map_err(|e| verify_error("a graph cannot be loaded", e))?;
        let outputs = session.outputs().iter().map(|o| o.name().to_owned()).collect();
        Ok(Runner { session, outputs })
    }
}

impl RunModel for Runner {
    fn run(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let fail = |e: ort::Error| verify_error("a graph cannot be run", e);
        let mut values: Vec<(String, SessionInputValue)> = Vec::new();
        for NamedTensor { name, shape, data } in inputs {
            let tensor = Tensor::from_array((shape.clone(), data.clone())).map_err(fail)?;
            values.push((name.clone(), tensor.into()));
        }
        let results = self.session.run(values).map_err(fail)?;
        let mut outputs = Vec::new();
        for name in &self.outputs {
            let Some(value) = results.get(name) else {
                return Err(verify_error(
                    "a graph cannot be run",
                    format!("it has no output {name}"),
                ));
            };
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(fail)?;
            let shape = shape.iter().map(|&d| d as usize).collect();
            outputs.push(NamedTensor { name: name.clone(), shape, data: data.to_vec() });
        }
        Ok(outputs)
    }
}
