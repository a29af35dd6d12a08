//! `cargo xtask demo`: a cine through the C ABI to a label.

use crate::fetch;
use crate::host::build_host;
use crate::package::own_prefix;
use crate::process::{Result, cargo, command, no_arguments, read, run, target};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Trained on phantom cines alone, see docs/model.md.
pub(crate) const DEMO_MODEL: &str = "models/demo.stream.onnx";

/// Random weights, small: for tests of the way.
pub(crate) const STAND_IN: &str = "models/standin.stream.onnx";

/// Frame period of both cines: 30 Hz.
pub(crate) const PERIOD_NS: &str = "33333333";

/// A cine of the demo: PGM or PPM images, the time between frames, and what it is.
struct DemoCine {
    images: PathBuf,
    period_ns: String,
    what: &'static str,
}

/// Builds the library and the C host, fetches a cine, and streams it.
pub(crate) fn run_demo(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
    let program = build_host(&own_prefix()?, "ffi-examples/scanner_sim.c", &[])?;
    let cine = match real_cine() {
        Ok(cine) => cine,
        Err(reason) => {
            println!("no real cine: {reason}");
            let what = "phantom: synthetic apical four-chamber view (60 frames, 640 x 480)";
            DemoCine { images: phantom_cine()?, period_ns: PERIOD_NS.into(), what }
        }
    };
    println!("\ncine      {}", cine.what);
    println!("network   demo model, trained on synthetic cines alone: for bring-up, not for clinical use");
    let arguments = [Path::new(DEMO_MODEL), &cine.images, Path::new(&cine.period_ns)];
    run(&mut command(program, arguments))
}

/// The cine that the Python package pydicom ships, decoded by the command line.
fn real_cine() -> Result<DemoCine> {
    let dicom = fetch::pydicom()?.join("examples_ybr_color.dcm");
    run(&mut cargo("build --release -p tteview-cli"))?;
    let tteview = target().join("release").join(format!("tteview{}", std::env::consts::EXE_SUFFIX));
    let images = folder()?.join("pydicom.ppm");
    let facts = read(command(tteview, ["frames", "--json"]).arg(dicom).arg("--output").arg(&images))?;
    let facts: serde_json::Value = serde_json::from_str(&facts).map_err(|error| error.to_string())?;
    let period = facts["period_ns"].as_i64().ok_or("tteview frames gave no period_ns")?;
    let what = "real: the cardiac cine of the PyPI package pydicom (30 frames, 320 x 240)";
    Ok(DemoCine { images, period_ns: period.to_string(), what })
}

fn folder() -> Result<PathBuf> {
    let folder = target().join("tteview/demo");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// An apical four-chamber view of the phantom as one PGM file.
pub(crate) fn phantom_cine() -> Result<PathBuf> {
    let path = folder()?.join("phantom.pgm");
    let settings = tteview_phantom::Settings {
        width: 640,
        height: 480,
        frames: 60,
        ..tteview_phantom::Settings::default()
    };
    let view = tteview_phantom::View::from_code("A4C").ok_or("the phantom has no A4C")?;
    let cine = tteview_phantom::render(view, 1, &settings);
    let mut file = std::fs::File::create(&path).map_err(|error| error.to_string())?;
    for frame in &cine.frames {
        write!(file, "P5\n{} {}\n255\n", cine.width, cine.height).map_err(|error| error.to_string())?;
        file.write_all(frame).map_err(|error| error.to_string())?;
    }
    Ok(path)
}
