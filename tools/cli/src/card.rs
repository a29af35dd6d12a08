//! `tteview card`: shows the model card of a package, or writes a package with a new card.

use crate::failure::{Exit, Failure};
use crate::output::print_line;
use clap::Args;
use std::path::{Path, PathBuf};
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
        let package = std::fs::read(model).map_err(|error| Failure::model(model, error))?;
        match (&self.set, &self.output) {
            (Some(card), Some(output)) => write_card(model, &package, card, output),
            _ => print_card(model, &package),
        }
    }
}

fn write_card(model: &Path, package: &[u8], card: &Path, output: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(card).map_err(|error| Failure::file(card, error))?;
    let changed = set_model_card(package, &text).map_err(|error| Failure::model(model, error))?;
    std::fs::write(output, &changed).map_err(|error| Failure::file(output, error))?;
    print_line(&format!("{}  {} bytes", output.display(), changed.len()))
}

fn print_card(model: &Path, package: &[u8]) -> Result<(), Failure> {
    let card = read_model_card(package).map_err(|error| Failure::model(model, error))?;
    let missing = || {
        let message = "the package has no model card; add one with --set";
        Failure::new(Exit::Model, format!("{}: {message}", model.display()))
    };
    print_line(card.ok_or_else(missing)?.trim_end())
}
