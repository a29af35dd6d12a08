//! `tteview frames`.

use crate::cine::{Cine, Facts};
use crate::{Failure, output};
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use tteview::frame::PixelFormat;

#[derive(Debug, Args)]
pub(crate) struct Frames {
    /// DICOM, AVI or GIF file, or folder of PNG frames
    file: PathBuf,
    /// File to write: binary PGM (grey) or PPM (RGB) images, one after the other
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

impl Frames {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let cine = Cine::open(&self.file).map_err(|error| Failure::files(error.to_string()))?;
        let facts = cine.facts.clone();
        let written = |error: std::io::Error| Failure::file(&self.output, error);
        let mut target = BufWriter::new(File::create(&self.output).map_err(written)?);
        let kind = if facts.format == PixelFormat::Gray8 { "P5" } else { "P6" };
        for frame in cine {
            let frame = frame.map_err(|error| Failure::files(error.to_string()))?;
            write!(target, "{kind}\n{} {}\n255\n", facts.width_px, facts.height_px)
                .and_then(|()| target.write_all(&frame.pixels))
                .map_err(written)?;
        }
        target.flush().map_err(written)?;
        output::line(&if self.json { object(&facts).to_string() } else { sentence(&facts) })
    }
}

/// The facts of a cine for scripts.
pub(crate) fn object(facts: &Facts) -> Value {
    let region = facts.region.map(|image| {
        let region = image.region;
        json!({
            "x": region.x_px, "y": region.y_px, "width": region.width_px, "height": region.height_px,
            "um_per_px": image.um_per_px,
        })
    });
    json!({
        "source": facts.source,
        "frames": facts.frames(),
        "width": facts.width_px,
        "height": facts.height_px,
        "channels": if facts.format == PixelFormat::Gray8 { 1 } else { 3 },
        "period_ns": facts.timing.period_ns(),
        "timing": facts.timing.source,
        "region": region,
    })
}

/// The same for people.
pub(crate) fn sentence(facts: &Facts) -> String {
    let colour = if facts.format == PixelFormat::Gray8 { "grey" } else { "RGB" };
    let (frames, width, height) = (facts.frames(), facts.width_px, facts.height_px);
    let period = facts.timing.period_ns() as f64 / 1e6;
    let timing = facts.timing.source.unwrap_or("assumed: the file has no times");
    let mut text = format!(
        "{}: {frames} frames, {width} x {height}, {colour}, {period:.3} ms apart ({timing})",
        facts.source
    );
    if let Some(image) = facts.region {
        let region = image.region;
        text += &format!(
            ", image {} x {} at {}, {}",
            region.width_px, region.height_px, region.x_px, region.y_px
        );
        if let Some([x, y]) = image.um_per_px {
            text += &format!(", pixels of {x:.0} x {y:.0} um");
        }
    }
    text
}
