//! The exact form of a query: kept samples, run again with fresh state by a classifier of its own.

use crate::backend::Session;
use crate::classifier::{self, Classifier, Rules, Settings};
use crate::history::{Covered, History, Span};
use crate::model::ModelSpec;
use crate::samples::{Awaited, Samples};
use crate::turn::{Claim, Deadline, InTurn, Turn};
use crate::{Result, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a stream has if exact queries are wanted. One query at a time; a second one waits.
pub(crate) struct Exact {
    pub(crate) samples: Samples,
    again: Mutex<Box<dyn Classifier>>,
    deadline: Deadline,
}

impl Exact {
    /// Keeps `span_ns` of samples. `session` is its own; the other settings are those of the stream.
    pub(crate) fn new(
        spec: &ModelSpec,
        span_ns: i64,
        session: Box<dyn Session>,
        turn: Arc<Turn>,
        settings: &Settings,
    ) -> Result<Self> {
        let deadline = Deadline::default();
        let session = Box::new(InTurn { session, turn, claim: Claim::Spare(Arc::clone(&deadline)) });
        let settings = Settings {
            // Of no use but to be written: the mean alone is asked for.
            history: Arc::new(History::new(spec.labels.len(), 0, 1)?),
            label_span_ns: 0,
            rules: Rules::default(),
            ..settings.clone()
        };
        Ok(Self {
            samples: Samples::new(span_ns, spec.sample_interval_ns, spec.sample_len())?,
            again: Mutex::new(classifier::classifier(spec, session, &settings)?),
            deadline,
        })
    }

    /// Posterior of the samples in `asked`, as if they were an acquisition of their own, into `out`.
    /// [`Status::Partial`]: older ones are gone, or one is still to come and did not before the timeout.
    ///
    /// # Errors
    /// [`Status::Empty`], [`Status::TimedOut`], or the backend's.
    pub(crate) fn query(
        &self,
        asked: Span,
        timeout: Duration,
        out: &mut [f32],
    ) -> std::result::Result<(Status, Covered), Status> {
        let deadline = Instant::now().checked_add(timeout);
        let again = match deadline {
            None => Some(self.again.lock()),
            Some(deadline) => self.again.try_lock_until(deadline),
        };
        let mut again = again.ok_or(Status::TimedOut)?;
        *self.deadline.lock() = deadline;
        let whole = self.run(again.as_mut(), asked, deadline).map_err(|error| error.status())?;
        let covered = again.posterior(out).ok_or(Status::Empty)?;
        Ok((if whole { Status::Ok } else { Status::Partial }, covered))
    }

    /// Runs the interval; false if a part of it is missing.
    fn run(&self, again: &mut dyn Classifier, asked: Span, deadline: Option<Instant>) -> Result<bool> {
        again.begin()?;
        let (oldest, forgotten) = self.samples.oldest();
        let mut number = self.samples.first(asked.first_ns);
        let known = |number| self.samples.sample(number).is_some_and(|first| first.time_ns <= asked.first_ns);
        let mut whole = !forgotten || number > oldest || known(number);
        let (mut open, mut before_ns) = (false, i64::MIN);
        loop {
            match self.samples.wait(number, asked.last_ns, deadline) {
                Awaited::There => {}
                Awaited::Late => {
                    whole = false;
                    break;
                }
                Awaited::Never => break,
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Status::TimedOut.into());
            }
            let sample = self.samples.sample(number);
            // What comes before in time is of another acquisition, whose clock began anew.
            if sample.is_some_and(|sample| sample.time_ns > asked.last_ns || sample.time_ns <= before_ns) {
                break;
            }
            if open && sample.is_none_or(|sample| sample.starts) {
                again.end_segment()?;
                open = false;
            }
            let Some(sample) = sample else {
                // The stream was faster than this and has overwritten it.
                whole = false;
                number = self.samples.oldest().0.max(number + 1);
                continue;
            };
            if !open {
                again.start_segment(sample.time_ns)?;
                open = true;
            }
            if self.samples.copy(sample, again.sample()) {
                again.commit_sample()?;
                number += 1;
                before_ns = sample.time_ns;
            }
        }
        if open {
            again.end_segment()?;
        }
        Ok(whole)
    }
}
