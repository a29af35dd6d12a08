//! Graphs that the provider captures as CUDA graphs. The provider captures the graph of a part
//! during the first run on each thread. Each later run launches the whole CUDA graph, with the
//! buffers that were used during the capture.
//!
//! All streams share the captured graph of a part and its buffers. Each run makes four copies: it
//! copies the stream's samples and states into the buffers, and the logits and next states out of
//! them. The slow part of frame steps also copies the lateral windows into the buffers. States and
//! windows are copied within GPU memory. All copies are made on the CUDA stream that the provider
//! uses.
//!
//! Both parts of frame steps can run at the same time, because each has its own session, buffers
//! and CUDA stream. If the host gives a CUDA stream, both use it, and their work on the GPU takes
//! turns.

mod ranges;
#[cfg(test)]
mod tests;

use super::provider::Settings;
use super::runtime::Runtime;
use super::session::load_session;
use super::tensor::{describe_outlet, describe_runtime, inference_error};
use crate::backend::helpers::threads_for;
use crate::backend::interface::{Backend, Inputs, Session, missing_part_error};
use crate::backend::report::RuntimeReport;
use crate::backend::signature::{check_inputs, check_outputs};
use crate::backend::windows::LateralWindows;
use crate::error::Result;
use crate::model::ModelPackage;
use crate::model::part::{Part, PartModel, PartSpec};
use crate::sys::gpu::{Access, FixedTensors, GpuMemory, GpuQueue, HostMemory};
use parking_lot::Mutex;
use ranges::Ranges;
use std::path::Path;
use std::sync::Arc;
use std::thread::ThreadId;

/// A part of the network, loaded.
struct Shared {
    /// The lock is held during a run, because all streams share one set of buffers.
    graph: Mutex<Graph>,
    initial_states: GpuMemory,
    ranges: Ranges,
    spec: PartSpec,
    /// This field is the last one, so that it is dropped after the fields that use it.
    queue: Arc<GpuQueue>,
}

struct Graph {
    session: ort::session::Session,
    tensors: FixedTensors,
}

pub(super) struct CapturedBackend {
    report: RuntimeReport,
    parts: Vec<(Part, Arc<Shared>)>,
}

struct CapturedSession {
    /// Slow and fast samples with the same layout as in the input buffer.
    samples: HostMemory,
    logits: HostMemory,
    states: GpuMemory,
    /// Lateral windows that the next run reads; `None` if the part reads none.
    windows: Option<GpuMemory>,
    /// Whether the next run starts from the initial states.
    is_fresh: bool,
    /// The thread of the last run. A run on another thread may be the first one on that thread, in
    /// which the provider captures the graph.
    last_thread: Option<ThreadId>,
    shared: Arc<Shared>,
}

impl CapturedBackend {
    /// Loads the parts of the network and checks their inputs and outputs. The provider captures
    /// the graphs later, during runs.
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
        let load = |part: Part, bytes: &[u8], queue: &GpuQueue| {
            let threads = threads_for(part, settings.threads);
            let settings = settings.clone().with_gpu_stream(queue.stream()).with_threads(threads);
            load_session(runtime, bytes, &settings, engines)
        };
        let parts = load_parts(&queue, package, load)?;
        let report = describe_runtime(&runtime.version, settings, &package.spec, version);
        Ok(Self { report, parts })
    }

    fn find(&self, part: Part) -> Result<&Arc<Shared>> {
        let found = self.parts.iter().find(|(found, _)| *found == part);
        found.map(|(_, shared)| shared).ok_or_else(missing_part_error)
    }
}

/// Loads the parts of the network with `load`, the first of them on `queue`.
fn load_parts(
    queue: &Arc<GpuQueue>,
    package: &ModelPackage,
    load: impl Fn(Part, &[u8], &GpuQueue) -> Result<ort::session::Session>,
) -> Result<Vec<(Part, Arc<Shared>)>> {
    let mut parts = Vec::new();
    for PartModel { part, bytes } in package.part_models()? {
        let queue = if parts.is_empty() { Arc::clone(queue) } else { queue.open_sibling()? };
        let session = load(part, &bytes, &queue)?;
        let spec = PartSpec::new(&package.spec, part);
        parts.push((part, Arc::new(Shared::new(queue, session, spec)?)));
    }
    Ok(parts)
}

impl Shared {
    fn new(queue: Arc<GpuQueue>, session: ort::session::Session, spec: PartSpec) -> Result<Self> {
        check_inputs(&spec, session.inputs().iter().map(describe_outlet))?;
        check_outputs(&spec, session.outputs().iter().map(describe_outlet))?;
        let tensors = FixedTensors::new(&queue, &spec.inputs(), &spec.outputs())?;
        let ranges = Ranges::new(tensors.layouts(), &spec);
        let initial_states = queue.allocate_on_gpu(ranges.states_len)?;
        let mut values = queue.allocate_on_host(ranges.states_len)?;
        for (state, range) in spec.states.iter().zip(&ranges.states) {
            values.get_mut(range.clone()).unwrap_or_default().fill(state.initial);
        }
        queue.run_scope(Access::Run, |scope| scope.upload(&values, &initial_states, 0))?;
        drop(values);
        let graph = Mutex::new(Graph { session, tensors });
        Ok(Self { graph, initial_states, ranges, spec, queue })
    }

    /// Allocates the lateral windows of a session, with their initial values.
    fn create_windows(&self) -> Result<Option<GpuMemory>> {
        if self.spec.windows.is_empty() {
            return Ok(None);
        }
        let memory = self.queue.allocate_on_gpu(self.ranges.windows_len)?;
        self.queue.run_scope(Access::Run, |scope| {
            for (window, range) in self.spec.windows.iter().zip(&self.ranges.windows) {
                scope.fill(memory.slice(range.clone())?, window.initial)?;
            }
            Ok(())
        })?;
        Ok(Some(memory))
    }
}

impl Backend for CapturedBackend {
    fn report(&self) -> RuntimeReport {
        self.report.clone()
    }

    fn create_session(&self, part: Part) -> Result<Box<dyn Session>> {
        CapturedSession::new(self.find(part)?).map(|session| Box::new(session) as Box<dyn Session>)
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        let Shared { queue, ranges, .. } = &**self.find(Part::Fast)?;
        queue.allocate_on_gpu(ranges.written_len).map(LateralWindows::Gpu)
    }
}

impl CapturedSession {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let (queue, ranges) = (&shared.queue, &shared.ranges);
        Ok(Self {
            samples: queue.allocate_on_host(ranges.samples_len)?,
            logits: queue.allocate_on_host(shared.spec.output_len)?,
            states: queue.allocate_on_gpu(ranges.states_len)?,
            windows: shared.create_windows()?,
            is_fresh: true,
            last_thread: None,
            shared: Arc::clone(shared),
        })
    }

    /// Returns what the next run may do on the GPU.
    fn next_access(&self) -> Access {
        let is_known = self.last_thread == Some(std::thread::current().id());
        if is_known { Access::Run } else { Access::Capture }
    }

    /// Returns the states from which the next run starts.
    fn current_states(&self) -> &GpuMemory {
        if self.is_fresh { &self.shared.initial_states } else { &self.states }
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
        let access = self.next_access();
        let ranges = &self.shared.ranges;
        let states = 0..ranges.states_len;
        let mut graph = self.shared.graph.lock();
        let Graph { session, tensors } = &mut *graph;
        let (inputs, outputs) = (tensors.inputs(), tensors.outputs());
        // The borrows are of single fields, because the logits are borrowed mutably.
        let current = if self.is_fresh { &self.shared.initial_states } else { &self.states };
        let (samples, logits, windows) = (&self.samples, &mut self.logits, &self.windows);
        let next = &self.states;
        self.shared.queue.run_scope(access, |scope| {
            scope.upload(samples, inputs, 0)?;
            if let Some(windows) = windows {
                let to = inputs.slice(ranges.windows_in_inputs())?;
                scope.copy(windows.slice(0..ranges.windows_len)?, to)?;
            }
            scope.copy(current.slice(states.clone())?, inputs.slice(ranges.states_in_inputs())?)?;
            tensors.run(session).map_err(inference_error)?;
            scope.download(outputs, 0, logits)?;
            scope.copy(outputs.slice(ranges.states_in_outputs())?, next.slice(states)?)
        })?;
        self.is_fresh = false;
        self.last_thread = Some(std::thread::current().id());
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn reset(&mut self) -> Result<()> {
        self.is_fresh = true;
        Ok(())
    }

    fn copy_windows(&mut self, to: &mut LateralWindows) -> Result<()> {
        let (to, states) = (to.gpu()?, self.current_states());
        self.shared.queue.run_scope(Access::Run, |scope| {
            for (from, range) in &self.shared.ranges.written_windows {
                scope.copy(states.slice(from.clone())?, to.slice(range.clone())?)?;
            }
            Ok(())
        })
    }

    fn set_windows(&mut self, from: &LateralWindows) -> Result<()> {
        let Some(windows) = &self.windows else { return Ok(()) };
        let (all, from) = (0..self.shared.ranges.windows_len, from.gpu()?);
        self.shared.queue.run_scope(Access::Run, |scope| {
            scope.copy(from.slice(all.clone())?, windows.slice(all)?)
        })
    }
}

#[cfg(test)]
impl CapturedBackend {
    /// Loads the parts on the CPU provider, which captures nothing, with the buffers in the memory
    /// of a fake driver.
    pub(super) fn on_cpu(
        queue: &Arc<GpuQueue>,
        runtime: &Runtime,
        package: &ModelPackage,
        settings: &Settings,
    ) -> Result<Self> {
        let load =
            |_: Part, bytes: &[u8], _: &GpuQueue| load_session(runtime, bytes, settings, None);
        let parts = load_parts(queue, package, load)?;
        let report = describe_runtime(&runtime.version, settings, &package.spec, "");
        Ok(Self { report, parts })
    }
}
