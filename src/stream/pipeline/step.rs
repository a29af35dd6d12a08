//! Steps of the network and their effect on the result.

use super::Pipeline;
use crate::classifier::decision::{clear_decision, conclude};
use crate::classifier::interface::{Classifier, Step};
use crate::classifier::rules::RuleOutcome;
use crate::clock::{self, elapsed_ns};
use crate::error::{Error, Result, Status};
use crate::result::ResultFlags;
use crate::stream::history::Covered;
use crate::stream::stats::count;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

impl Pipeline {
    /// Adds the sample that has been written to the classifier, which may run the network.
    pub(super) fn commit_sample(&mut self) -> Result<()> {
        let start = clock::now();
        let step = self.classifier.commit_sample()?;
        let ended_chunk = matches!(step, Step::Sampled { ends_chunk: true });
        self.finish_step(step, start);
        self.repeat(|classifier| classifier.collect())?;
        // The time in which the fast lane waits for the slow lane counts, too.
        self.chunk_ns += elapsed_ns(start, clock::now());
        if ended_chunk {
            self.overload.add_step(std::mem::take(&mut self.chunk_ns));
        }
        Ok(())
    }

    /// Calls a function of the classifier until nothing happens or the label is settled.
    pub(super) fn repeat(&mut self, call: fn(&mut dyn Classifier) -> Result<Step>) -> Result<()> {
        while !self.is_settled {
            let start = clock::now();
            match call(self.classifier.as_mut())? {
                Step::Idle => break,
                step => self.finish_step(step, start),
            }
        }
        Ok(())
    }

    /// Records what the classifier has done since `start`, and publishes the new result.
    fn finish_step(&mut self, step: Step, start: Instant) {
        match step {
            Step::Idle => {}
            Step::Skipped => {
                count(&self.shared.counters.skipped_chunks);
                self.result.flags |= ResultFlags::DEGRADED;
            }
            Step::Sampled { .. } => {
                self.result.inference_ns += elapsed_ns(start, clock::now());
                self.result.flags |= ResultFlags::PROVISIONAL;
                if self.publishes_samples {
                    self.update_result();
                    self.publish();
                }
            }
            Step::Ran => {
                self.count_step(start);
                self.add_output();
            }
            Step::Completed { slow_ns } => {
                self.result.inference_ns += slow_ns;
                self.result.slow_inference_ns += slow_ns;
                self.add_output();
            }
            Step::Failed(error) => {
                if !self.has_frame_steps() {
                    self.count_step(start);
                }
                self.count_failure(&error);
                self.update_result();
                self.publish();
            }
        }
    }

    /// Counts an output and publishes the new result.
    fn add_output(&mut self) {
        count(&self.shared.counters.chunks);
        self.apply_rules(self.classifier.rule_outcome());
        self.update_result();
        self.publish();
    }

    fn has_frame_steps(&self) -> bool {
        self.shared.spec.frame_steps.is_some()
    }

    /// Records the duration of a step that began at `start`, whether or not it failed.
    fn count_step(&mut self, start: Instant) {
        let time_ns = elapsed_ns(start, clock::now());
        self.overload.add_step(time_ns);
        self.result.inference_ns += time_ns;
        self.result.flags |= ResultFlags::PROVISIONAL;
    }

    /// Counts a chunk or window that failed. Only the first failure of an acquisition is logged.
    fn count_failure(&mut self, error: &Error) {
        if self.result.failed_chunks == 0 {
            let acquisition = self.result.acquisition;
            if error.message().is_empty() {
                log::error!("acquisition {acquisition}: the logits of a step are not finite");
            } else {
                log::error!("acquisition {acquisition}: a step failed: {error}");
            }
        }
        self.failure = self.shared.record_event(error.status());
        self.result.failed_chunks += 1;
        self.result.flags |= ResultFlags::FAILED_CHUNKS | ResultFlags::DISCONTINUITY;
        count(&self.shared.counters.failed_chunks);
    }

    fn apply_rules(&mut self, outcome: RuleOutcome) {
        if outcome.is_settled && !self.is_settled {
            self.is_settled = true;
            self.result.flags |= ResultFlags::SETTLED;
            self.shared.history.end(self.reached_ns());
        }
        let new = outcome.view_changes.saturating_sub(self.view_changes);
        if new > 0 {
            self.shared.counters.view_changes.fetch_add(new, Relaxed);
            self.view_changes = outcome.view_changes;
            self.result.flags |= ResultFlags::VIEW_CHANGED;
        }
    }

    /// Updates the result and its posterior from the outputs so far.
    pub(super) fn update_result(&mut self) {
        let covered = self.read_mean();
        let spec = &self.shared.spec;
        let result = &mut self.result;
        result.flags.set(ResultFlags::SHORT, self.samples < spec.clip_samples as u64);
        result.flags.set(ResultFlags::DROPPED, result.frames_dropped > 0);
        let Some(covered) = covered else {
            self.mean.fill(0.0);
            result.chunks = 0;
            clear_decision(result, spec);
            return;
        };
        result.chunks = u32::try_from(covered.outputs).unwrap_or(u32::MAX);
        result.first_time_ns = covered.span.first_ns;
        result.last_time_ns = covered.span.last_ns;
        conclude(result, spec, &mut self.mean);
    }

    /// Writes the combination of the outputs so far. Returns what it covers, or `None` if no output
    /// counts yet or the head has failed.
    fn read_mean(&mut self) -> Option<Covered> {
        let mut covered = self.classifier.read_mean(&mut self.mean);
        if matches!(covered, Ok(None)) && self.publishes_samples {
            covered = self.classifier.read_partial(&mut self.mean);
        }
        match covered {
            Ok(covered) => {
                self.head_status = Status::Ok;
                covered
            }
            Err(error) => {
                // The label fails. A later label runs the head again.
                if self.head_status == Status::Ok {
                    log::error!(
                        "acquisition {}: the head failed: {error}",
                        self.result.acquisition
                    );
                }
                self.head_status = self.shared.record_event(error.status());
                None
            }
        }
    }
}
