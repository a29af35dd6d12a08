//! `tteview frames`.

use crate::cine::Cine;
use crate::failure::Failure;
use crate::output::{print_json, print_line};
use crate::output_file::OutputFile;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use tteview::frame::PixelFormat;

#[derive(Debug, Args)]
pub(crate) struct Frames {
    /// DICOM, AVI or GIF file, or folder of PNG frames
    file: PathBuf,
    /// Output file: consecutive images in binary PGM (grey) or PPM (RGB) format
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print the properties of the cine as one JSON object
    #[arg(long)]
    json: bool,
}

impl Frames {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let cine = Cine::open(&self.file)?;
        let facts = cine.facts.clone();
        let geometry = facts.geometry();
        let write_failure = |error: std::io::Error| Failure::file(&self.output, error);
        let mut target = OutputFile::create(&self.output)?;
        let magic = if geometry.format() == PixelFormat::Gray8 { "P5" } else { "P6" };
        for frame in cine {
            let frame = frame?;
            write!(target, "{magic}\n{} {}\n255\n", geometry.width_px(), geometry.height_px())
                .and_then(|()| target.write_all(&frame.pixels))
                .map_err(write_failure)?;
        }
        target.commit().map_err(write_failure)?;
        if self.json { print_json(&facts.to_json()) } else { print_line(&facts.to_line()) }
    }
}
