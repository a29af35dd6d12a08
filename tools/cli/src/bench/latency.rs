//! `tteview bench latency`.

use super::acquisition::{Acquired, Rate, Scanner};
use super::load::Load;
use super::one_shot::OneShot;
use super::spread::Spread;
use super::{plot, report};
use crate::engine::EngineArguments;
use crate::machine::Machine;
use crate::{Failure, output};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::time::Duration;
use tteview::{Engine, PartialChunk};

#[derive(Debug, Args)]
pub(crate) struct Latency {
    #[command(flatten)]
    engine: EngineArguments,
    /// Clip package of the same network: run once after each acquisition to compare with
    #[arg(long, value_name = "PACKAGE")]
    clip: Option<PathBuf>,
    /// Source of the same network, with 3-D convolutions: run once after each acquisition in ONNX Runtime
    #[arg(long, value_name = "ONNX")]
    source: Option<PathBuf>,
    /// Frames a second, or max, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "30,60,120,max")]
    rate: Vec<Rate>,
    /// What becomes of a partial chunk at the end, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "auto,drop")]
    partial: Vec<Partial>,
    /// Threads that compute beside it, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0")]
    load: Vec<usize>,
    /// Acquisitions of each case; their ends are spread evenly over a chunk
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    acquisitions: u32,
    /// Length of the shortest acquisition in seconds
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Width and height of the frames
    #[arg(long, default_value = "640x480", value_parser = size)]
    frame: (u32, u32),
    /// Write everything that was measured, with histograms
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the latencies as an SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Partial {
    /// Completed if it is at least half full
    Auto,
    /// Dropped
    Drop,
    /// Completed
    Hold,
}

impl Partial {
    fn choice(self) -> PartialChunk {
        match self {
            Self::Auto => PartialChunk::Auto,
            Self::Drop => PartialChunk::Drop,
            Self::Hold => PartialChunk::Hold,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Drop => "drop",
            Self::Hold => "hold",
        }
    }
}

/// What was measured under one set of conditions.
pub(super) struct Case {
    pub(super) rate: Rate,
    pub(super) partial: Partial,
    pub(super) load: usize,
    /// Phase of the end in its chunk, and latency.
    pub(super) by_phase: Vec<(f64, Duration)>,
    pub(super) latency: Spread,
    /// As the library measures it.
    pub(super) inside: Spread,
    pub(super) age: Spread,
    /// The clip package.
    pub(super) clip: Option<Spread>,
    /// The source network.
    pub(super) source: Option<Spread>,
    pub(super) frames: u64,
    pub(super) chunks: u64,
    pub(super) dropped: u64,
    pub(super) degraded: u64,
}

/// All cases of a run.
pub(super) struct Measured {
    pub(super) cases: Vec<Case>,
    pub(super) step: Duration,
    pub(super) keeps_up: bool,
    pub(super) before: Machine,
    pub(super) after: Machine,
    pub(super) threads: u32,
    pub(super) frame: (u32, u32),
    pub(super) seconds: f64,
}

impl Latency {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.load()?;
        let clip = self.clip.as_deref().map(|file| OneShot::package(file, &self.engine)).transpose()?;
        let source =
            self.source.as_deref().map(|file| OneShot::source(file, self.engine.threads())).transpose()?;
        let before = Machine::now();
        let cases = self.cases(&engine, [clip, source])?;
        let measured = Measured {
            cases,
            step: engine.step_time().unwrap_or_default(),
            keeps_up: engine.keeps_up().unwrap_or_default(),
            before,
            after: Machine::now(),
            threads: self.engine.threads(),
            frame: self.frame,
            seconds: self.seconds,
        };
        output::line(&report::table(&engine, &measured))?;
        if let Some(file) = &self.json {
            let text = format!("{:#}\n", report::json(&engine, &measured));
            std::fs::write(file, text).map_err(|error| Failure::file(file, error))?;
        }
        if let Some(file) = &self.plot {
            let picture = plot::svg(&measured).map_err(|error| Failure::file(file, error))?;
            std::fs::write(file, picture).map_err(|error| Failure::file(file, error))?;
        }
        Ok(())
    }

    fn cases(&self, engine: &Engine, mut one_shots: [Option<OneShot>; 2]) -> Result<Vec<Case>, Failure> {
        let conditions = self.rate.iter().flat_map(|&rate| {
            self.partial
                .iter()
                .flat_map(move |&partial| self.load.iter().map(move |&load| (rate, partial, load)))
        });
        let conditions: Vec<_> = conditions.collect();
        let bar = ProgressBar::new(conditions.len() as u64 * u64::from(self.acquisitions));
        if let Ok(style) = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        let mut cases = Vec::new();
        for (rate, partial, load) in conditions {
            bar.set_message(format!("{rate}, {}, load {load}", partial.name()));
            let running = Load::start(load);
            cases.push(self.case(engine, (rate, partial, load), &mut one_shots, &bar)?);
            drop(running);
        }
        bar.finish_and_clear();
        Ok(cases)
    }

    fn case(
        &self,
        engine: &Engine,
        (rate, partial, load): (Rate, Partial, usize),
        one_shots: &mut [Option<OneShot>; 2],
        bar: &ProgressBar,
    ) -> Result<Case, Failure> {
        let mut scanner = Scanner::new(engine, self.frame, rate, partial.choice())?;
        // The first acquisition brings memory in.
        scanner.acquire(0.0, 0.0)?;
        let mut case = Case {
            rate,
            partial,
            load,
            by_phase: Vec::new(),
            latency: Spread::new(),
            inside: Spread::new(),
            age: Spread::new(),
            clip: None,
            source: None,
            frames: 0,
            chunks: 0,
            dropped: 0,
            degraded: 0,
        };
        for number in 0..self.acquisitions {
            case.add(&scanner.acquire(self.seconds, phase(number, self.acquisitions))?);
            for one_shot in one_shots.iter_mut().flatten() {
                one_shot.run()?;
            }
            bar.inc(1);
        }
        case.age = scanner.ages();
        let [clip, source] = one_shots;
        case.clip = clip.as_mut().map(OneShot::take);
        case.source = source.as_mut().map(OneShot::take);
        Ok(case)
    }
}

impl Case {
    fn add(&mut self, acquired: &Acquired) {
        self.latency.add(acquired.latency);
        self.inside.add(acquired.inside);
        self.by_phase.push((acquired.phase, acquired.latency));
        self.frames += acquired.frames;
        self.chunks += u64::from(acquired.chunks);
        self.dropped += acquired.dropped;
        self.degraded += u64::from(acquired.degraded);
    }
}

/// Phase of acquisition `number` of `count`: evenly over a chunk, not in ascending order, so that a slow change of the
/// machine does not look like one of the phase.
fn phase(number: u32, count: u32) -> f64 {
    // The golden ratio's multiples fill the interval evenly for any count.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let half_a_step = 0.5 / f64::from(count);
    (f64::from(number) * GOLDEN + half_a_step).fract()
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| String::from("a number of seconds"))?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0 to 3600 seconds".into()) }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "WIDTHxHEIGHT".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spread_evenly_over_the_chunk() {
        let mut phases: Vec<f64> = (0..40).map(|number| phase(number, 40)).collect();
        phases.sort_by(f64::total_cmp);
        let widest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(widest < 2.5 / 40.0, "a gap of {widest}");
        assert!(phases.iter().all(|phase| (0.0..1.0).contains(phase)));
    }
}
