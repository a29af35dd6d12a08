//! The end of an acquisition, and the publication of results.

use super::Pipeline;
use crate::clock::{self, elapsed_ns};
use crate::engine::scheduler::Scheduler;
use crate::error::{Error, Status};
use crate::result::{ResultFlags, ViewResult};
use crate::stream::mailbox::FINALS;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

impl Pipeline {
    /// Ends the last segment and publishes the final result.
    pub(super) fn finish(&mut self, ended: Instant) {
        if self.result.status == Status::Ok
            && let Err(error) = self.end_segment()
        {
            self.result.status = self.report_error(&error);
        }
        if self.result.status == Status::Cancelled && self.shared.is_stopping() {
            // The stream is being closed, so this acquisition gets no final result. The end of the
            // stream ends the waits.
            return;
        }
        self.close_history();
        self.update_result();
        if self.head_status == Status::Cancelled && self.shared.is_stopping() {
            return;
        }
        let is_left = self.result.chunks > 0 || self.classifier.failed_outputs() == 0;
        if self.result.status == Status::Ok && self.head_status != Status::Ok {
            self.result.status = self.head_status;
        } else if self.result.status == Status::Ok && !is_left {
            self.result.status = self.failure;
        }
        if self.result.status != Status::Ok {
            self.result.withhold();
        }
        self.result.flags.remove(ResultFlags::PROVISIONAL);
        self.result.flags |= ResultFlags::FINAL;
        self.result.latency_ns = elapsed_ns(ended, clock::now());
        self.publish();
    }

    pub(super) fn publish(&mut self) {
        let labels = self.shared.spec.labels.len();
        let posterior = self.mean.get(..labels).unwrap_or_default();
        self.shared.mailbox.publish(&self.result, posterior);
        // A callback that has panicked is not called again.
        if let Some(on_result) = self.on_result.as_mut().filter(|_| !self.is_in_callback) {
            self.is_in_callback = true;
            on_result(&self.result, posterior);
            self.is_in_callback = false;
        }
    }

    /// Announces to waiting queries that this acquisition has no further outputs or samples.
    fn close_history(&self) {
        self.shared.history.end(self.reached_ns());
        if let Some(exact) = &self.shared.exact {
            exact.samples().end(self.reached_ns());
        }
    }

    /// Returns the time after which the frames of later acquisitions lie. If times start again in
    /// every acquisition, there is no such time.
    pub(super) fn reached_ns(&self) -> Option<i64> {
        self.frame_ns.filter(|_| !self.shared.restarts_times)
    }

    /// Makes the stream unusable after a panic. The acquisition in progress and later ones that
    /// have begun get a final result, as many of them as the mailbox holds. Every other wait ends.
    pub(in crate::stream) fn poison(&mut self) {
        self.shared.set_poisoned();
        self.shared.record_event(Status::Poisoned);
        // An acquisition whose final result has been published keeps it.
        let first = self.result.acquisition + u64::from(self.result.is_final());
        let first = first.max(1);
        for acquisition in first..=self.shared.newest_acquisition().min(first + FINALS - 1) {
            if acquisition != self.result.acquisition {
                self.result = ViewResult::new(acquisition);
                self.mean.fill(0.0);
            }
            self.result.status = Status::Poisoned;
            self.result.withhold();
            self.result.flags.remove(ResultFlags::PROVISIONAL);
            self.result.flags |= ResultFlags::FINAL;
            // The callback of the host may panic, too.
            let _ = catch_unwind(AssertUnwindSafe(|| self.publish()));
        }
        self.shared.end_waits();
    }

    /// Stops the stream and ends every wait, because nothing will process further slots.
    pub(in crate::stream) fn stop(&self, scheduler: &Scheduler) {
        self.shared.stop(scheduler);
    }

    /// Ends the processing of the acquisition after an error, and publishes the error, so that no
    /// thread takes an earlier label for the current one.
    pub(super) fn abort(&mut self, error: &Error) {
        self.result.status = self.report_error(error);
        if !self.shared.is_stopping() {
            self.close_history();
            self.update_result();
            self.result.withhold();
            self.result.flags |= ResultFlags::PROVISIONAL;
            self.publish();
        }
    }

    fn report_error(&mut self, error: &Error) -> Status {
        if !self.shared.is_stopping() {
            log::error!("acquisition {}: {error}", self.result.acquisition);
        }
        self.shared.record_event(error.status())
    }
}
