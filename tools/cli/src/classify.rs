//! `tteview classify`.

use crate::acquire::{Acquired, Acquisition};
use crate::cine::{Cine, Timing};
use crate::engine::EngineArguments;
use crate::frames::object;
use crate::{Exit, Failure, output};
use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tteview::Engine;
use tteview::result::flags;

/// What stands in the table where the model is not sure enough of any view.
const WITHHELD: &str = "withheld";

/// How often the progress of a file is drawn at most.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Classify {
    /// DICOM, AVI or GIF files, or folders of PNG frames
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    /// Frames a second, in place of the file's own times (a file without times has 30)
    #[arg(long, value_name = "RATE", value_parser = frame_rate)]
    frame_rate: Option<f64>,
    /// Use the whole frame, also where the file says which part of it is the image
    #[arg(long)]
    whole_frame: bool,
    /// Print one JSON object a file and line, failed ones with "error"
    #[arg(long)]
    json: bool,
}

impl Classify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.load()?;
        let table = Table::new(&self.files, &engine);
        if !self.json {
            output::line(&table.header())?;
        }
        let mut failed = 0;
        for file in &self.files {
            match self.classify(file, &engine) {
                Ok(labelled) if self.json => output::line(&labelled.object(&engine).to_string())?,
                Ok(labelled) => output::line(&table.row(&labelled, &engine))?,
                Err(failure) if failure.exit == Exit::Files => {
                    failed += 1;
                    if self.json {
                        let file = file.to_string_lossy();
                        output::line(&json!({ "file": file, "error": failure.message }).to_string())?;
                    } else {
                        eprintln!("tteview: {}", failure.message);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::files(format!("{failed} of {} files failed", self.files.len()))),
        }
    }

    fn classify<'a>(&self, file: &'a Path, engine: &Engine) -> Result<Labelled<'a>, Failure> {
        let start = Instant::now();
        let mut cine = Cine::open(file).map_err(|error| Failure::files(error.to_string()))?;
        if let Some(rate) = self.frame_rate {
            cine.facts.timing =
                Timing::regular(cine.facts.frames(), (1e9 / rate).round() as i64, Some("--frame-rate"));
        }
        if self.whole_frame {
            cine.facts.region = None;
        }
        let progress = progress(file, cine.facts.frames());
        let facts = object(&cine.facts);
        let mut acquisition = Acquisition::begin(engine, &cine.facts)?;
        for frame in cine {
            acquisition.push(&frame.map_err(|error| Failure::files(error.to_string()))?)?;
            progress.inc(1);
        }
        let acquired = acquisition.end()?;
        Ok(Labelled { file, facts, acquired, seconds: start.elapsed().as_secs_f64() })
    }
}

/// A file with its result.
struct Labelled<'a> {
    file: &'a Path,
    facts: Value,
    acquired: Acquired,
    seconds: f64,
}

impl Labelled<'_> {
    fn object(&self, engine: &Engine) -> Value {
        let result = &self.acquired.result;
        let labels = &engine.spec().labels;
        let label = result.label.and_then(|index| labels.get(index as usize));
        let scores: Map<String, Value> = labels
            .iter()
            .zip(&result.scores)
            .map(|(label, &score)| (label.code.clone(), score.into()))
            .collect();
        let has = |flag: u32| result.flags & flag != 0;
        json!({
            "file": self.file.to_string_lossy(),
            "view": label.map(|label| &label.code),
            "name": label.map(|label| &label.name),
            "withheld": has(flags::ABSTAINED),
            "confidence": result.confidence,
            "margin": result.margin,
            "frames": result.frames_used,
            "frames_refused": self.acquired.refused,
            "chunks": result.chunks,
            "short": has(flags::SHORT),
            "discontinuity": has(flags::DISCONTINUITY),
            "seconds": self.seconds,
            "latency_ms": result.latency_ns as f64 / 1e6,
            "scores": scores,
            "cine": self.facts,
            "model": engine.spec().model_version,
            "provider": engine.report().provider,
        })
    }
}

/// The table for people: its first two columns are as wide as their widest cell.
struct Table {
    file: usize,
    view: usize,
}

impl Table {
    fn new(files: &[PathBuf], engine: &Engine) -> Self {
        let width = |text: &str| text.chars().count();
        let file = files.iter().map(|file| width(&file.to_string_lossy())).max().unwrap_or(0).max(4);
        let view = engine.spec().labels.iter().map(|label| width(&label.code)).max().unwrap_or(0);
        Self { file, view: view.max(WITHHELD.len()) }
    }

    fn header(&self) -> String {
        self.line(["file", "view", "confidence", "margin", "frames", "chunks", "seconds"].map(String::from))
    }

    fn row(&self, labelled: &Labelled<'_>, engine: &Engine) -> String {
        let result = &labelled.acquired.result;
        let label = result.label.and_then(|index| engine.spec().labels.get(index as usize));
        self.line([
            labelled.file.to_string_lossy().into_owned(),
            label.map_or(WITHHELD, |label| &label.code).to_owned(),
            format!("{:.3}", result.confidence),
            format!("{:.3}", result.margin),
            result.frames_used.to_string(),
            result.chunks.to_string(),
            format!("{:.2}", labelled.seconds),
        ])
    }

    fn line(&self, [file, view, confidence, margin, frames, chunks, seconds]: [String; 7]) -> String {
        let (file_width, view_width) = (self.file, self.view);
        format!(
            "{file:<file_width$}  {view:<view_width$}  {confidence:>10}  {margin:>6}  {frames:>6}  {chunks:>6}  {seconds:>7}"
        )
    }
}

/// A bar on standard error; draws nothing where that is no terminal.
fn progress(file: &Path, frames: usize) -> ProgressBar {
    let bar = ProgressBar::new(frames as u64).with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos:>5} of {len} frames  {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_message(file.display().to_string());
    bar.enable_steady_tick(TICK);
    bar
}

fn frame_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1000.0).contains(rate));
    rate.ok_or_else(|| "0.1 to 1000 frames a second are possible".into())
}
