//! Exact queries, for which a second classifier processes the kept samples again, starting from the
//! initial temporal state.

use super::history::{Coverage, Covered, History, Span};
use super::sample_store::{Availability, ClockState, SampleStore};
use crate::classifier::interface::{Classifier, ClassifierSettings, Step};
use crate::classifier::rules::Rules;
use crate::classifier::{Sessions, create_classifier};
use crate::engine::scheduled_session::Deadline;
use crate::error::{Result, Status};
use crate::model::ModelSpec;
use crate::sampling::Grid;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The part of a stream that answers exact queries. Only one query runs at a time; any other query
/// waits for it.
pub(super) struct ExactQuery {
    samples: SampleStore,
    interval_ns: i64,
    /// The lock makes exact queries run one after the other. Only threads that make exact queries
    /// take it, and never the worker. A query that waits for the lock gives up at its deadline.
    classifier: Mutex<Box<dyn Classifier>>,
    /// Only the thread that has locked `classifier` uses the deadline, so its lock is always free.
    deadline: Deadline,
}

impl ExactQuery {
    /// Allocates a store for `span_ns` of samples and creates a classifier that only exact queries
    /// use. `sessions` give up at `deadline`, and `settings` are the stream's classifier settings.
    pub(super) fn new(
        spec: &ModelSpec,
        span_ns: i64,
        sessions: Sessions,
        deadline: Deadline,
        settings: &ClassifierSettings,
    ) -> Result<Self> {
        let settings = ClassifierSettings {
            // Every classifier needs a history to write to, but this history is never read.
            history: Arc::new(History::new(spec.averaged_len(), 0, 1)?),
            label_span_ns: 0,
            rules: Rules::default(),
            ..settings.clone()
        };
        Ok(Self {
            samples: SampleStore::new(span_ns, spec.sample_interval_ns, spec.sample_len())?,
            interval_ns: spec.sample_interval_ns,
            classifier: Mutex::new(create_classifier(spec, sessions, &settings)?),
            deadline,
        })
    }

    /// Returns the store to which the worker adds samples.
    pub(super) fn samples(&self) -> &SampleStore {
        &self.samples
    }

    /// Computes the mean of the outputs that the samples in `interval` would have if they were a
    /// whole acquisition, and writes it to `mean`. `timeout` limits the duration of the whole call,
    /// and `begun` is the newest acquisition that has begun.
    ///
    /// # Errors
    /// Returns [`Status::Empty`] if the interval has no sample, [`Status::Cancelled`] if the stream
    /// ended before the network had run, [`Status::TimedOut`] if the timeout expires before the
    /// query has run, the status of the last failure if all chunks or windows failed, or the error
    /// of the backend.
    pub(super) fn run(
        &self,
        interval: Span,
        begun: u64,
        timeout: Duration,
        mean: &mut [f32],
    ) -> Result<(Coverage, Covered), Status> {
        let deadline = Instant::now().checked_add(timeout);
        let classifier = match deadline {
            None => Some(self.classifier.lock()),
            Some(deadline) => self.classifier.try_lock_until(deadline),
        };
        let mut classifier = classifier.ok_or(Status::TimedOut)?;
        *self.deadline.lock() = deadline;
        let mut failure = None;
        let processed =
            self.process_interval(classifier.as_mut(), interval, begun, deadline, &mut failure);
        let (coverage, is_cut_off) = match processed {
            // The stream was closed. The answer covers the steps that have run.
            Err(error) if error.status() == Status::Cancelled => (Coverage::Partial, true),
            processed => processed.map_err(|error| error.status())?,
        };
        let nothing = match failure {
            Some(status) => status,
            None if is_cut_off => Status::Cancelled,
            None => Status::Empty,
        };
        let covered = classifier.read_mean(mean).map_err(|error| error.status())?;
        let covered = covered.ok_or(nothing)?;
        Ok((coverage, covered))
    }

    /// Passes the samples of the interval to the classifier. Also returns whether the stream ended
    /// before all samples of the interval had arrived. If a chunk or window fails, `failure` is set
    /// to its status.
    fn process_interval(
        &self,
        classifier: &mut dyn Classifier,
        interval: Span,
        begun: u64,
        deadline: Option<Instant>,
        failure: &mut Option<Status>,
    ) -> Result<(Coverage, bool)> {
        let mut keep_failure = |step: &Step| {
            if let Step::Failed(error) = step {
                *failure = Some(error.status());
            }
        };
        classifier.begin();
        let beginning = self.samples.find_beginning(interval, begun)?;
        let (mut number, mut is_complete) = (beginning.first, beginning.is_kept);
        let mut clock = ReadClock::new(beginning.clock);
        let (mut is_open, mut is_cut_off, mut previous_ns) = (false, false, None);
        loop {
            match self.samples.wait_for_sample(number, interval.last_ns, begun, deadline) {
                Availability::Exists => {}
                availability @ (Availability::Late | Availability::Ended) => {
                    is_complete = false;
                    is_cut_off = availability == Availability::Ended;
                    break;
                }
                Availability::Never => break,
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Status::TimedOut.into());
            }
            let now = self.samples.clock(interval.last_ns, begun)?;
            clock.update(now);
            if clock.has_restarted_by(now, number) {
                if previous_ns.is_some() || now.is_over {
                    break;
                }
                // The query has not read a sample of the interval, so it can begin again.
                let beginning = self.samples.find_beginning(interval, begun)?;
                (number, is_complete) = (beginning.first, beginning.is_kept);
                clock = ReadClock::new(beginning.clock);
                continue;
            }
            let sample = self.samples.sample(number);
            // A sample that is not later than the previous one belongs to another acquisition,
            // before which the host's clock restarted.
            let is_outside = |time_ns: i64| {
                time_ns > interval.last_ns
                    || previous_ns.is_some_and(|previous| time_ns <= previous)
            };
            if sample.is_some_and(|sample| is_outside(sample.time_ns)) {
                break;
            }
            if sample.is_some_and(|sample| sample.time_ns < interval.first_ns) {
                // If a query begins before any sample of the interval has arrived, the first
                // samples that it reads can precede the interval. The query skips them.
                number += 1;
                continue;
            }
            if is_open && sample.is_none_or(|sample| sample.starts_segment) {
                repeat(classifier, |classifier| classifier.end_segment(), &mut keep_failure)?;
                is_open = false;
            }
            let Some(sample) = sample else {
                // The stream overwrote the sample before this query could read it.
                is_complete = false;
                number = self.samples.oldest()?.max(number + 1);
                continue;
            };
            if !is_open {
                let grid = Grid { start_ns: sample.time_ns, interval_ns: self.interval_ns };
                classifier.start_segment(grid)?;
                is_open = true;
            }
            if self.samples.copy(sample, classifier.next_sample()) {
                keep_failure(&classifier.commit_sample()?);
                repeat(classifier, |classifier| classifier.collect(), &mut keep_failure)?;
                number += 1;
                previous_ns = Some(sample.time_ns);
            } else {
                // The stream is overwriting the sample. Trying again until the worker has finished
                // would prevent it from finishing if this thread has a higher priority.
                repeat(classifier, |classifier| classifier.end_segment(), &mut keep_failure)?;
                (is_open, is_complete) = (false, false);
                number = self.samples.oldest()?.max(number + 1);
            }
        }
        if is_open {
            repeat(classifier, |classifier| classifier.end_segment(), &mut keep_failure)?;
        }
        clock.update(self.samples.clock(interval.last_ns, begun)?);
        Ok((Coverage::of(is_complete && !clock.may_lack_samples), is_cut_off))
    }
}

/// Calls a function of the classifier until nothing happens.
fn repeat(
    classifier: &mut dyn Classifier,
    call: fn(&mut dyn Classifier) -> Result<Step>,
    add: &mut impl FnMut(&Step),
) -> Result<()> {
    loop {
        match call(classifier)? {
            Step::Idle => return Ok(()),
            step => add(&step),
        }
    }
}

/// The clock of the samples that a query reads.
struct ReadClock {
    /// State when the query last saw the clock that it reads.
    state: ClockState,
    /// Whether samples of the interval may be missing because the clock has restarted.
    may_lack_samples: bool,
}

impl ReadClock {
    fn new(state: ClockState) -> Self {
        Self { state, may_lack_samples: false }
    }

    /// Takes note of the present state of the clock. After a clock step, samples of the interval
    /// may lie on the new clock. If the clock has restarted with a new acquisition, this is so only
    /// if the query was waiting for samples.
    fn update(&mut self, now: ClockState) {
        if now.first_valid == self.state.first_valid {
            self.state = now;
        } else {
            self.may_lack_samples |= now.has_stepped || self.state.is_awaited;
        }
    }

    /// Returns whether sample `number` lies on a later clock.
    fn has_restarted_by(&self, now: ClockState, number: u64) -> bool {
        now.first_valid != self.state.first_valid && number >= now.first_valid
    }
}
