//! `tteview classify`.

use crate::acquisition::{Acquisition, FinalResult};
use crate::cine::{Cine, Timing};
use crate::engine_arguments::EngineArguments;
use crate::failure::{Exit, Failure};
use crate::output::{print_error, print_json, print_line};
use crate::progress::create_progress_bar;
use crate::terminal::{escape_name, escape_path};
use clap::Args;
use indicatif::ProgressFinish;
use serde_json::{Map, Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tteview::{Engine, ResultFlags};

/// Text in the table's column `view` if the model withholds the label.
const WITHHELD: &str = "withheld";

/// Interval at which the progress bar is redrawn.
const PROGRESS_TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Classify {
    /// DICOM, AVI or GIF files, or folders of PNG frames
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    /// Frames per second, used instead of the times in the file; without this option, 30 is assumed
    /// for a file without times
    #[arg(long, value_name = "RATE", value_parser = parse_frame_rate)]
    frame_rate: Option<f64>,
    /// Samples from one window to the next in window mode, from 1 to the samples of a clip; without
    /// this option, a quarter of a clip
    #[arg(long, value_name = "SAMPLES")]
    hop: Option<usize>,
    /// Use the whole frame, even if the file defines an image region
    #[arg(long)]
    whole_frame: bool,
    /// Print one JSON object per file, each on its own line; if a file fails, its object has the
    /// field "error"
    #[arg(long)]
    json: bool,
}

impl Classify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.load_engine()?;
        let table = Table::new(&self.files, &engine);
        if !self.json {
            print_line(&table.header())?;
        }
        let mut failed = 0;
        for file in &self.files {
            match self.classify_file(file, &engine) {
                Ok(cine) if self.json => print_json(&cine.to_json(&engine))?,
                Ok(cine) => print_line(&table.row(&cine, &engine))?,
                Err(failure) if failure.exit == Exit::Files => {
                    failed += 1;
                    if self.json {
                        let mut object = name_file(file);
                        object.insert("error".into(), failure.message.into());
                        print_json(&object.into())?;
                    } else {
                        print_error(&failure.message);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        if failed == 0 {
            return Ok(());
        }
        Err(Failure::new(Exit::Files, format!("{failed} of {} files failed", self.files.len())))
    }

    fn classify_file<'a>(
        &self,
        file: &'a Path,
        engine: &Engine,
    ) -> Result<ClassifiedCine<'a>, Failure> {
        let start = Instant::now();
        let mut cine = Cine::open(file)?;
        if let Some(rate) = self.frame_rate {
            let period_ns = (1e9 / rate).round() as i64;
            cine.facts.timing =
                Timing::regular(cine.facts.frame_count(), period_ns, Some("--frame-rate"));
        }
        if self.whole_frame {
            cine.facts.remove_region();
        }
        let bar = create_progress_bar(
            cine.facts.frame_count(),
            "{bar:30} {pos:>5} of {len} frames  {wide_msg}",
        )
        .with_finish(ProgressFinish::AndClear)
        .with_message(escape_path(file));
        bar.enable_steady_tick(PROGRESS_TICK);
        let facts = cine.facts.to_json();
        let mut acquisition = Acquisition::begin(engine, &cine.facts, self.hop)?;
        for frame in cine {
            acquisition.push(&frame?)?;
            bar.inc(1);
        }
        let result = acquisition.end()?;
        Ok(ClassifiedCine { file, facts, result, seconds: start.elapsed().as_secs_f64() })
    }
}

/// A cine and its result.
struct ClassifiedCine<'a> {
    file: &'a Path,
    facts: Value,
    result: FinalResult,
    /// Time from opening the file to the result, in seconds.
    seconds: f64,
}

impl ClassifiedCine<'_> {
    fn to_json(&self, engine: &Engine) -> Value {
        let FinalResult { result, scores, refused } = &self.result;
        let labels = &engine.spec().labels;
        let label = result.label.and_then(|index| labels.get(index as usize));
        let scores: Map<String, Value> = labels
            .iter()
            .zip(scores)
            .map(|(label, &score)| (label.code.clone(), score.into()))
            .collect();
        let has = |flag: ResultFlags| result.flags.contains(flag);
        let mut object = name_file(self.file);
        object.extend(into_object(json!({
            "view": label.map(|label| &label.code),
            "name": label.map(|label| &label.name),
            "withheld": has(ResultFlags::ABSTAINED),
            "confidence": result.confidence,
            "margin": result.margin,
            "frames": result.frames_used,
            "frames_refused": refused,
            "chunks": result.chunks,
            "short": has(ResultFlags::SHORT),
            "discontinuity": has(ResultFlags::DISCONTINUITY),
            "clock_step": has(ResultFlags::CLOCK_STEP),
            "failed_chunks": result.failed_chunks,
            "seconds": self.seconds,
            "latency_ms": result.latency_ns as f64 / 1e6,
            "scores": scores,
            "cine": self.facts,
            "model": engine.spec().model_version,
            "provider": engine.report().provider,
        })));
        object.into()
    }
}

/// Returns an object with the field `file`. If the name is not UTF-8, its other bytes become `\xNN`
/// in this field, and the field `file_bytes` contains all bytes in hexadecimal.
fn name_file(file: &Path) -> Map<String, Value> {
    match file.to_str() {
        Some(name) => into_object(json!({ "file": name })),
        None => {
            let bytes = file.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}"));
            into_object(json!({
                "file": escape_path(file),
                "file_bytes": bytes.collect::<String>(),
            }))
        }
    }
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The human-readable table. Its first two columns are as wide as the longest file name and the
/// longest label.
struct Table {
    file_width: usize,
    view_width: usize,
}

impl Table {
    fn new(files: &[PathBuf], engine: &Engine) -> Self {
        let width = |text: &str| text.chars().count();
        let file_width =
            files.iter().map(|file| width(&escape_path(file))).max().unwrap_or(0).max(4);
        let codes = engine.spec().labels.iter().map(|label| width(&escape_name(&label.code)));
        let view_width = codes.chain([width(WITHHELD)]).max().unwrap_or(0);
        Self { file_width, view_width }
    }

    fn header(&self) -> String {
        self.line(
            ["file", "view", "confidence", "margin", "frames", "chunks", "seconds"]
                .map(String::from),
        )
    }

    fn row(&self, cine: &ClassifiedCine<'_>, engine: &Engine) -> String {
        let result = &cine.result.result;
        let label = result.label.and_then(|index| engine.spec().labels.get(index as usize));
        self.line([
            escape_path(cine.file),
            label.map_or(WITHHELD.to_owned(), |label| escape_name(&label.code)),
            format!("{:.3}", result.confidence),
            format!("{:.3}", result.margin),
            result.frames_used.to_string(),
            result.chunks.to_string(),
            format!("{:.2}", cine.seconds),
        ])
    }

    fn line(
        &self,
        [file, view, confidence, margin, frames, chunks, seconds]: [String; 7],
    ) -> String {
        let Self { file_width, view_width } = self;
        format!(
            "{file:<file_width$}  {view:<view_width$}  {confidence:>10}  {margin:>6}  {frames:>6}  \
             {chunks:>6}  {seconds:>7}"
        )
    }
}

fn parse_frame_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1000.0).contains(rate));
    rate.ok_or_else(|| "the rate must be 0.1 to 1000 frames per second".into())
}
