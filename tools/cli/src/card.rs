//! `tteview card`: shows the model card of a package, or writes a package with a new card.

use crate::failure::Failure;
use crate::input_file::{MAX_MODEL_BYTES, read_settings};
use crate::output::{print_line, print_lines};
use crate::output_file::write_file;
use crate::terminal::escape_path;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tteview::regular_file;
use tteview_compiler::{read_model_card, set_model_card};

#[derive(Debug, Args)]
pub(crate) struct Card {
    /// Model package
    model: PathBuf,
    /// Model card as JSON; docs/model-package.md lists the fields
    #[arg(long, value_name = "FILE", requires = "output")]
    set: Option<PathBuf>,
    /// File for the package with the new card
    #[arg(short, long, value_name = "FILE", requires = "set")]
    output: Option<PathBuf>,
}

impl Card {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let model = &self.model;
        let package = regular_file::read(model, MAX_MODEL_BYTES)
            .map_err(|error| Failure::model(model, error))?;
        match (&self.set, &self.output) {
            (Some(card), Some(output)) => write_card(model, &package, card, output),
            _ => print_card(model, &package),
        }
    }
}

fn write_card(model: &Path, package: &[u8], card: &Path, output: &Path) -> Result<(), Failure> {
    let text = read_settings(card)?;
    let changed = set_model_card(package, &text).map_err(|error| Failure::model(model, error))?;
    write_file(output, &changed)?;
    print_line(&format!("{}  {} bytes", escape_path(output), changed.len()))
}

/// Prints the card as indented JSON, because the text in the package may contain any characters.
fn print_card(model: &Path, package: &[u8]) -> Result<(), Failure> {
    let failure = |cause: &str| Failure::model(model, cause);
    let card = read_model_card(package).map_err(|error| failure(&error.to_string()))?;
    let card = card.ok_or_else(|| failure("the package has no model card; add one with --set"))?;
    let card: Value = serde_json::from_str(&card)
        .map_err(|error| failure(&format!("the model card is malformed: {error}")))?;
    print_lines(format!("{card:#}").lines())
}
