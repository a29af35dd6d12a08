//! The processing of a ring slot: sampling, preprocessing, classification and publication of
//! results.

mod finish;
mod step;

use super::history::Span;
use super::hooks::OnResult;
use super::overload::OverloadPolicy;
use super::shared::Shared;
use super::slot::Slot;
use super::stats::count;
use crate::classifier::interface::Classifier;
use crate::clock::{self, elapsed_ns};
use crate::error::{Result, Status};
use crate::frame::Geometry;
use crate::memory::fill_values;
use crate::preprocess::Preprocess;
use crate::result::{ResultFlags, ViewResult};
use crate::sampling::{Arrival, Sampler};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The processing pipeline of one stream.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    preprocess: Preprocess,
    sampler: Sampler,
    classifier: Box<dyn Classifier>,
    overload: OverloadPolicy,
    on_result: Option<OnResult>,
    /// Whether the worker is in `on_result`.
    is_in_callback: bool,
    /// Result of the current acquisition so far.
    result: ViewResult,
    /// Posterior of `result`, after which the values of the mean follow that are not logits.
    mean: Vec<f32>,
    geometry: Option<Geometry>,
    /// Time of the newest frame of the acquisition.
    frame_ns: Option<i64>,
    /// Number of samples in the acquisition so far.
    samples: u64,
    /// Number of samples in the segment so far.
    segment_samples: i64,
    /// Whether the label is settled. If it is, the network does not run until a change or the next
    /// acquisition.
    is_settled: bool,
    /// Number of view changes in this acquisition.
    view_changes: u64,
    /// Status of the last chunk or window that failed.
    failure: Status,
    /// Status of the head that was to give the newest label.
    head_status: Status,
    /// Whether a provisional result is published after each sample of frame steps.
    publishes_samples: bool,
    /// Time that the current chunk of frame steps has taken so far.
    chunk_ns: i64,
}

impl Pipeline {
    pub(super) fn new(
        shared: Arc<Shared>,
        preprocess: Preprocess,
        sampler: Sampler,
        classifier: Box<dyn Classifier>,
        overload: OverloadPolicy,
        publishes_samples: bool,
        on_result: Option<OnResult>,
    ) -> Result<Self> {
        let mean = fill_values(shared.spec.combined_len(), 0.0, "a posterior")?;
        Ok(Self {
            shared,
            preprocess,
            sampler,
            classifier,
            overload,
            on_result,
            is_in_callback: false,
            result: ViewResult::new(0),
            mean,
            geometry: None,
            frame_ns: None,
            samples: 0,
            segment_samples: 0,
            is_settled: false,
            view_changes: 0,
            failure: Status::Ok,
            head_status: Status::Ok,
            publishes_samples,
            chunk_ns: 0,
        })
    }

    pub(super) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.stop)
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }

    /// Processes a slot. `previous` is the previous frame of the acquisition, and `newest_ns` is
    /// the time of the newest frame that is waiting in the ring.
    pub(super) fn process(&mut self, previous: Option<&Slot>, slot: &Slot, newest_ns: Option<i64>) {
        let start = clock::now();
        if let Some(acquisition) = slot.begins {
            self.begin(acquisition);
        }
        self.result.frames_dropped = slot.dropped;
        self.count_frame(slot);
        // After an error, the remaining frames of the acquisition are only counted.
        if self.result.status == Status::Ok
            && let Err(error) = self.process_frame(previous, slot, newest_ns)
        {
            self.abort(&error);
        }
        if let Some(ended) = slot.ended {
            self.result.queue_ns = elapsed_ns(ended, start);
            self.finish(ended);
        }
    }

    /// While no frame is waiting, starts a slow run that is due and completes the chunks whose slow
    /// runs have ended. If the calling thread runs the slow lane, runs it once and returns true.
    pub(super) fn continue_slow_lane(&mut self) -> bool {
        if self.result.status != Status::Ok || self.result.is_final() {
            return false;
        }
        let has_run = self.classifier.run_slow();
        if let Err(error) = self.repeat(|classifier| classifier.collect()) {
            self.abort(&error);
        } else if self.publishes_samples && self.result.chunks == 0 {
            // The slow run of the first chunk may have given a label before the chunk is complete.
            self.update_result();
            if self.result.chunks > 0 {
                self.publish();
            }
        }
        has_run
    }

    fn begin(&mut self, acquisition: u64) {
        self.result = ViewResult::new(acquisition);
        self.mean.fill(0.0);
        (self.geometry, self.frame_ns) = (None, None);
        self.samples = 0;
        self.shared.history.begin(acquisition);
        if let Some(exact) = &self.shared.exact {
            exact.samples().begin(acquisition);
        }
        (self.is_settled, self.view_changes) = (false, 0);
        self.overload.begin();
        self.sampler.restart();
        self.classifier.begin();
    }

    /// Counts an accepted frame, whether or not it is processed.
    fn count_frame(&mut self, slot: &Slot) {
        let Some(frame) = slot.frame else { return };
        if self.result.frames_used == 0 {
            self.result.first_sequence = frame.sequence;
        }
        self.result.last_sequence = frame.sequence;
        self.frame_ns = Some(frame.time_ns);
        self.result.frames_used += 1;
    }

    fn process_frame(
        &mut self,
        previous: Option<&Slot>,
        slot: &Slot,
        newest_ns: Option<i64>,
    ) -> Result<()> {
        if self.shared.self_test.has_failed() {
            return Err(Status::SelfTest.into());
        }
        let Some(frame) = slot.frame else {
            return if slot.is_changed { self.change() } else { Ok(()) };
        };
        let has_moved = self.geometry.is_some_and(|known| known != frame.geometry);
        if slot.is_changed || has_moved {
            self.change()?;
        }
        self.geometry = Some(frame.geometry);
        if slot.is_clock_step {
            self.step_clock(frame.time_ns)?;
        }
        let ahead_ns = newest_ns.map_or(0, |newest| newest.saturating_sub(frame.time_ns));
        self.skip_chunks(frame.time_ns, ahead_ns)?;
        if self.overload.is_skipping() {
            return Ok(());
        }
        self.decide_samples(previous, slot, frame.time_ns)
    }

    /// Applies the overload rule before the frame at `time_ns` is processed.
    fn skip_chunks(&mut self, time_ns: i64, ahead_ns: i64) -> Result<()> {
        if self.is_settled {
            return Ok(());
        }
        self.classifier.set_behind(self.overload.is_behind(ahead_ns));
        let skipped = self.overload.end_skip(time_ns);
        self.shared.counters.skipped_chunks.fetch_add(skipped, Relaxed);
        if self.overload.must_skip(ahead_ns) {
            let start_ns = self.sampler.grid().map(|grid| grid.start_ns);
            self.end_segment()?;
            if self.is_settled {
                return Ok(());
            }
            self.result.flags |= ResultFlags::DEGRADED | ResultFlags::DISCONTINUITY;
            let skipped = self.overload.start_skip(start_ns, time_ns, ahead_ns);
            if !skipped.is_empty() {
                let span = Span { first_ns: skipped.start, last_ns: skipped.end - 1 };
                self.shared.history.add_skip(span);
            }
        }
        Ok(())
    }

    /// Handles a change: ends the segment and restarts the mean. The next frame starts a new
    /// segment from the initial state.
    fn change(&mut self) -> Result<()> {
        self.end_segment()?;
        self.classifier.restart_mean();
        self.is_settled = false;
        self.result.flags.remove(ResultFlags::SETTLED);
        self.result.flags |= ResultFlags::DISCONTINUITY;
        count(&self.shared.counters.changes);
        Ok(())
    }

    /// Handles a step of the host's clock to `time_ns`: ends the segment. The mean continues.
    fn step_clock(&mut self, time_ns: i64) -> Result<()> {
        self.end_segment()?;
        self.sampler.restart();
        self.shared.history.step_clock(time_ns);
        if let Some(exact) = &self.shared.exact {
            exact.samples().step_clock(time_ns);
        }
        self.result.flags |= ResultFlags::DISCONTINUITY | ResultFlags::CLOCK_STEP;
        count(&self.shared.counters.clock_steps);
        Ok(())
    }

    fn end_segment(&mut self) -> Result<()> {
        if self.sampler.grid().is_some() {
            self.sampler.end_segment();
            self.repeat(|classifier| classifier.end_segment())?;
        }
        Ok(())
    }

    /// Adds the samples that are decided when the frame in `slot` arrives.
    fn decide_samples(&mut self, previous: Option<&Slot>, slot: &Slot, time_ns: i64) -> Result<()> {
        if self.sampler.is_gap(time_ns) {
            self.end_segment()?;
            self.result.flags |= ResultFlags::DISCONTINUITY;
            count(&self.shared.counters.gaps);
        }
        let arrival = self.sampler.add_frame(time_ns);
        let Arrival::Accepted { starts_segment, previous: of_previous, current } = arrival else {
            return Ok(());
        };
        if starts_segment {
            self.start_segment()?;
        }
        if let Some(previous) = previous {
            self.add_samples(previous, of_previous)?;
        }
        self.add_samples(slot, current)
    }

    fn start_segment(&mut self) -> Result<()> {
        self.segment_samples = 0;
        self.chunk_ns = 0;
        self.overload.start_segment();
        match self.sampler.grid() {
            Some(grid) if !self.is_settled => self.classifier.start_segment(grid),
            _ => Ok(()),
        }
    }

    /// Adds the frame in `slot` as `times` consecutive samples.
    fn add_samples(&mut self, slot: &Slot, times: usize) -> Result<()> {
        let Some(frame) = slot.frame else { return Ok(()) };
        for time in 0..times {
            let runs = !self.is_settled;
            if time > 0 && runs {
                self.classifier.repeat_sample();
            } else if runs || self.shared.exact.is_some() {
                let start = clock::now();
                let bytes = frame.geometry.frame_bytes();
                let pixels = slot.buffer.get(..bytes).unwrap_or_default();
                self.preprocess.run(&frame.geometry, pixels, self.classifier.next_sample())?;
                self.result.preprocess_ns += elapsed_ns(start, clock::now());
            }
            self.keep_sample();
            self.samples += 1;
            self.segment_samples += 1;
            count(&self.shared.counters.samples);
            if runs {
                self.commit_sample()?;
            }
        }
        Ok(())
    }

    /// Stores the newest sample, if the stream keeps samples for exact queries.
    fn keep_sample(&mut self) {
        let (Some(exact), Some(grid)) = (&self.shared.exact, self.sampler.grid()) else { return };
        let sample = self.segment_samples;
        let (time_ns, next_ns) = (grid.time_ns(sample), grid.time_ns(sample + 1));
        exact.samples().keep(time_ns, next_ns, sample == 0, self.classifier.next_sample());
    }
}
