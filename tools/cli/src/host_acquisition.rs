//! Acquisitions that one thread processes frame by frame, on a host-driven stream. The results do
//! not depend on the timing of threads, so every run gives the same posterior after the same chunk,
//! whatever else the machine does.

use crate::acquisition::{stream_config, window_hop};
use crate::cine::Facts;
use crate::failure::{Exit, Failure};
use std::sync::mpsc::{Receiver, channel};
use tteview::frame::{FrameView, Geometry};
use tteview::{
    Acquirer, Drive, Driver, Engine, Hooks, OnResult, PushError, Reader, Status, Stream,
    StreamConfig, ViewChange, ViewResult,
};

/// Number of slots of the ring. Each frame is processed before the next one is pushed.
const RING_SLOTS: usize = 2;

/// An acquisition in progress on its own stream.
pub(crate) struct HostAcquisition {
    acquirer: Acquirer,
    driver: Driver,
    reader: Reader,
    results: Receiver<(ViewResult, Vec<f32>)>,
    geometry: Geometry,
    pushed: u64,
}

/// The results of a cine.
pub(crate) struct Results {
    /// The results and posteriors after each chunk or window, and the final ones.
    pub(crate) results: Vec<(ViewResult, Vec<f32>)>,
    /// Number of frames that the stream refused because their time was not later than that of the
    /// previous frame.
    pub(crate) refused: u64,
}

impl HostAcquisition {
    /// Opens a stream for cines with these facts and begins an acquisition. `period_ns` is the
    /// usual time between two frames. Only a much longer time counts as a gap. In window mode, the
    /// network runs every `hop` samples.
    pub(crate) fn begin(
        engine: &Engine,
        facts: &Facts,
        period_ns: i64,
        hop: Option<usize>,
        view_change: Option<ViewChange>,
    ) -> Result<Self, Failure> {
        let config = StreamConfig {
            drive: Drive::Host,
            view_change,
            window_hop_samples: window_hop(engine.spec(), hop)?,
            ring_slots: RING_SLOTS,
            ..stream_config(facts, period_ns)
        };
        let (sender, results) = channel();
        let on_result: OnResult = Box::new(move |result, posterior| {
            // The receiver exists as long as the stream, so sending does not fail.
            let _ = sender.send((*result, posterior.to_vec()));
        });
        let hooks = Hooks { on_result: Some(on_result), ..Hooks::default() };
        let stream = Stream::open_with_hooks(engine, &config, hooks)?;
        let Stream { mut acquirer, driver: Some(driver), reader } = stream else {
            return Err(Failure::new(
                Exit::Model,
                "the library opened no driver for a host-driven stream",
            ));
        };
        acquirer.begin()?;
        Ok(Self { acquirer, driver, reader, results, geometry: *facts.geometry(), pushed: 0 })
    }

    /// Pushes a frame with packed rows and processes it. A frame whose time is not later than that
    /// of the previous frame is refused by the stream, which counts it.
    pub(crate) fn push(&mut self, pixels: &[u8], time_ns: i64) -> Result<(), Failure> {
        let frame = FrameView::new(self.geometry, pixels)?;
        let frame = frame.with_time_ns(time_ns).with_sequence(self.pushed);
        self.pushed += 1;
        match self.acquirer.push(&frame) {
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

    /// Ends the acquisition and returns its results, of which the last one is final.
    pub(crate) fn end(mut self) -> Result<Results, Failure> {
        self.acquirer.end()?;
        self.process()?;
        let results: Vec<(ViewResult, Vec<f32>)> = self.results.try_iter().collect();
        if results.last().is_none_or(|(last, _)| !last.is_final()) {
            return Err(Failure::new(Exit::Model, "the acquisition has no final result"));
        }
        Ok(Results { results, refused: self.reader.stats().refused })
    }
}
