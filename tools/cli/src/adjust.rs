//! `tteview adjust`: writes a package with other groups, thresholds, temperature or novelty score.

use crate::failure::Failure;
use crate::input_file::{MAX_MODEL_BYTES, read_settings};
use crate::output::print_line;
use crate::output_file::write_file;
use crate::terminal::escape_path;
use clap::Args;
use std::path::PathBuf;
use tteview::{ModelPackage, regular_file};
use tteview_compiler::{Adjustments, Novelty, adjust_package, parse_labels};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("value").required(true).multiple(true))]
pub(crate) struct Adjust {
    /// Model package
    model: PathBuf,
    /// JSON file with the labels of the package and their groups, as for `tteview compile`
    #[arg(long, value_name = "FILE", group = "value")]
    labels: Option<PathBuf>,
    /// Confidence below which the label is withheld
    #[arg(long, value_name = "VALUE", group = "value")]
    threshold: Option<f64>,
    /// Confidence of a group below which the group and the label are withheld
    #[arg(long, value_name = "VALUE", group = "value")]
    group_threshold: Option<f64>,
    /// Divisor of the logits before the softmax
    #[arg(long, value_name = "VALUE", group = "value")]
    temperature: Option<f64>,
    /// JSON file with the novelty score: an object {kind, threshold, means}
    #[arg(long, value_name = "FILE", group = "value")]
    novelty: Option<PathBuf>,
    /// Novelty score above which the label and the group are withheld
    #[arg(long, value_name = "VALUE", group = "value", allow_negative_numbers = true)]
    novelty_threshold: Option<f64>,
    /// File for the adjusted package
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Adjust {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let model = &self.model;
        let package = regular_file::read(model, MAX_MODEL_BYTES)
            .map_err(|error| Failure::model(model, error))?;
        let labels = match &self.labels {
            None => None,
            Some(path) => {
                let labels = parse_labels(&read_settings(path)?);
                Some(labels.map_err(|error| Failure::model(path, error))?)
            }
        };
        let novelty = match &self.novelty {
            None => None,
            Some(path) => {
                let novelty = Novelty::from_json(&read_settings(path)?);
                Some(novelty.map_err(|error| Failure::model(path, error))?)
            }
        };
        let adjustments = Adjustments {
            labels,
            threshold: self.threshold,
            group_threshold: self.group_threshold,
            temperature: self.temperature,
            novelty,
            novelty_threshold: self.novelty_threshold,
        };
        let adjusted =
            adjust_package(&package, &adjustments).map_err(|error| Failure::model(model, error))?;
        ModelPackage::check(&adjusted).map_err(|error| Failure::model(model, error))?;
        write_file(&self.output, &adjusted)?;
        print_line(&format!("{}  {} bytes", escape_path(&self.output), adjusted.len()))
    }
}
