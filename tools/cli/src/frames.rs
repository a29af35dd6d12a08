//! `tteview frames`.

use crate::cine::Cine;
use crate::failure::Failure;
use crate::output::print_line;
use clap::Args;
use std::fs::File;
use std::io::{BufWriter, Write};
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
        let mut target = BufWriter::new(File::create(&self.output).map_err(write_failure)?);
        let magic = if geometry.format() == PixelFormat::Gray8 { "P5" } else { "P6" };
        for frame in cine {
            let frame = frame?;
            write!(target, "{magic}\n{} {}\n255\n", geometry.width_px(), geometry.height_px())
                .and_then(|()| target.write_all(&frame.pixels))
                .map_err(write_failure)?;
        }
        target.flush().map_err(write_failure)?;
        print_line(&if self.json { facts.to_json().to_string() } else { facts.to_line() })
    }
}
