//! A cine through the library, as one acquisition.

use crate::cine::Cine;
use crate::{Exit, Failure};
use std::time::Duration;
use tteview::frame::FrameView;
use tteview::{Engine, Error, Status, Stream, StreamConfig, ViewResult};

/// Frames between the decoder and the network. Enough that neither waits for single frames of the other.
const RING_SLOTS: usize = 32;

/// Pause while the ring is full: short beside the frames that it holds.
const FULL: Duration = Duration::from_micros(500);

/// A file has no pauses but those that its times say; a rate lower than this many frames before a gap is none.
const FRAMES_IN_A_GAP: i64 = 3;

/// Longest gap a stream can be asked for.
const LONGEST_GAP_NS: i64 = 10_000_000_000;

/// The result of one cine.
pub(crate) struct Acquired {
    pub(crate) result: ViewResult,
    /// Frames whose time was not later than the one before.
    pub(crate) refused: u64,
}

/// Pushes all frames and waits for the label. `pushed` hears how many frames are pushed.
pub(crate) fn acquire(engine: &Engine, cine: Cine, pushed: impl Fn(usize)) -> Result<Acquired, Failure> {
    let facts = cine.facts.clone();
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
    let acquisition = stream.begin().map_err(|status| model(status.into()))?;
    for (index, frame) in cine.enumerate() {
        let frame = frame.map_err(|error| Failure::files(error.to_string()))?;
        let view = FrameView::packed(geometry, &frame.pixels, frame.time_ns).map_err(model)?;
        while stream.room() == 0 {
            std::thread::sleep(FULL);
        }
        match stream.push(&FrameView { sequence: index as u64, ..view }) {
            // A refused frame is counted, and read below.
            Status::Ok | Status::FrameRefused => pushed(index + 1),
            status => return Err(model(status.into())),
        }
    }
    match stream.end() {
        Status::Ok => {}
        status => return Err(model(status.into())),
    }
    let mut result = reader.result();
    match reader.wait(acquisition, Duration::MAX, &mut result) {
        Status::Ok if result.status == Status::Ok => Ok(Acquired { result, refused: reader.stats().refused }),
        Status::Ok => Err(model(result.status.into())),
        status => Err(model(status.into())),
    }
}

/// Time without a frame that ends a segment: the library's, or more where the frames are slower than that.
fn gap_ns(period_ns: i64) -> i64 {
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
