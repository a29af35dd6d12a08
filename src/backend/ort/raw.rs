//! A runner for arbitrary graphs with float tensors on the CPU provider, as a reference for
//! benchmarks.

use super::runtime;
use super::tensor::{create_filled, describe_outlet, inference_error};
use crate::error::{Error, Result, Status};
use ort::session::{Session, SessionInputValue};
use std::path::Path;
use std::time::{Duration, Instant};

/// A graph that runs with the runtime's default settings, except for the number of threads. The
/// runtime's threads may therefore spin while they wait for work.
pub struct RawGraph {
    session: Session,
    /// Inputs in graph order.
    inputs: Vec<SessionInputValue<'static>>,
}

impl RawGraph {
    /// Loads a graph from a file with the ONNX Runtime in `library` or, without it, with that of
    /// the process. Dimensions that are not static become 1, and all input values are 0.5.
    ///
    /// # Errors
    /// Returns [`Status::ModelInvalid`] if the graph cannot be loaded, or another error if ONNX
    /// Runtime cannot be used.
    pub fn load(file: &Path, threads: u32, library: Option<&Path>) -> Result<Self> {
        let runtime = runtime::get_runtime(library)?;
        let load = || -> ort::Result<Session> {
            let builder = Session::builder(&runtime.environment)?;
            builder.with_intra_threads(threads as usize)?.commit_from_file(file)
        };
        let session = load().map_err(|error| {
            Error::new(Status::ModelInvalid, format!("{}: {error}", file.display()))
        })?;
        let input = |outlet| {
            let shape = describe_outlet(outlet).shape;
            let sides: Vec<usize> = shape.iter().map(|side| side.unwrap_or(1)).collect();
            create_filled(&sides, 0.5).map(SessionInputValue::from)
        };
        let inputs = session.inputs().iter().map(input).collect::<Result<_>>()?;
        Ok(Self { session, inputs })
    }

    /// Runs the graph once and returns the time that the run took.
    ///
    /// # Errors
    /// Returns the error of the runtime.
    pub fn measure_run(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.session.run(&self.inputs[..]).map_err(inference_error)?;
        Ok(start.elapsed())
    }
}
