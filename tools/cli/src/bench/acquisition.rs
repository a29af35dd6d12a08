//! One acquisition after the other on one stream, as a scanner would drive it, and what its host sees.

use super::spread::Spread;
use crate::{Exit, Failure};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::result::flags;
use tteview::stream::Hooks;
use tteview::{Engine, PartialChunk, Reader, Status, Stream, StreamConfig, ViewResult};

/// Pictures that are pushed in turn: noise, which no step of the way makes easier.
const PICTURES: usize = 8;

/// How fast frames come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    /// Frames a second, by the clock.
    Hertz(f64),
    /// As fast as the stream takes them, with the times of the sample grid.
    Fastest,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("max", _) => Ok(Self::Fastest),
            (_, Ok(hertz)) if (1.0..=1000.0).contains(&hertz) => Ok(Self::Hertz(hertz)),
            _ => Err("frames a second from 1 to 1000, or max".into()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hertz(hertz) => write!(f, "{hertz} Hz"),
            Self::Fastest => write!(f, "max"),
        }
    }
}

/// What is measured on one stream.
pub(super) struct Scanner {
    stream: Stream,
    reader: Reader,
    result: ViewResult,
    geometry: Geometry,
    pictures: Vec<Vec<u8>>,
    rate: Rate,
    interval_ns: i64,
    chunk_samples: i64,
    /// Frame times are nanoseconds since then.
    clock: Instant,
    ages: Arc<Mutex<Spread>>,
}

/// What the host saw of one acquisition.
pub(super) struct Acquired {
    /// From the call of end, or the last frame if that was later, to the label.
    pub(super) latency: Duration,
    /// The same as the library measured it, without the wake of the host's thread.
    pub(super) inside: Duration,
    /// Where in its chunk the acquisition ended: 0 at the chunk's first sample, towards 1 at its last.
    pub(super) phase: f64,
    pub(super) frames: u64,
    pub(super) chunks: u32,
    pub(super) dropped: u64,
    pub(super) degraded: bool,
}

impl Scanner {
    pub(super) fn new(
        engine: &Engine,
        (width_px, height_px): (u32, u32),
        rate: Rate,
        partial: PartialChunk,
    ) -> Result<Self, Failure> {
        let geometry = Geometry::whole(PixelFormat::Gray8, width_px, height_px);
        let config = StreamConfig {
            max_width_px: width_px,
            max_height_px: height_px,
            max_frame_bytes: geometry.frame_bytes(),
            partial,
            ..StreamConfig::default()
        };
        let (clock, ages) = (Instant::now(), Arc::new(Mutex::new(Spread::new())));
        let seen = ages.clone();
        let on_result = move |result: &ViewResult| {
            if rate != Rate::Fastest && result.flags & flags::PROVISIONAL != 0 {
                let age_ns = nanos(clock.elapsed()) - result.last_time_ns;
                let age = Duration::from_nanos(age_ns.max(0).unsigned_abs());
                seen.lock().unwrap_or_else(PoisonError::into_inner).add(age);
            }
        };
        let hooks = Hooks { on_result: Some(Box::new(on_result)), ..Hooks::default() };
        let stream = Stream::with_hooks(engine, &config, hooks).map_err(failed)?;
        let (reader, spec) = (stream.reader(), engine.spec());
        Ok(Self {
            result: reader.result(),
            stream,
            reader,
            geometry,
            pictures: pictures(geometry.frame_bytes()),
            rate,
            interval_ns: spec.sample_interval_ns,
            chunk_samples: spec.alpha as i64,
            clock,
            ages,
        })
    }

    /// Acquires for `seconds` and then to this phase of the chunk that is under way.
    pub(super) fn acquire(&mut self, seconds: f64, phase: f64) -> Result<Acquired, Failure> {
        let chunk_ns = (self.interval_ns * self.chunk_samples) as f64;
        let chunks = (seconds * 1e9 / chunk_ns).ceil();
        let length_ns = ((chunks + phase) * chunk_ns) as i64;
        let id = self.stream.begin().map_err(|status| failed(status.into()))?;
        let frames = match self.rate {
            Rate::Hertz(hertz) => self.push_by_the_clock(length_ns, (1e9 / hertz) as i64)?,
            Rate::Fastest => self.push_at_once(length_ns)?,
        };
        let end = Instant::now();
        check(self.stream.end())?;
        check(self.reader.wait(id, Duration::MAX, &mut self.result))?;
        let latency = end.elapsed();
        check(self.result.status)?;
        Ok(Acquired {
            latency,
            inside: Duration::from_nanos(self.result.latency_ns.max(0).unsigned_abs()),
            phase,
            frames,
            chunks: self.result.chunks,
            dropped: self.result.frames_dropped,
            degraded: self.result.flags & flags::DEGRADED != 0,
        })
    }

    /// Returns when the time to end has come.
    fn push_by_the_clock(&mut self, length_ns: i64, period_ns: i64) -> Result<u64, Failure> {
        let start_ns = nanos(self.clock.elapsed());
        let mut pushed = 0;
        for due_ns in (0..=length_ns).step_by(usize::try_from(period_ns.max(1)).unwrap_or(1)) {
            self.sleep_until(start_ns + due_ns);
            let time_ns = nanos(self.clock.elapsed());
            match self.push(pushed, time_ns)? {
                // Counted by the stream, and reported.
                Status::Ok | Status::RingFull => pushed += 1,
                status => return Err(failed(status.into())),
            }
        }
        self.sleep_until(start_ns + length_ns);
        Ok(pushed)
    }

    fn push_at_once(&mut self, length_ns: i64) -> Result<u64, Failure> {
        let start_ns = nanos(self.clock.elapsed());
        let frames = length_ns / self.interval_ns;
        for frame in 0..=frames {
            while self.stream.room() == 0 {
                std::thread::sleep(Duration::from_micros(100));
            }
            check(self.push(frame.unsigned_abs(), start_ns + frame * self.interval_ns)?)?;
        }
        Ok(frames.unsigned_abs() + 1)
    }

    fn push(&mut self, number: u64, time_ns: i64) -> Result<Status, Failure> {
        let picture = usize::try_from(number).unwrap_or(0) % self.pictures.len();
        let pixels = self.pictures.get(picture).map(Vec::as_slice).unwrap_or_default();
        let frame = FrameView::packed(self.geometry, pixels, time_ns).map_err(failed)?;
        Ok(self.stream.push(&FrameView { sequence: number, ..frame }))
    }

    fn sleep_until(&self, time_ns: i64) {
        let left_ns = time_ns - nanos(self.clock.elapsed());
        std::thread::sleep(Duration::from_nanos(left_ns.max(0).unsigned_abs()));
    }

    /// Age of the newest sample that a live label covers, at the moment the label becomes visible.
    pub(super) fn ages(self) -> Spread {
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut ages, Spread::new())
    }
}

/// Noise from a 32-bit xorshift.
fn pictures(bytes: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_u32;
    let mut value = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..PICTURES).map(|_| (0..bytes).map(|_| value()).collect()).collect()
}

fn check(status: Status) -> Result<(), Failure> {
    if status == Status::Ok { Ok(()) } else { Err(failed(status.into())) }
}

fn failed(error: tteview::Error) -> Failure {
    Failure { exit: Exit::Model, message: error.to_string() }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!("60".parse(), Ok(Rate::Hertz(60.0)));
        assert_eq!("max".parse(), Ok(Rate::Fastest));
        for wrong in ["", "0", "-3", "nan", "fast"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
