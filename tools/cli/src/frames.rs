//! `tteview frames`.

use crate::cine_arguments::{CineArguments, print_warnings};
use crate::failure::Failure;
use crate::output::{print_json, print_line};
use crate::output_file::OutputFile;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use tteview::frame::PixelFormat;

#[derive(Debug, Args)]
pub(crate) struct Frames {
    /// Cine file, or folder of frames
    file: PathBuf,
    #[command(flatten)]
    cine: CineArguments,
    /// Output file: consecutive images in binary PGM (grey) or PPM (RGB) format
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print the properties of the cine as one JSON object
    #[arg(long)]
    json: bool,
}

impl Frames {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut cine = self.cine.open(&self.file)?;
        let geometry = *cine.facts.geometry();
        let write_failure = |error: std::io::Error| Failure::file(&self.output, error);
        let mut target = OutputFile::create(&self.output)?;
        let magic = if geometry.format() == PixelFormat::Gray8 { "P5" } else { "P6" };
        for frame in &mut cine {
            let frame = frame?;
            write!(target, "{magic}\n{} {}\n255\n", geometry.width_px(), geometry.height_px())
                .and_then(|()| target.write_all(&frame.pixels))
                .map_err(write_failure)?;
        }
        target.commit().map_err(write_failure)?;
        print_warnings(&cine);
        let facts = &cine.facts;
        if !self.json {
            return print_line(&facts.to_line());
        }
        let mut json = facts.to_json();
        json["times_ns"] = json!(facts.timing.times_ns);
        print_json(&json)
    }
}
