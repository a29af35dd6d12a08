//! Streams, each of which turns the frames of one probe into results.
//!
//! ```text
//! acquisition thread         worker                                              any thread
//! Acquirer::push -> ring -> preprocess -> sampling -> classifier -> mailbox -> Reader::poll
//! ```

pub(crate) mod acquirer;
pub(crate) mod config;
pub(crate) mod driver;
mod event_count;
pub(crate) mod exact_query;
mod frame_order;
pub(crate) mod history;
pub(crate) mod hooks;
mod mailbox;
mod outlook;
mod overload;
mod pipeline;
mod query_head;
pub(crate) mod reader;
mod record;
pub(crate) mod ring;
mod sample_store;
mod shared;
mod slot;
pub(crate) mod stats;
mod sync;
#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
mod worker;
mod worker_thread;

use crate::backend::interface::Session;
use crate::classifier::head::Head;
use crate::classifier::interface::ClassifierSettings;
use crate::classifier::slow_lane::{SlowLane, SlowLaneBuilder};
use crate::classifier::timing::{choose_window_hop, output_interval_ns};
use crate::classifier::{Sessions, create_classifier};
use crate::engine::Engine;
use crate::engine::scheduled_session::{Deadline, Priority, ScheduledSession};
use crate::error::Result;
use crate::memory::check_budget;
use crate::model::ModelSpec;
use crate::model::part::Part;
use crate::preprocess::Preprocess;
use crate::sampling::Sampler;
use acquirer::Acquirer;
use config::{Drive, StreamConfig};
use driver::Driver;
use exact_query::ExactQuery;
use history::History;
use hooks::Hooks;
use mailbox::Mailbox;
use overload::OverloadPolicy;
use pipeline::Pipeline;
use query_head::QueryHead;
use reader::Reader;
use ring::create_ring;
use sample_store::SampleStore;
use shared::Shared;
use slot::Slot;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use worker::Worker;
use worker_thread::WorkerThread;

/// Number of ring slots in addition to those that the host asks for: one for the previous frame,
/// which the worker keeps, and one that is reserved for the end of an acquisition.
const EXTRA_SLOTS: usize = 2;

/// The handles of a stream, one for each kind of thread.
///
/// ```
/// use std::time::Duration;
/// use tteview::frame::{FrameView, Geometry, PixelFormat};
/// use tteview::{Engine, Stream, StreamConfig};
/// # if !cfg!(feature = "rten") { return Ok(()); }
/// # let path = std::path::Path::new("models/demo.stream.onnx");
/// # let package = tteview::ModelPackage::from_path(path, None)?;
/// # let engine = Engine::new(package, &tteview::EngineConfig::default())?;
/// # let mut frames = 0;
/// # let mut acquire_frame = || {
/// #     frames += 1;
/// #     std::thread::sleep(Duration::from_millis(20));
/// #     (vec![0; 640 * 480], frames * 33_333_333)
/// # };
/// let Stream { mut acquirer, reader, .. } = Stream::open(&engine, &StreamConfig::default())?;
/// let geometry = Geometry::new(PixelFormat::Gray8, 640, 480)?;
///
/// let acquisition = acquirer.begin()?;
/// for _ in 0..60 {
///     let (pixels, time_ns) = acquire_frame();
///     acquirer.push(&FrameView::new(geometry, &pixels)?.with_time_ns(time_ns))?;
/// }
/// acquirer.end()?;
///
/// let result = reader.wait(acquisition, Duration::from_secs(10), &mut [])?;
/// let label = result.label.map(|index| &engine.spec().labels[index as usize].code);
/// println!("{label:?} with confidence {}", result.confidence);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream {
    /// Handle for the acquisition thread. Keep it until [`Reader::wait`] has returned the final
    /// result: dropping it closes the stream, even if the worker has not processed all frames.
    pub acquirer: Acquirer,
    /// Handle for the host thread that runs the network; present if [`StreamConfig::drive`] is
    /// [`Drive::Host`]. The stream processes frames only while the host calls
    /// [`Driver::process`].
    pub driver: Option<Driver>,
    /// Handle for any thread.
    pub reader: Reader,
}

impl Stream {
    /// Opens a stream and allocates all of its memory. Also starts the worker thread, unless the
    /// host drives the stream.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`](crate::Status::InvalidArgument) if a setting is out of
    /// range, [`Status::OutOfMemory`](crate::Status::OutOfMemory) if memory cannot be allocated or
    /// [`Self::memory_bytes`] is more than 90 % of the memory that is available to the process,
    /// [`Status::System`](crate::Status::System) if the worker thread cannot be started or memory
    /// cannot be locked, [`Status::SelfTest`](crate::Status::SelfTest) if the last
    /// [`Engine::prepare`] failed its self-test, [`Status::ModelMismatch`](crate::Status::ModelMismatch) if the package is
    /// for window mode and its input does not hold exactly one clip, or the error of the backend.
    pub fn open(engine: &Engine, config: &StreamConfig) -> Result<Self> {
        Self::open_with_hooks(engine, config, Hooks::default())
    }

    /// Opens a stream that calls the host functions in `hooks`.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::open`].
    pub fn open_with_hooks(engine: &Engine, config: &StreamConfig, hooks: Hooks) -> Result<Self> {
        engine.check_process()?;
        let spec = engine.shared_spec();
        config.check(spec)?;
        engine.self_test().check()?;
        check_budget("the stream", Self::memory_bytes(engine, config)?)?;
        let hop = choose_hop(engine, config);
        let interval_ns = output_interval_ns(spec, hop);
        let settings = ClassifierSettings {
            history: Arc::new(create_history(spec, config, interval_ns)?),
            partial: config.partial_chunk,
            label_span_ns: config.label_span_ns,
            hop,
            rules: config.rules(),
        };
        let stop = Arc::default();
        let exact = create_exact_query(engine, config, &settings, &stop)?;
        let history = Arc::clone(&settings.history);
        let restarts_times = config.frame_period_ns > 0;
        let head = create_query_head(engine, &stop)?;
        let shared = Shared::new(engine, history, (exact, head), hop, restarts_times, stop)?;
        let shared = Arc::new(shared);
        let signals = Arc::default();
        let live = || Priority::Live(Arc::clone(&shared.stop));
        let sessions = create_sessions(engine, live, |lane| match config.drive {
            Drive::Host => Ok(lane.on_caller()),
            _ => lane.on_thread(Arc::clone(&shared.stop), &signals, hooks.thread_start.clone()),
        })?;
        let pipeline = Pipeline::new(
            Arc::clone(&shared),
            Preprocess::new(spec, config.max_width_px, config.max_height_px)?,
            Sampler::new(spec.sample_interval_ns, config.gap_ns),
            create_classifier(spec, sessions, &settings)?,
            OverloadPolicy::new(spec, interval_ns),
            config.publish_each_sample,
            hooks.on_result,
        )?;
        let create_slot = |_| Slot::new(config.frame_bytes(), config.lock_memory);
        let (producer, consumer) = create_ring(config.ring_slots + EXTRA_SLOTS, create_slot)?;
        let worker = Worker::new(consumer, pipeline);
        let (thread, driver) = match config.drive {
            Drive::Host => (None, Some(Driver::new(worker, engine.scheduler()))),
            drive => {
                let scheduler = engine.scheduler();
                let start = hooks.thread_start;
                (Some(WorkerThread::start(worker, drive, scheduler, start)?), None)
            }
        };
        if let Some(thread) = thread.as_ref().and_then(WorkerThread::thread) {
            signals.set_fast_lane(thread);
        }
        let acquirer = Acquirer::new(producer, Arc::clone(&shared), thread, config);
        Ok(Self { acquirer, driver, reader: Reader::new(shared) })
    }

    /// Returns the number of bytes that a stream with these settings allocates for the ring, the
    /// preprocessing, tensors, states, the history and the samples for exact queries. The memory
    /// that the inference runtime allocates is not included.
    ///
    /// # Errors
    /// Returns [`Status::InvalidArgument`](crate::Status::InvalidArgument) if a setting is out of
    /// range.
    pub fn memory_bytes(engine: &Engine, config: &StreamConfig) -> Result<usize> {
        let spec = engine.spec();
        config.check(spec)?;
        let values = spec.averaged_len();
        let interval_ns = output_interval_ns(spec, choose_hop(engine, config));
        let ring = (config.ring_slots + EXTRA_SLOTS) * Slot::memory_bytes(config.frame_bytes());
        let history = History::memory_bytes(values, config.history_span_ns(), interval_ns);
        let exact = match config.exact_history_ns {
            0 => 0,
            span_ns => {
                let (interval_ns, sample_len) = (spec.sample_interval_ns, spec.sample_len());
                SampleStore::memory_bytes(span_ns, interval_ns, sample_len)
                    .saturating_add(spec.session_bytes())
            }
        };
        let preprocess = Preprocess::memory_bytes(spec, config.max_width_px, config.max_height_px);
        let fixed =
            ring + preprocess + Mailbox::memory_bytes(spec.labels.len()) + spec.session_bytes();
        Ok(fixed.saturating_add(history).saturating_add(exact))
    }
}

/// Returns the number of samples from one window to the next.
fn choose_hop(engine: &Engine, config: &StreamConfig) -> usize {
    match config.window_hop_samples {
        0 => choose_window_hop(engine.spec(), engine.step_time()),
        hop => hop,
    }
}

/// Creates the sessions of a classifier. `start_lane` decides which thread runs the slow lane.
fn create_sessions(
    engine: &Engine,
    priority: impl Fn() -> Priority,
    start_lane: impl FnOnce(SlowLaneBuilder) -> Result<SlowLane>,
) -> Result<Sessions> {
    let (backend, spec) = (engine.backend(), engine.spec());
    let create = |part: Part| -> Result<Box<dyn Session>> {
        let session = backend.create_session(part)?;
        let scheduler = engine.scheduler();
        Ok(Box::new(ScheduledSession::new(session, scheduler, part.into(), priority())))
    };
    if spec.frame_steps.is_none() {
        return Ok(Sessions::Whole(create(Part::Whole)?));
    }
    let head = spec.head().map(|_| create(Part::Head)).transpose()?;
    let lane = match spec.has_slow_part() {
        true => {
            let lane = SlowLaneBuilder::new(backend.as_ref(), spec, create(Part::Slow)?)?;
            Some(start_lane(lane)?)
        }
        false => None,
    };
    Ok(Sessions::Frames(create(Part::Fast)?, lane, Head::new(head)))
}

/// Creates the head of plain queries, or `None` if the head is linear.
fn create_query_head(engine: &Engine, stop: &Arc<AtomicBool>) -> Result<Option<QueryHead>> {
    if engine.spec().head().is_none() {
        return Ok(None);
    }
    let deadline = Deadline::default();
    let priority = Priority::Idle(Arc::clone(stop), Arc::clone(&deadline));
    let session = engine.backend().create_session(Part::Head)?;
    let session = ScheduledSession::new(session, engine.scheduler(), Part::Head.into(), priority);
    Ok(Some(QueryHead::new(Head::new(Some(Box::new(session))), deadline)))
}

fn create_history(spec: &ModelSpec, config: &StreamConfig, interval_ns: i64) -> Result<History> {
    let history = History::new(spec.averaged_len(), config.history_span_ns(), interval_ns)?;
    Ok(history.giving_newest(spec.uses_newest()))
}

fn create_exact_query(
    engine: &Engine,
    config: &StreamConfig,
    settings: &ClassifierSettings,
    stop: &Arc<AtomicBool>,
) -> Result<Option<ExactQuery>> {
    let span_ns = config.exact_history_ns;
    if span_ns == 0 {
        return Ok(None);
    }
    let deadline = Deadline::default();
    let idle = || Priority::Idle(Arc::clone(stop), Arc::clone(&deadline));
    let sessions = create_sessions(engine, idle, |lane| Ok(lane.on_caller()))?;
    ExactQuery::new(engine.spec(), span_ns, sessions, deadline, settings).map(Some)
}
