//! `tteview engine`: transfers TensorRT engines from the factory to devices.

use crate::engine_arguments::EngineArguments;
use crate::failure::{Exit, Failure};
use crate::output::print_line;
use crate::terminal::escape_path;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EngineFile {
    /// Build the engine for this machine's GPU, or load it from the cache, and write it to a file
    Export(Transfer),
    /// Import an engine file into the cache and check that it can be loaded
    Import(Transfer),
}

#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// Engine file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
}

impl EngineFile {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (Self::Export(transfer) | Self::Import(transfer)) = &self;
        let Transfer { file, engine: arguments } = transfer;
        if arguments.engine_cache.is_none() {
            // Without this check, an export without a cache folder would fail only after the engine
            // has been built.
            let message = "--engine-cache is missing; name the folder for the engines";
            return Err(Failure::new(Exit::Usage, message));
        }
        let engine = arguments.create_engine()?;
        let refusal = |error| Failure::model(file, error);
        let is_import = matches!(self, Self::Import(_));
        if is_import {
            engine.import(file).map_err(refusal)?;
        }
        arguments.prepare_engine(&engine)?;
        if !is_import {
            engine.export(file).map_err(refusal)?;
        }
        let report = engine.report();
        let origin = engine.origin();
        print_line(&format!("{}  {}, {origin:?}", escape_path(file), report.provider_version))
    }
}
