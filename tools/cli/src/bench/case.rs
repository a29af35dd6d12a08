//! The conditions of a measurement, and the measured values.

use super::rate::Rate;
use super::scanner::{Ending, Observation};
use super::times::Times;
use crate::machine::Machine;
use clap::ValueEnum;
use std::fmt;
use std::time::Duration;
use tteview::PartialChunk;

/// The treatment of a partial chunk at the end of an acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PartialArgument {
    /// Leave the chunk out (frame steps), or complete it if it is at least half full (chunk steps)
    Auto,
    /// Drop the chunk
    Drop,
    /// Always complete the chunk
    Hold,
}

impl PartialArgument {
    pub(super) fn partial_chunk(self) -> PartialChunk {
        match self {
            Self::Auto => PartialChunk::Auto,
            Self::Drop => PartialChunk::Drop,
            Self::Hold => PartialChunk::Hold,
        }
    }
}

impl fmt::Display for PartialArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Drop => "drop",
            Self::Hold => "hold",
        })
    }
}

/// The conditions of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conditions {
    pub(super) rate: Rate,
    pub(super) partial: PartialArgument,
    /// Number of threads that load the cores during the measurement.
    pub(super) load: usize,
}

/// The values that are measured under one set of conditions.
pub(super) struct Case {
    pub(super) conditions: Conditions,
    /// The phase and the latency of each acquisition. The phase is the fraction of a chunk that had
    /// elapsed since the last whole chunk when the acquisition ended.
    pub(super) by_phase: Vec<(f64, Duration)>,
    /// The latencies by the number of decided samples of the last chunk, which is the index.
    pub(super) by_partial_samples: Vec<Times>,
    pub(super) latency: Times,
    /// The latency as measured by the library.
    pub(super) library_latency: Times,
    pub(super) label_age: Times,
    /// Run times of the clip package.
    pub(super) clip: Option<Times>,
    /// Run times of the source network.
    pub(super) source: Option<Times>,
    pub(super) frames: u64,
    pub(super) chunks: u64,
    pub(super) dropped: u64,
    /// Number of acquisitions with skipped chunks.
    pub(super) degraded: u64,
}

impl Case {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            by_phase: Vec::new(),
            by_partial_samples: Vec::new(),
            latency: Times::new(),
            library_latency: Times::new(),
            label_age: Times::new(),
            clip: None,
            source: None,
            frames: 0,
            chunks: 0,
            dropped: 0,
            degraded: 0,
        }
    }

    /// Adds the values of one acquisition.
    pub(super) fn add(&mut self, observation: &Observation) {
        self.latency.add(observation.latency);
        self.library_latency.add(observation.library_latency);
        self.by_phase.push((observation.phase, observation.latency));
        let partial_samples = usize::try_from(observation.partial_samples).unwrap_or(0);
        while self.by_partial_samples.len() <= partial_samples {
            self.by_partial_samples.push(Times::new());
        }
        if let Some(times) = self.by_partial_samples.get_mut(partial_samples) {
            times.add(observation.latency);
        }
        self.frames += observation.frames;
        self.chunks += u64::from(observation.chunks);
        self.dropped += observation.dropped;
        self.degraded += u64::from(observation.is_degraded);
    }
}

/// A measurement with all its cases.
pub(super) struct Measurement {
    pub(super) cases: Vec<Case>,
    /// Duration of one step.
    pub(super) step: Duration,
    pub(super) keeps_up: bool,
    /// State of the machine before the cases.
    pub(super) before: Machine,
    /// State of the machine after the cases.
    pub(super) after: Machine,
    pub(super) threads: u32,
    /// Number of streams that acquired at the same time.
    pub(super) streams: u32,
    pub(super) ending: Ending,
    /// Width and height of the frames in pixels.
    pub(super) frame_px: [u32; 2],
    /// Minimum length of an acquisition in seconds.
    pub(super) seconds: f64,
}
