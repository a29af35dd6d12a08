//! `tteview classify`.
//!
//! | module | contents |
//! | --- | --- |
//! | `jobs`, `engines` | several cines at a time |
//! | `labelled_cine` | a cine with its label, and its JSON |
//! | `table`, `summary`, `report` | the lines that are printed, and the page |
//! | `watch`, `settled_files` | the files of a folder to which another program writes |

mod engines;
mod jobs;
mod labelled_cine;
mod report;
mod settled_files;
mod summary;
mod table;
mod watch;

use crate::acquisition::window_hop;
use crate::cine::discovery::{FoundCines, find_cines, find_listed_cines};
use crate::cine_arguments::CineArguments;
use crate::engine_arguments::EngineArguments;
use crate::failure::{Exit, Failure};
use crate::label::label_cine;
use crate::page::{LoopBuilder, render_cine, render_error};
use crate::progress::create_progress_bar;
use crate::terminal::escape_path;
use clap::Args;
use engines::Engines;
use indicatif::{ProgressBar, ProgressFinish};
use jobs::run_in_order;
use labelled_cine::LabelledCine;
use report::{Outcome, Report};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use table::{Table, width};
use tteview::Engine;
use watch::{WatchedFolder, watch};

/// Interval at which the progress bar is redrawn.
const PROGRESS_TICK: Duration = Duration::from_millis(100);

/// Default of `--settle`.
const SETTLE_TIME: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Classify {
    /// Cine files, folders of frames, folders that contain cines, or a DICOMDIR
    #[arg(required_unless_present = "watch", value_name = "FILE")]
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
    /// Write a page that shows the cines and their labels: one HTML file
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Number of cines that are labelled at the same time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Label the cine files in this folder, and each further file as soon as it is complete, until
    /// Ctrl-C
    #[arg(long, value_name = "FOLDER", conflicts_with = "files")]
    watch: Option<PathBuf>,
    /// Time for which a file must not change before it counts as complete, with --watch
    /// [default: 2]
    // `requires` alone would not refuse this option together with files, which conflict with
    // `watch`.
    #[arg(
        long, value_name = "SECONDS", requires = "watch", conflicts_with = "files",
        value_parser = parse_settle_time
    )]
    settle: Option<Duration>,
}

impl Classify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let engines = Engines::load(&self.engine, self.count_jobs())?;
        let engine = engines.first();
        window_hop(engine.spec(), self.hop)?;
        if let Some(folder) = &self.watch {
            let watched = WatchedFolder {
                folder,
                settle: self.settle.unwrap_or(SETTLE_TIME),
                jobs: self.count_jobs(),
                json: self.json,
                page: self.page.as_deref(),
                still: self.cine.still(),
            };
            return watch(&watched, &engines, |path, engine| {
                self.label_file(path, engine, &ProgressBar::hidden())
            });
        }
        let FoundCines { cines, skipped } = self.find_cines();
        let file_width = cines.iter().map(|path| width(&escape_path(path))).max().unwrap_or(0);
        let table = (!self.json).then(|| Table::new(file_width, engine));
        let (bar, frame_bar) = create_bars(&cines);
        let mut report = Report::begin(engine, table, self.page.as_deref(), bar)?;
        report.summary.skipped = skipped;
        run_in_order(
            &cines,
            self.count_jobs(),
            &AtomicBool::new(false),
            |job, path| self.label_file(path, engines.get(job)?, &frame_bar),
            |outcome| report.add(&outcome?),
        )?;
        report.end(cines.len() > 1 && !self.json)
    }

    /// Returns the cines that the arguments name.
    fn find_cines(&self) -> FoundCines {
        let mut all = FoundCines::default();
        for path in &self.files {
            let found = match path.is_dir() {
                _ if self.cine.still() => None,
                true => Some(find_cines(path)),
                false => find_listed_cines(path),
            };
            let Some(found) = found else {
                all.cines.push(path.clone());
                continue;
            };
            all.skipped += found.skipped;
            match found.cines.is_empty() {
                // Opening the folder or the DICOMDIR as a cine gives the error.
                true => all.cines.push(path.clone()),
                false => all.cines.extend(found.cines),
            }
        }
        all
    }

    fn count_jobs(&self) -> usize {
        let count_cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(count_cores, usize::from)
    }

    /// Labels a cine. Only a failure of the model is a failure of this function.
    fn label_file(
        &self,
        path: &Path,
        engine: &Engine,
        bar: &ProgressBar,
    ) -> Result<Outcome, Failure> {
        let labelled = self.read_and_label(path, engine, bar);
        bar.finish_and_clear();
        let (cine, entry) = match labelled {
            Ok((cine, entry)) => (Ok(cine), entry),
            Err(Failure { exit: Exit::Files, message }) => {
                let entry = self.page.as_ref().map(|_| render_error(path, &message));
                (Err(message), entry)
            }
            Err(failure) => return Err(failure),
        };
        Ok(Outcome { path: path.to_owned(), cine, entry })
    }

    fn read_and_label(
        &self,
        path: &Path,
        engine: &Engine,
        bar: &ProgressBar,
    ) -> Result<(LabelledCine, Option<String>), Failure> {
        let start = Instant::now();
        let mut cine = self.cine.open(path)?;
        bar.set_length(cine.facts.frame_count() as u64);
        let mut cine_loop = self.page.as_ref().map(|_| LoopBuilder::new(&cine.facts));
        let label = label_cine(engine, &mut cine, self.hop, |frame| {
            if let Some(cine_loop) = &mut cine_loop {
                cine_loop.add(frame);
            }
            bar.inc(1);
        })?;
        let facts = &cine.facts;
        let entry =
            cine_loop.map(|cine_loop| render_cine(path, facts, &label, cine_loop, engine.spec()));
        let seconds = start.elapsed().as_secs_f64();
        let warnings = facts.warnings.clone();
        Ok((LabelledCine { label, facts: facts.to_json(), warnings, seconds }, entry))
    }
}

/// Creates the bar that counts the cines and the bar that counts the frames of a single cine. One
/// of them is hidden.
fn create_bars(cines: &[PathBuf]) -> (ProgressBar, ProgressBar) {
    let (all, frames) = match cines {
        [path] => {
            let template = "{bar:30} {pos:>5} of {len} frames  {wide_msg}";
            let bar = create_progress_bar(0, template).with_message(escape_path(path));
            (ProgressBar::hidden(), bar)
        }
        _ => {
            let template = "{bar:30} {pos:>6} of {len} cines, {eta} left";
            (create_progress_bar(cines.len(), template), ProgressBar::hidden())
        }
    };
    let prepare = |bar: ProgressBar| {
        bar.enable_steady_tick(PROGRESS_TICK);
        bar.with_finish(ProgressFinish::AndClear)
    };
    (prepare(all), prepare(frames))
}

fn parse_settle_time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    let seconds = seconds.ok_or("the time must be 0.1 to 3600 seconds")?;
    Ok(Duration::from_secs_f64(seconds))
}
