//! Tests of captured graphs, with a fake driver and the CPU provider.

use super::*;
use crate::backend::ort::plain::{PlainBackend, StateMemory};
use crate::backend::ort::{Provider, runtime};
use crate::engine::config::EngineConfig;
use crate::error::Status;
use crate::sys::gpu::FakeDriver;

/// A package on the CPU provider of ONNX Runtime, with a fake driver that provides the GPU
/// memory.
struct Fixture {
    package: ModelPackage,
    runtime: Runtime,
    settings: Settings,
    driver: FakeDriver,
}

fn set_up(name: &str, model: &[u8]) -> Fixture {
    let library = std::env::var_os("TTEVIEW_ORT_DYLIB").expect("TTEVIEW_ORT_DYLIB is set");
    let mut package = ModelPackage::from_bytes(model.to_vec(), None).unwrap();
    // Give the states different initial values, so that a test fails if two states are swapped.
    for (index, state) in package.spec.states.iter_mut().enumerate() {
        state.initial = index as f32 / 8.0 - 0.5;
    }
    let runtime = runtime::get_runtime(Some(Path::new(&library))).unwrap();
    let settings = Settings::new(Provider::Cpu, package.spec.precision, &EngineConfig::default());
    Fixture { package, runtime, settings, driver: FakeDriver::new(name) }
}

impl Fixture {
    fn create_backend(&self) -> Result<CapturedBackend> {
        CapturedBackend::on_cpu(&self.driver.queue(), &self.runtime, &self.package, &self.settings)
    }

    fn create_plain(&self) -> Box<dyn Session> {
        let (runtime, package, settings) = (&self.runtime, &self.package, &self.settings);
        let memory = StateMemory::default();
        let backend =
            PlainBackend::load_with(|| Ok(memory.clone()), runtime, package, settings, None, "");
        backend.unwrap().create_session(Part::Whole).unwrap()
    }
}

fn run_step(session: &mut dyn Session, number: usize) -> Vec<f32> {
    let inputs = session.inputs();
    for (index, value) in inputs.slow.iter_mut().chain(inputs.fast).enumerate() {
        *value = ((index * (number + 3)) % 97) as f32 / 48.0 - 1.0;
    }
    session.run().unwrap();
    session.logits().to_vec()
}

const STREAM: &[u8] = include_bytes!("../../../../models/standin.stream.onnx");

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn streams_that_share_buffers_keep_their_own_states() {
    let fixture = set_up("libshared.so", STREAM);
    {
        let backend = fixture.create_backend().unwrap();
        let (mut first, mut second) = (fixture.create_plain(), fixture.create_plain());
        let mut sessions = [0; 2].map(|_| backend.create_session(Part::Whole).unwrap());
        for number in 0..12 {
            // The second session runs only every other step, and each session is reset once.
            assert_eq!(
                run_step(sessions[0].as_mut(), number),
                run_step(first.as_mut(), number),
                "step {number}"
            );
            if number % 2 == 1 {
                let other = 7 * number;
                assert_eq!(
                    run_step(sessions[1].as_mut(), other),
                    run_step(second.as_mut(), other),
                    "step {number}"
                );
            }
            if number == 5 {
                sessions[0].reset().unwrap();
                first.reset().unwrap();
            }
            if number == 8 {
                sessions[1].reset().unwrap();
                second.reset().unwrap();
            }
        }
        assert_ne!(
            run_step(sessions[0].as_mut(), 0),
            run_step(fixture.create_plain().as_mut(), 0),
            "the states were not carried over"
        );
        let before = fixture.driver.copies();
        run_step(sessions[0].as_mut(), 1);
        assert_eq!(fixture.driver.copies() - before, 4, "copies per step");
    }
    assert_eq!(fixture.driver.alive(), 0, "contexts, streams and memory are freed");
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn the_first_run_on_each_thread_may_capture() {
    let fixture = set_up("libcaptures.so", STREAM);
    let backend = fixture.create_backend().unwrap();
    let mut session = CapturedSession::new(backend.find(Part::Whole).unwrap()).unwrap();
    assert_eq!(session.next_access(), Access::Capture);
    fixture.driver.fail(1);
    session.run().unwrap_err();
    assert_eq!(session.next_access(), Access::Capture, "the first run has failed");
    session.run().unwrap();
    assert_eq!(session.next_access(), Access::Run);
    let moved = std::thread::scope(|scope| {
        let run = || {
            assert_eq!(session.next_access(), Access::Capture, "another thread");
            session.run().unwrap();
            session.next_access()
        };
        scope.spawn(run).join().unwrap()
    });
    assert_eq!(moved, Access::Run);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn a_clip_runs_without_states() {
    let fixture = set_up("libclip.so", include_bytes!("../../../../models/standin.clip.onnx"));
    let backend = fixture.create_backend().unwrap();
    let mut session = backend.create_session(Part::Whole).unwrap();
    for number in 0..3 {
        assert_eq!(
            run_step(session.as_mut(), number),
            run_step(fixture.create_plain().as_mut(), number)
        );
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
fn every_failing_driver_call_is_an_error_and_leaks_nothing() {
    let fixture = set_up("libfailing.so", STREAM);
    // The first four driver calls allocate GPU memory for the inputs, the outputs and the
    // initial states, and host memory for the initial values. The fifth call copies these
    // values to the GPU, and the sixth waits for the copy.
    for (call, status) in
        [Status::OutOfMemory; 4].into_iter().chain([Status::Inference; 2]).enumerate()
    {
        fixture.driver.fail(call as i32 + 1);
        let error = fixture.create_backend().err().expect("fails");
        assert_eq!(error.status(), status, "call {}: {error}", call + 1);
        assert_eq!(fixture.driver.alive(), 0);
    }
    let backend = fixture.create_backend().unwrap();
    for call in 1..=3 {
        fixture.driver.fail(call);
        assert_eq!(
            backend.create_session(Part::Whole).err().unwrap().status(),
            Status::OutOfMemory
        );
    }
    let mut session = backend.create_session(Part::Whole).unwrap();
    let mut plain = fixture.create_plain();
    assert_eq!(run_step(session.as_mut(), 0), run_step(plain.as_mut(), 0));
    // A step that fails before the next states are copied out of the buffers must leave the
    // session's states unchanged.
    for call in 1..=3 {
        fixture.driver.fail(call);
        let error = session.run().unwrap_err();
        assert!(
            error.status() == Status::Inference && error.message().contains("CUDA error"),
            "{error}"
        );
    }
    assert_eq!(run_step(session.as_mut(), 1), run_step(plain.as_mut(), 1));
    fixture.driver.fail(5);
    assert!(session.run().unwrap_err().message().contains("cuStreamSynchronize"));
    drop((session, backend));
    assert_eq!(fixture.driver.alive(), 0);
}
