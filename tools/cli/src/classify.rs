//! `tteview classify`.

use crate::acquisition::{Acquisition, FinalResult};
use crate::cine_arguments::{CineArguments, print_warnings};
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
    /// Cine files, or folders of frames
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    cine: CineArguments,
    /// Samples from one window to the next in window mode, from 1 to the samples of a clip; without
    /// this option, a quarter of a clip
    #[arg(long, value_name = "SAMPLES")]
    hop: Option<usize>,
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
        let mut cine = self.cine.open(file)?;
        let bar = create_progress_bar(
            cine.facts.frame_count(),
            "{bar:30} {pos:>5} of {len} frames  {wide_msg}",
        )
        .with_finish(ProgressFinish::AndClear)
        .with_message(escape_path(file));
        bar.enable_steady_tick(PROGRESS_TICK);
        let mut acquisition = Acquisition::begin(engine, &cine.facts, self.hop)?;
        for frame in &mut cine {
            acquisition.push(&frame?)?;
            bar.inc(1);
        }
        let result = acquisition.end()?;
        bar.finish_and_clear();
        print_warnings(&cine);
        let facts = cine.facts.to_json();
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
        let (labels, groups) = (&engine.spec().labels, &engine.spec().groups);
        let label = result.label.and_then(|index| labels.get(index as usize));
        let group = result.group.and_then(|index| groups.get(index as usize));
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
            "withheld": result.chunks > 0 && label.is_none(),
            "withheld_because": list_reasons(result.flags),
            "confidence": result.confidence,
            "margin": result.margin,
            "novelty": (!has(ResultFlags::NO_NOVELTY)).then_some(result.novelty),
            "group": group.map(|group| &group.code),
            "group_name": group.map(|group| &group.name),
            "group_confidence": (!groups.is_empty()).then_some(result.group_confidence),
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

/// Returns the reasons why a label is withheld.
fn list_reasons(flags: ResultFlags) -> Vec<&'static str> {
    let reasons = [
        (ResultFlags::ABSTAINED, "confidence"),
        (ResultFlags::OUTSIDE_GROUP, "outside_group"),
        (ResultFlags::GROUP_ABSTAINED, "group_confidence"),
        (ResultFlags::NOVEL, "novelty"),
    ];
    let holds = |&(flag, _): &(ResultFlags, &str)| flags.contains(flag);
    reasons.into_iter().filter(holds).map(|(_, reason)| reason).collect()
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

/// The human-readable table. The columns for the file, the view and the group are as wide as their
/// longest entry. A model without groups has no columns for them.
struct Table {
    file_width: usize,
    view_width: usize,
    group_width: Option<usize>,
}

impl Table {
    fn new(files: &[PathBuf], engine: &Engine) -> Self {
        let width = |text: &str| text.chars().count();
        let widest = |codes: Vec<&String>| {
            let codes = codes.into_iter().map(|code| width(&escape_name(code)));
            codes.chain([width(WITHHELD)]).max().unwrap_or(0)
        };
        let file_width =
            files.iter().map(|file| width(&escape_path(file))).max().unwrap_or(0).max(4);
        let (labels, groups) = (&engine.spec().labels, &engine.spec().groups);
        let view_width = widest(labels.iter().map(|label| &label.code).collect());
        let group_width = widest(groups.iter().map(|group| &group.code).collect());
        let group_width = (!groups.is_empty()).then_some(group_width);
        Self { file_width, view_width, group_width }
    }

    fn header(&self) -> String {
        self.line(
            ["file", "view", "confidence", "margin", "group", "confidence"].map(String::from),
            ["frames", "chunks", "seconds"].map(String::from),
        )
    }

    fn row(&self, cine: &ClassifiedCine<'_>, engine: &Engine) -> String {
        let result = &cine.result.result;
        let spec = engine.spec();
        let label = result.label.and_then(|index| spec.labels.get(index as usize));
        let group = result.group.and_then(|index| spec.groups.get(index as usize));
        let name =
            |code: Option<&String>| code.map_or(WITHHELD.to_owned(), |code| escape_name(code));
        self.line(
            [
                escape_path(cine.file),
                name(label.map(|label| &label.code)),
                format!("{:.3}", result.confidence),
                format!("{:.3}", result.margin),
                name(group.map(|group| &group.code)),
                format!("{:.3}", result.group_confidence),
            ],
            [
                result.frames_used.to_string(),
                result.chunks.to_string(),
                format!("{:.2}", cine.seconds),
            ],
        )
    }

    fn line(&self, label: [String; 6], counts: [String; 3]) -> String {
        let Self { file_width, view_width, group_width } = self;
        let [file, view, confidence, margin, group, group_confidence] = label;
        let [frames, chunks, seconds] = counts;
        let group = group_width
            .map_or_else(String::new, |width| format!("  {group:<width$}  {group_confidence:>10}"));
        format!(
            "{file:<file_width$}  {view:<view_width$}  {confidence:>10}  {margin:>6}{group}  \
             {frames:>6}  {chunks:>6}  {seconds:>7}"
        )
    }
}
