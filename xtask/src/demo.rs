//! `cargo xtask demo`: a cine through the C ABI to a label.

use crate::fetch;
use crate::host::build_host;
use crate::process::{Result, cargo, command, read, run, target};
use std::path::{Path, PathBuf};

const MODEL: &str = "models/standin.stream.onnx";

/// A cine of the demo: PGM or PPM images, the time between frames, and what it is.
struct DemoCine {
    images: PathBuf,
    period_ns: String,
    what: &'static str,
}

/// Builds the library and the C host, fetches a cine, and streams it.
pub(crate) fn run_demo() -> Result {
    let program = build_host("ffi-examples/c_minimal.c")?;
    run(&mut cargo("build --release -p tteview-cli"))?;
    let folder = target().join("tteview/demo");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let cine = real_cine(&folder).or_else(|reason| {
        println!("no real cine: {reason}");
        phantom_cine(&folder)
    })?;
    println!("\ncine      {}", cine.what);
    println!("network   STAND-IN with random weights: the way is real, the label means nothing");
    let arguments = [Path::new(MODEL), &cine.images, Path::new(&cine.period_ns)];
    run(&mut command(program, arguments))
}

/// The cine that the Python package pydicom ships.
fn real_cine(folder: &Path) -> Result<DemoCine> {
    let dicom = fetch::pydicom()?.join("examples_ybr_color.dcm");
    let what = "real: the cardiac cine of the PyPI package pydicom (30 frames, 320 x 240)";
    decode(&dicom, folder.join("pydicom.ppm"), what)
}

fn phantom_cine(folder: &Path) -> Result<DemoCine> {
    let size = ["--frames=60", "--width=640", "--height=480"];
    run(tteview("phantom").args(["--views=A4C"]).args(size).arg("--out").arg(folder))?;
    let what = "phantom: synthetic apical four-chamber view (60 frames, 640 x 480)";
    decode(&folder.join("A4C_00000.dcm"), folder.join("phantom.pgm"), what)
}

fn decode(dicom: &Path, images: PathBuf, what: &'static str) -> Result<DemoCine> {
    let facts = read(tteview("frames").arg(dicom).arg("--output").arg(&images).arg("--json"))?;
    let facts: serde_json::Value = serde_json::from_str(&facts).map_err(|error| error.to_string())?;
    let period = facts["period_ns"].as_i64().ok_or("tteview frames gave no period_ns")?;
    Ok(DemoCine { images, period_ns: period.to_string(), what })
}

fn tteview(subcommand: &str) -> std::process::Command {
    let program = target().join("release").join(format!("tteview{}", std::env::consts::EXE_SUFFIX));
    command(program, [subcommand])
}
