//! A cine through the library, as one acquisition.

use crate::cine::{Facts, Frame};
use crate::{Exit, Failure};
use std::time::Duration;
use tteview::frame::{FrameView, Geometry};
use tteview::{Engine, Error, Reader, Status, Stream, StreamConfig, ViewResult};

/// Frames between the decoder and the network. Enough that neither waits for single frames of the other.
const RING_SLOTS: usize = 32;

/// Pause while the ring is full: short beside the frames that it holds.
const FULL: Duration = Duration::from_micros(500);

/// A file has no pauses but those that its times say: so many frames of a slow file must be missing for a gap.
const FRAMES_IN_A_GAP: i64 = 3;

/// Longest gap a stream can be asked for.
const LONGEST_GAP_NS: i64 = 10_000_000_000;

/// An acquisition under way.
pub(crate) struct Acquisition {
    stream: Stream,
    reader: Reader,
    id: u64,
    geometry: Geometry,
    pushed: u64,
}

/// The result of one cine.
pub(crate) struct Acquired {
    pub(crate) result: ViewResult,
    /// Frames whose time was not later than the one before.
    pub(crate) refused: u64,
}

impl Acquisition {
    /// Begins an acquisition on a stream of its own.
    pub(crate) fn begin(engine: &Engine, facts: &Facts) -> Result<Self, Failure> {
        let geometry = facts.geometry();
        let config = StreamConfig {
            ring_slots: RING_SLOTS,
            max_width_px: facts.width_px,
            max_height_px: facts.height_px,
            max_frame_bytes: geometry.frame_bytes(),
            gap_ns: gap_ns(facts.timing.period_ns()),
            ..StreamConfig::default()
        };
        let mut stream = Stream::new(engine, &config).map_err(model)?;
        let reader = stream.reader();
        let id = stream.begin().map_err(|status| model(status.into()))?;
        Ok(Self { stream, reader, id, geometry, pushed: 0 })
    }

    /// Pushes a frame, and waits for room before where the network is behind.
    pub(crate) fn push(&mut self, frame: &Frame) -> Result<(), Failure> {
        let view = FrameView::packed(self.geometry, &frame.pixels, frame.time_ns).map_err(model)?;
        while self.stream.room() == 0 {
            std::thread::sleep(FULL);
        }
        let status = self.stream.push(&FrameView { sequence: self.pushed, ..view });
        self.pushed += 1;
        match status {
            // A refused frame is counted.
            Status::Ok | Status::FrameRefused => Ok(()),
            status => Err(model(status.into())),
        }
    }

    /// Reads the newest result, if there is one.
    pub(crate) fn poll(&self, result: &mut ViewResult) -> bool {
        self.reader.poll(result) == Status::Ok
    }

    /// Memory to poll into.
    pub(crate) fn result(&self) -> ViewResult {
        self.reader.result()
    }

    /// Ends the acquisition and waits for its label.
    pub(crate) fn end(mut self) -> Result<Acquired, Failure> {
        let mut result = self.reader.result();
        let statuses =
            [self.stream.end(), self.reader.wait(self.id, Duration::MAX, &mut result), result.status];
        match statuses.into_iter().find(|&status| status != Status::Ok) {
            None => Ok(Acquired { result, refused: self.reader.stats().refused }),
            Some(status) => Err(model(status.into())),
        }
    }
}

/// Time without a frame that ends a segment: the library's, or more where the frames are slower than that.
pub(crate) fn gap_ns(period_ns: i64) -> i64 {
    let slow = period_ns.saturating_mul(FRAMES_IN_A_GAP).min(LONGEST_GAP_NS);
    StreamConfig::default().gap_ns.max(slow)
}

fn model(error: Error) -> Failure {
    let message = match error.message() {
        "" => error.status().to_string(),
        _ => error.to_string(),
    };
    Failure { exit: Exit::Model, message }
}
