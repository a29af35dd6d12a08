//! Tests of frame steps whose states and lateral windows are in device memory, in captured graphs
//! and in sessions that run node by node. They must give the same logits as sessions in host
//! memory, bit for bit. The CPU provider runs the network, and a fake driver provides the memory.

mod package;

use crate::backend::interface::{Backend, Session};
use crate::backend::ort::captured::CapturedBackend;
use crate::backend::ort::plain::{PlainBackend, StateMemory};
use crate::backend::ort::provider::{Provider, Settings};
use crate::backend::ort::runtime::{Runtime, get_runtime};
use crate::backend::ort::tensorrt;
use crate::backend::windows::LateralWindows;
use crate::engine::config::EngineConfig;
use crate::engine::origin::EngineOrigin;
use crate::error::{Result, Status};
use crate::model::ModelPackage;
use crate::model::part::Part;
use crate::sys::gpu::{FakeDriver, GpuQueue};
use ort::memory::AllocationDevice;
use package::{ALPHA, REACH, WINDOWS, create_package};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Where the states and the lateral windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Host,
    Device,
    Captured,
}

struct Fixture {
    package: ModelPackage,
    runtime: Runtime,
    settings: Settings,
    driver: FakeDriver,
}

impl Fixture {
    fn new(driver: &str) -> Self {
        let library = std::env::var_os("TTEVIEW_ORT_DYLIB").expect("TTEVIEW_ORT_DYLIB is set");
        let package = create_package();
        let config = EngineConfig::default();
        let settings = Settings::new(Provider::Cpu, package.spec.precision, &config);
        let runtime = get_runtime(Some(Path::new(&library))).unwrap();
        Self { package, runtime, settings, driver: FakeDriver::new(driver) }
    }

    fn create_backend(&self, place: Place) -> Result<Box<dyn Backend>> {
        self.create_backend_on(place, || self.driver.queue())
    }

    fn create_backend_on(
        &self,
        place: Place,
        queue: impl FnOnce() -> Arc<GpuQueue>,
    ) -> Result<Box<dyn Backend>> {
        let Self { package, runtime, settings, .. } = self;
        let memory = match place {
            Place::Host => StateMemory::default(),
            Place::Device => {
                StateMemory::on_device(AllocationDevice::CPU, 0, Some(queue()), &package.spec)
            }
            Place::Captured => {
                let backend = CapturedBackend::on_cpu(&queue(), runtime, package, settings)?;
                return Ok(Box::new(backend));
            }
        };
        let backend =
            PlainBackend::load_with(|| Ok(memory.clone()), runtime, package, settings, None, "")?;
        Ok(Box::new(backend))
    }
}

/// The sessions of a stream.
struct Stream {
    fast: Box<dyn Session>,
    slow: Box<dyn Session>,
    windows: LateralWindows,
}

impl Stream {
    fn new(backend: &dyn Backend) -> Result<Self> {
        Ok(Self {
            fast: backend.create_session(Part::Fast)?,
            slow: backend.create_session(Part::Slow)?,
            windows: backend.create_windows()?,
        })
    }

    /// Runs a chunk and returns all logits.
    fn run_chunk(&mut self, chunk: usize) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        for sample in 0..ALPHA {
            run_fast(self.fast.as_mut(), chunk, sample)?;
            logits.extend_from_slice(self.fast.logits());
            if sample == REACH {
                self.fast.copy_windows(&mut self.windows)?;
                run_slow(self.slow.as_mut(), chunk, &self.windows)?;
                logits.extend_from_slice(self.slow.logits());
            }
        }
        Ok(logits)
    }

    fn reset(&mut self) {
        self.fast.reset().unwrap();
        self.slow.reset().unwrap();
    }
}

/// Fills a sample with values that depend on its number in the stream.
fn fill(sample: &mut [f32], number: usize) {
    for (index, value) in sample.iter_mut().enumerate() {
        *value = ((index * (number + 3)) % 97) as f32 / 48.0 - 1.0;
    }
}

fn run_fast(session: &mut dyn Session, chunk: usize, sample: usize) -> Result<()> {
    assert!(session.inputs().slow.is_empty());
    fill(session.inputs().fast, chunk * ALPHA + sample);
    session.run()
}

fn run_slow(session: &mut dyn Session, chunk: usize, windows: &LateralWindows) -> Result<()> {
    assert!(session.inputs().fast.is_empty());
    fill(session.inputs().slow, chunk * ALPHA);
    session.set_windows(windows)?;
    session.run()
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn device_memory_gives_the_logits_of_host_memory() {
    for (place, driver) in
        [(Place::Device, "libframes-device.so"), (Place::Captured, "libframes-captured.so")]
    {
        let fixture = Fixture::new(driver);
        {
            let (host, device) = (
                fixture.create_backend(Place::Host).unwrap(),
                fixture.create_backend(place).unwrap(),
            );
            let create = |backend: &dyn Backend| [0; 2].map(|_| Stream::new(backend).unwrap());
            let (mut expected, mut found) = (create(host.as_ref()), create(device.as_ref()));
            let first = found[0].run_chunk(0).unwrap();
            assert_eq!(first, expected[0].run_chunk(0).unwrap(), "{place:?}");
            for chunk in 1..9 {
                // The second stream runs only every other chunk, and each stream is reset once.
                for (stream, runs) in [(0, true), (1, chunk % 2 == 0)] {
                    if runs {
                        let number = chunk + 20 * stream;
                        let logits = found[stream].run_chunk(number).unwrap();
                        let expected = expected[stream].run_chunk(number).unwrap();
                        assert_eq!(logits, expected, "{place:?}, chunk {chunk}, stream {stream}");
                    }
                    if chunk == 3 + 2 * stream {
                        found[stream].reset();
                        expected[stream].reset();
                    }
                }
            }
            assert_ne!(found[0].run_chunk(0).unwrap(), first, "the states were not carried over");
            found[0].reset();
            assert_eq!(found[0].run_chunk(0).unwrap(), first, "{place:?}");
        }
        assert_eq!(fixture.driver.alive(), 0, "{place:?}: everything is freed");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn lanes_on_two_threads_give_the_logits_of_one_thread() {
    for (place, driver) in
        [(Place::Device, "liblanes-device.so"), (Place::Captured, "liblanes-captured.so")]
    {
        let fixture = Fixture::new(driver);
        let host = fixture.create_backend(Place::Host).unwrap();
        let mut expected = Stream::new(host.as_ref()).unwrap();
        let expected: Vec<_> =
            (0..50).flat_map(|chunk| expected.run_chunk(chunk).unwrap()).collect();
        // In the second case, both parts use a CUDA stream of the host.
        let host_queue = fixture.driver.queue();
        for uses_host_stream in [false, true] {
            let queue = || match uses_host_stream {
                false => fixture.driver.queue(),
                true => fixture.driver.queue_on(host_queue.stream()),
            };
            let backend = fixture.create_backend_on(place, queue).unwrap();
            let mut fast = backend.create_session(Part::Fast).unwrap();
            let mut slow = backend.create_session(Part::Slow).unwrap();
            // As in a stream, two copies of the windows take turns.
            let (to_slow, jobs) = sync_channel::<LateralWindows>(2);
            let (to_fast, free) = sync_channel(2);
            for _ in 0..2 {
                to_fast.send(backend.create_windows().unwrap()).unwrap();
            }
            let (fast_logits, slow_logits) = std::thread::scope(|scope| {
                let slow_lane = scope.spawn(move || {
                    let mut logits = Vec::new();
                    for (chunk, windows) in jobs.into_iter().enumerate() {
                        run_slow(slow.as_mut(), chunk, &windows).unwrap();
                        logits.push(slow.logits().to_vec());
                        // After the last chunk, nothing receives the windows.
                        let _ = to_fast.send(windows);
                    }
                    logits
                });
                let mut logits = Vec::new();
                for chunk in 0..50 {
                    for sample in 0..ALPHA {
                        run_fast(fast.as_mut(), chunk, sample).unwrap();
                        logits.push(fast.logits().to_vec());
                        if sample == REACH {
                            let mut windows = free.recv().unwrap();
                            fast.copy_windows(&mut windows).unwrap();
                            to_slow.send(windows).unwrap();
                        }
                    }
                }
                drop(to_slow);
                (logits, slow_lane.join().unwrap())
            });
            let mut found = Vec::new();
            for (fast, slow) in fast_logits.chunks(ALPHA).zip(&slow_logits) {
                let (before, after) = fast.split_at(REACH + 1);
                found.extend(before.iter().chain([slow]).chain(after).flatten().copied());
            }
            assert_eq!(found, expected, "{place:?}, {uses_host_stream}");
        }
        drop(host_queue);
        assert_eq!(fixture.driver.alive(), 0, "{place:?}: everything is freed");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn windows_are_copied_as_often_as_needed_and_on_the_device() {
    for (place, driver, counts) in [
        (Place::Device, "libcounts-device.so", [0, WINDOWS, WINDOWS, 0]),
        (Place::Captured, "libcounts-captured.so", [4, WINDOWS, 1, 5]),
    ] {
        let fixture = Fixture::new(driver);
        let backend = fixture.create_backend(place).unwrap();
        let Stream { mut fast, mut slow, mut windows } = Stream::new(backend.as_ref()).unwrap();
        assert!(windows.gpu().is_ok(), "{place:?}");
        let count = |what: &mut dyn FnMut() -> Result<()>| {
            let before = fixture.driver.copies();
            what().unwrap();
            fixture.driver.copies() - before
        };
        let found = [
            count(&mut || fast.run()),
            count(&mut || fast.copy_windows(&mut windows)),
            count(&mut || slow.set_windows(&windows)),
            count(&mut || slow.run()),
        ];
        assert_eq!(found, counts, "{place:?}");
        let host = fixture.create_backend(Place::Host).unwrap().create_windows().unwrap();
        assert_eq!(slow.set_windows(&host).unwrap_err().status(), Status::Internal);
        assert!(backend.create_session(Part::Whole).is_err(), "the package has no such part");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn failing_driver_calls_are_errors_and_leak_nothing() {
    for (place, driver, calls) in
        [(Place::Device, "libfails-device.so", 5), (Place::Captured, "libfails-captured.so", 30)]
    {
        let fixture = Fixture::new(driver);
        let run = || {
            let backend = fixture.create_backend(place)?;
            Stream::new(backend.as_ref())?.run_chunk(0)
        };
        let mut failures = 0;
        for call in 1.. {
            fixture.driver.fail(call);
            let outcome = run();
            assert_eq!(fixture.driver.alive(), 0, "{place:?}, call {call}");
            // The call did not happen if the driver still counts.
            if fixture.driver.fail(0) > 0 {
                outcome.unwrap();
                break;
            }
            let error = outcome.expect_err("a failing call");
            assert!(
                [Status::OutOfMemory, Status::Inference].contains(&error.status()),
                "{place:?}, call {call}: {error}"
            );
            assert!(error.message().contains("CUDA error"), "{place:?}, call {call}: {error}");
            failures += 1;
        }
        assert!(failures > calls, "{place:?}: only {failures} calls");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn runs_that_follow_a_failed_copy_give_the_right_logits() {
    for (place, driver) in
        [(Place::Device, "libretry-device.so"), (Place::Captured, "libretry-captured.so")]
    {
        let fixture = Fixture::new(driver);
        let host = fixture.create_backend(Place::Host).unwrap();
        let device = fixture.create_backend(place).unwrap();
        let mut expected = Stream::new(host.as_ref()).unwrap();
        let mut found = Stream::new(device.as_ref()).unwrap();
        assert_eq!(found.run_chunk(0).unwrap(), expected.run_chunk(0).unwrap());
        for call in 1..=WINDOWS + 1 {
            fixture.driver.fail(call);
            let error = found.fast.copy_windows(&mut found.windows).unwrap_err();
            assert_eq!(error.status(), Status::Inference, "{error}");
        }
        for call in 1..=2 {
            fixture.driver.fail(call);
            found.slow.set_windows(&found.windows).unwrap_err();
        }
        assert_eq!(found.run_chunk(1).unwrap(), expected.run_chunk(1).unwrap(), "{place:?}");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn deferred_build_creates_the_sessions_of_both_parts() {
    let fixture = Fixture::new("libdeferred.so");
    let host = fixture.create_backend(Place::Host).unwrap();
    let Fixture { package, runtime, settings, .. } = fixture;
    let config = EngineConfig::default();
    let deferred = tensorrt::defer(runtime, &package, settings, "x".into(), None, &config);
    assert_eq!(deferred.origin(), EngineOrigin::NotYet);
    let mut found = Stream::new(deferred.as_ref()).unwrap();
    assert_eq!(deferred.origin(), EngineOrigin::Built);
    let mut expected = Stream::new(host.as_ref()).unwrap();
    for chunk in 0..3 {
        assert_eq!(found.run_chunk(chunk).unwrap(), expected.run_chunk(chunk).unwrap());
    }
}
