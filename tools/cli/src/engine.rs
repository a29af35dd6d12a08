//! The model and provider a command runs on.

use crate::Failure;
use clap::Args;
use std::path::PathBuf;
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig};

#[derive(Debug, Args)]
pub(crate) struct EngineArguments {
    /// Model package
    #[arg(short, long, value_name = "PACKAGE")]
    model: PathBuf,
    /// Providers in order of preference, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "embedded")]
    provider: Vec<String>,
    /// Threads of the network
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Shared library of ONNX Runtime, for the providers that need it
    #[arg(long, value_name = "LIBRARY")]
    runtime: Option<PathBuf>,
}

impl EngineArguments {
    /// Loads the model and runs its self-test.
    pub(crate) fn load(&self) -> Result<Engine, Failure> {
        let model = &self.model;
        let config = EngineConfig {
            providers: self.provider.clone(),
            threads: self.threads,
            runtime_library: self.runtime.clone(),
        };
        let engine = ModelPackage::from_path(model, None).and_then(|package| Engine::new(package, &config));
        let engine = engine.map_err(|error| Failure::model(model, error))?;
        engine.prepare().map_err(|error| Failure::model(model, error))?;
        Ok(engine)
    }
}
