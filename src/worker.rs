//! The worker: ring -> preprocess -> sample grid -> classifier -> mailbox.

use crate::classifier::{Classifier, Outcome, Verdict};
use crate::frame::Geometry;
use crate::preprocess::Preprocess;
use crate::result::{ViewResult, flags};
use crate::ring::Consumer;
use crate::sampling::{Arrival, Sampler};
use crate::stream::{OnResult, Shared, Slot};
use crate::turn::Turn;
use crate::{Result, Status, clock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Everything that the worker owns.
pub(crate) struct Worker {
    pub(crate) consumer: Consumer<Slot>,
    pub(crate) pipeline: Pipeline,
    /// The oldest slot of the ring is the frame before: it may still become a sample.
    pub(crate) held: bool,
    /// Of a host-driven stream: asked before every slot, for a pause must not hold a thread of the host.
    pub(crate) turn: Option<Arc<Turn>>,
}

/// What a frame goes through; apart from the ring, which lends it the frames.
pub(crate) struct Pipeline {
    pub(crate) shared: Arc<Shared>,
    pub(crate) preprocess: Preprocess,
    pub(crate) sampler: Sampler,
    pub(crate) classifier: Box<dyn Classifier>,
    pub(crate) clip_samples: u64,
    pub(crate) threshold: f32,
    /// Stream mode, not window mode.
    pub(crate) streams: bool,
    /// Time from one chunk or window to the next.
    pub(crate) step_ns: i64,
    /// Time from one sample to the next.
    pub(crate) interval_ns: i64,
    /// Chunks that a segment has before the first may be skipped.
    pub(crate) rest_chunks: u64,
    pub(crate) segment_chunks: u64,
    pub(crate) segment_samples: i64,
    /// The label is settled: the network does not run until a change or the next acquisition.
    pub(crate) settled: bool,
    /// Times that the view changed in this acquisition.
    pub(crate) view_changes: u64,
    /// How long the last steps took, the newest first.
    pub(crate) recent_ns: [i64; 4],
    pub(crate) skipping: Option<Skip>,
    pub(crate) geometry: Option<Geometry>,
    pub(crate) samples: u64,
    pub(crate) result: ViewResult,
    pub(crate) on_result: Option<OnResult>,
}

/// A run of frames that are left out.
#[derive(Clone, Copy)]
pub(crate) struct Skip {
    /// Grid time of the first sample that no chunk has.
    from_ns: i64,
    /// The frame of this time ends it; it waits in the ring already, so a run ends before its acquisition does.
    to_ns: i64,
}

impl Worker {
    /// Handles the oldest unseen slot: [`Status::Ok`], [`Status::NotReady`] if there is none or, in a host-driven stream,
    /// the engine is paused, or [`Status::Poisoned`] after a panic, which stops here.
    pub(crate) fn process_guarded(&mut self) -> Status {
        if self.pipeline.shared.poisoned.load(Relaxed) {
            return Status::Poisoned;
        }
        let turn = self.turn.clone();
        let inside = turn.as_ref().map(|turn| turn.enter());
        if matches!(inside, Some(None)) {
            return Status::NotReady;
        }
        match catch_unwind(AssertUnwindSafe(|| self.process())) {
            Ok(true) => Status::Ok,
            Ok(false) => Status::NotReady,
            Err(_) => {
                self.pipeline.shared.poisoned.store(true, Relaxed);
                self.pipeline.poison();
                Status::Poisoned
            }
        }
    }

    /// Handles the oldest unseen slot, if there is one.
    fn process(&mut self) -> bool {
        let index = usize::from(self.held);
        if self.consumer.len() <= index {
            return false;
        }
        let previous = if self.held { self.consumer.peek(0) } else { None };
        let Some(slot) = self.consumer.peek(index) else { return false };
        let ended = slot.ended.is_some();
        let newest_ns = self.newest_ns(index);
        self.pipeline.take(previous, slot, newest_ns);
        if self.held {
            self.consumer.release();
        }
        if ended {
            self.consumer.release();
        }
        self.held = !ended;
        true
    }
}

impl Worker {
    /// Time of the newest frame that waits in the ring and belongs to the acquisition of the slot at `index`.
    fn newest_ns(&self, index: usize) -> Option<i64> {
        let waiting = (index + 1..self.consumer.len()).map_while(|at| self.consumer.peek(at));
        let same = waiting.take_while(|slot| slot.begins.is_none());
        same.filter_map(|slot| slot.frame).last().map(|frame| frame.time_ns)
    }
}

impl Pipeline {
    /// Takes one slot: what it says of the acquisition, then its frame, then its end.
    fn take(&mut self, previous: Option<&Slot>, slot: &Slot, newest_ns: Option<i64>) {
        let seen = clock::now();
        if let Some(acquisition) = slot.begins {
            self.begin(acquisition);
        }
        self.result.frames_dropped = slot.dropped;
        self.count(slot);
        if self.result.status == Status::Ok
            && let Err(status) = self.advance(previous, slot, newest_ns)
        {
            self.result.status = status;
            self.close();
        }
        if let Some(ended) = slot.ended {
            self.result.queue_ns = nanos(ended, seen);
            self.finish(ended);
        }
    }

    /// Every accepted frame is accounted for, those after a failure and under overload too.
    fn count(&mut self, slot: &Slot) {
        let Some(frame) = slot.frame else { return };
        if self.result.frames_used == 0 {
            self.result.first_sequence = frame.sequence;
        }
        self.result.last_sequence = frame.sequence;
        self.result.frames_used += 1;
    }

    fn begin(&mut self, acquisition: u64) {
        let labels = self.result.scores.len();
        let mut scores = std::mem::take(&mut self.result.scores);
        scores.fill(0.0);
        self.result = ViewResult { scores, acquisition, ..ViewResult::new(0) };
        debug_assert_eq!(self.result.scores.len(), labels);
        self.samples = 0;
        self.segment_chunks = 0;
        self.skipping = None;
        (self.settled, self.view_changes) = (false, 0);
        self.geometry = None;
        self.sampler.restart();
        if let Err(error) = self.classifier.begin() {
            self.fail(&error);
        }
    }

    fn advance(
        &mut self,
        previous: Option<&Slot>,
        slot: &Slot,
        newest_ns: Option<i64>,
    ) -> std::result::Result<(), Status> {
        let moved =
            slot.frame.is_some_and(|frame| self.geometry.is_some_and(|known| known != frame.geometry));
        if slot.changed || moved {
            self.change().map_err(|error| self.fail(&error))?;
        }
        let Some(frame) = slot.frame else { return Ok(()) };
        self.geometry = Some(frame.geometry);
        let ahead_ns = newest_ns.map_or(0, |newest| newest.saturating_sub(frame.time_ns));
        self.thin(frame.time_ns, ahead_ns).map_err(|error| self.fail(&error))?;
        if self.skipping.is_some() {
            return Ok(());
        }
        self.frame(previous, slot, frame.time_ns).map_err(|error| self.fail(&error))
    }

    /// Overload: where a step takes longer than a chunk lasts and the frames are a step ahead, whole chunks are skipped
    /// in one run until the newest frame, and a new segment starts there; not before a segment has had the chunks of a
    /// clip. A window network leaves out windows instead.
    fn thin(&mut self, time_ns: i64, ahead_ns: i64) -> Result<()> {
        if self.settled {
            return Ok(());
        }
        // The shortest of the last steps: one that was held up once is no overload, nor is a burst from a file.
        let slow = self.recent_ns.iter().all(|&took| took > self.step_ns);
        let behind = slow && ahead_ns >= self.step_ns;
        self.classifier.set_behind(behind);
        if let Some(skip) = self.skipping {
            if time_ns < skip.to_ns {
                return Ok(());
            }
            let chunks = u64::try_from((time_ns - skip.from_ns) / self.step_ns).unwrap_or(0);
            self.shared.stats.skipped.fetch_add(chunks, Relaxed);
            self.skipping = None;
        }
        if self.streams && behind && self.segment_chunks >= self.rest_chunks {
            let start_ns = self.sampler.segment_start_ns();
            self.end_segment()?;
            if self.settled {
                return Ok(());
            }
            self.result.flags |= flags::DEGRADED | flags::DISCONTINUITY;
            let ran_ns = self.segment_chunks.cast_signed() * self.step_ns;
            let from_ns = start_ns.map_or(time_ns, |start| start + ran_ns);
            self.skipping = Some(Skip { from_ns, to_ns: time_ns + ahead_ns });
        }
        Ok(())
    }

    /// New segment, initial state, and the mean restarts.
    fn change(&mut self) -> Result<()> {
        self.end_segment()?;
        self.classifier.change();
        self.settled = false;
        self.result.flags &= !flags::SETTLED;
        self.result.flags |= flags::DISCONTINUITY;
        self.shared.stats.changes.fetch_add(1, Relaxed);
        Ok(())
    }

    fn end_segment(&mut self) -> Result<()> {
        if self.sampler.segment_start_ns().is_some() {
            self.sampler.end_segment();
            if !self.settled {
                self.run(|classifier| classifier.end_segment())?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, previous: Option<&Slot>, slot: &Slot, time_ns: i64) -> Result<()> {
        if self.sampler.would_gap(time_ns) {
            self.end_segment()?;
            self.result.flags |= flags::DISCONTINUITY;
            self.shared.stats.gaps.fetch_add(1, Relaxed);
        }
        let Arrival::Accepted { starts, previous: of_previous, current } = self.sampler.frame(time_ns) else {
            return Ok(());
        };
        if starts {
            (self.segment_chunks, self.segment_samples) = (0, 0);
            if !self.settled {
                self.classifier.start_segment(time_ns)?;
            }
        }
        if let Some(previous) = previous {
            self.sample(previous, of_previous)?;
        }
        self.sample(slot, current)
    }

    /// The slot's frame is the next `times` samples.
    fn sample(&mut self, slot: &Slot, times: usize) -> Result<()> {
        let Some(frame) = slot.frame else { return Ok(()) };
        for time in 0..times {
            let runs = !self.settled;
            if time > 0 && runs {
                self.classifier.repeat_sample();
            } else if runs || self.shared.exact.is_some() {
                let start = clock::now();
                let pixels = slot.pixels.get(..frame.geometry.frame_bytes()).unwrap_or_default();
                self.preprocess.run(&frame.geometry, pixels, self.classifier.sample())?;
                self.result.preprocess_ns += nanos(start, clock::now());
            }
            self.keep();
            self.samples += 1;
            self.segment_samples += 1;
            self.shared.stats.samples.fetch_add(1, Relaxed);
            if runs {
                self.run(|classifier| classifier.commit_sample())?;
            }
        }
        Ok(())
    }

    /// Keeps the next sample, which is written, for exact queries.
    fn keep(&mut self) {
        let (Some(exact), Some(start_ns)) = (&self.shared.exact, self.sampler.segment_start_ns()) else {
            return;
        };
        let at = |sample: i64| start_ns.saturating_add(sample.saturating_mul(self.interval_ns));
        let (time_ns, next_ns) = (at(self.segment_samples), at(self.segment_samples + 1));
        exact.samples.keep(time_ns, next_ns, self.segment_samples == 0, self.classifier.sample());
    }

    /// Nothing more comes in this acquisition that a query could wait for.
    fn close(&self) {
        self.shared.history.expect(None);
        if let Some(exact) = &self.shared.exact {
            exact.samples.close();
        }
    }

    /// Does something that may run the network.
    fn run(&mut self, work: impl FnOnce(&mut dyn Classifier) -> Result<Outcome>) -> Result<()> {
        let start = clock::now();
        let outcome = work(self.classifier.as_mut())?;
        if outcome == Outcome::Skipped {
            self.shared.stats.skipped.fetch_add(1, Relaxed);
            self.result.flags |= flags::DEGRADED;
        }
        if outcome == Outcome::News {
            let took = nanos(start, clock::now());
            self.recent_ns.rotate_right(1);
            self.recent_ns[0] = took;
            self.segment_chunks += 1;
            self.result.inference_ns += took;
            self.shared.stats.chunks.fetch_add(1, Relaxed);
            self.result.flags |= flags::PROVISIONAL;
            self.follow(self.classifier.verdict());
            self.read_posterior();
            self.publish();
        }
        Ok(())
    }

    /// Does what the rules say.
    fn follow(&mut self, verdict: Verdict) {
        if verdict.settled && !self.settled {
            self.settled = true;
            self.result.flags |= flags::SETTLED;
            self.shared.history.expect(None);
        }
        if verdict.view_changes > self.view_changes {
            self.shared.stats.view_changes.fetch_add(verdict.view_changes - self.view_changes, Relaxed);
            self.view_changes = verdict.view_changes;
            self.result.flags |= flags::VIEW_CHANGED;
        }
    }

    fn read_posterior(&mut self) {
        let result = &mut self.result;
        result.flags &= !(flags::SHORT | flags::ABSTAINED | flags::DROPPED);
        if self.samples < self.clip_samples {
            result.flags |= flags::SHORT;
        }
        if result.frames_dropped > 0 {
            result.flags |= flags::DROPPED;
        }
        result.label = None;
        let Some((chunks, span)) = self.classifier.posterior(&mut result.scores) else {
            result.scores.fill(0.0);
            (result.chunks, result.confidence, result.margin) = (0, 0.0, 0.0);
            return;
        };
        result.chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        (result.first_time_ns, result.last_time_ns) = (span.first_ns, span.last_ns);
        let scores = std::mem::take(&mut result.scores);
        result.decide(&scores, self.threshold);
        result.scores = scores;
    }

    fn finish(&mut self, ended: Instant) {
        if self.result.status == Status::Ok
            && let Err(error) = self.end_segment()
        {
            self.result.status = self.fail(&error);
        }
        self.close();
        self.read_posterior();
        if self.result.status != Status::Ok {
            self.result.label = None;
        }
        self.result.flags = (self.result.flags & !flags::PROVISIONAL) | flags::FINAL;
        self.result.latency_ns = nanos(ended, clock::now());
        self.publish();
    }

    fn publish(&mut self) {
        self.shared.mailbox.publish(&self.result);
        if let Some(on_result) = &mut self.on_result {
            on_result(&self.result);
        }
    }

    /// After a panic: whoever waits for this acquisition hears of it.
    fn poison(&mut self) {
        self.result.status = self.shared.note(Status::Poisoned);
        self.close();
        self.result.label = None;
        self.result.flags |= flags::FINAL;
        self.shared.mailbox.publish(&self.result);
    }

    fn fail(&mut self, error: &crate::Error) -> Status {
        if !self.shared.stop.load(Relaxed) {
            log::error!("acquisition {}: {error}", self.result.acquisition);
        }
        self.shared.note(error.status())
    }
}

fn nanos(from: Instant, to: Instant) -> i64 {
    i64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(i64::MAX)
}
