//! Streams: the acquisition thread's end of the ring, the worker thread, and the readers.

mod config;
mod input;
mod reader;

use crate::classifier::{self, Settings};
use crate::engine::Engine;
use crate::exact::Exact;
use crate::frame::{FrameView, Geometry};
use crate::history::History;
use crate::mailbox::Mailbox;
use crate::model::{Mode, ModelSpec};
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;
use crate::result::ViewResult;
use crate::ring::ring;
use crate::samples::Samples;
use crate::sampling::Sampler;
use crate::turn::{Claim, InTurn, Turn};
use crate::worker::{Pipeline, Worker};
use crate::{Error, Result, Status};
use input::Input;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use config::{Drive, Pin, StreamConfig};
pub(crate) use reader::Form;
pub use reader::Reader;

/// One slot more for the frame before, which the worker keeps, and one for an end that always finds room.
const EXTRA_SLOTS: usize = 2;

/// How often a polling worker looks.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

/// Called once in the worker's thread, with its role.
pub type ThreadStart = Box<dyn FnOnce(&str) + Send>;

/// Called with every result.
pub type OnResult = Box<dyn FnMut(&ViewResult) + Send>;

/// What the host is called for. Each may be called from the worker's thread until the stream is gone.
#[derive(Default)]
pub struct Hooks {
    /// Called in the worker's thread before anything else: the place for affinity and priority.
    pub thread_start: Option<ThreadStart>,
    /// Called after every result that became visible, provisional or final.
    pub on_result: Option<OnResult>,
}

/// One place of the ring.
pub(crate) struct Slot {
    /// An acquisition with this id begins before the frame.
    pub(crate) begins: Option<u64>,
    /// The host marked a change before the frame.
    pub(crate) changed: bool,
    pub(crate) frame: Option<FrameHeader>,
    /// The acquisition ended after the frame, then.
    pub(crate) ended: Option<Instant>,
    /// Frames dropped so far in this acquisition.
    pub(crate) dropped: u64,
    pub(crate) pixels: Pixels,
}

#[derive(Clone, Copy)]
pub(crate) struct FrameHeader {
    pub(crate) geometry: Geometry,
    pub(crate) time_ns: i64,
    pub(crate) sequence: u64,
}

/// What all threads see.
pub(crate) struct Shared {
    pub(crate) mailbox: Mailbox,
    pub(crate) history: Arc<History>,
    pub(crate) exact: Option<Exact>,
    spec: Arc<ModelSpec>,
    /// Samples from one window to the next; 0 in stream mode.
    hop: u64,
    pub(crate) stats: Counters,
    /// Number of the last status other than ok of a real-time call, or of what failed after it; 0: none.
    last_event: AtomicI32,
    /// The stream is being destroyed: its worker ends.
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) poisoned: AtomicBool,
}

impl Shared {
    /// Keeps a status for those who cannot read it where it arose.
    pub(crate) fn note(&self, status: Status) -> Status {
        if status != Status::Ok {
            self.last_event.store(status.code(), Relaxed);
        }
        status
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) pushed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) view_changes: AtomicU64,
}

/// Counters since the stream was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Frames accepted.
    pub pushed: u64,
    /// Frames dropped because the ring was full.
    pub dropped: u64,
    /// Frames refused because their time was not later than the one before.
    pub refused: u64,
    /// Samples decided.
    pub samples: u64,
    /// Chunks or windows run.
    pub chunks: u64,
    /// Chunks or windows left out because the network was slower than the frames.
    pub skipped_chunks: u64,
    /// Gaps in time.
    pub gaps: u64,
    /// Changes marked by the host or of the geometry.
    pub changes: u64,
    /// How often the mean began anew because the posterior said that the view had changed.
    pub view_changes: u64,
    /// Window mode: samples from one window to the next; else 0.
    pub window_hop_samples: u64,
}

/// One probe's stream. The acquisition thread has the `&mut` calls, every thread the others.
pub struct Stream {
    input: Input,
    reader: Reader,
    thread: Option<JoinHandle<()>>,
    /// The worker of a host-driven stream.
    driven: Option<Worker>,
    /// Where the worker may be waiting when it shall end.
    turn: Arc<Turn>,
}

impl Stream {
    /// Allocates all memory of the stream and starts its worker thread.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`], [`Status::OutOfMemory`], [`Status::System`], or the backend's.
    pub fn new(engine: &Engine, config: &StreamConfig) -> Result<Self> {
        Self::with_hooks(engine, config, Hooks::default())
    }

    /// As [`Self::new`], with calls to the host.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_hooks(engine: &Engine, config: &StreamConfig, hooks: Hooks) -> Result<Self> {
        let spec = &engine.spec;
        let max_frame_bytes = config.check(spec)?;
        let labels = spec.labels.len();
        let hop = hop(engine, config);
        let step_ns = classifier::step_ns(spec, hop);
        let settings = Settings {
            history: Arc::new(History::new(labels, config.history()?, step_ns)?),
            partial: config.partial,
            label_span_ns: config.label_span_ns,
            hop,
            rules: config.rules(),
        };
        let exact = |span_ns| {
            Exact::new(spec, span_ns, engine.backend.session()?, Arc::clone(&engine.turn), &settings)
        };
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(labels),
            history: Arc::clone(&settings.history),
            exact: Some(config.exact_history_ns).filter(|&span_ns| span_ns > 0).map(exact).transpose()?,
            spec: Arc::clone(spec),
            hop: if spec.mode == Mode::Window { hop as u64 } else { 0 },
            stats: Counters::default(),
            last_event: AtomicI32::new(0),
            stop: Arc::default(),
            poisoned: AtomicBool::new(false),
        });
        let session = engine.backend.session()?;
        let claim = Claim::Live(Arc::clone(&shared.stop));
        let session = InTurn { session, turn: Arc::clone(&engine.turn), claim };
        let classifier = classifier::classifier(spec, Box::new(session), &settings)?;
        let slots = config.ring_slots + EXTRA_SLOTS;
        let pixels = (0..slots).map(|_| Pixels::new(max_frame_bytes, config.pin));
        let mut pixels = pixels.collect::<Result<Vec<_>>>()?.into_iter();
        let (producer, consumer) = ring(slots, |_| Slot {
            begins: None,
            changed: false,
            frame: None,
            ended: None,
            dropped: 0,
            pixels: pixels.next().unwrap_or_default(),
        });
        let worker = Worker {
            consumer,
            held: false,
            turn: (config.drive == Drive::Host).then(|| Arc::clone(&engine.turn)),
            pipeline: Pipeline {
                shared: Arc::clone(&shared),
                preprocess: Preprocess::new(spec, config.max_width_px, config.max_height_px),
                sampler: Sampler::new(spec.sample_interval_ns, config.gap_ns),
                classifier,
                clip_samples: spec.clip_samples as u64,
                threshold: spec.threshold,
                streams: spec.mode == Mode::Stream,
                step_ns,
                interval_ns: spec.sample_interval_ns,
                rest_chunks: (spec.clip_samples / spec.alpha).max(1) as u64,
                segment_chunks: 0,
                segment_samples: 0,
                settled: false,
                view_changes: 0,
                recent_ns: [0; 4],
                skipping: None,
                geometry: None,
                samples: 0,
                result: ViewResult::new(labels),
                on_result: hooks.on_result,
            },
        };
        let (thread, driven) = match config.drive {
            Drive::Host => (None, Some(worker)),
            drive => (Some(spawn(worker, drive, hooks.thread_start)?), None),
        };
        let input = Input {
            producer,
            shared: Arc::clone(&shared),
            worker: thread.as_ref().filter(|_| config.drive == Drive::Park).map(|t| t.thread().clone()),
            max_width_px: config.max_width_px,
            max_height_px: config.max_height_px,
            max_frame_bytes,
            frame_period_ns: config.frame_period_ns,
            acquisition: 0,
            acquiring: false,
            begins: None,
            changed: false,
            frames: 0,
            last_time_ns: None,
            dropped: 0,
            sent: 0,
            acquired: None,
        };
        let turn = Arc::clone(&engine.turn);
        Ok(Self { input, reader: Reader { shared, labels }, thread, driven, turn })
    }

    /// Bytes that a stream of these settings allocates by code of ours: ring, tensors, states, history, samples for
    /// exact queries. What the runtime takes for itself comes on top.
    ///
    /// # Errors
    /// As [`Self::new`] for settings out of range.
    pub fn memory(engine: &Engine, config: &StreamConfig) -> Result<usize> {
        let spec = &engine.spec;
        let frame = Pixels::memory(config.check(spec)?) + size_of::<Slot>();
        let ring = (config.ring_slots + EXTRA_SLOTS) * frame;
        let values = |shape: &[usize]| shape.iter().product::<usize>();
        let inputs: usize = spec.input_shapes().iter().map(|shape| values(shape)).sum();
        // At most three sets: those that a run reads and writes, and the initial ones.
        let states: usize = spec.states.iter().map(|state| 3 * values(&state.shape)).sum();
        let clip = if spec.mode == Mode::Window { spec.clip_samples * spec.sample_len() } else { 0 };
        let tensors = inputs + states + clip;
        let step_ns = classifier::step_ns(spec, hop(engine, config));
        let history = (config.history()? / step_ns) as usize * (spec.labels.len() + 4);
        let exact = match config.exact_history_ns {
            0 => 0,
            span_ns => {
                let samples = Samples::slots(span_ns, spec.sample_interval_ns);
                samples.saturating_mul(spec.sample_len()).saturating_add(tensors)
            }
        };
        let planes = spec.channels * config.max_width_px as usize * config.max_height_px as usize;
        let floats = (tensors + history).saturating_add(exact);
        Ok((ring + planes).saturating_add(floats.saturating_mul(size_of::<f32>())))
    }

    /// Begins an acquisition and gives its id. Allowed while the one before still drains.
    pub fn begin(&mut self) -> std::result::Result<u64, Status> {
        self.input.begin().map_err(|status| self.input.shared.note(status))
    }

    /// Copies a frame into the ring. [`Status::RingFull`] and [`Status::FrameRefused`] say that it was not taken.
    pub fn push(&mut self, frame: &FrameView<'_>) -> Status {
        let status = self.input.push(frame);
        self.input.shared.note(status)
    }

    /// The next slot of the ring for the host to write a frame into, its rows packed, its planes one after the other;
    /// and a token for [`Self::commit`]. Asking again gives the same slot; an end or a begin takes it back.
    pub fn acquire(&mut self) -> std::result::Result<(&mut [u8], u64), Status> {
        let shared = Arc::clone(&self.input.shared);
        self.input.acquire().map_err(|status| shared.note(status))
    }

    /// Hands over the frame that was written into the acquired slot. After an error the slot stays acquired.
    pub fn commit(&mut self, token: u64, geometry: &Geometry, time_ns: i64, sequence: u64) -> Status {
        let status = self.input.commit(token, geometry, time_ns, sequence).err().unwrap_or(Status::Ok);
        self.input.shared.note(status)
    }

    /// Marks a change (freeze, preset, probe, depth): the label speaks of the frames after it.
    pub fn mark(&mut self) -> Status {
        let status = self.input.mark();
        self.input.shared.note(status)
    }

    /// Ends the acquisition: the frames pushed so far are all of it.
    pub fn end(&mut self) -> Status {
        let status = self.input.end();
        self.input.shared.note(status)
    }

    /// Handles the oldest waiting frame or end of a host-driven stream; [`Status::NotReady`] if nothing waits.
    pub fn process(&mut self) -> Status {
        self.driven.as_mut().map_or(Status::WrongState, Worker::process_guarded)
    }

    /// The worker of a host-driven stream, for the thread that drives it.
    pub(crate) fn take_driven(&mut self) -> Option<Worker> {
        self.driven.take()
    }

    /// Frames that [`Self::push`] takes now before it would drop one: for hosts that can wait, as those that read
    /// files can.
    #[must_use]
    pub fn room(&mut self) -> usize {
        // The last free slot belongs to the end.
        self.input.producer.free().saturating_sub(1)
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

/// Samples from one window to the next in window mode.
fn hop(engine: &Engine, config: &StreamConfig) -> usize {
    match config.window_hop_samples {
        0 => classifier::window_hop(&engine.spec, engine.step_time()),
        hop => hop,
    }
}

/// Starts the worker's thread.
fn spawn(mut worker: Worker, drive: Drive, thread_start: Option<ThreadStart>) -> Result<JoinHandle<()>> {
    const NAME: &str = "tteview";
    let shared = Arc::clone(&worker.pipeline.shared);
    let run = move || {
        if let Some(start) = thread_start {
            start(NAME);
        }
        while !shared.stop.load(Relaxed) {
            match (worker.process_guarded(), drive) {
                (Status::Ok, _) => {}
                (Status::NotReady, Drive::Poll) => std::thread::sleep(POLL_INTERVAL),
                (Status::NotReady, _) => std::thread::park(),
                _ => break,
            }
        }
    };
    std::thread::Builder::new()
        .name(NAME.into())
        .spawn(run)
        .map_err(|error| Error::new(Status::System, format!("the worker thread: {error}")))
}

impl Drop for Stream {
    /// Stops the worker after the step it is in; a pause of the engine does not keep it.
    fn drop(&mut self) {
        self.reader.shared.stop.store(true, Relaxed);
        self.turn.wake();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
