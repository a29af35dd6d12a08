//! The arguments that select the model and the provider for a command.

use crate::failure::Failure;
use crate::output::print_error;
use clap::Args;
use std::path::{Path, PathBuf};
use tteview::{Engine, EngineConfig, EngineOrigin, ModelPackage, Progress, Stage};

/// Time after which a message reports that the provider is still building an engine.
const SILENT_SECONDS: u64 = 5;

#[derive(Debug, Args)]
pub(crate) struct EngineArguments {
    /// Model package
    #[arg(short, long, value_name = "PACKAGE")]
    pub(crate) model: PathBuf,
    /// Comma-separated providers in order of preference: embedded, cpu, cuda, tensorrt
    #[arg(long, value_delimiter = ',', default_value = "embedded")]
    provider: Vec<String>,
    /// Number of threads that run the network
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// ONNX Runtime shared library for all providers except embedded
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) runtime: Option<PathBuf>,
    /// Provider option, for example trt_builder_optimization_level=5; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option)]
    provider_option: Vec<(String, String)>,
    /// Folder in which engines built by TensorRT are kept, so that later runs can load them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) engine_cache: Option<PathBuf>,
}

impl EngineArguments {
    /// Loads the model package and prepares its engine.
    pub(crate) fn load_engine(&self) -> Result<Engine, Failure> {
        self.load_engine_for(&self.model)
    }

    /// Loads the package `model` instead of [`Self::model`] and prepares its engine.
    pub(crate) fn load_engine_for(&self, model: &Path) -> Result<Engine, Failure> {
        let engine = create_engine(model, ModelPackage::from_path(model, None), &self.config())?;
        prepare_engine(model, &engine)?;
        Ok(engine)
    }

    /// Loads the model package without preparing its engine.
    pub(crate) fn create_engine(&self) -> Result<Engine, Failure> {
        create_engine(&self.model, ModelPackage::from_path(&self.model, None), &self.config())
    }

    /// Prepares the engine that [`Self::create_engine`] returned.
    pub(crate) fn prepare_engine(&self, engine: &Engine) -> Result<(), Failure> {
        prepare_engine(&self.model, engine)
    }

    fn config(&self) -> EngineConfig {
        EngineConfig {
            providers: self.provider.clone(),
            threads: self.threads,
            runtime_library: self.runtime.clone(),
            options: self.provider_option.clone(),
            cache_folder: self.engine_cache.clone(),
            ..EngineConfig::default()
        }
    }
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("the option must have the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Creates the engine for a package. Error messages begin with `name`.
pub(crate) fn create_engine(
    name: &Path,
    package: tteview::Result<ModelPackage>,
    config: &EngineConfig,
) -> Result<Engine, Failure> {
    let engine = package.and_then(|package| Engine::new(package, config));
    engine.map_err(|error| Failure::model(name, error))
}

/// Prepares an engine. If the provider is still building the engine after [`SILENT_SECONDS`],
/// prints one message.
pub(crate) fn prepare_engine(name: &Path, engine: &Engine) -> Result<(), Failure> {
    let mut is_silent = engine.origin() == EngineOrigin::NotYet;
    let mut report = |Progress { stage, elapsed }: Progress| {
        if is_silent && stage == Stage::Building && elapsed.as_secs() >= SILENT_SECONDS {
            print_error("the provider is building an engine for this GPU; this takes minutes");
            is_silent = false;
        }
        true
    };
    engine.prepare_with(&mut report).map_err(|error| Failure::model(name, error))?;
    Ok(())
}
