//! A graph that the provider captures as a CUDA graph during the first run. Each later run launches
//! the whole CUDA graph, with the buffers that were used during the capture.
//!
//! All streams share one captured graph and its buffers. Each step makes four copies: it copies the
//! stream's samples and states into the buffers, and the logits and next states out of them. The
//! states are copied within GPU memory. All copies are made on the CUDA stream that the provider
//! uses.

use super::provider::Settings;
use super::runtime::Runtime;
use super::session::load_session;
use super::tensor::{describe_outlet, describe_runtime, inference_error};
use crate::backend::interface::{Backend, Inputs, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::signature::{check_inputs, check_outputs, expected_inputs, expected_outputs};
use crate::error::Result;
use crate::model::{ModelPackage, ModelSpec};
use crate::sys::gpu::{FixedTensors, GpuMemory, GpuQueue, HostMemory, Layout};
use parking_lot::Mutex;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

struct Shared {
    /// The lock is held during a step, because all streams share one set of buffers.
    graph: Mutex<Graph>,
    initial_states: GpuMemory,
    ranges: Ranges,
    labels: usize,
    report: RuntimeReport,
    /// This field is the last one, so that it is dropped after the fields that use it.
    queue: Arc<GpuQueue>,
}

struct Graph {
    session: ort::session::Session,
    tensors: FixedTensors,
}

/// Positions of the tensors in the buffers. The input buffer begins with the samples, and the
/// output buffer with the logits. The states follow, with the same layout in both buffers.
struct Ranges {
    slow: Range<usize>,
    fast: Range<usize>,
    /// Start of the states in the input buffer, which equals the total length of the samples.
    states_in_inputs: usize,
    /// Start of the states in the output buffer.
    states_in_outputs: usize,
    /// Total length of the states in floats.
    states_len: usize,
}

impl Ranges {
    /// Computes the positions from the layouts of the inputs and the outputs, and from the number
    /// of states.
    fn new((inputs, outputs): (&Layout, &Layout), states: usize) -> Self {
        let samples = inputs.tensors.len() - states;
        let range_of = |index: usize| {
            let (start, len) = inputs.tensors.get(index).copied().unwrap_or_default();
            start..start + len
        };
        Self {
            slow: if samples == 2 { range_of(0) } else { 0..0 },
            fast: range_of(samples - 1),
            states_in_inputs: inputs.start_of(samples),
            states_in_outputs: outputs.start_of(1),
            states_len: inputs.len - inputs.start_of(samples),
        }
    }
}

pub(super) struct CapturedBackend(Arc<Shared>);

struct CapturedSession {
    /// Slow and fast samples with the same layout as in the input buffer.
    samples: HostMemory,
    logits: HostMemory,
    states: GpuMemory,
    /// Whether the next run starts from the initial states.
    is_fresh: bool,
    shared: Arc<Shared>,
}

impl CapturedBackend {
    /// Loads the graph and checks its inputs and outputs. The provider captures the graph during
    /// the first run.
    ///
    /// # Errors
    /// Returns the same errors as [`super::load`], and
    /// [`Status::OutOfMemory`](crate::Status::OutOfMemory) if the GPU has too little memory for the
    /// buffers.
    pub(super) fn load(
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
        engines: Option<&Path>,
        version: &str,
    ) -> Result<Self> {
        let queue = GpuQueue::new(settings.device_id, settings.gpu_stream())?;
        let settings = settings.clone().with_gpu_stream(queue.stream());
        let session = load_session(runtime, &package.bytes, &settings, engines)?;
        let report = describe_runtime(&runtime.version, &settings, &package.spec, version);
        Ok(Self(Shared::new(queue, session, &package.spec, report)?))
    }
}

impl Shared {
    fn new(
        queue: Arc<GpuQueue>,
        session: ort::session::Session,
        spec: &ModelSpec,
        report: RuntimeReport,
    ) -> Result<Arc<Self>> {
        check_inputs(spec, session.inputs().iter().map(describe_outlet))?;
        check_outputs(spec, session.outputs().iter().map(describe_outlet))?;
        let tensors = FixedTensors::new(&queue, &expected_inputs(spec), &expected_outputs(spec))?;
        let layouts = tensors.layouts();
        let ranges = Ranges::new(layouts, spec.states.len());
        let initial_states = queue.allocate_on_gpu(ranges.states_len)?;
        let mut values = queue.allocate_on_host(ranges.states_len)?;
        let inputs = layouts.0.tensors.iter().rev();
        for (state, &(start, len)) in spec.states.iter().rev().zip(inputs) {
            let start = start - ranges.states_in_inputs;
            values.get_mut(start..start + len).unwrap_or_default().fill(state.initial);
        }
        queue.run_scope(|scope| scope.upload(&values, &initial_states, 0))?;
        drop(values);
        let graph = Mutex::new(Graph { session, tensors });
        let labels = spec.labels.len();
        Ok(Arc::new(Self { graph, initial_states, ranges, labels, report, queue }))
    }
}

impl Backend for CapturedBackend {
    fn report(&self) -> RuntimeReport {
        self.0.report.clone()
    }

    fn create_session(&self) -> Result<Box<dyn Session>> {
        CapturedSession::new(&self.0).map(|session| Box::new(session) as Box<dyn Session>)
    }
}

impl CapturedSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let (queue, ranges) = (&shared.queue, &shared.ranges);
        Ok(Self {
            samples: queue.allocate_on_host(ranges.states_in_inputs)?,
            logits: queue.allocate_on_host(shared.labels)?,
            states: queue.allocate_on_gpu(ranges.states_len)?,
            is_fresh: true,
            shared: Arc::clone(shared),
        })
    }
}

impl Session for CapturedSession {
    fn inputs(&mut self) -> Inputs<'_> {
        let Ranges { slow, fast, .. } = &self.shared.ranges;
        let (first, second) = self.samples.split_at_mut(fast.start);
        Inputs {
            slow: first.get_mut(slow.clone()).unwrap_or_default(),
            fast: second.get_mut(..fast.len()).unwrap_or_default(),
        }
    }

    fn run(&mut self) -> Result<()> {
        let Self { samples, logits, states, is_fresh, shared } = self;
        let (ranges, len) = (&shared.ranges, shared.ranges.states_len);
        let mut graph = shared.graph.lock();
        let Graph { session, tensors } = &mut *graph;
        let current_states = if *is_fresh { &shared.initial_states } else { &*states };
        shared.queue.run_scope(|scope| {
            scope.upload(samples, tensors.inputs(), 0)?;
            let states_in = (tensors.inputs(), ranges.states_in_inputs);
            scope.copy((current_states, 0), states_in, len)?;
            tensors.run(session).map_err(inference_error)?;
            scope.download(tensors.outputs(), 0, logits)?;
            scope.copy((tensors.outputs(), ranges.states_in_outputs), (states, 0), len)
        })?;
        *is_fresh = false;
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.is_fresh = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ort::plain::PlainSession;
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
        let settings =
            Settings::new(Provider::Cpu, package.spec.precision, &EngineConfig::default());
        Fixture { package, runtime, settings, driver: FakeDriver::new(name) }
    }

    impl Fixture {
        fn create_shared(&self) -> Result<Arc<Shared>> {
            let session = load_session(&self.runtime, &self.package.bytes, &self.settings, None)?;
            let report = describe_runtime("", &self.settings, &self.package.spec, "");
            Shared::new(self.driver.queue(), session, &self.package.spec, report)
        }

        fn create_plain(&self) -> PlainSession {
            PlainSession::on_cpu(&self.runtime, &self.package, &self.settings, None)
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

    const STREAM: &[u8] = include_bytes!("../../../models/standin.stream.onnx");

    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn streams_that_share_buffers_keep_their_own_states() {
        let fixture = set_up("libshared.so", STREAM);
        {
            let shared = fixture.create_shared().unwrap();
            let (mut first, mut second) = (fixture.create_plain(), fixture.create_plain());
            let mut sessions =
                [CapturedSession::new(&shared).unwrap(), CapturedSession::new(&shared).unwrap()];
            for number in 0..12 {
                // The second session runs only every other step, and each session is reset once.
                assert_eq!(
                    run_step(&mut sessions[0], number),
                    run_step(&mut first, number),
                    "step {number}"
                );
                if number % 2 == 1 {
                    let other = 7 * number;
                    assert_eq!(
                        run_step(&mut sessions[1], other),
                        run_step(&mut second, other),
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
                run_step(&mut sessions[0], 0),
                run_step(&mut fixture.create_plain(), 0),
                "the states were not carried over"
            );
            let before = fixture.driver.copies();
            run_step(&mut sessions[0], 1);
            assert_eq!(fixture.driver.copies() - before, 4, "copies per step");
        }
        assert_eq!(fixture.driver.alive(), 0, "contexts, streams and memory are freed");
    }

    #[test]
    #[ignore = "needs TTEVIEW_ORT_DYLIB; `cargo xtask test` runs it"]
    fn a_clip_runs_without_states() {
        let fixture = set_up("libclip.so", include_bytes!("../../../models/standin.clip.onnx"));
        let mut session = CapturedSession::new(&fixture.create_shared().unwrap()).unwrap();
        for number in 0..3 {
            assert_eq!(
                run_step(&mut session, number),
                run_step(&mut fixture.create_plain(), number)
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
            let error = fixture.create_shared().err().expect("fails");
            assert_eq!(error.status(), status, "call {}: {error}", call + 1);
            assert_eq!(fixture.driver.alive(), 0);
        }
        let shared = fixture.create_shared().unwrap();
        for call in 1..=3 {
            fixture.driver.fail(call);
            assert_eq!(CapturedSession::new(&shared).err().unwrap().status(), Status::OutOfMemory);
        }
        let mut session = CapturedSession::new(&shared).unwrap();
        let mut plain = fixture.create_plain();
        assert_eq!(run_step(&mut session, 0), run_step(&mut plain, 0));
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
        assert_eq!(run_step(&mut session, 1), run_step(&mut plain, 1));
        fixture.driver.fail(5);
        assert!(session.run().unwrap_err().message().contains("cuStreamSynchronize"));
        drop((session, shared));
        assert_eq!(fixture.driver.alive(), 0);
    }
}
