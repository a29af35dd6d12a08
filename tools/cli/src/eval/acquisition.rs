//! The acquisitions that the evaluation runs. Each cine is processed frame by frame on one thread,
//! by a host-driven stream. The results therefore do not depend on the timing of threads, and every
//! run gives the same posterior after the same chunk.

use crate::acquisition::{stream_config, window_hop};
use crate::cine::Facts;
use crate::failure::{Exit, Failure};
use std::sync::mpsc::{Receiver, channel};
use tteview::frame::{FrameView, Geometry};
use tteview::{
    Acquirer, Drive, Driver, Engine, Hooks, OnResult, PushError, ResultFlags, Status, Stream,
    StreamConfig, ViewChange, ViewResult,
};

/// The posterior after a chunk or window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    /// Grid time of the last sample that the posterior covers.
    pub(super) time_ns: i64,
    pub(super) posterior: Vec<f32>,
    /// Novelty score, if the model defines one.
    pub(super) novelty: Option<f64>,
}

/// An acquisition in progress on its own stream.
pub(super) struct Acquisition {
    acquirer: Acquirer,
    driver: Driver,
    results: Receiver<(ViewResult, Vec<f32>)>,
    geometry: Geometry,
    pushed: u64,
}

impl Acquisition {
    /// Opens a stream for cines with these facts and begins an acquisition. `period_ns` is the
    /// usual time between two frames. Only a much longer time counts as a gap.
    pub(super) fn begin(
        engine: &Engine,
        facts: &Facts,
        period_ns: i64,
        view_change: Option<ViewChange>,
    ) -> Result<Self, Failure> {
        let config = StreamConfig {
            drive: Drive::Host,
            view_change,
            window_hop_samples: window_hop(engine.spec(), None)?,
            ..stream_config(facts, period_ns)
        };
        let (sender, results) = channel();
        let on_result: OnResult = Box::new(move |result, posterior| {
            // The receiver exists as long as the stream, so sending does not fail.
            let _ = sender.send((*result, posterior.to_vec()));
        });
        let hooks = Hooks { on_result: Some(on_result), ..Hooks::default() };
        let stream = Stream::open_with_hooks(engine, &config, hooks)?;
        let Stream { mut acquirer, driver: Some(driver), .. } = stream else {
            return Err(Failure::new(
                Exit::Model,
                "the library opened no driver for a host-driven stream",
            ));
        };
        acquirer.begin()?;
        Ok(Self { acquirer, driver, results, geometry: *facts.geometry(), pushed: 0 })
    }

    /// Pushes a frame with packed rows and processes it.
    pub(super) fn push(&mut self, pixels: &[u8], time_ns: i64) -> Result<(), Failure> {
        let frame = FrameView::new(self.geometry, pixels)?;
        let frame = frame.with_time_ns(time_ns).with_sequence(self.pushed);
        self.pushed += 1;
        match self.acquirer.push(&frame) {
            // The stream refuses a frame whose time is not later than that of the previous frame.
            // The evaluation skips such a frame.
            Err(PushError::Refused) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => self.process(),
        }
    }

    fn process(&mut self) -> Result<(), Failure> {
        loop {
            match self.driver.process() {
                Ok(()) => {}
                Err(Status::NotReady) => return Ok(()),
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Ends the acquisition and returns the posterior after each chunk or window.
    pub(super) fn end(mut self) -> Result<Vec<Output>, Failure> {
        self.acquirer.end()?;
        self.process()?;
        let mut results: Vec<(ViewResult, Vec<f32>)> = self.results.try_iter().collect();
        if let Some((failed, _)) = results.iter().find(|(result, _)| result.status != Status::Ok) {
            return Err(failed.status.into());
        }
        if results.last().is_none_or(|(last, _)| !last.is_final()) {
            return Err(Failure::new(Exit::Model, "the acquisition has no final result"));
        }
        if results.iter().any(|(result, _)| result.flags.contains(ResultFlags::DEGRADED)) {
            return Err(Failure::new(Exit::Model, "the stream skipped chunks"));
        }
        // If nothing was left to compute at the end, the final result repeats the previous one.
        // Only one of the two is kept.
        results.dedup_by_key(|(result, _)| (result.chunks, result.last_time_ns));
        results.retain(|(result, _)| result.chunks > 0);
        if results.is_empty() {
            return Err(Failure::new(Exit::Model, "the acquisition has no chunk"));
        }
        let output = |(result, posterior): (ViewResult, _)| Output {
            time_ns: result.last_time_ns,
            posterior,
            novelty: (!result.flags.contains(ResultFlags::NO_NOVELTY)).then_some(result.novelty),
        };
        Ok(results.into_iter().map(output).collect())
    }
}
