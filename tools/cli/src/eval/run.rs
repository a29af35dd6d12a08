//! The evaluation of one model on the cines of a manifest.

use super::manifest::{choose_change_pairs, read_manifest};
use super::prediction_file::PredictionFile;
use super::predictions::{Groups, Header, Row, RuleState, RunInfo, VERSION, round_logarithms};
use super::summary::write_summary;
use super::task::{Task, TaskError};
use crate::engine_arguments::EngineArguments;
use crate::failure::{Exit, Failure};
use crate::output::print_line;
use crate::output_file::create_folder;
use crate::progress::create_progress_bar;
use crate::terminal::escape_path;
use clap::Args;
use std::path::PathBuf;
use tteview::{Engine, Mode, ModelSpec};

#[derive(Debug, Args)]
pub(super) struct RunSettings {
    /// Comma-separated splits to evaluate, or all; if other splits are selected too, val is used
    /// only to fit the temperature
    #[arg(long, value_delimiter = ',', default_value = "test")]
    split: Vec<String>,
    /// Evaluate only shard I of N; `tteview eval merge` then writes the report
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<[usize; 2]>,
    /// Maximum number of pairs of cines in the test of view changes; a patient has at most two
    /// pairs
    #[arg(long, value_name = "PAIRS", default_value_t = 50)]
    changes: usize,
    /// Margin of the view-change rule (`view_change_margin`) in the test of view changes
    #[arg(long, value_name = "MARGIN", default_value_t = 0.2, value_parser = parse_margin)]
    change_margin: f32,
    /// Count the cines that cannot be read, and continue without them
    #[arg(long)]
    skip_unreadable: bool,
}

/// An evaluation of one model.
pub(super) struct EvalRun {
    pub(super) manifest: PathBuf,
    pub(super) engine: EngineArguments,
    pub(super) settings: RunSettings,
    /// Folder for the results.
    pub(super) out: PathBuf,
}

impl EvalRun {
    pub(super) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.create_engine()?;
        let labels: Vec<String> =
            engine.spec().labels.iter().map(|label| label.code.clone()).collect();
        let entries = read_manifest(&self.manifest, &self.settings.split, &labels)?;
        // The engine is prepared after the manifest has been checked, because the preparation may
        // take minutes.
        self.engine.prepare_engine(&engine)?;
        let pairs = choose_change_pairs(&entries, self.settings.changes);
        let change_tasks = pairs.iter().flat_map(|&[from, to]| {
            let [from, to] = [&entries[from], &entries[to]];
            RuleState::ALL.map(|rule| Task::Change { from, to, rule })
        });
        let all_tasks: Vec<Task<'_>> = entries.iter().map(Task::Cine).chain(change_tasks).collect();
        let header = self.create_header(&engine, labels, all_tasks.len());
        let [shard, shards] = self.shard();
        let tasks: Vec<Task<'_>> = all_tasks.into_iter().skip(shard - 1).step_by(shards).collect();
        create_folder(&self.out)?;
        let path = match self.settings.shard {
            None => self.out.join("predictions.jsonl"),
            Some(_) => self.out.join(format!("predictions.{shard}-of-{shards}.jsonl")),
        };
        let keys: Vec<String> = tasks.iter().map(|task| task.create_row().key()).collect();
        let (mut file, mut rows) = PredictionFile::open(&path, &header, &keys)?;
        let bar = create_progress_bar(tasks.len(), "{bar:30} {pos:>6} of {len}  {eta} left")
            .with_position(rows.len() as u64);
        for &task in &tasks[rows.len()..] {
            let row = self.compute_row(&engine, task)?;
            file.append(&row)?;
            rows.push(row);
            bar.inc(1);
        }
        bar.finish_and_clear();
        match self.settings.shard {
            None => write_summary(&self.out, &header, &rows),
            Some(_) => print_line(&format!("{}: {} rows", escape_path(&path), rows.len())),
        }
    }

    fn shard(&self) -> [usize; 2] {
        self.settings.shard.unwrap_or([1, 1])
    }

    fn create_header(&self, engine: &Engine, labels: Vec<String>, rows: usize) -> Header {
        let spec = engine.spec();
        let mode = match spec.mode {
            Mode::Window => "window",
            Mode::Stream => "stream",
        };
        Header {
            predictions: VERSION,
            labels,
            model: Some(spec.package_sha256.clone()),
            temperature: spec.temperature,
            threshold: spec.threshold,
            groups: list_groups(spec),
            novelty_threshold: spec.novelty.as_ref().map(|novelty| novelty.threshold),
            run: Some(RunInfo {
                shard: self.shard(),
                rows,
                provider: engine.report().provider,
                mode: mode.into(),
                change_margin: self.settings.change_margin,
            }),
        }
    }

    fn compute_row(&self, engine: &Engine, task: Task<'_>) -> Result<Row, Failure> {
        let mut row = task.create_row();
        match task.acquire(engine, self.settings.change_margin, &mut row) {
            Ok(outputs) => {
                row.times_ns = outputs.iter().map(|output| output.time_ns).collect();
                row.log_posterior =
                    outputs.iter().map(|output| round_logarithms(&output.posterior)).collect();
                row.novelty = outputs.iter().filter_map(|output| output.novelty).collect();
            }
            Err(TaskError::Run(failure)) => return Err(failure),
            Err(TaskError::Cine(cause)) => match &mut row.change {
                Some(change) => change.left_out = Some(cause),
                None if self.settings.skip_unreadable => row.unreadable = Some(cause),
                None => {
                    let message =
                        format!("{cause}; use --skip-unreadable to continue without the cine");
                    return Err(Failure::new(Exit::Files, message));
                }
            },
        }
        Ok(row)
    }
}

/// Returns the groups of a model, or `None` if it has none.
fn list_groups(spec: &ModelSpec) -> Option<Groups> {
    let codes: Vec<String> = spec.groups.iter().map(|group| group.code.clone()).collect();
    let of_label = spec.labels.iter().map(|label| label.group.unwrap_or_default()).collect();
    let groups = Groups { codes, of_label, threshold: spec.group_threshold };
    (!groups.codes.is_empty()).then_some(groups)
}

fn parse_shard(text: &str) -> Result<[usize; 2], String> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some([i.parse().ok()?, n.parse().ok()?]));
    let is_possible = |&[shard, shards]: &[usize; 2]| 1 <= shard && shard <= shards;
    let shard = numbers.filter(is_possible);
    shard.ok_or_else(|| {
        "the shard must have the form I/N with I from 1 to N, for example 1/8".into()
    })
}

fn parse_margin(text: &str) -> Result<f32, String> {
    let margin = text.parse().ok().filter(|margin| *margin > 0.0 && *margin <= 1.0);
    margin.ok_or_else(|| "the margin must be greater than 0 and at most 1".into())
}
