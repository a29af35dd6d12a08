//! A backend that takes minutes to make: made when the engine is prepared, on a thread of its own, because what makes it
//! cannot be interrupted. Who does not want to wait any longer leaves; the making goes on, and who comes next joins it.

use super::{Backend, EngineOrigin, RuntimeReport, Session, Stage, Watch};
use crate::{Error, Result, Status};
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often those who wait are told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Called in the thread that makes a backend before anything else, with its role.
pub(crate) type ThreadStart = Option<fn(&str)>;

/// Makes the backend; may take minutes.
pub(crate) trait Maker: Send + Sync + 'static {
    /// Makes it, saying where it is.
    fn make(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)>;

    /// What will run.
    fn report(&self) -> RuntimeReport;

    /// Writes what was made into a file.
    fn export(&self, path: &Path) -> Result<()>;

    /// Takes a file in place of making it.
    fn import(&self, path: &Path) -> Result<()>;
}

pub(crate) struct Deferred<M: Maker> {
    shared: Arc<Shared<M>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_start: ThreadStart,
}

struct Shared<M> {
    maker: M,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    made: Option<(Arc<dyn Backend>, EngineOrigin)>,
    /// Where the attempt under way is.
    under_way: Option<Stage>,
    /// Attempts that ended, and why the last one failed.
    ended: u64,
    failure: Option<Error>,
}

impl<M: Maker> Deferred<M> {
    pub(crate) fn new(maker: M, thread_start: ThreadStart) -> Self {
        let state = State { made: None, under_way: None, ended: 0, failure: None };
        let shared = Shared { maker, state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::new(None), thread_start }
    }

    /// The backend, once it is made.
    fn made(&self, watch: &mut Watch<'_>) -> Result<Arc<dyn Backend>> {
        let mut state = self.shared.state.lock();
        let mut attempt = None;
        loop {
            if let Some((backend, _)) = &state.made {
                return Ok(Arc::clone(backend));
            }
            match attempt {
                Some(attempt) if state.ended > attempt => {
                    let lost = || Error::new(Status::Internal, "a build ended with nothing");
                    return Err(state.failure.clone().unwrap_or_else(lost));
                }
                Some(_) => {}
                None => {
                    attempt = Some(state.ended);
                    if state.under_way.is_none() {
                        self.start(&mut state)?;
                    }
                }
            }
            let stage = state.under_way.unwrap_or(Stage::ReadingCache);
            // The host is called without the lock.
            drop(state);
            watch.tell(stage)?;
            state = self.shared.state.lock();
            if state.under_way == Some(stage) {
                self.shared.changed.wait_for(&mut state, TOLD_EVERY);
            }
        }
    }

    fn start(&self, state: &mut State) -> Result<()> {
        const NAME: &str = "tteview-build";
        let (shared, thread_start) = (Arc::clone(&self.shared), self.thread_start);
        let run = move || {
            if let Some(start) = thread_start {
                start(NAME);
            }
            shared.attempt();
        };
        let thread = std::thread::Builder::new()
            .name(NAME.into())
            .spawn(run)
            .map_err(|error| Error::new(Status::System, format!("the thread that builds: {error}")))?;
        state.under_way = Some(Stage::ReadingCache);
        // The thread of an attempt before has ended.
        *self.thread.lock() = Some(thread);
        Ok(())
    }
}

impl<M: Maker> Shared<M> {
    fn attempt(&self) {
        let stage = |stage: Stage| {
            self.state.lock().under_way = Some(stage);
            self.changed.notify_all();
        };
        let panicked = |_| Err(Error::new(Status::Internal, "a panic was stopped in the thread that builds"));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.maker.make(&stage))).unwrap_or_else(panicked);
        let mut state = self.state.lock();
        state.under_way = None;
        state.ended += 1;
        match outcome {
            Ok(made) => state.made = Some(made),
            Err(error) => {
                log::warn!("building the engine: {error}");
                state.failure = Some(error);
            }
        }
        self.changed.notify_all();
    }
}

impl<M: Maker> Backend for Deferred<M> {
    fn report(&self) -> RuntimeReport {
        self.shared.maker.report()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        self.made(&mut Watch::nobody())?.session()
    }

    fn prepare(&self, watch: &mut Watch<'_>) -> Result<()> {
        self.made(watch).map(drop)
    }

    fn origin(&self) -> EngineOrigin {
        self.shared.state.lock().made.as_ref().map_or(EngineOrigin::NotYet, |&(_, origin)| origin)
    }

    fn export(&self, path: &Path) -> Result<()> {
        if self.origin() == EngineOrigin::NotYet {
            return Err(Error::new(Status::WrongState, "there is no engine yet: prepare first"));
        }
        self.shared.maker.export(path)
    }

    fn import(&self, path: &Path) -> Result<()> {
        let state = self.shared.state.lock();
        if state.made.is_some() || state.under_way.is_some() {
            let what = "the engine has been made or is being built: import before prepare";
            return Err(Error::new(Status::WrongState, what));
        }
        // With the lock held, so that nobody begins to build meanwhile.
        self.shared.maker.import(path)
    }
}

impl<M: Maker> Drop for Deferred<M> {
    /// Waits for the attempt under way: what it runs in can be neither interrupted nor unloaded.
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
    use crate::engine::Progress;
    use crate::test_network::{DARK, Network, acquire, config};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    /// Makes the network of the tests when it is told to.
    struct Slow {
        network: Mutex<Option<Network>>,
        /// Says that a build has begun, and waits for what becomes of it.
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

    impl Maker for Slow {
        fn make(&self, stage: &dyn Fn(Stage)) -> Result<(Arc<dyn Backend>, EngineOrigin)> {
            self.attempts.fetch_add(1, SeqCst);
            stage(Stage::Building);
            self.begun.send(()).unwrap();
            let order = self.orders.lock().recv().unwrap();
            self.ended.store(true, SeqCst);
            order?;
            Ok((self.network.lock().take().unwrap().engine().backend.clone(), EngineOrigin::Built))
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

    fn test() -> Test {
        let ((begun_in, begun), (order, orders)) = (mpsc::channel(), mpsc::channel());
        let (attempts, ended) = (Arc::default(), Arc::default());
        let maker = Slow {
            network: Mutex::new(Some(Network::default())),
            begun: begun_in,
            orders: Mutex::new(orders),
            attempts: Arc::clone(&attempts),
            ended: Arc::clone(&ended),
        };
        let engine = Engine::with_backend(Network::default().spec(), Arc::new(Deferred::new(maker, None)));
        Test { engine, begun, order, attempts, ended }
    }

    /// Prepares; `go_on` says after each call whether to.
    fn prepare(engine: &Engine, mut go_on: impl FnMut(Progress) -> bool) -> Status {
        engine.prepare_with(&mut go_on).err().map_or(Status::Ok, |error| error.status())
    }

    #[test]
    fn nothing_is_made_before_it_is_needed_and_a_stream_that_needs_it_waits_for_it() {
        let test = test();
        assert_eq!(test.engine.origin(), EngineOrigin::NotYet);
        assert_eq!(test.engine.export(Path::new("x")).unwrap_err().status(), Status::WrongState);
        test.engine.import(Path::new("x")).unwrap();
        assert_eq!(test.attempts.load(SeqCst), 0);
        test.order.send(Ok(())).unwrap();
        let mut stream = crate::Stream::new(&test.engine, &config()).unwrap();
        assert_eq!(acquire(&mut stream, (0..8).map(|sample| (sample, DARK))).chunks, 2);
        assert_eq!((test.engine.origin(), test.attempts.load(SeqCst)), (EngineOrigin::Built, 1));
        assert_eq!(test.engine.import(Path::new("x")).unwrap_err().status(), Status::WrongState);
        test.engine.export(Path::new("x")).unwrap();
    }

    #[test]
    fn who_cancels_leaves_at_once_and_who_prepares_next_joins_the_build_under_way() {
        let test = test();
        let mut seen = Vec::new();
        let status = prepare(&test.engine, |progress| {
            seen.push(progress.stage);
            progress.stage != Stage::Building
        });
        assert_eq!(status, Status::Cancelled);
        assert_eq!(seen.last(), Some(&Stage::Building));
        assert!(!test.ended.load(SeqCst), "it waited for the build");
        test.begun.recv().unwrap();
        assert_eq!(test.engine.import(Path::new("x")).unwrap_err().status(), Status::WrongState);
        std::thread::scope(|scope| {
            let joined = [0; 2].map(|_| scope.spawn(|| prepare(&test.engine, |_| true)));
            std::thread::sleep(Duration::from_millis(20));
            test.order.send(Ok(())).unwrap();
            // The network of the tests has no self-test to pass.
            for joined in joined {
                assert_eq!(joined.join().unwrap(), Status::Ok);
            }
        });
        assert_eq!((test.engine.origin(), test.attempts.load(SeqCst)), (EngineOrigin::Built, 1));
    }

    #[test]
    fn a_failure_reaches_all_who_wait_and_the_next_call_tries_again() {
        let test = test();
        std::thread::scope(|scope| {
            let both = [0; 2].map(|_| scope.spawn(|| prepare(&test.engine, |_| true)));
            test.begun.recv().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            test.order.send(Err(Status::EngineCache.into())).unwrap();
            // One that came too late for the first attempt makes a second.
            test.order.send(Err(Status::EngineCache.into())).unwrap();
            for call in both {
                assert_eq!(call.join().unwrap(), Status::EngineCache);
            }
        });
        assert_eq!(test.engine.origin(), EngineOrigin::NotYet);
        test.order.send(Ok(())).unwrap();
        // What was left of the orders of the first attempts.
        while prepare(&test.engine, |_| true) != Status::Ok {}
        assert_eq!(test.engine.origin(), EngineOrigin::Built);
    }

    #[test]
    fn a_panic_while_building_is_an_error() {
        let test = test();
        drop(test.order);
        assert_eq!(prepare(&test.engine, |_| true), Status::Internal);
    }

    #[test]
    fn a_long_build_is_told_about_once_a_second_with_the_time_it_has_taken() {
        let test = test();
        let (mut told, mut last) = (0, Duration::ZERO);
        let status = prepare(&test.engine, |progress| {
            assert!(progress.elapsed >= last);
            last = progress.elapsed;
            told += usize::from(progress.stage == Stage::Building);
            told < 3
        });
        assert_eq!(status, Status::Cancelled);
        assert!((Duration::from_millis(1900)..Duration::from_secs(20)).contains(&last), "{last:?}");
        test.order.send(Ok(())).unwrap();
    }

    #[test]
    fn an_engine_that_goes_waits_for_its_build() {
        let test = test();
        assert_eq!(prepare(&test.engine, |progress| progress.stage != Stage::Building), Status::Cancelled);
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
    fn a_pause_does_not_wait_for_a_build() {
        let test = test();
        assert_eq!(prepare(&test.engine, |progress| progress.stage != Stage::Building), Status::Cancelled);
        test.engine.pause().unwrap();
        assert_eq!(prepare(&test.engine, |_| true), Status::WrongState);
        test.engine.resume();
        test.order.send(Ok(())).unwrap();
        assert_eq!(prepare(&test.engine, |_| true), Status::Ok);
    }
}
