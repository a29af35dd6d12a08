//! `cargo xtask demo`: streams a cine through the C ABI and prints its label.

use crate::fetch::cines::fetch_real_cine;
use crate::files::create_folder;
use crate::host_build::build_host;
use crate::inputs::{
    DEMO_MODEL, PERIOD_NS, PHANTOM_FRAMES, PHANTOM_HEIGHT_PX, PHANTOM_WIDTH_PX, cines_dir,
    write_phantom_cine,
};
use crate::package::install_for_tests;
use crate::platform::Platform;
use crate::process::{Result, command, expect_no_arguments, read_output, run};
use std::path::{Path, PathBuf};

/// The cine that the demo streams.
struct DemoCine {
    /// File that contains the frames as PGM or PPM images.
    images: PathBuf,
    period_ns: String,
    description: String,
}

/// Builds the library and a C host, and streams a real cine, or a phantom cine if no real cine can
/// be fetched and decoded.
pub(crate) fn run_demo(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    let program = build_host(&install_for_tests()?, "ffi-examples/scanner_sim.c", &[])?;
    let cine = match decode_real_cine() {
        Ok(cine) => cine,
        Err(reason) => {
            println!("no real cine: {reason}");
            render_phantom_cine()?
        }
    };
    println!("\ncine      {}", cine.description);
    println!("note      the demo model is trained on synthetic cines only; not for clinical use");
    let arguments = [Path::new(DEMO_MODEL), &cine.images, Path::new(&cine.period_ns)];
    run(&mut command(program, arguments))
}

/// Decodes the cardiac cine from the Python package pydicom with the program `tteview`.
fn decode_real_cine() -> Result<DemoCine> {
    let dicom = fetch_real_cine()?;
    let tteview = Platform::native().build_command_line()?;
    let images = cines_dir().join("pydicom.ppm");
    create_folder(&cines_dir())?;
    let mut frames = command(tteview, ["frames", "--json"]);
    let properties = read_output(frames.arg(dicom).arg("--output").arg(&images))?;
    let properties: serde_json::Value = serde_json::from_str(&properties)
        .map_err(|error| format!("output of tteview frames: {error}"))?;
    let period =
        properties["period_ns"].as_i64().ok_or("the output of tteview frames has no period_ns")?;
    let description = "real: the cardiac cine of the PyPI package pydicom (30 frames, 320 x 240)";
    Ok(DemoCine { images, period_ns: period.to_string(), description: description.into() })
}

fn render_phantom_cine() -> Result<DemoCine> {
    let size = format!("{PHANTOM_FRAMES} frames, {PHANTOM_WIDTH_PX} x {PHANTOM_HEIGHT_PX}");
    Ok(DemoCine {
        images: write_phantom_cine()?,
        period_ns: PERIOD_NS.into(),
        description: format!("phantom: synthetic apical four-chamber view ({size})"),
    })
}
