//! The acquisition of a cine on a stream whose worker runs on one of the library's threads.

use crate::cine::{Facts, Frame};
use crate::failure::{Exit, Failure};
use std::time::Duration;
use tteview::frame::{FrameView, Geometry};
use tteview::{
    Acquirer, Engine, Mode, ModelSpec, PushError, Reader, Status, Stream, StreamConfig, ViewResult,
};

/// Number of frames that the ring can hold, unless the frames are large. With room for several
/// frames, the decoder and the network need not wait for each other at every frame.
const RING_SLOTS: usize = 32;

/// Memory for the frames in the ring. If the frames are large, the ring has fewer slots.
const RING_BYTES: usize = 64 << 20;

/// Minimum number of slots of the ring, however large the frames are.
const MIN_RING_SLOTS: usize = 2;

/// Time to wait before checking again whether a full ring has a free slot.
const FULL_RING_PAUSE: Duration = Duration::from_micros(500);

/// Minimum value of `gap_ns`, in frame periods. With the default `gap_ns`, every frame of a slow
/// cine could start a new segment.
const FRAMES_IN_A_GAP: i64 = 3;

/// Largest `gap_ns` that a stream accepts.
const LONGEST_GAP_NS: i64 = 10_000_000_000;

/// An acquisition in progress on its own stream.
pub(crate) struct Acquisition {
    acquirer: Acquirer,
    reader: Reader,
    id: u64,
    geometry: Geometry,
    pushed: u64,
}

impl Acquisition {
    /// Opens a stream for the cine and begins an acquisition.
    pub(crate) fn begin(engine: &Engine, facts: &Facts) -> Result<Self, Failure> {
        let config = StreamConfig {
            window_hop_samples: window_hop(engine.spec(), None)?,
            ring_slots: fit_ring(RING_SLOTS, facts),
            ..stream_config(facts, facts.timing.period_ns())
        };
        let Stream { mut acquirer, reader, .. } = Stream::open(engine, &config)?;
        let id = acquirer.begin()?;
        Ok(Self { acquirer, reader, id, geometry: *facts.geometry(), pushed: 0 })
    }

    /// Waits until the ring has a free slot, then pushes a frame.
    pub(crate) fn push(&mut self, frame: &Frame) -> Result<(), Failure> {
        let view = FrameView::new(self.geometry, &frame.pixels)?;
        let view = view.with_time_ns(frame.time_ns).with_sequence(self.pushed);
        while self.acquirer.free_slots() == 0 {
            std::thread::sleep(FULL_RING_PAUSE);
        }
        self.pushed += 1;
        match self.acquirer.push(&view) {
            // The stream counts refused frames, so they are not errors here.
            Ok(()) | Err(PushError::Refused) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the newest result, if there is one.
    pub(crate) fn poll(&self) -> Option<ViewResult> {
        self.reader.poll(&mut []).ok()
    }

    /// Ends the acquisition and waits for its final result. Also returns the posterior and the
    /// number of frames that the stream refused.
    pub(crate) fn end(mut self) -> Result<(ViewResult, Vec<f32>, u64), Failure> {
        self.acquirer.end()?;
        let mut scores = vec![0.0; self.reader.label_count()];
        let result = self.reader.wait(self.id, Duration::MAX, &mut scores)?;
        match result.status {
            Status::Ok => Ok((result, scores, self.reader.stats().refused)),
            status => Err(status.into()),
        }
    }
}

/// Returns the hop of window mode in samples, which is 0 in stream mode. Without a value, it is a
/// quarter of a clip, which is also what a stream chooses on a fast device. Commands that read
/// files do not let the stream choose the hop, because the stream would choose it from the measured
/// run time of a clip, and the results would depend on the machine's load.
pub(crate) fn window_hop(spec: &ModelSpec, hop: Option<usize>) -> Result<usize, Failure> {
    let clip = spec.clip_samples;
    match (spec.mode, hop) {
        (Mode::Stream, None) => Ok(0),
        (Mode::Stream, Some(_)) => Err(Failure::new(
            Exit::Usage,
            "--hop needs a package in window mode, but the network of this package streams",
        )),
        (Mode::Window, None) => Ok((clip / 4).max(1)),
        (Mode::Window, Some(hop)) if (1..=clip).contains(&hop) => Ok(hop),
        (Mode::Window, Some(hop)) => {
            let message = format!("--hop must be 1 to {clip}, the samples of a clip, got {hop}");
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

/// Returns the number of slots that fit into the memory for the ring, at most `slots`.
fn fit_ring(slots: usize, facts: &Facts) -> usize {
    (RING_BYTES / facts.geometry().frame_bytes().max(1)).clamp(MIN_RING_SLOTS, slots)
}

/// Returns the stream settings for the frames of a cine. `period_ns` is the usual time between two
/// frames. With these settings, only a much longer time between two frames counts as a gap.
pub(crate) fn stream_config(facts: &Facts, period_ns: i64) -> StreamConfig {
    let geometry = facts.geometry();
    let default = StreamConfig::default();
    StreamConfig {
        max_width_px: geometry.width_px(),
        max_height_px: geometry.height_px(),
        max_frame_bytes: geometry.frame_bytes(),
        ring_slots: fit_ring(default.ring_slots, facts),
        gap_ns: default.gap_ns.max(period_ns.saturating_mul(FRAMES_IN_A_GAP).min(LONGEST_GAP_NS)),
        ..default
    }
}
