//! `tteview bench latency`.

use super::case::{Case, Conditions, Measurement, PartialArgument};
use super::load::{Load, OtherStreams};
use super::one_shot::OneShot;
use super::plot::render_plot;
use super::rate::Rate;
use super::report::{render_table, to_json};
use super::scanner::{Ending, Scanner};
use crate::engine_arguments::EngineArguments;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::print_lines;
use crate::output_file::create_files;
use crate::progress::create_progress_bar;
use clap::Args;
use indicatif::ProgressBar;
use std::io::Write;
use std::path::PathBuf;
use tteview::Engine;
use tteview::frame::FRAME_SIDE_PX;

#[derive(Debug, Args)]
pub(crate) struct Latency {
    #[command(flatten)]
    engine: EngineArguments,
    /// Clip package of the same network; it runs once after each acquisition, for comparison
    #[arg(long, value_name = "PACKAGE")]
    clip: Option<PathBuf>,
    /// Source of the same network, with 3-D convolutions; it runs once in ONNX Runtime after each
    /// acquisition, for comparison
    #[arg(long, value_name = "ONNX")]
    source: Option<PathBuf>,
    /// Comma-separated frame rates in frames per second; with max, frames are pushed as fast as the
    /// stream accepts them
    #[arg(long, value_delimiter = ',', default_value = "30,60,120,max")]
    rate: Vec<Rate>,
    /// Comma-separated ways to treat a partial chunk at the end of an acquisition
    #[arg(long, value_delimiter = ',', default_value = "auto,drop")]
    partial: Vec<PartialArgument>,
    /// Comma-separated numbers of additional threads that load the cores during the measurement
    #[arg(long, value_delimiter = ',', default_value = "0")]
    load: Vec<usize>,
    /// Number of streams of the engine that acquire at the same time; one of them is measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    streams: u32,
    /// When the host ends an acquisition
    #[arg(long, value_name = "WHEN", default_value = "last-frame")]
    end: Ending,
    /// Number of acquisitions per case; their ends are spread evenly over a chunk
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    acquisitions: u32,
    /// Minimum length of an acquisition in seconds
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Width and height of the frames in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x480", value_parser = parse_size)]
    frame: [u32; 2],
    /// JSON file for all measured values, with histograms
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// SVG file for a plot of the latencies
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Latency {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // The files are created first, so that an error is reported before the measurement, which
        // may take minutes.
        let [json, plot] = create_files([self.json.as_deref(), self.plot.as_deref()])?;
        let engine = self.engine.load_engine()?;
        let clip = self
            .clip
            .as_deref()
            .map(|file| OneShot::load_package(file, &self.engine))
            .transpose()?;
        let source = self
            .source
            .as_deref()
            .map(|file| OneShot::load_source(file, &self.engine))
            .transpose()?;
        let before = Machine::read();
        let cases = self.measure_cases(&engine, [clip, source])?;
        let measurement = Measurement {
            cases,
            step: engine.step_time().unwrap_or_default(),
            keeps_up: engine.keeps_up().unwrap_or_default(),
            before,
            after: Machine::read(),
            threads: self.engine.threads,
            frame_px: self.frame,
            streams: self.streams,
            ending: self.end,
            seconds: self.seconds,
        };
        print_lines(render_table(&engine, &measurement))?;
        if let (Some(path), Some(mut file)) = (&self.json, json) {
            let written = writeln!(file, "{:#}", to_json(&engine, &measurement));
            let written = written.and_then(|()| file.commit());
            written.map_err(|error| Failure::file(path, error))?;
        }
        if let (Some(path), Some(mut file)) = (&self.plot, plot) {
            let plot = render_plot(&measurement).map_err(|error| Failure::file(path, error))?;
            let written = file.write_all(plot.as_bytes()).and_then(|()| file.commit());
            written.map_err(|error| Failure::file(path, error))?;
        }
        Ok(())
    }

    /// Returns all combinations of frame rates, treatments of a partial chunk, and loads.
    fn conditions(&self) -> Vec<Conditions> {
        let mut conditions = Vec::new();
        for &rate in &self.rate {
            for &partial in &self.partial {
                conditions.extend(self.load.iter().map(|&load| Conditions { rate, partial, load }));
            }
        }
        conditions
    }

    fn measure_cases(
        &self,
        engine: &Engine,
        mut one_shots: [Option<OneShot>; 2],
    ) -> Result<Vec<Case>, Failure> {
        let conditions = self.conditions();
        let acquisitions = conditions.len() * self.acquisitions as usize;
        let bar = create_progress_bar(acquisitions, "{msg:24} {wide_bar} {pos}/{len} {eta}");
        let mut cases = Vec::new();
        for conditions in conditions {
            let Conditions { rate, partial, load } = conditions;
            bar.set_message(format!("{rate}, {partial}, load {load}"));
            let _load = Load::start(load);
            cases.push(self.measure_case(engine, conditions, &mut one_shots, &bar)?);
        }
        bar.finish_and_clear();
        Ok(cases)
    }

    fn measure_case(
        &self,
        engine: &Engine,
        conditions: Conditions,
        one_shots: &mut [Option<OneShot>; 2],
        bar: &ProgressBar,
    ) -> Result<Case, Failure> {
        let partial_chunk = conditions.partial.partial_chunk();
        let create_scanner =
            || Scanner::new(engine, self.frame, conditions.rate, self.end, partial_chunk);
        let mut scanner = create_scanner()?;
        // The first acquisition touches all memory for the first time, so it is not measured.
        scanner.acquire(0.0, 0.0)?;
        let others = (1..self.streams).map(|_| create_scanner()).collect::<Result<_, Failure>>()?;
        let others = OtherStreams::start(others, self.seconds);
        let mut case = Case::new(conditions);
        for number in 0..self.acquisitions {
            case.add(&scanner.acquire(self.seconds, choose_phase(number, self.acquisitions))?);
            for one_shot in one_shots.iter_mut().flatten() {
                one_shot.run()?;
            }
            bar.inc(1);
        }
        others.stop()?;
        case.label_age = scanner.into_label_ages();
        let [clip, source] = one_shots;
        case.clip = clip.as_mut().map(OneShot::take_times);
        case.source = source.as_mut().map(OneShot::take_times);
        Ok(case)
    }
}

/// Returns the phase of acquisition `number` of `count`: the fraction of a chunk that has elapsed
/// since the last whole chunk when the acquisition ends. The phases are spread evenly over a chunk.
/// They are not in ascending order, so that a slow change in the machine's speed is not mistaken
/// for an effect of the phase.
fn choose_phase(number: u32, count: u32) -> f64 {
    // For any count, the fractional parts of the multiples of the golden ratio are spread evenly
    // between 0 and 1.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let half_step = 0.5 / f64::from(count);
    (f64::from(number) * GOLDEN + half_step).fract()
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "the length must be 0 to 3600 seconds".into())
}

fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides.filter(|sides| sides.iter().all(|side| FRAME_SIDE_PX.contains(side))).ok_or_else(|| {
        let (smallest, largest) = (FRAME_SIDE_PX.start(), FRAME_SIDE_PX.end());
        format!(
            "the size must have the form WIDTHxHEIGHT with sides of {smallest} to {largest} pixels"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_spread_evenly_over_a_chunk() {
        let mut phases: Vec<f64> = (0..40).map(|number| choose_phase(number, 40)).collect();
        phases.sort_by(f64::total_cmp);
        let widest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(widest < 2.5 / 40.0, "the largest distance is {widest}");
        assert!(phases.iter().all(|phase| (0.0..1.0).contains(phase)));
    }
}
