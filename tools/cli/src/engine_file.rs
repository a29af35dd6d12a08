//! `tteview engine`: engines that TensorRT built, from the factory to the devices.

use crate::engine::EngineArguments;
use crate::{Failure, output};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EngineFile {
    /// Build the engine for this machine's GPU, or load it, and write it into a file
    Export(Transfer),
    /// Bring an engine file into the cache, and see that it loads
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
        let (Self::Export(Transfer { file, engine: arguments })
        | Self::Import(Transfer { file, engine: arguments })) = &self;
        let engine = arguments.create()?;
        let refused = |error| Failure::model(file, error);
        let import = matches!(self, Self::Import(_));
        if import {
            engine.import(file).map_err(refused)?;
        }
        arguments.prepare(&engine)?;
        if !import {
            engine.export(file).map_err(refused)?;
        }
        let report = engine.report();
        output::line(&format!("{}  {}, {:?}", file.display(), report.provider_version, engine.origin()))
    }
}
