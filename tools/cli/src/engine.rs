//! The model and provider a command runs on.

use crate::Failure;
use clap::Args;
use std::path::{Path, PathBuf};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig};

#[derive(Debug, Args)]
pub(crate) struct EngineArguments {
    /// Model package
    #[arg(short, long, value_name = "PACKAGE")]
    pub(crate) model: PathBuf,
    /// Providers in order of preference, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "embedded")]
    pub(crate) provider: Vec<String>,
    /// Threads of the network
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Shared library of ONNX Runtime, for the providers that need it
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) runtime: Option<PathBuf>,
}

impl EngineArguments {
    /// Loads the model and runs its self-test.
    pub(crate) fn load(&self) -> Result<Engine, Failure> {
        self.with_model(&self.model)
    }

    /// Threads of the network.
    pub(crate) fn threads(&self) -> u32 {
        self.threads
    }

    /// Loads another model in the same way.
    pub(crate) fn with_model(&self, model: &Path) -> Result<Engine, Failure> {
        let config = EngineConfig {
            providers: self.provider.clone(),
            threads: self.threads,
            runtime_library: self.runtime.clone(),
        };
        load(model, ModelPackage::from_path(model, None), &config)
    }
}

/// An engine for a package that was read from `name`, after its self-test.
pub(crate) fn load(
    name: &Path,
    package: tteview::Result<ModelPackage>,
    config: &EngineConfig,
) -> Result<Engine, Failure> {
    let engine = package.and_then(|package| Engine::new(package, config));
    let engine = engine.map_err(|error| Failure::model(name, error))?;
    engine.prepare().map_err(|error| Failure::model(name, error))?;
    Ok(engine)
}
