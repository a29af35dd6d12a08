//! Engine: one model on one provider, shared by streams.

use crate::backend::{self, Backend, Watch};
use crate::ffi::gpu::GpuStream;
use crate::model::{ModelPackage, ModelSpec};
use crate::turn::Turn;
use crate::{Error, Result, Status, classifier, options};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

pub use crate::backend::{EngineOrigin, Progress, RuntimeReport, Stage};

/// The provider where the host names none: the one that needs nothing installed, if this build has it.
const DEFAULT_PROVIDER: &str = if cfg!(feature = "rten") { "embedded" } else { "cpu" };

/// What an engine is made of.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Providers in order of preference: `embedded`, or of ONNX Runtime `cpu`, `cuda`, `tensorrt` and, in builds with the
    /// feature of that name, `tensorrt-rtx`. Empty: `embedded`. The next one is tried only because it is listed; there is no silent fallback.
    pub providers: Vec<String>,
    /// Threads of the network; 0: one.
    pub threads: u32,
    /// Shared library of ONNX Runtime, for the providers that need it: a path, or a name that the system's loader
    /// looks up. `None`: the one that the process runs already, else `libonnxruntime.so`. The first engine that needs
    /// one decides; a process runs one. From 1.29 on it may send telemetry, so the variable `ORT_DISABLE_TELEMETRY` must
    /// stand in the process's environment: `1` for none.
    pub runtime_library: Option<PathBuf>,
    /// Options of the providers, by the provider's own documented keys, as (`trt_max_workspace_size`, `1073741824`). Keys
    /// that begin with `trt_` go to `tensorrt`, with `nv_` to `tensorrt-rtx`, others to `cuda`. Those that the library sets itself are refused.
    pub options: Vec<(String, String)>,
    /// Where engines that `tensorrt` built are kept, so that the next start loads them. It need not exist. `None`: every
    /// start builds.
    pub cache_folder: Option<PathBuf>,
    /// Which GPU, as CUDA counts them.
    pub device_id: u32,
    /// The stream of the host's that the GPU works in; `None`: one of the provider's.
    pub gpu_stream: Option<GpuStream>,
    /// Called in the thread that builds an engine before anything else, with the role `tteview-build`.
    pub thread_start: Option<fn(&str)>,
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
        options::check(config, providers)?;
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

    /// Loads or builds the provider's engine, if it needs one ([`Self::origin`]), which may take minutes. Runs the
    /// package's self-test on the provider that will really run, which warms it up too, and measures the time of a step.
    /// Returns the largest absolute error of the logits.
    ///
    /// # Errors
    /// [`Status::SelfTest`] if the provider computes something else, [`Status::WrongState`] while the engine is paused,
    /// [`Status::EngineCache`] if an engine must be built and cannot be kept, or the runtime's failure.
    pub fn prepare(&self) -> Result<f32> {
        self.prepare_with(&mut |_| true)
    }

    /// The same; calls `go_on` at every stage, and about once a second while an engine is built. Where it returns false
    /// the call ends at once. A build that is under way goes on then: a later call joins it, its engine goes into the
    /// cache, and dropping the last owner of the engine waits for it.
    ///
    /// # Errors
    /// [`Status::Cancelled`], or as [`Self::prepare`].
    pub fn prepare_with(&self, go_on: &mut dyn FnMut(Progress) -> bool) -> Result<f32> {
        self.turn.refuse_pause()?;
        let mut watch = Watch::new(go_on);
        self.backend.prepare(&mut watch)?;
        watch.tell(Stage::SelfTest)?;
        let in_turn = self.turn.live_unless_paused()?;
        let error = backend::self_test(self.backend.as_ref(), &self.spec)?;
        drop(in_turn);
        watch.tell(Stage::Measuring)?;
        let in_turn = self.turn.live_unless_paused()?;
        let step = backend::step_time(self.backend.as_ref())?;
        drop(in_turn);
        self.step_ns.store(i64::try_from(step.as_nanos()).unwrap_or(i64::MAX), Relaxed);
        Ok(error)
    }

    /// Whether the provider had to build an engine, and where it came from.
    #[must_use]
    pub fn origin(&self) -> EngineOrigin {
        self.backend.origin()
    }

    /// Writes the engine that the provider built into a file with all that it was built for: made in the factory, for
    /// [`Self::import`] on devices with the same GPU and software. After [`Self::prepare`], with a cache folder.
    ///
    /// # Errors
    /// [`Status::WrongState`] where there is no engine or no cache, [`Status::Unsupported`] where the provider builds
    /// none, [`Status::System`] where the file cannot be written.
    pub fn export(&self, file: &Path) -> Result<()> {
        self.backend.export(file)
    }

    /// Brings an exported engine into the cache, so that [`Self::prepare`] loads it. Before that, with a cache folder.
    ///
    /// # Errors
    /// [`Status::EngineMismatch`] if it was built for something else, part by part in the message,
    /// [`Status::EngineFile`] if the file is damaged, [`Status::EngineCache`] if the cache cannot be written,
    /// [`Status::WrongState`] if the engine was made already, [`Status::Unsupported`] if the provider builds none.
    pub fn import(&self, file: &Path) -> Result<()> {
        self.backend.import(file)
    }

    /// Lets no step of this engine begin from now on, and returns when none runs: another part of the device needs the
    /// GPU. Streams take frames meanwhile; after [`Self::resume`] the rules for overload apply. What waits for the
    /// network goes on waiting: live streams, exact queries until their timeout. A host-driven stream has nothing to
    /// process, a slot that it is in is finished first, and a build of an engine goes on. Pausing twice is pausing once.
    ///
    /// # Errors
    /// [`Status::WrongThread`] from the callback of a host-driven stream; [`Status::WrongState`] if another thread
    /// resumed before the engine had come to rest.
    pub fn pause(&self) -> Result<()> {
        self.turn.pause()
    }

    /// Ends a pause; nothing if there is none.
    pub fn resume(&self) {
        self.turn.resume();
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

impl Drop for Engine {
    /// Nobody could resume its streams any more.
    fn drop(&mut self) {
        self.turn.resume();
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
        return backend::ort::load(package, provider, config);
    }
    let _ = (package, name, threads);
    let next = if name == "tensorrt-rtx" { "; build the library with its feature tensorrt-rtx" } else { "" };
    Err(Error::new(Status::ProviderUnavailable, format!("not a provider of this build{next}")))
}
