//! `tteview eval`: evaluates a model on labelled cines.
//!
//! | module | contents |
//! | --- | --- |
//! | `run`, `task` | the evaluation of one model, and each of its acquisitions |
//! | `merge`, `compare` | the commands that work on files of predictions |
//! | `manifest` | the label of each cine |
//! | `acquisition` | cines on a host-driven stream |
//! | `predictions`, `prediction_file` | the predictions, and the file to which a run appends them |
//! | `summary`, `metrics` | the results of a run |
//! | `scored_cines`, `tally`, `confusion` | cines with their labels, and counts of correct labels |
//! | `decision` | the labels and groups that the model gives at its thresholds |
//! | `bootstrap`, `calibration` | intervals, and the calibration of confidences |
//! | `over_time`, `view_changes`, `robustness` | accuracy over time, after view changes, and in groups |
//! | `report`, `chart` | the report for people |

mod acquisition;
mod bootstrap;
mod calibration;
mod chart;
mod compare;
mod confusion;
mod decision;
mod manifest;
mod merge;
mod metrics;
mod over_time;
mod prediction_file;
mod predictions;
mod report;
mod robustness;
mod run;
mod scored_cines;
mod summary;
mod tally;
mod task;
mod view_changes;

use crate::engine_arguments::EngineArguments;
use crate::failure::{Exit, Failure};
use clap::{Args, Subcommand};
use run::{EvalRun, RunSettings};
use std::path::{Path, PathBuf};

/// Parses a manifest in memory, and returns the number of its cines. Only the fuzz targets use this
/// function.
///
/// # Errors
/// Returns a failure if the manifest is not valid.
pub fn parse_manifest(manifest: &[u8], labels: &[String]) -> Result<usize, Failure> {
    let splits = ["all".to_owned()];
    let entries = manifest::parse_manifest(Path::new("manifest"), manifest, &splits, labels)?;
    manifest::choose_change_pairs(&entries, 100);
    Ok(entries.len())
}

/// Parses a file of predictions in memory, and returns the number of its rows. Only the fuzz
/// targets use this function.
///
/// # Errors
/// Returns a failure if the file is not valid.
pub fn parse_predictions(content: &[u8]) -> Result<usize, Failure> {
    predictions::Predictions::parse(Path::new("predictions"), content).map(|file| file.rows.len())
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Eval {
    #[command(subcommand)]
    command: Option<FileCommand>,
    /// CSV file with the columns path (relative to the folder of the CSV file), label, patient,
    /// split and colour; further columns are attributes
    #[arg(long, value_name = "CSV", required = true)]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    engine: Option<EngineArguments>,
    #[command(flatten)]
    settings: RunSettings,
    /// Folder for predictions.jsonl, metrics.json and report.html; to continue an interrupted run,
    /// name the same folder again
    #[arg(long, value_name = "FOLDER", required = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum FileCommand {
    /// Merge the shards of a run and write the metrics and the report
    Merge(merge::Merge),
    /// Compare two files of predictions, for example from two runtimes, or from a checkpoint and
    /// its package
    Compare(compare::Compare),
}

impl Eval {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match (self.command, self.manifest, self.engine, self.out) {
            (Some(FileCommand::Merge(merge)), ..) => merge.run(),
            (Some(FileCommand::Compare(compare)), ..) => compare.run(),
            (None, Some(manifest), Some(engine), Some(out)) => {
                EvalRun { manifest, engine, settings: self.settings, out }.run()
            }
            _ => Err(Failure::new(Exit::Usage, "eval requires --manifest, --model and --out")),
        }
    }
}
