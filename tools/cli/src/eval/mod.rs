//! `tteview eval`: how often a model's labels are right, and when.
//!
//! | module | what |
//! | --- | --- |
//! | `manifest` | which cine shows which view |
//! | `host` | cines through the library's C ABI |
//! | `predictions` | what was said of each cine: file, shards, merge |
//! | `compare` | two files of predictions side by side |
//! | `metrics`, `bootstrap`, `calibration` | what that comes to |
//! | `report`, `figures` | for people |

mod bootstrap;
mod calibration;
mod compare;
mod figures;
mod host;
mod manifest;
mod metrics;
mod predictions;
mod report;

use crate::acquire::gap_ns;
use crate::cine::{Cine, CineError, Timing};
use crate::engine::EngineArguments;
use crate::{Failure, output};
use clap::{Args, Subcommand};
use host::{Acquisition, Engine, Said};
use indicatif::{ProgressBar, ProgressStyle};
use manifest::Entry;
use predictions::{Change, Header, Row, Run, Writer, logarithms};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tteview::model::ModelPackage;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Eval {
    #[command(subcommand)]
    files: Option<OfFiles>,
    /// CSV with path (relative to it), label, patient, split, colour; further columns are attributes
    #[arg(long, value_name = "CSV", required = true)]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    engine: Option<EngineArguments>,
    #[command(flatten)]
    settings: Settings,
    /// Folder to write: predictions.jsonl, metrics.json, report.html. A run that was cut off goes on
    #[arg(long, value_name = "FOLDER", required = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Settings {
    /// Splits to judge, separated by commas, or "all". "val" only sets the temperature beside others
    #[arg(long, value_delimiter = ',', default_value = "test")]
    split: Vec<String>,
    /// Shard I of N: its part of the cines, and no report before `tteview eval merge`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<[usize; 2]>,
    /// Pairs of cines to test a change of view on, at most two of a patient; 0 for none
    #[arg(long, value_name = "PAIRS", default_value_t = 50)]
    changes: usize,
    /// Margin of the library's rule for a change of view (`view_change_margin`) where it is on
    #[arg(long, value_name = "MARGIN", default_value_t = 0.2, value_parser = margin)]
    change_margin: f32,
    /// Count cines that cannot be read, and go on
    #[arg(long)]
    skip_unreadable: bool,
}

#[derive(Debug, Subcommand)]
enum OfFiles {
    /// Put the shards of a run together, and write metrics and report
    Merge(Merge),
    /// Say where two files of predictions differ: two runtimes, or a checkpoint and its package
    Compare(compare::Compare),
}

#[derive(Debug, Args)]
struct Merge {
    /// The predictions of every shard
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder to write: predictions.jsonl, metrics.json, report.html
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// A run.
struct Judge {
    manifest: PathBuf,
    engine: EngineArguments,
    settings: Settings,
    out: PathBuf,
}

impl Eval {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match (self.files, self.manifest, self.engine, self.out) {
            (Some(OfFiles::Merge(merge)), ..) => merge.run(),
            (Some(OfFiles::Compare(compare)), ..) => compare.run(),
            (None, Some(manifest), Some(engine), Some(out)) => {
                Judge { manifest, engine, settings: self.settings, out }.run()
            }
            _ => Err(Failure::usage("eval needs --manifest, --model and --out")),
        }
    }
}

impl Merge {
    fn run(self) -> Result<(), Failure> {
        let (header, rows) = predictions::merge(&self.files)?;
        make_folder(&self.out)?;
        let path = self.out.join("predictions.jsonl");
        let (mut writer, done) =
            Writer::open(&path, &header, &rows.iter().map(Row::key).collect::<Vec<_>>())?;
        for row in &rows[done.len()..] {
            writer.row(row)?;
        }
        finish(&self.out, &header, &rows)
    }
}

/// What a row is made of.
#[derive(Clone, Copy)]
enum Task<'a> {
    Cine(&'a Entry),
    Change { from: &'a Entry, to: &'a Entry, rule: &'static str },
}

impl Task<'_> {
    /// The row without what is to be found out.
    fn row(self) -> Row {
        let entry = match self {
            Self::Cine(entry) | Self::Change { to: entry, .. } => entry,
        };
        let (label, patient, split) = (entry.label.clone(), entry.patient.clone(), entry.split.clone());
        let row = Row { path: entry.path.clone(), label, patient, split, ..Row::default() };
        match self {
            Self::Cine(_) => Row { attributes: entry.attributes.clone(), ..row },
            Self::Change { from, rule, .. } => {
                let change =
                    Change { rule: rule.into(), from: from.label.clone(), time_ns: 0, left_out: None };
                Row { path: format!("{} > {}", from.path, entry.path), change: Some(change), ..row }
            }
        }
    }
}

/// Why a row has no posterior: the cine, or all of the run.
enum Stop {
    Cine(String),
    Run(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Run(failure)
    }
}

impl From<CineError> for Stop {
    fn from(error: CineError) -> Self {
        Self::Cine(error.to_string())
    }
}

impl Judge {
    fn run(self) -> Result<(), Failure> {
        let model = &self.engine.model;
        let package = ModelPackage::from_path(model, None).map_err(|error| Failure::model(model, error))?;
        let engine = Engine::create(&self.engine)?;
        let (provider, window) = engine.runs()?;
        let labels = engine.labels()?;
        let entries = manifest::read(&self.manifest, &self.settings.split, &labels)?;
        let pairs = manifest::changes(&entries, self.settings.changes);
        let tasks: Vec<Task<'_>> = entries
            .iter()
            .map(Task::Cine)
            .chain(pairs.iter().flat_map(|&[from, to]| {
                let [from, to] = [&entries[from], &entries[to]];
                ["off", "on"].map(|rule| Task::Change { from, to, rule })
            }))
            .collect();
        let [shard, shards] = self.settings.shard.unwrap_or([1, 1]);
        let header = Header {
            predictions: 1,
            labels,
            model: Some(package.spec.package_sha256.clone()),
            temperature: package.spec.temperature,
            threshold: package.spec.threshold,
            run: Some(Run {
                shard: [shard, shards],
                rows: tasks.len(),
                provider,
                mode: if window { "window" } else { "stream" }.into(),
                change_margin: self.settings.change_margin,
            }),
        };
        drop(package);
        let mine: Vec<Task<'_>> = tasks.into_iter().skip(shard - 1).step_by(shards).collect();
        make_folder(&self.out)?;
        let path = match self.settings.shard {
            None => self.out.join("predictions.jsonl"),
            Some(_) => self.out.join(format!("predictions.{shard}-of-{shards}.jsonl")),
        };
        let keys: Vec<String> = mine.iter().map(|task| task.row().key()).collect();
        let (mut writer, mut rows) = Writer::open(&path, &header, &keys)?;
        let progress = progress(mine.len(), rows.len());
        for &task in &mine[rows.len()..] {
            let row = self.judged(&engine, task)?;
            writer.row(&row)?;
            rows.push(row);
            progress.inc(1);
        }
        progress.finish_and_clear();
        match self.settings.shard {
            None => finish(&self.out, &header, &rows),
            Some(_) => output::line(&format!("{}: {} rows", path.display(), rows.len())),
        }
    }

    fn judged(&self, engine: &Engine, task: Task<'_>) -> Result<Row, Failure> {
        let mut row = task.row();
        let said = match task {
            Task::Cine(entry) => cine(engine, entry, &mut row.attributes),
            Task::Change { from, to, rule } => {
                let margin = if rule == "on" { self.settings.change_margin } else { 0.0 };
                change(engine, from, to, margin).map(|(time_ns, said)| {
                    row.change.iter_mut().for_each(|change| change.time_ns = time_ns);
                    said
                })
            }
        };
        match said {
            Ok(said) => {
                row.times_ns = said.iter().map(|said| said.time_ns).collect();
                row.log_posterior = said.iter().map(|said| logarithms(&said.posterior)).collect();
            }
            Err(Stop::Run(failure)) => return Err(failure),
            Err(Stop::Cine(cause)) => match &mut row.change {
                Some(change) => change.left_out = Some(cause),
                None if self.settings.skip_unreadable => row.unreadable = Some(cause),
                None => {
                    return Err(Failure::files(format!("{cause} (--skip-unreadable counts it and goes on)")));
                }
            },
        }
        Ok(row)
    }
}

/// Two cines as one acquisition, the second a frame period after the first; and the time of the second.
fn change(engine: &Engine, from: &Entry, to: &Entry, margin: f32) -> Result<(i64, Vec<Said>), Stop> {
    let (first, second) = (open(from)?, open(to)?);
    let (facts, later) = (first.facts.clone(), second.facts.clone());
    if facts.geometry() != later.geometry() {
        return Err(Stop::Cine("frames of two sizes: the geometry tells the change".into()));
    }
    let periods = [&facts, &later].map(|facts| facts.timing.period_ns());
    let time_ns = facts.timing.times_ns.last().unwrap_or(&0) + periods[0];
    let mut acquisition = Acquisition::begin(engine, &facts, gap_ns(periods[0].max(periods[1])), margin)?;
    for frame in first {
        let frame = frame?;
        acquisition.push(&facts, &frame.pixels, frame.time_ns)?;
    }
    for frame in second {
        let frame = frame?;
        acquisition.push(&later, &frame.pixels, time_ns + frame.time_ns)?;
    }
    Ok((time_ns, acquisition.end()?))
}

/// One cine; its own frame rate becomes an attribute where the manifest has none.
fn cine(
    engine: &Engine,
    entry: &Entry,
    attributes: &mut BTreeMap<String, String>,
) -> Result<Vec<Said>, Stop> {
    let cine = open(entry)?;
    let facts = cine.facts.clone();
    let timed = ["frame_rate", "frame_period_ns"].iter().any(|&column| attributes.contains_key(column));
    if facts.timing.source.is_some() && !timed {
        let rate = 1e9 / facts.timing.period_ns().max(1) as f64;
        attributes.insert("frame_rate".into(), format!("{rate:.1}"));
    }
    let mut acquisition = Acquisition::begin(engine, &facts, gap_ns(facts.timing.period_ns()), 0.0)?;
    for frame in cine {
        let frame = frame?;
        acquisition.push(&facts, &frame.pixels, frame.time_ns)?;
    }
    Ok(acquisition.end()?)
}

fn open(entry: &Entry) -> Result<Cine, CineError> {
    let mut cine = Cine::open(&entry.file)?;
    if let Some(period_ns) = entry.period_ns {
        cine.facts.timing = Timing::regular(cine.facts.frames(), period_ns, Some("frame_period_ns"));
    }
    Ok(cine)
}

/// Writes metrics and report, and prints the headline.
fn finish(out: &Path, header: &Header, rows: &[Row]) -> Result<(), Failure> {
    let found = metrics::metrics(header, rows).map_err(Failure::files)?;
    let write = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::file(&path, error))
    };
    write("metrics.json", format!("{found:#}\n"))?;
    write("report.html", report::html(header, &found))?;
    output::line(&format!("{} cines of {} patients", found["cines"], found["patients"]))?;
    for name in bootstrap::HEADLINE {
        let figure = &found["headline"][name];
        let [value, low, high] = ["value", "low", "high"].map(|key| figure[key].as_f64().unwrap_or(f64::NAN));
        output::line(&format!("{name:16} {value:.4}  ({low:.4} to {high:.4})"))?;
    }
    output::line(&out.join("report.html").display().to_string())
}

fn make_folder(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|error| Failure::file(out, error))
}

/// A bar on standard error; draws nothing where that is no terminal.
fn progress(rows: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(rows as u64).with_position(done as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos:>6} of {len}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn shard(text: &str) -> Result<[usize; 2], String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some([i.parse().ok()?, n.parse().ok()?]));
    let possible = |&[shard, shards]: &[usize; 2]| 1 <= shard && shard <= shards;
    parts.filter(possible).ok_or_else(|| "a shard is I/N, as 1/8, with I from 1 to N".into())
}

fn margin(text: &str) -> Result<f32, String> {
    let margin = text.parse().ok().filter(|margin| *margin > 0.0 && *margin <= 1.0);
    margin.ok_or_else(|| "a margin is above 0 and at most 1".into())
}
