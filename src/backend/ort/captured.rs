//! A graph that its provider captures as a CUDA graph: launched as a whole from then on, on the very buffers of its capture.
//!
//! One such set of buffers and one captured graph serve all streams. A stream brings its samples and states and takes
//! logits and next states away: four copies a step, of which two stay in the GPU's memory, all in the stream that the
//! provider works in.

use super::provider::Settings;
use super::runtime::Runtime;
use super::{check_inputs, check_outputs, failed, found, report, session};
use crate::Result;
use crate::backend::{Backend, RuntimeReport, Session, expected_inputs, expected_outputs};
use crate::ffi::gpu::{FixedTensors, GpuMemory, GpuQueue, HostMemory, Places};
use crate::model::{ModelPackage, ModelSpec};
use parking_lot::Mutex;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

struct Shared {
    /// Runs one step at a time, as there is one set of buffers.
    running: Mutex<Running>,
    /// The initial states.
    initial: GpuMemory,
    layout: Layout,
    labels: usize,
    report: RuntimeReport,
    // Goes last: what is above works in it.
    queue: Arc<GpuQueue>,
}

struct Running {
    session: ort::session::Session,
    tensors: FixedTensors,
}

/// Where what lies: samples before states in the inputs, logits before states in the outputs, and states everywhere one
/// after the other in the same way.
struct Layout {
    slow: Range<usize>,
    fast: Range<usize>,
    /// Where the states begin among the inputs, and so how much the samples take.
    states_read: usize,
    /// Where they begin among the outputs.
    states_written: usize,
    /// Floats of all.
    states: usize,
}

impl Layout {
    /// `states`: how many there are.
    fn of((read, written): (&Places, &Places), states: usize) -> Self {
        let samples = read.tensors.len() - states;
        let place = |index: usize| {
            let (at, len) = read.tensors.get(index).copied().unwrap_or_default();
            at..at + len
        };
        Self {
            slow: if samples == 2 { place(0) } else { 0..0 },
            fast: place(samples - 1),
            states_read: read.start(samples),
            states_written: written.start(1),
            states: read.len - read.start(samples),
        }
    }
}

struct Captured(Arc<Shared>);

struct CapturedSession {
    /// Slow and fast samples, as they lie among the inputs.
    samples: HostMemory,
    logits: HostMemory,
    states: GpuMemory,
    /// The next run starts from the initial states.
    fresh: bool,
    shared: Arc<Shared>,
}

/// The graph, loaded and checked; the provider captures it when it first runs.
///
/// # Errors
/// As [`super::made`]; `OutOfMemory` where the GPU has no room for the buffers.
pub(super) fn made(
    runtime: &Runtime,
    package: &ModelPackage,
    settings: &Settings,
    engines: Option<&Path>,
    version: &str,
) -> Result<Arc<dyn Backend>> {
    let queue = GpuQueue::new(settings.device_id, settings.gpu_stream())?;
    let settings = settings.clone().in_stream(queue.stream());
    let session = session::session(runtime, &package.bytes, &settings, engines)?;
    let report = report(&runtime.version, &settings, &package.spec, version);
    Ok(Arc::new(Captured(Shared::new(queue, session, &package.spec, report)?)))
}

impl Shared {
    fn new(
        queue: Arc<GpuQueue>,
        session: ort::session::Session,
        spec: &ModelSpec,
        report: RuntimeReport,
    ) -> Result<Arc<Self>> {
        check_inputs(spec, session.inputs().iter().map(found))?;
        check_outputs(spec, session.outputs().iter().map(found))?;
        let tensors = FixedTensors::new(&queue, &expected_inputs(spec), &expected_outputs(spec))?;
        let places = tensors.places();
        let layout = Layout::of(places, spec.states.len());
        let initial = queue.memory(layout.states)?;
        let mut values = queue.host(layout.states)?;
        for (state, &(at, len)) in spec.states.iter().rev().zip(places.0.tensors.iter().rev()) {
            let at = at - layout.states_read;
            values.get_mut(at..at + len).unwrap_or_default().fill(state.initial);
        }
        queue.scope(|scope| scope.upload(&values, &initial, 0))?;
        drop(values);
        let running = Mutex::new(Running { session, tensors });
        Ok(Arc::new(Self { running, initial, layout, labels: spec.labels.len(), report, queue }))
    }
}

impl Backend for Captured {
    fn report(&self) -> RuntimeReport {
        self.0.report.clone()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        CapturedSession::new(&self.0).map(|session| Box::new(session) as Box<dyn Session>)
    }
}

impl CapturedSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let (queue, layout) = (&shared.queue, &shared.layout);
        Ok(Self {
            samples: queue.host(layout.states_read)?,
            logits: queue.host(shared.labels)?,
            states: queue.memory(layout.states)?,
            fresh: true,
            shared: Arc::clone(shared),
        })
    }
}

impl Session for CapturedSession {
    fn inputs(&mut self) -> (&mut [f32], &mut [f32]) {
        let Layout { slow, fast, .. } = &self.shared.layout;
        let (first, second) = self.samples.split_at_mut(fast.start);
        (first.get_mut(slow.clone()).unwrap_or_default(), second.get_mut(..fast.len()).unwrap_or_default())
    }

    fn run(&mut self) -> Result<()> {
        let Self { samples, logits, states, fresh, shared } = self;
        let (layout, len) = (&shared.layout, shared.layout.states);
        let mut running = shared.running.lock();
        let Running { session, tensors } = &mut *running;
        let before = if *fresh { &shared.initial } else { &*states };
        shared.queue.scope(|scope| {
            scope.upload(samples, tensors.inputs(), 0)?;
            scope.copy((before, 0), (tensors.inputs(), layout.states_read), len)?;
            tensors.run(session).map_err(failed)?;
            scope.download(tensors.outputs(), 0, logits)?;
            scope.copy((tensors.outputs(), layout.states_written), (states, 0), len)
        })?;
        *fresh = false;
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.fresh = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::provider::Provider;
    use super::super::{OrtSession, runtime, shared_on_cpu};
    use super::*;
    use crate::Status;
    use crate::engine::EngineConfig;
    use crate::ffi::gpu::Fake;

    /// A package and ONNX Runtime's CPU provider, with the fake driver's memory as its GPU's.
    struct Bench {
        package: ModelPackage,
        runtime: Runtime,
        settings: Settings,
        driver: Fake,
    }

    fn bench(name: &str, model: &[u8]) -> Bench {
        let library = std::env::var_os("TTEVIEW_ORT_DYLIB").expect("TTEVIEW_ORT_DYLIB names no ONNX Runtime");
        let mut package = ModelPackage::from_bytes(model.to_vec(), None).unwrap();
        // Each another, so that one in the place of its neighbour shows.
        for (index, state) in package.spec.states.iter_mut().enumerate() {
            state.initial = index as f32 / 8.0 - 0.5;
        }
        let runtime = runtime::runtime(Some(Path::new(&library))).unwrap();
        let settings = Settings::new(Provider::Cpu, package.spec.precision, &EngineConfig::default());
        Bench { package, runtime, settings, driver: Fake::new(name) }
    }

    impl Bench {
        fn shared(&self) -> Result<Arc<Shared>> {
            let session = session::session(&self.runtime, &self.package.bytes, &self.settings, None)?;
            let report = report("", &self.settings, &self.package.spec, "");
            Shared::new(self.driver.queue(), session, &self.package.spec, report)
        }

        fn plain(&self) -> OrtSession {
            OrtSession::new(&shared_on_cpu(&self.runtime, &self.package, &self.settings, None)).unwrap()
        }
    }

    fn step(session: &mut dyn Session, number: usize) -> Vec<f32> {
        let (slow, fast) = session.inputs();
        for (index, value) in slow.iter_mut().chain(fast).enumerate() {
            *value = ((index * (number + 3)) % 97) as f32 / 48.0 - 1.0;
        }
        session.run().unwrap();
        session.logits().to_vec()
    }

    const STREAM: &[u8] = include_bytes!("../../../models/standin.stream.onnx");

    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn streams_that_share_one_set_of_buffers_have_each_its_own_states_bit_for_bit() {
        let bench = bench("libshared.so", STREAM);
        {
            let shared = bench.shared().unwrap();
            let (mut first, mut second) = (bench.plain(), bench.plain());
            let mut sessions =
                [CapturedSession::new(&shared).unwrap(), CapturedSession::new(&shared).unwrap()];
            for number in 0..12 {
                // The second takes a step only every other time, and both begin anew on the way.
                assert_eq!(step(&mut sessions[0], number), step(&mut first, number), "step {number}");
                if number % 2 == 1 {
                    let other = 7 * number;
                    assert_eq!(step(&mut sessions[1], other), step(&mut second, other), "step {number}");
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
                step(&mut sessions[0], 0),
                step(&mut bench.plain(), 0),
                "the states were not carried on"
            );
            let before = bench.driver.copies();
            step(&mut sessions[0], 1);
            assert_eq!(bench.driver.copies() - before, 4, "copies a step");
        }
        assert_eq!(bench.driver.alive(), 0, "contexts, streams and memory are given back");
    }

    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn a_clip_has_no_states() {
        let bench = bench("libclip.so", include_bytes!("../../../models/standin.clip.onnx"));
        let mut session = CapturedSession::new(&bench.shared().unwrap()).unwrap();
        for number in 0..3 {
            assert_eq!(step(&mut session, number), step(&mut bench.plain(), number));
        }
    }

    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn whatever_fails_is_an_error_and_leaks_nothing() {
        let bench = bench("libfailing.so", STREAM);
        // Inputs, outputs, initial states and their values; then their copy and the wait for it.
        for (call, status) in [Status::OutOfMemory; 4].into_iter().chain([Status::Inference; 2]).enumerate() {
            bench.driver.fail(call as i32 + 1);
            let error = bench.shared().err().expect("refused");
            assert_eq!(error.status(), status, "call {}: {error}", call + 1);
            assert_eq!(bench.driver.alive(), 0);
        }
        let shared = bench.shared().unwrap();
        for call in 1..=3 {
            bench.driver.fail(call);
            assert_eq!(CapturedSession::new(&shared).err().unwrap().status(), Status::OutOfMemory);
        }
        let mut session = CapturedSession::new(&shared).unwrap();
        let mut plain = bench.plain();
        assert_eq!(step(&mut session, 0), step(&mut plain, 0));
        // Until the states are copied back a step that fails has changed nothing.
        for call in 1..=3 {
            bench.driver.fail(call);
            let error = session.run().unwrap_err();
            assert!(error.status() == Status::Inference && error.message().contains("CUDA error"), "{error}");
        }
        assert_eq!(step(&mut session, 1), step(&mut plain, 1));
        bench.driver.fail(5);
        assert!(session.run().unwrap_err().message().contains("cuStreamSynchronize"));
        drop((session, shared));
        assert_eq!(bench.driver.alive(), 0);
    }
}
