//! A backend that can take minutes to build.
//!
//! The backend is built when the engine is prepared or when the first stream needs it. A build
//! cannot be interrupted, so it runs on a separate thread. If a caller cancels, the call returns
//! immediately. The build continues, and a later call joins it.

use super::helpers::ThreadStart;
use super::interface::{Backend, Session};
use super::report::RuntimeReport;
use super::windows::LateralWindows;
use crate::engine::origin::EngineOrigin;
use crate::engine::progress::{ProgressReporter, Stage};
use crate::error::{Error, Result, Status};
use crate::model::part::Part;
use crate::sys::thread::start_thread;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Interval at which waiting callers report progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A type that builds a backend.
pub(crate) trait BackendBuilder: Send + Sync + 'static {
    /// Builds the backend and reports each stage. This may take minutes.
    fn build(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)>;

    /// Reports the provider, the runtime and the precision.
    fn report(&self) -> RuntimeReport;

    /// Writes the built engine to a file.
    fn export(&self, path: &Path) -> Result<()>;

    /// Imports an engine that another device has built, so that this device need not build one.
    fn import(&self, path: &Path) -> Result<()>;
}

/// A backend that is built on demand.
pub(crate) struct DeferredBackend<B: BackendBuilder> {
    shared: Arc<Shared<B>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_start: ThreadStart,
}

struct Shared<B> {
    builder: B,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    built: Option<(Arc<dyn Backend>, EngineOrigin)>,
    /// Stage of the build attempt in progress.
    in_progress: Option<Stage>,
    /// Number of build attempts that have ended.
    attempts: u64,
    /// Error of the last attempt that failed.
    failure: Option<Error>,
}

impl<B: BackendBuilder> DeferredBackend<B> {
    pub(crate) fn new(builder: B, thread_start: ThreadStart) -> Self {
        let state = State { built: None, in_progress: None, attempts: 0, failure: None };
        let shared = Shared { builder, state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::new(None), thread_start }
    }

    /// Returns the backend. If it is not built yet, the function starts a build or joins the build
    /// in progress, and waits for the build to end.
    fn wait_for_backend(&self, reporter: &mut ProgressReporter<'_>) -> Result<Arc<dyn Backend>> {
        let mut state = self.shared.state.lock();
        let mut attempts_before = None;
        loop {
            if let Some((backend, _)) = &state.built {
                return Ok(Arc::clone(backend));
            }
            match attempts_before {
                Some(before) if state.attempts > before => {
                    let lost = || Error::new(Status::Internal, "a build ended without a result");
                    return Err(state.failure.clone().unwrap_or_else(lost));
                }
                Some(_) => {}
                None => {
                    attempts_before = Some(state.attempts);
                    if state.in_progress.is_none() {
                        self.start_build(&mut state)?;
                    }
                }
            }
            let stage = state.in_progress.unwrap_or(Stage::ReadingCache);
            // Release the lock while the host's callback runs, so that the callback cannot delay
            // the build.
            drop(state);
            reporter.report(stage)?;
            state = self.shared.state.lock();
            if state.in_progress == Some(stage) {
                self.shared.changed.wait_for(&mut state, REPORT_INTERVAL);
            }
        }
    }

    fn start_build(&self, state: &mut State) -> Result<()> {
        const NAME: &str = "tteview-build";
        let (shared, thread_start) = (Arc::clone(&self.shared), self.thread_start);
        let run = move || {
            if let Some(start) = thread_start {
                start(NAME);
            }
            shared.attempt_build();
        };
        let thread = start_thread(NAME, run)?;
        state.in_progress = Some(Stage::ReadingCache);
        // This drops the handle of an earlier attempt's thread. That thread has finished its work.
        *self.thread.lock() = Some(thread);
        Ok(())
    }
}

impl<B: BackendBuilder> Shared<B> {
    fn attempt_build(&self) {
        let report_stage = |stage: Stage| {
            self.state.lock().in_progress = Some(stage);
            self.changed.notify_all();
        };
        let panic_error =
            |_| Err(Error::new(Status::Internal, "a panic was caught in the thread that builds"));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.builder.build(&report_stage)))
            .unwrap_or_else(panic_error);
        let mut state = self.state.lock();
        state.in_progress = None;
        state.attempts += 1;
        match outcome {
            Ok(built) => state.built = Some(built),
            Err(error) => {
                log::warn!("the engine could not be built: {error}");
                state.failure = Some(error);
            }
        }
        self.changed.notify_all();
    }
}

impl<B: BackendBuilder> Backend for DeferredBackend<B> {
    fn report(&self) -> RuntimeReport {
        self.shared.builder.report()
    }

    fn create_session(&self, part: Part) -> Result<Box<dyn Session>> {
        self.wait_for_backend(&mut ProgressReporter::silent())?.create_session(part)
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        self.wait_for_backend(&mut ProgressReporter::silent())?.create_windows()
    }

    fn prepare(&self, reporter: &mut ProgressReporter<'_>) -> Result<()> {
        self.wait_for_backend(reporter).map(drop)
    }

    fn origin(&self) -> EngineOrigin {
        let state = self.shared.state.lock();
        state.built.as_ref().map_or(EngineOrigin::NotYet, |&(_, origin)| origin)
    }

    fn export(&self, path: &Path) -> Result<()> {
        if self.origin() == EngineOrigin::NotYet {
            let message = "the engine has not been built; prepare it first";
            return Err(Error::new(Status::WrongState, message));
        }
        self.shared.builder.export(path)
    }

    fn import(&self, path: &Path) -> Result<()> {
        let state = self.shared.state.lock();
        if state.built.is_some() || state.in_progress.is_some() {
            let message = "the engine has been built or is being built; import it before prepare";
            return Err(Error::new(Status::WrongState, message));
        }
        // The lock is held so that no build can begin during the import.
        self.shared.builder.import(path)
    }
}

impl<B: BackendBuilder> Drop for DeferredBackend<B> {
    /// Waits for the build in progress, because the build cannot be interrupted and must not use
    /// the host's CUDA stream after the engine is dropped.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get_mut().take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use crate::engine::progress::Progress;
    use crate::stream::tests::network::{DARK, Network, acquire, config};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    /// A builder for the test network. A build finishes only when the test orders it to.
    struct SlowBuilder {
        network: Mutex<Option<Network>>,
        /// Channel that notifies the test that a build has begun. The build then waits for an
        /// order.
        begun: mpsc::Sender<()>,
        orders: Mutex<mpsc::Receiver<Result<()>>>,
        attempts: Arc<AtomicUsize>,
        ended: Arc<AtomicBool>,
    }

    struct Test {
        engine: Engine,
        begun: mpsc::Receiver<()>,
        order: mpsc::Sender<Result<()>>,
        attempts: Arc<AtomicUsize>,
        ended: Arc<AtomicBool>,
    }

    impl BackendBuilder for SlowBuilder {
        fn build(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)> {
            self.attempts.fetch_add(1, SeqCst);
            stage(Stage::Building);
            self.begun.send(()).unwrap();
            let order = self.orders.lock().recv().unwrap();
            self.ended.store(true, SeqCst);
            order?;
            Ok((
                self.network.lock().take().unwrap().engine().backend().clone(),
                EngineOrigin::Built,
            ))
        }

        fn report(&self) -> RuntimeReport {
            Network::default().engine().report()
        }

        fn export(&self, _: &Path) -> Result<()> {
            Ok(())
        }

        fn import(&self, _: &Path) -> Result<()> {
            Ok(())
        }
    }

    fn set_up() -> Test {
        let ((begun_in, begun), (order, orders)) = (mpsc::channel(), mpsc::channel());
        let (attempts, ended) = (Arc::default(), Arc::default());
        let builder = SlowBuilder {
            network: Mutex::new(Some(Network::default())),
            begun: begun_in,
            orders: Mutex::new(orders),
            attempts: Arc::clone(&attempts),
            ended: Arc::clone(&ended),
        };
        let engine = Engine::with_backend(
            Network::default().spec,
            Arc::new(DeferredBackend::new(builder, None)),
        );
        Test { engine, begun, order, attempts, ended }
    }

    /// Prepares the engine and returns the resulting status. `callback` returns false to cancel the
    /// call.
    fn prepare(engine: &Engine, mut callback: impl FnMut(Progress) -> bool) -> Status {
        engine.prepare_with(&mut callback).err().map_or(Status::Ok, |error| error.status())
    }

    #[test]
    fn a_stream_builds_the_engine_that_was_not_prepared() {
        let test = set_up();
        assert_eq!(test.engine.origin(), EngineOrigin::NotYet);
        assert_eq!(test.engine.export(Path::new("x")).unwrap_err().status(), Status::WrongState);
        test.engine.import(Path::new("x")).unwrap();
        assert_eq!(test.attempts.load(SeqCst), 0);
        test.order.send(Ok(())).unwrap();
        let mut stream = crate::Stream::open(&test.engine, &config()).unwrap();
        assert_eq!(acquire(&mut stream, (0..8).map(|sample| (sample, DARK))).chunks, 2);
        assert_eq!((test.engine.origin(), test.attempts.load(SeqCst)), (EngineOrigin::Built, 1));
        assert_eq!(test.engine.import(Path::new("x")).unwrap_err().status(), Status::WrongState);
        test.engine.export(Path::new("x")).unwrap();
    }

    #[test]
    fn a_cancelled_build_continues_and_a_later_prepare_joins_it() {
        let test = set_up();
        let mut seen = Vec::new();
        let status = prepare(&test.engine, |progress| {
            seen.push(progress.stage);
            progress.stage != Stage::Building
        });
        assert_eq!(status, Status::Cancelled);
        assert_eq!(seen.last(), Some(&Stage::Building));
        assert!(!test.ended.load(SeqCst), "prepare waited for the build");
        test.begun.recv().unwrap();
        assert_eq!(test.engine.import(Path::new("x")).unwrap_err().status(), Status::WrongState);
        std::thread::scope(|scope| {
            let joined = [0; 2].map(|_| scope.spawn(|| prepare(&test.engine, |_| true)));
            std::thread::sleep(Duration::from_millis(20));
            test.order.send(Ok(())).unwrap();
            for joined in joined {
                assert_eq!(joined.join().unwrap(), Status::Ok);
            }
        });
        assert_eq!((test.engine.origin(), test.attempts.load(SeqCst)), (EngineOrigin::Built, 1));
    }

    #[test]
    fn a_failed_build_fails_all_waiting_calls_and_can_be_retried() {
        let test = set_up();
        std::thread::scope(|scope| {
            let both = [0; 2].map(|_| scope.spawn(|| prepare(&test.engine, |_| true)));
            test.begun.recv().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            test.order.send(Err(Status::EngineCache.into())).unwrap();
            // A call that comes too late to join the first attempt starts a second attempt, which
            // also needs an order.
            test.order.send(Err(Status::EngineCache.into())).unwrap();
            for call in both {
                assert_eq!(call.join().unwrap(), Status::EngineCache);
            }
        });
        assert_eq!(test.engine.origin(), EngineOrigin::NotYet);
        test.order.send(Ok(())).unwrap();
        // If both calls joined the first attempt, the second error is still queued, so the next
        // build fails. Retry until a build succeeds.
        while prepare(&test.engine, |_| true) != Status::Ok {}
        assert_eq!(test.engine.origin(), EngineOrigin::Built);
    }

    #[test]
    fn a_panic_while_building_is_an_internal_error() {
        let test = set_up();
        drop(test.order);
        assert_eq!(prepare(&test.engine, |_| true), Status::Internal);
    }

    #[test]
    fn a_long_build_is_reported_about_once_a_second() {
        let test = set_up();
        let (mut reports, mut last) = (0, Duration::ZERO);
        let status = prepare(&test.engine, |progress| {
            assert!(progress.elapsed >= last);
            last = progress.elapsed;
            reports += usize::from(progress.stage == Stage::Building);
            reports < 3
        });
        assert_eq!(status, Status::Cancelled);
        assert!((Duration::from_millis(1900)..Duration::from_secs(20)).contains(&last), "{last:?}");
        test.order.send(Ok(())).unwrap();
    }

    #[test]
    fn dropping_the_engine_waits_for_its_build() {
        let test = set_up();
        assert_eq!(
            prepare(&test.engine, |progress| progress.stage != Stage::Building),
            Status::Cancelled
        );
        test.begun.recv().unwrap();
        let (order, ended) = (test.order, test.ended);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                order.send(Ok(())).unwrap();
            });
            drop(test.engine);
        });
        assert!(ended.load(SeqCst));
    }

    #[test]
    fn pause_does_not_wait_for_a_build() {
        let test = set_up();
        assert_eq!(
            prepare(&test.engine, |progress| progress.stage != Stage::Building),
            Status::Cancelled
        );
        test.engine.pause().unwrap();
        assert_eq!(prepare(&test.engine, |_| true), Status::WrongState);
        test.engine.resume();
        test.order.send(Ok(())).unwrap();
        assert_eq!(prepare(&test.engine, |_| true), Status::Ok);
    }
}
