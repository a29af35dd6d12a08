//! Streams: the acquisition thread's end of the ring, the worker thread, and the readers.

use crate::classifier::{self, ClassifierSettings};
use crate::engine::Engine;
use crate::frame::{FRAME_SIDE_PX, FrameView, Geometry};
use crate::preprocess::Preprocess;
use crate::result::{Mailbox, ViewResult};
use crate::ring::{Producer, ring};
use crate::sampling::{PartialChunk, Sampler};
use crate::worker::{Pipeline, Worker};
use crate::{Error, Result, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Longest gap that can be asked for; bounds the samples that one frame can decide.
const MAX_GAP_NS: i64 = 10_000_000_000;

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
    /// For hosts without timestamps: frame n of an acquisition has the time n * period. 0: use the frame's time.
    pub frame_period_ns: i64,
    /// What becomes of a partial chunk at the end.
    pub partial: PartialChunk,
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
            frame_period_ns: 0,
            partial: PartialChunk::Auto,
        }
    }
}

impl StreamConfig {
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
        if self.label_span_ns < 0 || self.frame_period_ns < 0 {
            return Err(invalid("label_span_ns and frame_period_ns must not be negative".into()));
        }
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
    pub(crate) pixels: Box<[u8]>,
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
    pub(crate) stats: Counters,
    stop: AtomicBool,
    poisoned: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) pushed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) chunks: AtomicU64,
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
}

/// The acquisition thread's end: no call of it allocates, locks or logs.
struct Input {
    producer: Producer<Slot>,
    shared: Arc<Shared>,
    worker: Thread,
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
        let max_frame_bytes = config.check()?;
        let spec = &engine.spec;
        let labels = spec.labels.len();
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(labels),
            stats: Counters::default(),
            stop: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
        });
        let settings = ClassifierSettings { partial: config.partial, label_span_ns: config.label_span_ns };
        let classifier = classifier::classifier(spec, engine.backend.session()?, settings)?;
        // One slot more for the frame before, which the worker keeps, and one for an end that always finds room.
        let (producer, consumer) = ring(config.ring_slots + 2, |_| Slot {
            begins: None,
            changed: false,
            frame: None,
            ended: None,
            dropped: 0,
            pixels: vec![0; max_frame_bytes].into_boxed_slice(),
        });
        let mut worker = Worker {
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
                geometry: None,
                samples: 0,
                result: ViewResult::new(labels),
            },
        };
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tteview".into())
            .spawn(move || {
                let run = AssertUnwindSafe(|| {
                    while !state.stop.load(Relaxed) {
                        if !worker.process() {
                            std::thread::park();
                        }
                    }
                });
                if catch_unwind(run).is_err() {
                    state.poisoned.store(true, Relaxed);
                    worker.pipeline.poison();
                }
            })
            .map_err(|error| Error::new(Status::System, format!("the worker thread: {error}")))?;
        let input = Input {
            producer,
            shared: Arc::clone(&shared),
            worker: thread.thread().clone(),
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
        };
        Ok(Self { input, reader: Reader { shared, labels }, thread: Some(thread) })
    }

    /// Begins an acquisition and gives its id. Allowed while the one before still drains.
    pub fn begin(&mut self) -> std::result::Result<u64, Status> {
        self.input.begin()
    }

    /// Copies a frame into the ring. [`Status::RingFull`] and [`Status::FrameRefused`] say that it was not taken.
    pub fn push(&mut self, frame: &FrameView<'_>) -> Status {
        self.input.push(frame)
    }

    /// Marks a change (freeze, preset, probe, depth): the label speaks of the frames after it.
    pub fn mark(&mut self) -> Status {
        self.input.mark()
    }

    /// Ends the acquisition: the frames pushed so far are all of it.
    pub fn end(&mut self) -> Status {
        self.input.end()
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

    /// The newest result, provisional or final; [`Status::NotReady`] before the first.
    pub fn poll(&self, out: &mut ViewResult) -> Status {
        self.poll_with(|result| out.copy_from(result))
    }

    /// Waits for the final result of an acquisition; [`Status::TimedOut`], or [`Status::Empty`] if newer finals have
    /// taken its place.
    pub fn wait(&self, acquisition: u64, timeout: Duration, out: &mut ViewResult) -> Status {
        self.wait_with(acquisition, timeout, |result| out.copy_from(result))
    }

    /// As [`Self::poll`], reading in place.
    pub(crate) fn poll_with(&self, read: impl FnOnce(&ViewResult)) -> Status {
        self.shared.mailbox.newest(read)
    }

    /// As [`Self::wait`], reading in place.
    pub(crate) fn wait_with(&self, id: u64, timeout: Duration, read: impl FnOnce(&ViewResult)) -> Status {
        self.shared.mailbox.wait(id, timeout, read)
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
        self.alive()?;
        if !self.acquiring {
            return Err(Status::WrongState);
        }
        frame.check()?;
        let geometry = &frame.geometry;
        if geometry.width_px > self.max_width_px
            || geometry.height_px > self.max_height_px
            || geometry.frame_bytes() > self.max_frame_bytes
        {
            return Err(Status::FrameTooLarge);
        }
        let time_ns = match self.frame_period_ns {
            0 => frame.time_ns,
            period => self.frames.saturating_mul(period),
        };
        if self.last_time_ns.is_some_and(|last| time_ns <= last) {
            self.shared.stats.refused.fetch_add(1, Relaxed);
            return Err(Status::FrameRefused);
        }
        self.frames += 1;
        // The last free slot belongs to the end.
        let slot = if self.producer.free() > 1 { self.producer.slot() } else { None };
        let Some(slot) = slot else {
            self.dropped += 1;
            self.shared.stats.dropped.fetch_add(1, Relaxed);
            return Err(Status::RingFull);
        };
        frame.copy_packed(&mut slot.pixels);
        slot.begins = self.begins.take();
        slot.changed = std::mem::take(&mut self.changed);
        slot.frame = Some(FrameHeader { geometry: *geometry, time_ns, sequence: frame.sequence });
        slot.ended = None;
        slot.dropped = self.dropped;
        self.last_time_ns = Some(time_ns);
        self.shared.stats.pushed.fetch_add(1, Relaxed);
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
        self.publish();
        Status::Ok
    }

    fn publish(&mut self) {
        self.producer.commit();
        self.worker.unpark();
    }

    fn alive(&self) -> std::result::Result<(), Status> {
        if self.shared.poisoned.load(Relaxed) { Err(Status::Poisoned) } else { Ok(()) }
    }
}
