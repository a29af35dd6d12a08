//! ONNX Runtime, in which `verify` runs graphs.

use crate::error::{CompileError, Result};
use crate::run::{NamedTensor, RunModel};
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Shape, Tensor, TensorElementType, ValueType};
use std::fmt;
use std::path::Path;

/// ONNX Runtime, loaded into this process.
pub struct Runtime {
    environment: Environment,
}

/// A loaded graph, which runs on one CPU thread.
pub(crate) struct Runner {
    session: Session,
    /// Names and element types of the inputs.
    inputs: Vec<(String, TensorElementType)>,
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

    /// Loads a source network from the content of its file. The folder may contain external
    /// weights. ONNX Runtime does not optimise the graph, because an optimisation of version 1.31
    /// computes a max pool after a padding with zeros wrongly.
    pub(crate) fn load_source(&self, model: &[u8], folder: Option<&Path>) -> Result<Runner> {
        const FOLDER: &str = "session.model_external_initializers_file_folder_path";
        let folder = folder.map(|folder| match folder.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => folder.display().to_string(),
        });
        self.load_session(|builder| {
            let mut builder =
                builder.clone().with_optimization_level(GraphOptimizationLevel::Disable)?;
            if let Some(folder) = &folder {
                builder = builder.with_config_entry(FOLDER, folder)?;
            }
            builder.commit_from_memory(model)
        })
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
        let element = |dtype: &ValueType| match dtype {
            ValueType::Tensor { ty, .. } => *ty,
            _ => TensorElementType::Float32,
        };
        let inputs =
            session.inputs().iter().map(|i| (i.name().to_owned(), element(i.dtype()))).collect();
        Ok(Runner { session, inputs, outputs })
    }
}

impl Runner {
    /// Returns whether an input contains bytes.
    pub(crate) fn takes_bytes(&self) -> bool {
        self.inputs.iter().any(|(_, element)| *element == TensorElementType::Uint8)
    }

    /// Runs the graph and returns one output.
    pub(crate) fn run_output(&mut self, inputs: &[NamedTensor], name: &str) -> Result<Vec<f32>> {
        self.outputs = vec![name.to_owned()];
        let outputs = self.run(inputs)?;
        Ok(outputs.into_iter().next().map(|output| output.data).unwrap_or_default())
    }

    /// Converts numbers to the element type of an input.
    fn input_value(&self, tensor: &NamedTensor) -> ort::Result<SessionInputValue<'static>> {
        let NamedTensor { name, shape, data } = tensor;
        let element = self.inputs.iter().find(|(input, _)| input == name).map(|(_, e)| *e);
        let (shape, data) = (shape.clone(), data.iter().copied());
        Ok(match element {
            Some(TensorElementType::Float16) => {
                Tensor::from_array((shape, data.map(half::f16::from_f32).collect::<Vec<_>>()))?
                    .into()
            }
            Some(TensorElementType::Bfloat16) => {
                Tensor::from_array((shape, data.map(half::bf16::from_f32).collect::<Vec<_>>()))?
                    .into()
            }
            Some(TensorElementType::Float64) => {
                Tensor::from_array((shape, data.map(f64::from).collect::<Vec<_>>()))?.into()
            }
            Some(TensorElementType::Uint8) => {
                Tensor::from_array((shape, data.map(|v| v as u8).collect::<Vec<_>>()))?.into()
            }
            _ => Tensor::from_array((shape, data.collect::<Vec<f32>>()))?.into(),
        })
    }
}

/// Returns the elements of a float tensor of any precision.
fn output_data(value: &DynValue) -> ort::Result<(Vec<usize>, Vec<f32>)> {
    let sizes = |shape: &Shape| shape.iter().map(|&d| d as usize).collect();
    if let Ok((shape, data)) = value.try_extract_tensor::<half::f16>() {
        return Ok((sizes(shape), data.iter().map(|v| v.to_f32()).collect()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<half::bf16>() {
        return Ok((sizes(shape), data.iter().map(|v| v.to_f32()).collect()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<f64>() {
        return Ok((sizes(shape), data.iter().map(|&v| v as f32).collect()));
    }
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    Ok((sizes(shape), data.to_vec()))
}

impl RunModel for Runner {
    fn run(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let fail = |e: ort::Error| verify_error("a graph cannot be run", e);
        let mut values: Vec<(String, SessionInputValue)> = Vec::new();
        for tensor in inputs {
            values.push((tensor.name.clone(), self.input_value(tensor).map_err(fail)?));
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
            let (shape, data) = output_data(value).map_err(fail)?;
            outputs.push(NamedTensor { name: name.clone(), shape, data });
        }
        Ok(outputs)
    }
}
