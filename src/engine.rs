//! The engine: one model on one provider, shared by streams.

pub(crate) mod config;
pub(crate) mod origin;
pub(crate) mod progress;

#[cfg(feature = "ort")]
pub(crate) mod cache;
pub(crate) mod options;
pub(crate) mod scheduled_session;
pub(crate) mod scheduler;
pub(crate) mod self_test_gate;

use crate::backend::interface::{Backend, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::self_test::{RunTimes, measure_runs, run_self_test};
use crate::backend::{DEFAULT_PROVIDER, load_on};
use crate::classifier::timing::{choose_window_hop, output_interval_ns};
use crate::error::{Error, Result, Status, check_range};
use crate::model::part::Part;
use crate::model::{ModelPackage, ModelSpec};
use crate::sys::fork::{CreatorOwned, count_forks};
use crate::sys::priority::PriorityMutex;
use config::{EngineConfig, MAX_THREADS};
use origin::EngineOrigin;
use progress::{Progress, ProgressReporter, Stage};
use scheduler::Scheduler;
use self_test_gate::SelfTestGate;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One model on one provider, shared by streams. An engine may be dropped before its streams, which
/// keep the parts of the engine that they need.
///
/// All functions may be called from any thread. They allocate memory and may block.
///
/// ```
/// use std::path::Path;
/// use tteview::{Engine, EngineConfig, ModelPackage};
///
/// # if !cfg!(feature = "rten") { return Ok(()); }
/// let package = ModelPackage::from_path(Path::new("models/demo.stream.onnx"), None)?;
/// let config = EngineConfig { providers: vec!["embedded".into()], ..EngineConfig::default() };
/// let engine = Engine::new(package, &config)?;
/// let error = engine.prepare()?;
/// println!("largest error of the self-test: {error}");
/// println!("keeps up with the frames: {:?}", engine.keeps_up());
/// # Ok::<(), tteview::Error>(())
/// ```
pub struct Engine {
    spec: Arc<ModelSpec>,
    backend: CreatorOwned<Arc<dyn Backend>>,
    scheduler: Arc<Scheduler>,
    self_test: Arc<SelfTestGate>,
    /// Times of the runs as measured by [`Self::prepare`]; `None` before the first measurement.
    times: PriorityMutex<Option<RunTimes>>,
}

impl Engine {
    /// Loads the model on the first provider in the list that can run it.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`] or [`Status::Unsupported`] if a setting or an option is
    /// not valid, or the error of the last provider if none can run the model, for example
    /// [`Status::System`] if a thread cannot be started. The message also contains the messages of
    /// the other providers. Returns [`Status::OutOfMemory`] if an allocation fails.
    pub fn new(package: ModelPackage, config: &EngineConfig) -> Result<Self> {
        let default = [String::from(DEFAULT_PROVIDER)];
        let providers =
            if config.providers.is_empty() { &default[..] } else { &config.providers[..] };
        check_range("threads", config.threads, 0..=MAX_THREADS)?;
        options::check_options(config, providers)?;
        count_forks()?;
        let mut messages: Vec<String> = Vec::new();
        let mut status = Status::ProviderUnavailable;
        for provider in providers {
            match load_on(provider, &package, config) {
                Ok(backend) => return Ok(Self::with_backend(package.spec, backend)),
                // Another provider would need memory, too, and the host would not learn the cause.
                Err(error) if error.status() == Status::OutOfMemory => return Err(error),
                Err(error) => {
                    status = error.status();
                    messages.push(format!("{provider}: {}", error.message()));
                }
            }
        }
        Err(Error::new(status, messages.join("; ")))
    }

    pub(crate) fn with_backend(spec: ModelSpec, backend: Arc<dyn Backend>) -> Self {
        Self {
            spec: Arc::new(spec),
            backend: CreatorOwned::new(backend),
            scheduler: Arc::default(),
            self_test: Arc::default(),
            times: PriorityMutex::new(None),
        }
    }

    /// Prepares the engine for streams and returns the largest absolute error of a logit in the
    /// self-test.
    ///
    /// The function first loads or builds the provider's engine if the provider needs one (see
    /// [`Self::origin`]), which may take minutes. It then runs the self-test of the model package,
    /// which also warms up the provider. Finally, it measures the times of the runs.
    ///
    /// If the self-test fails, the engine gives no labels until a later `prepare` succeeds:
    /// [`Stream::open`](crate::Stream::open), [`Acquirer::begin`](crate::Acquirer::begin) and
    /// queries return [`Status::SelfTest`], and acquisitions in progress end with this status.
    ///
    /// # Errors
    /// Returns [`Status::SelfTest`] if the provider computes wrong numbers or the network gives
    /// values that are not finite, [`Status::WrongState`]
    /// while the engine is paused, [`Status::EngineCache`] if an engine must be built but cannot be
    /// stored in the engine cache, or the error of the runtime.
    pub fn prepare(&self) -> Result<f32> {
        self.prepare_with(&mut |_| true)
    }

    /// Prepares the engine like [`Self::prepare`], and calls `callback` at the start of every stage
    /// and about once a second while an engine is built. If `callback` returns false, the call is
    /// cancelled and returns immediately.
    ///
    /// A build cannot be interrupted. After a cancellation, the build continues in the background,
    /// and its result is stored in the engine cache if a cache folder is set. A later call joins
    /// the build. Dropping the engine waits for the build to end.
    ///
    /// # Errors
    /// Returns [`Status::Cancelled`] if `callback` returns false, or the errors of
    /// [`Self::prepare`].
    pub fn prepare_with(&self, callback: &mut dyn FnMut(Progress) -> bool) -> Result<f32> {
        self.check_process()?;
        self.scheduler.check_not_paused()?;
        let mut reporter = ProgressReporter::new(callback);
        self.backend.prepare(&mut reporter)?;
        // Live streams take turns with every single run, so that none of them waits for a test.
        let run = |part: Part, session: &mut dyn Session| {
            let _permit = self.scheduler.acquire_unless_paused(part.into())?;
            let start = Instant::now();
            session.run()?;
            Ok(start.elapsed())
        };
        reporter.report(Stage::SelfTest)?;
        let outcome = run_self_test(self.backend.as_ref(), &self.spec, &run);
        self.self_test.record(&outcome);
        let error = outcome?;
        reporter.report(Stage::Measuring)?;
        *self.times.lock() = Some(measure_runs(self.backend.as_ref(), &self.spec, &run)?);
        Ok(error)
    }

    /// Returns whether the provider needs a built engine and, if so, where that engine came from.
    #[must_use]
    pub fn origin(&self) -> EngineOrigin {
        self.backend.origin()
    }

    /// Writes the provider's engine to a file, which [`Self::import`] can read on devices with the
    /// same GPU and software. [`Self::prepare`] must be called first, and a cache folder must be
    /// set.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] if the engine is not prepared or no cache folder is set,
    /// [`Status::Unsupported`] if the provider builds no engine, or [`Status::System`] if the file
    /// cannot be written.
    pub fn export(&self, file: &Path) -> Result<()> {
        self.check_process()?;
        self.backend.export(file)
    }

    /// Imports an exported engine into the engine cache, so that [`Self::prepare`] loads it instead
    /// of building one. This function must be called before `prepare`, and a cache folder must be
    /// set.
    ///
    /// # Errors
    /// Returns [`Status::EngineMismatch`] with the differences if the engine was built for another
    /// model, device or software version; [`Status::EngineFile`] if the file is damaged;
    /// [`Status::EngineCache`] if the cache cannot be written; [`Status::WrongState`] if the engine
    /// has already been built or is being built, or if no cache folder is set; or
    /// [`Status::Unsupported`] if the provider builds no engine.
    pub fn import(&self, file: &Path) -> Result<()> {
        self.check_process()?;
        self.backend.import(file)
    }

    /// Pauses the engine, for example while another part of the device needs the GPU. The function
    /// waits until no step is in progress. After that, no step begins until [`Self::resume`]
    /// is called.
    ///
    /// Streams still accept frames during a pause, and the overload rule applies after `resume`.
    /// Live streams wait for the network without a time limit, and exact queries wait at most until
    /// their timeout expires. If a call of [`Driver::process`](crate::Driver::process) is in
    /// progress, `pause` waits until that call returns. New calls of `process` during the pause
    /// return [`Status::NotReady`]. An engine build in progress continues. Pausing twice is
    /// allowed.
    ///
    /// # Errors
    /// Returns [`Status::WrongThread`] if `pause` is called from the callback of a host-driven
    /// stream, or [`Status::WrongState`] if another thread calls [`Self::resume`] while `pause` is
    /// still waiting for a step to finish.
    pub fn pause(&self) -> Result<()> {
        self.check_process()?;
        self.scheduler.pause()
    }

    /// Resumes the engine if it is paused.
    pub fn resume(&self) {
        if self.check_process().is_ok() {
            self.scheduler.resume();
        }
    }

    /// Checks that this process has created the engine.
    ///
    /// # Errors
    /// Returns [`Status::WrongState`] in a child process that inherited the engine with `fork`.
    pub(crate) fn check_process(&self) -> Result<()> {
        if !self.backend.creator().is_other_process() {
            return Ok(());
        }
        let message = "the engine belongs to the parent of this process, which has called fork; \
                       create an engine in this process";
        Err(Error::new(Status::WrongState, message))
    }

    /// Returns the computing time of one step (stream mode) or one window (window mode) as measured
    /// by [`Self::prepare`], or `None` before the first measurement. With frame steps, it is the
    /// sum of the times of the fast runs and of the slow run of a chunk, although both parts may
    /// run at the same time, and of one run of a head that is not linear.
    #[must_use]
    pub fn step_time(&self) -> Option<Duration> {
        let times = *self.times.lock();
        times.map(|times| times.step(&self.spec))
    }

    /// Returns the part of [`Self::step_time`] that the slow run of frame steps takes, or 0 for
    /// other packages.
    #[must_use]
    pub fn slow_run_time(&self) -> Option<Duration> {
        let times = *self.times.lock();
        times.map(|times| times.slow_run)
    }

    /// Returns the time from one step to the next: the duration of a chunk or, in window mode, of
    /// the default hop of a new stream.
    #[must_use]
    pub fn step_interval(&self) -> Duration {
        let hop = choose_window_hop(&self.spec, self.step_time());
        Duration::from_nanos(output_interval_ns(&self.spec, hop).cast_unsigned())
    }

    /// Returns whether the network keeps up with one stream, which is true if a step takes less
    /// time than [`Self::step_interval`]. With frame steps, this must hold for the fast runs of a
    /// step and for its slow run; for a host-driven stream, whose thread makes both, it must hold
    /// for their sum, [`Self::step_time`]. The result is `None` before [`Self::prepare`]. It does
    /// not depend on the frame rate, because samples are taken at fixed intervals. N streams that
    /// acquire at the same time need N times as much computing time.
    #[must_use]
    pub fn keeps_up(&self) -> Option<bool> {
        let times = *self.times.lock();
        times.map(|times| times.longest_lane(&self.spec) < self.step_interval())
    }

    /// Returns the metadata of the model package.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns the provider, the runtime and the precision that the engine uses.
    #[must_use]
    pub fn report(&self) -> RuntimeReport {
        self.backend.report()
    }

    pub(crate) fn shared_spec(&self) -> &Arc<ModelSpec> {
        &self.spec
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    pub(crate) fn self_test(&self) -> &Arc<SelfTestGate> {
        &self.self_test
    }

    #[cfg(test)]
    pub(crate) fn set_step_time(&self, time: Duration) {
        *self.times.lock() = Some(RunTimes { run: time, ..RunTimes::default() });
    }
}

impl Drop for Engine {
    /// Resumes the engine if it is paused, because nothing could resume its remaining streams
    /// afterwards.
    fn drop(&mut self) {
        self.resume();
    }
}
