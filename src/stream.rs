//! Streams: the acquisition thread's end of the ring, the worker thread, and the readers.

use crate::classifier::{self, ClassifierSettings};
use crate::engine::Engine;
use crate::frame::{FRAME_SIDE_PX, FrameView, Geometry};
use crate::history::{History, Span};
use crate::mailbox::Mailbox;
use crate::model::{Mode, ModelSpec};
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;
use crate::result::ViewResult;
use crate::ring::{Producer, ring};
use crate::sampling::{PartialChunk, Sampler};
use crate::worker::{Pipeline, Worker};
use crate::{Error, Result, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Longest gap that can be asked for; bounds the samples that one frame can decide.
const MAX_GAP_NS: i64 = 10_000_000_000;

/// How far back queries can look if the host names no time, and at most.
const DEFAULT_HISTORY_NS: i64 = 60_000_000_000;
const MAX_HISTORY_NS: i64 = 3_600_000_000_000;

/// Settings of a stream.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Frames the ring holds, 2 to 1024.
    pub ring_slots: usize,
    /// Width of the largest frame.
    pub max_width_px: u32,
    /// Height of the largest frame.
    pub max_height_px: u32,
    /// Bytes of the largest frame, rows packed; 0: four bytes a pixel.
    pub max_frame_bytes: usize,
    /// Two accepted frames further apart restart the temporal state; 10 s at most.
    pub gap_ns: i64,
    /// The label speaks of the last `label_span_ns`; 0: of the whole acquisition.
    pub label_span_ns: i64,
    /// How far back [`Reader::query`] can look, at least `label_span_ns` and at most an hour; 0: 60 s.
    pub history_ns: i64,
    /// For hosts without timestamps: frame n of an acquisition has the time n * period. 0: use the frame's time.
    pub frame_period_ns: i64,
    /// What becomes of a partial chunk at the end.
    pub partial: PartialChunk,
    /// Who drives the worker.
    pub drive: Drive,
    /// Locks the ring's pixels into memory, so that no page of them is ever swapped out.
    pub pin: Option<Pin>,
}

/// Locks memory into RAM and unlocks it; the system calls belong to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    /// Locks, and brings every page in.
    pub lock: fn(&[u8]) -> std::io::Result<()>,
    /// Takes the lock back.
    pub unlock: fn(&[u8]),
}

/// Who drives the worker, and what wakes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drive {
    /// A thread of the library, which sleeps until a push wakes it: one futex wake.
    #[default]
    Park,
    /// A thread of the library, which looks into the ring every half millisecond: pushing makes no system call.
    Poll,
    /// The host, by [`Stream::process`].
    Host,
}

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

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            ring_slots: 16,
            max_width_px: 1024,
            max_height_px: 1024,
            max_frame_bytes: 0,
            gap_ns: 250_000_000,
            label_span_ns: 0,
            history_ns: 0,
            frame_period_ns: 0,
            partial: PartialChunk::Auto,
            drive: Drive::Park,
            pin: None,
        }
    }
}

impl StreamConfig {
    /// How far the history reaches back.
    fn history(&self) -> Result<i64> {
        match self.history_ns {
            0 => Ok(DEFAULT_HISTORY_NS.max(self.label_span_ns)),
            history if (self.label_span_ns.max(1)..=MAX_HISTORY_NS).contains(&history) => Ok(history),
            history => Err(Error::new(
                Status::InvalidArgument,
                format!("history_ns is {history}, label_span_ns to {MAX_HISTORY_NS} are possible"),
            )),
        }
    }

    fn check(&self) -> Result<usize> {
        let invalid = |what: String| Error::new(Status::InvalidArgument, what);
        if !(2..=1024).contains(&self.ring_slots) {
            return Err(invalid(format!("ring_slots is {}, 2 to 1024 are possible", self.ring_slots)));
        }
        if !FRAME_SIDE_PX.contains(&self.max_width_px) || !FRAME_SIDE_PX.contains(&self.max_height_px) {
            let (width, height) = (self.max_width_px, self.max_height_px);
            return Err(invalid(format!("largest frame is {width} x {height}, 32 to 4096 are possible")));
        }
        if !(1..=MAX_GAP_NS).contains(&self.gap_ns) {
            return Err(invalid(format!("gap_ns is {}, 1 to {MAX_GAP_NS} are possible", self.gap_ns)));
        }
        if !(0..=MAX_HISTORY_NS).contains(&self.label_span_ns) || self.frame_period_ns < 0 {
            return Err(invalid("label_span_ns or frame_period_ns is negative or too long".into()));
        }
        self.history()?;
        let most = 4 * self.max_width_px as usize * self.max_height_px as usize;
        match self.max_frame_bytes {
            0 => Ok(most),
            bytes if bytes <= most => Ok(bytes),
            bytes => {
                Err(invalid(format!("max_frame_bytes is {bytes}, the largest frame has at most {most}")))
            }
        }
    }
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
    history: Arc<History>,
    spec: Arc<ModelSpec>,
    pub(crate) stats: Counters,
    /// Number of the last status other than ok of a real-time call, or of what failed after it; 0: none.
    last_event: AtomicI32,
    stop: AtomicBool,
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
}

/// One probe's stream. The acquisition thread has the `&mut` calls, every thread the others.
pub struct Stream {
    input: Input,
    reader: Reader,
    thread: Option<JoinHandle<()>>,
    /// The worker of a host-driven stream.
    driven: Option<Worker>,
}

/// The acquisition thread's end: no call of it allocates, locks or logs.
struct Input {
    producer: Producer<Slot>,
    shared: Arc<Shared>,
    worker: Option<Thread>,
    max_width_px: u32,
    max_height_px: u32,
    max_frame_bytes: usize,
    frame_period_ns: i64,
    acquisition: u64,
    acquiring: bool,
    begins: Option<u64>,
    changed: bool,
    frames: i64,
    last_time_ns: Option<i64>,
    dropped: u64,
    /// Frames published since the stream was created.
    sent: u64,
    /// Token of the slot that the host writes into.
    acquired: Option<u64>,
}

/// Reads results and counters, from any thread.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    labels: usize,
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
        let max_frame_bytes = config.check()?;
        let spec = &engine.spec;
        let labels = spec.labels.len();
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(labels),
            history: Arc::new(History::new(labels, config.history()?, classifier::step_ns(spec))?),
            spec: Arc::clone(spec),
            stats: Counters::default(),
            last_event: AtomicI32::new(0),
            stop: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
        });
        let settings = ClassifierSettings {
            history: Arc::clone(&shared.history),
            partial: config.partial,
            label_span_ns: config.label_span_ns,
        };
        let classifier = classifier::classifier(spec, engine.backend.session()?, settings)?;
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
            pipeline: Pipeline {
                shared: Arc::clone(&shared),
                turn: Arc::clone(&engine.turn),
                preprocess: Preprocess::new(spec, config.max_width_px, config.max_height_px),
                sampler: Sampler::new(spec.sample_interval_ns, config.gap_ns),
                classifier,
                clip_samples: spec.clip_samples as u64,
                threshold: spec.threshold,
                streams: spec.mode == Mode::Stream,
                step_ns: classifier::step_ns(spec),
                rest_chunks: (spec.clip_samples / spec.alpha).max(1) as u64,
                segment_chunks: 0,
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
        Ok(Self { input, reader: Reader { shared, labels }, thread, driven })
    }

    /// Bytes that a stream of these settings allocates by code of ours: ring, tensors, states, history. What the runtime
    /// takes for itself comes on top.
    ///
    /// # Errors
    /// As [`Self::new`] for settings out of range.
    pub fn memory(engine: &Engine, config: &StreamConfig) -> Result<usize> {
        let spec = &engine.spec;
        let ring = (config.ring_slots + EXTRA_SLOTS) * (Pixels::memory(config.check()?) + size_of::<Slot>());
        let values = |shape: &[usize]| shape.iter().product::<usize>();
        let inputs: usize = spec.input_shapes().iter().map(|shape| values(shape)).sum();
        let states: usize = spec.states.iter().map(|state| 2 * values(&state.shape)).sum();
        let clip = if spec.mode == Mode::Window { spec.clip_samples * spec.sample_len() } else { 0 };
        let history = (config.history()? / classifier::step_ns(spec)) as usize * (spec.labels.len() + 4);
        let planes = spec.channels * config.max_width_px as usize * config.max_height_px as usize;
        Ok(ring + planes + size_of::<f32>() * (inputs + states + clip + history))
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
    /// Stops the worker after the step it is in.
    fn drop(&mut self) {
        self.reader.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Reader {
    /// An empty result of the right size to read into.
    #[must_use]
    pub fn result(&self) -> ViewResult {
        ViewResult::new(self.labels)
    }

    /// The newest result, provisional or final; [`Status::NotReady`] before the first. No lock, no allocation if
    /// `out` came from [`Self::result`].
    pub fn poll(&self, out: &mut ViewResult) -> Status {
        self.fill(out, |scores| self.poll_into(scores))
    }

    /// Waits for the final result of an acquisition; [`Status::TimedOut`], or [`Status::Empty`] if newer finals have
    /// taken its place.
    pub fn wait(&self, acquisition: u64, timeout: Duration, out: &mut ViewResult) -> Status {
        self.fill(out, |scores| self.wait_into(acquisition, timeout, scores))
    }

    fn fill(
        &self,
        out: &mut ViewResult,
        read: impl FnOnce(&mut [f32]) -> std::result::Result<ViewResult, Status>,
    ) -> Status {
        let mut scores = std::mem::take(&mut out.scores);
        scores.resize(self.labels, 0.0);
        let found = read(&mut scores);
        let status = found.as_ref().err().copied().unwrap_or(Status::Ok);
        *out = ViewResult { scores, ..found.unwrap_or_else(|_| out.clone()) };
        status
    }

    /// As [`Self::poll`], the scores into memory of the caller; those of the result are empty.
    pub(crate) fn poll_into(&self, scores: &mut [f32]) -> std::result::Result<ViewResult, Status> {
        self.shared.mailbox.newest(scores)
    }

    /// As [`Self::wait`], the scores into memory of the caller; those of the result are empty.
    pub(crate) fn wait_into(
        &self,
        acquisition: u64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> std::result::Result<ViewResult, Status> {
        self.shared.mailbox.wait(acquisition, timeout, scores)
    }

    /// Label of the chunks (or windows) that lie in [`from_ns`, `to_ns`] with both ends, from the history: a few additions, no
    /// network. The result carries the times really covered; the network also knew what came up to its look-back
    /// before. Waits at most `timeout` for a chunk that is still to come.
    ///
    /// [`Status::Ok`], [`Status::Partial`] if older chunks are forgotten or one is still to come, [`Status::Empty`].
    pub fn query(&self, from_ns: i64, to_ns: i64, timeout: Duration, out: &mut ViewResult) -> Status {
        let mut partial = Status::Ok;
        let status = self.fill(out, |scores| {
            let (status, found) = self.query_into(from_ns, to_ns, timeout, scores)?;
            partial = status;
            Ok(found)
        });
        if status == Status::Ok { partial } else { status }
    }

    /// As [`Self::query`], the scores (one a label) into memory of the caller; those of the result are empty.
    pub(crate) fn query_into(
        &self,
        from_ns: i64,
        to_ns: i64,
        timeout: Duration,
        scores: &mut [f32],
    ) -> std::result::Result<(Status, ViewResult), Status> {
        let asked = Span { first_ns: from_ns, last_ns: to_ns };
        let (status, (chunks, span)) = self.shared.history.query(asked, timeout, scores)?;
        let spec = &self.shared.spec;
        if spec.mode == Mode::Stream {
            classifier::softmax(scores, spec.temperature);
        }
        let mut result = ViewResult::new(0);
        result.decide(scores, spec.threshold);
        result.chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        (result.first_time_ns, result.last_time_ns) = (span.first_ns, span.last_ns);
        Ok((status, result))
    }

    /// Number of labels.
    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// The last status other than [`Status::Ok`] of a call of the acquisition thread, or of a failure in the worker.
    #[must_use]
    pub fn last_event(&self) -> Status {
        Status::from_code(self.shared.last_event.load(Relaxed)).unwrap_or(Status::Internal)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        let stats = &self.shared.stats;
        StreamStats {
            pushed: stats.pushed.load(Relaxed),
            dropped: stats.dropped.load(Relaxed),
            refused: stats.refused.load(Relaxed),
            samples: stats.samples.load(Relaxed),
            chunks: stats.chunks.load(Relaxed),
            skipped_chunks: stats.skipped.load(Relaxed),
            gaps: stats.gaps.load(Relaxed),
            changes: stats.changes.load(Relaxed),
        }
    }
}

impl Input {
    fn begin(&mut self) -> std::result::Result<u64, Status> {
        self.alive()?;
        if self.acquiring {
            return Err(Status::WrongState);
        }
        if self.producer.free() == 0 {
            return Err(Status::RingFull);
        }
        self.acquisition += 1;
        self.acquiring = true;
        self.acquired = None;
        self.begins = Some(self.acquisition);
        self.changed = false;
        self.frames = 0;
        self.last_time_ns = None;
        self.dropped = 0;
        Ok(self.acquisition)
    }

    fn push(&mut self, frame: &FrameView<'_>) -> Status {
        self.try_push(frame).err().unwrap_or(Status::Ok)
    }

    fn try_push(&mut self, frame: &FrameView<'_>) -> std::result::Result<(), Status> {
        self.open()?;
        if self.acquired.is_some() {
            return Err(Status::WrongState);
        }
        frame.check()?;
        let time_ns = self.admit(&frame.geometry, frame.time_ns)?;
        frame.copy_packed(self.room()?);
        self.send(frame.geometry, time_ns, frame.sequence)
    }

    fn acquire(&mut self) -> std::result::Result<(&mut [u8], u64), Status> {
        self.open()?;
        if let Err(full) = self.room().map(|_| ()) {
            // The frame that did not find room counts in the times of a host without timestamps.
            self.frames += 1;
            return Err(full);
        }
        let token = self.sent + 1;
        self.acquired = Some(token);
        Ok((self.room()?, token))
    }

    fn commit(
        &mut self,
        token: u64,
        geometry: &Geometry,
        time_ns: i64,
        sequence: u64,
    ) -> std::result::Result<(), Status> {
        self.open()?;
        if self.acquired != Some(token) {
            return Err(Status::WrongState);
        }
        geometry.check()?;
        let time_ns = self.admit(geometry, time_ns)?;
        self.acquired = None;
        self.send(*geometry, time_ns, sequence)
    }

    /// An acquisition is open.
    fn open(&self) -> std::result::Result<(), Status> {
        self.alive()?;
        if self.acquiring { Ok(()) } else { Err(Status::WrongState) }
    }

    /// The frame's time, if its size fits and it is later than the frame before.
    fn admit(&mut self, geometry: &Geometry, time_ns: i64) -> std::result::Result<i64, Status> {
        if geometry.width_px > self.max_width_px
            || geometry.height_px > self.max_height_px
            || geometry.frame_bytes() > self.max_frame_bytes
        {
            return Err(Status::FrameTooLarge);
        }
        let time_ns = match self.frame_period_ns {
            0 => time_ns,
            period => self.frames.saturating_mul(period),
        };
        if self.last_time_ns.is_some_and(|last| time_ns <= last) {
            self.shared.stats.refused.fetch_add(1, Relaxed);
            return Err(Status::FrameRefused);
        }
        self.frames += 1;
        Ok(time_ns)
    }

    /// Pixels of the next slot, or the frame is dropped. The last free slot belongs to the end.
    fn room(&mut self) -> std::result::Result<&mut [u8], Status> {
        let free = self.producer.free() > 1;
        let slot = if free { self.producer.slot() } else { None };
        let Some(slot) = slot else {
            self.dropped += 1;
            self.shared.stats.dropped.fetch_add(1, Relaxed);
            return Err(Status::RingFull);
        };
        Ok(&mut slot.pixels)
    }

    /// Publishes the next slot, whose pixels are written.
    fn send(&mut self, geometry: Geometry, time_ns: i64, sequence: u64) -> std::result::Result<(), Status> {
        let slot = self.producer.slot().ok_or(Status::Internal)?;
        slot.begins = self.begins.take();
        slot.changed = std::mem::take(&mut self.changed);
        slot.frame = Some(FrameHeader { geometry, time_ns, sequence });
        slot.ended = None;
        slot.dropped = self.dropped;
        self.last_time_ns = Some(time_ns);
        self.shared.stats.pushed.fetch_add(1, Relaxed);
        self.sent += 1;
        self.publish();
        Ok(())
    }

    fn mark(&mut self) -> Status {
        match self.alive() {
            Err(status) => status,
            Ok(()) if !self.acquiring => Status::WrongState,
            Ok(()) => {
                self.changed = true;
                Status::Ok
            }
        }
    }

    fn end(&mut self) -> Status {
        if let Err(status) = self.alive() {
            return status;
        }
        if !self.acquiring {
            return Status::WrongState;
        }
        let Some(slot) = self.producer.slot() else { return Status::Internal };
        slot.begins = self.begins.take();
        slot.changed = std::mem::take(&mut self.changed);
        slot.frame = None;
        slot.ended = Some(Instant::now());
        slot.dropped = self.dropped;
        self.acquiring = false;
        self.acquired = None;
        self.publish();
        Status::Ok
    }

    fn publish(&mut self) {
        self.producer.commit();
        if let Some(worker) = &self.worker {
            worker.unpark();
        }
    }

    fn alive(&self) -> std::result::Result<(), Status> {
        if self.shared.poisoned.load(Relaxed) { Err(Status::Poisoned) } else { Ok(()) }
    }
}
