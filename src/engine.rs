//! Engine: one model on one provider, shared by streams.

use crate::backend::{self, Backend, RuntimeReport};
use crate::model::{ModelPackage, ModelSpec};
use crate::turn::Turn;
use crate::{Error, Result, Status, classifier};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// The provider where the host names none: the one that needs nothing installed, if this build has it.
const DEFAULT_PROVIDER: &str = if cfg!(feature = "rten") { "embedded" } else { "cpu" };

/// What an engine is made of.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Providers in order of preference: `embedded`, or of ONNX Runtime `cpu`, `cuda` and `tensorrt`. Empty:
    /// `embedded`. The next one is tried only because it is listed; there is no silent fallback.
    pub providers: Vec<String>,
    /// Threads of the network; 0: one.
    pub threads: u32,
    /// Shared library of ONNX Runtime, for the providers that need it: a path, or a name that the system's loader
    /// looks up. `None`: the one that the process runs already, else `libonnxruntime.so`. The first engine that needs
    /// one decides; a process runs one. From 1.29 on it may send telemetry, so the variable `ORT_DISABLE_TELEMETRY` must
    /// stand in the process's environment: `1` for none.
    pub runtime_library: Option<PathBuf>,
}

/// One model on one provider. Streams keep it alive.
pub struct Engine {
    pub(crate) spec: Arc<ModelSpec>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) turn: Arc<Turn>,
    /// What [`Self::prepare`] measured; negative before.
    pub(crate) step_ns: AtomicI64,
}

impl Engine {
    pub(crate) fn with_backend(spec: ModelSpec, backend: Arc<dyn Backend>) -> Self {
        Self { spec: Arc::new(spec), backend, turn: Arc::default(), step_ns: AtomicI64::new(-1) }
    }

    /// Loads the model on the first provider of the list that can run it.
    ///
    /// # Errors
    /// The last provider's error, with those before it in the message.
    pub fn new(package: ModelPackage, config: &EngineConfig) -> Result<Self> {
        let default = [String::from(DEFAULT_PROVIDER)];
        let providers = if config.providers.is_empty() { &default[..] } else { &config.providers[..] };
        let mut failures: Vec<String> = Vec::new();
        let mut status = Status::ProviderUnavailable;
        for provider in providers {
            match load(&package, provider, config) {
                Ok(backend) => {
                    return Ok(Self::with_backend(package.spec, backend));
                }
                Err(error) => {
                    status = error.status();
                    failures.push(format!("{provider}: {}", error.message()));
                }
            }
        }
        Err(Error::new(status, failures.join("; ")))
    }

    /// Runs the package's self-test on the provider that will really run, which warms it up too. Returns the largest
    /// absolute error of the logits. Measures the time of a step as well. May take long: see the provider.
    ///
    /// # Errors
    /// [`Status::SelfTest`] if the provider computes something else, or the runtime's failure.
    pub fn prepare(&self) -> Result<f32> {
        let _running = self.turn.live();
        let error = backend::self_test(self.backend.as_ref(), &self.spec)?;
        let step = backend::step_time(self.backend.as_ref())?;
        self.step_ns.store(i64::try_from(step.as_nanos()).unwrap_or(i64::MAX), Relaxed);
        Ok(error)
    }

    /// Time of one step (stream mode) or one clip (window mode), as [`Self::prepare`] measured it; `None` before.
    #[must_use]
    pub fn step_time(&self) -> Option<Duration> {
        u64::try_from(self.step_ns.load(Relaxed)).ok().map(Duration::from_nanos)
    }

    /// Time from one step to the next in a stream of this engine: a chunk lasts so long or, in window mode, it is the hop
    /// that a stream chooses now.
    #[must_use]
    pub fn step_interval(&self) -> Duration {
        let hop = classifier::window_hop(&self.spec, self.step_time());
        Duration::from_nanos(classifier::step_ns(&self.spec, hop).cast_unsigned())
    }

    /// Whether the network keeps up with the frames of one stream: a step takes less than the time to the next one. It
    /// does not depend on the frame rate, for samples are taken by time. N streams that acquire at once need N times
    /// as much. `None` before [`Self::prepare`].
    #[must_use]
    pub fn keeps_up(&self) -> Option<bool> {
        self.step_time().map(|step| step < self.step_interval())
    }

    /// The package's metadata.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// What really runs.
    #[must_use]
    pub fn report(&self) -> RuntimeReport {
        self.backend.report()
    }
}

fn load(package: &ModelPackage, name: &str, config: &EngineConfig) -> Result<Arc<dyn Backend>> {
    let threads = config.threads.max(1);
    #[cfg(feature = "rten")]
    if name == "embedded" {
        return backend::rten::load(package, threads);
    }
    #[cfg(feature = "ort")]
    if let Some(provider) = backend::ort::Provider::from_name(name) {
        return backend::ort::load(package, provider, threads, config.runtime_library.as_deref());
    }
    let _ = (package, name, threads);
    Err(Error::new(Status::ProviderUnavailable, "not a provider of this build"))
}
