//! The worker, which takes slots from the ring and passes them through the pipeline.

use super::pipeline::Pipeline;
use super::ring::Consumer;
use super::slot::Slot;
use crate::engine::scheduler::Scheduler;
use crate::error::{Result, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The worker, which takes slots from the ring and passes them through the pipeline.
///
/// A sample is the frame nearest to its grid time. Which frame is nearest is known only when the
/// next frame arrives, so the worker keeps the previous frame in its slot and releases the slot one
/// frame later.
pub(super) struct Worker {
    consumer: Consumer<Slot>,
    pipeline: Pipeline,
    /// Whether the oldest slot in the ring contains the previous frame.
    holds_previous: bool,
}

impl Worker {
    pub(super) fn new(consumer: Consumer<Slot>, pipeline: Pipeline) -> Self {
        Self { consumer, pipeline, holds_previous: false }
    }

    /// Returns the flag that is set when the worker must end.
    pub(super) fn stop_flag(&self) -> Arc<AtomicBool> {
        self.pipeline.stop_flag()
    }

    /// Returns whether the stream cannot be used.
    pub(super) fn is_poisoned(&self) -> bool {
        self.pipeline.is_poisoned()
    }

    /// Processes the oldest slot that has not been processed. Catches panics.
    ///
    /// # Errors
    /// Returns [`Status::NotReady`] if no such slot exists, or [`Status::Poisoned`] after a panic.
    pub(super) fn process_slot(&mut self) -> Result<(), Status> {
        if self.is_poisoned() {
            return Err(Status::Poisoned);
        }
        match catch_unwind(AssertUnwindSafe(|| self.process_next())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Status::NotReady),
            Err(_) => {
                self.poison();
                Err(Status::Poisoned)
            }
        }
    }

    /// Makes the stream unusable after a panic.
    pub(super) fn poison(&mut self) {
        self.pipeline.poison();
    }

    /// Stops the stream and ends every wait, because nothing will call this worker again.
    pub(super) fn stop(&self, scheduler: &Scheduler) {
        self.pipeline.stop(scheduler);
    }

    /// Processes the oldest slot that has not been processed. If no such slot exists, continues the
    /// slow lane. Returns false if there is nothing to do.
    fn process_next(&mut self) -> bool {
        let index = usize::from(self.holds_previous);
        if self.consumer.len() <= index {
            return self.pipeline.continue_slow_lane();
        }
        let previous = if self.holds_previous { self.consumer.peek(0) } else { None };
        let Some(slot) = self.consumer.peek(index) else { return false };
        let is_end = slot.ended.is_some();
        let newest_ns = self.newest_time_ns(index);
        self.pipeline.process(previous, slot, newest_ns);
        if self.holds_previous {
            self.consumer.release();
        }
        if is_end {
            self.consumer.release();
        }
        self.holds_previous = !is_end;
        true
    }

    /// Returns the time of the newest frame in the ring that follows the slot at `index` in the
    /// same acquisition and on the same clock.
    fn newest_time_ns(&self, index: usize) -> Option<i64> {
        let waiting = (index + 1..self.consumer.len()).map_while(|at| self.consumer.peek(at));
        let is_same_clock = |slot: &&Slot| slot.begins.is_none() && !slot.is_clock_step;
        waiting
            .take_while(is_same_clock)
            .filter_map(|slot| slot.frame)
            .last()
            .map(|frame| frame.time_ns)
    }
}
