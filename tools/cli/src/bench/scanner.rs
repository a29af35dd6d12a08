//! Consecutive acquisitions on one stream, as in a scanner, and the values that the host observes.

use super::rate::Rate;
use super::times::Times;
use crate::failure::Failure;
use clap::ValueEnum;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{
    Acquirer, Engine, Hooks, OnResult, PartialChunk, PushError, Reader, ResultFlags, Status,
    Stream, StreamConfig,
};

/// Number of different images that are pushed in turn. The images contain noise. The noise does not
/// shorten the measured times, because no part of the library processes noise faster than an
/// ultrasound image.
const IMAGES: usize = 8;

/// Time to wait before checking again whether a full ring has a free slot.
const FULL_RING_PAUSE: Duration = Duration::from_micros(100);

/// A scanner with one stream.
pub(super) struct Scanner {
    acquirer: Acquirer,
    reader: Reader,
    geometry: Geometry,
    images: Vec<Vec<u8>>,
    rate: Rate,
    ending: Ending,
    interval_ns: i64,
    chunk_samples: i64,
    /// Moment that corresponds to the frame time 0.
    clock: Instant,
    label_ages: Arc<Mutex<Times>>,
}

/// When an acquisition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ending {
    /// Directly after the last frame
    LastFrame,
    /// At any time, up to one frame after the last one, as when a user freezes the image
    AnyTime,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LastFrame => "directly after the last frame",
            Self::AnyTime => "at any time after the last frame",
        })
    }
}

/// The values that the host observes in one acquisition.
pub(super) struct Observation {
    /// Time from the call of `end` to the label.
    pub(super) latency: Duration,
    /// The latency as measured by the library. It does not include the time until the host's thread
    /// wakes up.
    pub(super) library_latency: Duration,
    /// Fraction of a chunk that had elapsed since the last whole chunk when the acquisition ended.
    pub(super) phase: f64,
    /// Number of samples of the last chunk that were decided when the acquisition ended; 0 if it
    /// ended with a whole chunk.
    pub(super) partial_samples: u64,
    pub(super) frames: u64,
    pub(super) chunks: u32,
    pub(super) dropped: u64,
    pub(super) is_degraded: bool,
}

impl Scanner {
    /// Opens a stream for grey frames of this size.
    pub(super) fn new(
        engine: &Engine,
        [width_px, height_px]: [u32; 2],
        rate: Rate,
        ending: Ending,
        partial_chunk: PartialChunk,
    ) -> Result<Self, Failure> {
        let geometry = Geometry::new(PixelFormat::Gray8, width_px, height_px)?;
        let config = StreamConfig {
            max_width_px: width_px,
            max_height_px: height_px,
            max_frame_bytes: geometry.frame_bytes(),
            partial_chunk,
            ..StreamConfig::default()
        };
        let clock = Instant::now();
        let label_ages = Arc::new(Mutex::new(Times::new()));
        let hook_ages = Arc::clone(&label_ages);
        let on_result: OnResult = Box::new(move |result, _| {
            if rate != Rate::Max && result.flags.contains(ResultFlags::PROVISIONAL) {
                let age_ns = to_ns(clock.elapsed()) - result.last_time_ns;
                let age = Duration::from_nanos(age_ns.max(0).unsigned_abs());
                hook_ages.lock().unwrap_or_else(PoisonError::into_inner).add(age);
            }
        });
        let hooks = Hooks { on_result: Some(on_result), ..Hooks::default() };
        let Stream { acquirer, reader, .. } = Stream::open_with_hooks(engine, &config, hooks)?;
        let spec = engine.spec();
        Ok(Self {
            acquirer,
            reader,
            geometry,
            images: create_images(geometry.frame_bytes()),
            rate,
            ending,
            interval_ns: spec.sample_interval_ns,
            chunk_samples: spec.alpha as i64,
            clock,
            label_ages,
        })
    }

    /// Acquires for `seconds`, rounded up to whole chunks, and for the fraction `phase` of a
    /// further chunk.
    pub(super) fn acquire(&mut self, seconds: f64, phase: f64) -> Result<Observation, Failure> {
        let chunk_ns = (self.interval_ns * self.chunk_samples) as f64;
        let chunks = (seconds * 1e9 / chunk_ns).ceil();
        let length_ns = ((chunks + phase) * chunk_ns) as i64;
        let samples_before = self.reader.stats().samples;
        let start_ns = to_ns(self.clock.elapsed());
        let acquisition = self.acquirer.begin()?;
        let frames = match self.rate {
            Rate::Hertz(hertz) => self.push_by_clock(length_ns, (1e9 / hertz) as i64)?,
            Rate::Max => self.push_at_once(length_ns)?,
        };
        let phase = match self.rate {
            Rate::Hertz(_) => (to_ns(self.clock.elapsed()) - start_ns) as f64 / chunk_ns,
            Rate::Max => phase,
        };
        let end = Instant::now();
        self.acquirer.end()?;
        let result = self.reader.wait(acquisition, Duration::MAX, &mut [])?;
        let latency = end.elapsed();
        if result.status != Status::Ok {
            return Err(result.status.into());
        }
        Ok(Observation {
            latency,
            library_latency: Duration::from_nanos(result.latency_ns.max(0).unsigned_abs()),
            phase: phase.fract(),
            partial_samples: (self.reader.stats().samples - samples_before)
                % self.chunk_samples.unsigned_abs(),
            frames,
            chunks: result.chunks,
            dropped: result.frames_dropped,
            is_degraded: result.flags.contains(ResultFlags::DEGRADED),
        })
    }

    /// Pushes frames in real time for `length_ns`. Returns the number of frames.
    fn push_by_clock(&mut self, length_ns: i64, period_ns: i64) -> Result<u64, Failure> {
        let start_ns = to_ns(self.clock.elapsed());
        let mut pushed = 0;
        for due_ns in (0..=length_ns).step_by(usize::try_from(period_ns.max(1)).unwrap_or(1)) {
            self.sleep_until(start_ns + due_ns);
            let time_ns = to_ns(self.clock.elapsed());
            match self.push(pushed, time_ns) {
                // The stream counts dropped frames, and the report shows their number.
                Ok(()) | Err(PushError::Dropped) => pushed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if self.ending == Ending::AnyTime {
            self.sleep_until(start_ns + length_ns);
        }
        Ok(pushed)
    }

    /// Pushes frames as fast as the stream accepts them, with times that are one sample interval
    /// apart. Returns the number of frames.
    fn push_at_once(&mut self, length_ns: i64) -> Result<u64, Failure> {
        let start_ns = to_ns(self.clock.elapsed());
        let frames = length_ns / self.interval_ns;
        for frame in 0..=frames {
            while self.acquirer.free_slots() == 0 {
                std::thread::sleep(FULL_RING_PAUSE);
            }
            self.push(frame.unsigned_abs(), start_ns + frame * self.interval_ns)?;
        }
        Ok(frames.unsigned_abs() + 1)
    }

    fn push(&mut self, number: u64, time_ns: i64) -> Result<(), PushError> {
        let image = usize::try_from(number).unwrap_or(0) % self.images.len();
        let pixels = self.images.get(image).map(Vec::as_slice).unwrap_or_default();
        let frame = FrameView::new(self.geometry, pixels).map_err(|error| error.status())?;
        self.acquirer.push(&frame.with_time_ns(time_ns).with_sequence(number))
    }

    fn sleep_until(&self, time_ns: i64) {
        let left_ns = time_ns - to_ns(self.clock.elapsed());
        std::thread::sleep(Duration::from_nanos(left_ns.max(0).unsigned_abs()));
    }

    /// Closes the stream and returns the ages of the live labels. The age of a live label is the
    /// time from the newest sample that the label covers to the moment when the label becomes
    /// visible.
    pub(super) fn into_label_ages(self) -> Times {
        let mut ages = self.label_ages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut ages)
    }
}

/// Creates noise images with a 32-bit xorshift generator.
fn create_images(bytes: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..IMAGES).map(|_| (0..bytes).map(|_| next()).collect()).collect()
}

fn to_ns(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
