//! The engines of the jobs. An engine runs its network once at a time, so on the CPU each job has
//! its own engine.

use crate::engine_arguments::EngineArguments;
use crate::failure::Failure;
use std::sync::OnceLock;
use tteview::Engine;

/// Providers that run the network on the CPU.
const CPU_PROVIDERS: [&str; 2] = ["embedded", "cpu"];

/// The engines of the jobs.
pub(super) struct Engines<'a> {
    arguments: &'a EngineArguments,
    first: Engine,
    /// The engines of the other jobs, which are loaded when they are needed. The list is empty if
    /// all jobs share the first one.
    others: Vec<OnceLock<Engine>>,
}

impl<'a> Engines<'a> {
    /// Loads the engine of the first job.
    pub(super) fn load(arguments: &'a EngineArguments, jobs: usize) -> Result<Self, Failure> {
        let first = arguments.load_engine()?;
        let is_on_cpu = CPU_PROVIDERS.contains(&first.report().provider.as_str());
        let others = if is_on_cpu { jobs.saturating_sub(1) } else { 0 };
        let others = (0..others).map(|_| OnceLock::new()).collect();
        Ok(Self { arguments, first, others })
    }

    /// Returns the engine of the first job.
    pub(super) const fn first(&self) -> &Engine {
        &self.first
    }

    /// Returns the engine of a job, and loads it if necessary. Only the thread of the job may call
    /// this function.
    pub(super) fn get(&self, job: usize) -> Result<&Engine, Failure> {
        let Some(slot) = job.checked_sub(1).and_then(|index| self.others.get(index)) else {
            return Ok(&self.first);
        };
        match slot.get() {
            Some(engine) => Ok(engine),
            None => {
                let engine = self.arguments.load_engine()?;
                Ok(slot.get_or_init(|| engine))
            }
        }
    }
}
