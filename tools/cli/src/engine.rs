//! The model and provider a command runs on.

use crate::Failure;
use clap::Args;
use std::path::{Path, PathBuf};
use tteview::model::ModelPackage;
use tteview::{Engine, EngineConfig, EngineOrigin, Progress, Stage};

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
    /// Option of a provider by its own key, as trt_builder_optimization_level=5; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = option)]
    pub(crate) provider_option: Vec<(String, String)>,
    /// Folder that keeps the engines TensorRT builds, so that the next start loads them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) engine_cache: Option<PathBuf>,
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
        load(model, ModelPackage::from_path(model, None), &self.config())
    }

    /// Loads the model; what takes long, and the self-test, wait for [`Self::prepare`].
    pub(crate) fn create(&self) -> Result<Engine, Failure> {
        create(&self.model, ModelPackage::from_path(&self.model, None), &self.config())
    }

    /// Does what [`Self::create`] left.
    pub(crate) fn prepare(&self, engine: &Engine) -> Result<(), Failure> {
        prepare(&self.model, engine)
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

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// An engine for a package that was read from `name`, after its self-test.
pub(crate) fn load(
    name: &Path,
    package: tteview::Result<ModelPackage>,
    config: &EngineConfig,
) -> Result<Engine, Failure> {
    let engine = create(name, package, config)?;
    prepare(name, &engine)?;
    Ok(engine)
}

fn create(
    name: &Path,
    package: tteview::Result<ModelPackage>,
    config: &EngineConfig,
) -> Result<Engine, Failure> {
    let engine = package.and_then(|package| Engine::new(package, config));
    engine.map_err(|error| Failure::model(name, error))
}

/// Says when it takes long, once.
fn prepare(name: &Path, engine: &Engine) -> Result<(), Failure> {
    let mut silent = engine.origin() == EngineOrigin::NotYet;
    let mut go_on = |Progress { stage, elapsed }: Progress| {
        if silent && stage == Stage::Building && elapsed.as_secs() >= 5 {
            eprintln!("tteview: the provider builds an engine for this GPU, which takes minutes");
            silent = false;
        }
        true
    };
    engine.prepare_with(&mut go_on).map_err(|error| Failure::model(name, error))?;
    Ok(())
}
