//! Any graph of float tensors on the CPU, for `benches/` and `tteview bench` to compare with.

use super::{failed, filled, found, runtime};
use crate::{Error, Result, Status};
use ort::session::{Session, SessionInputValue};
use std::path::Path;
use std::time::{Duration, Instant};

/// A graph with the runtime's own settings but for the number of threads: threads may spin.
pub struct RawGraph {
    session: Session,
    /// In graph order.
    inputs: Vec<SessionInputValue<'static>>,
}

impl RawGraph {
    /// Loads a file into the ONNX Runtime that the process runs. Dimensions that are not static are 1, inputs are 0.5
    /// everywhere.
    ///
    /// # Errors
    /// As for an engine; `ModelInvalid` where the graph cannot be loaded.
    pub fn load(file: &Path, threads: u32) -> Result<Self> {
        let runtime = runtime::runtime(None)?;
        let load = || -> ort::Result<Session> {
            let mut builder = Session::builder(&runtime.environment)?.with_intra_threads(threads as usize)?;
            builder.commit_from_file(file)
        };
        let session =
            load().map_err(|e| Error::new(Status::ModelInvalid, format!("{}: {e}", file.display())))?;
        let input = |outlet| {
            let shape: Vec<usize> = found(outlet).shape.iter().map(|side| side.unwrap_or(1)).collect();
            filled(&shape, 0.5).map(SessionInputValue::from)
        };
        let inputs = session.inputs().iter().map(input).collect::<Result<_>>()?;
        Ok(Self { session, inputs })
    }

    /// Runs the graph once.
    ///
    /// # Errors
    /// The runtime's failure.
    pub fn time(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.session.run(&self.inputs[..]).map_err(failed)?;
        Ok(start.elapsed())
    }
}
