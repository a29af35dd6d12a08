//! `cargo xtask bench latency`: time from the end of an acquisition to its label, on networks of two sizes.

use crate::fetch;
use crate::process::{Result, cargo, command, no_arguments, root, run, target};
use std::fs;
use std::path::{Path, PathBuf};

/// One measurement: title, name of the files it leaves, and arguments of `tteview bench latency`.
type Measurement = (&'static str, &'static str, &'static str);

/// SlowFast R50 8x8 in ONNX Runtime on two threads, then the demo model on both runtimes.
const MEASUREMENTS: &[Measurement] = &[
    (
        "SlowFast R50 8x8 at 224x224, three channels, random weights",
        "r50-cpu",
        "--model r50.stream.onnx --clip r50.clip.onnx --source r50.onnx --provider cpu --threads 2 \
         --rate 30 --partial auto,drop,hold --seconds 1.2",
    ),
    (
        "demo model at 112x112, ONNX Runtime",
        "demo-cpu",
        "--model demo.stream.onnx --clip demo.clip.onnx --provider cpu --rate 30,60,120,max --load 0,2 --seconds 0.4 --acquisitions 24",
    ),
    (
        "demo model at 112x112, rten",
        "demo-embedded",
        "--model demo.stream.onnx --clip demo.clip.onnx --provider embedded --rate 30,60,120,max --load 0,2 --seconds 0.4 --acquisitions 24",
    ),
];

/// Builds the command line and the networks, measures, and leaves JSON and plots beside them.
pub(crate) fn bench(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
    run(&mut cargo("build --release -p tteview-cli"))?;
    let tteview = target().join("release").join(format!("tteview{}", std::env::consts::EXE_SUFFIX));
    let tteview = std::path::absolute(tteview).map_err(|error| error.to_string())?;
    let folder = networks(&tteview)?;
    let library = fetch::newest_onnx_runtime()?;
    for (title, name, arguments) in MEASUREMENTS {
        println!("\n{title}");
        let mut bench = command(&tteview, ["bench", "latency"]);
        bench.current_dir(&folder).args(arguments.split_whitespace()).arg("--runtime").arg(&library);
        run(bench.args(["--json", &format!("{name}.json"), "--plot", &format!("{name}.svg")]))?;
    }
    println!("\nJSON and plots: {}", folder.display());
    Ok(())
}

/// The folder of all networks; the large ones are written and compiled anew, for the compiler may have changed.
fn networks(tteview: &Path) -> Result<PathBuf> {
    let folder = std::path::absolute(target().join("tteview/latency")).map_err(|error| error.to_string())?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in ["demo.stream.onnx", "demo.clip.onnx"] {
        let from = root().join("models").join(name);
        fs::copy(&from, folder.join(name)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    let source = folder.join("r50.onnx");
    run(cargo("run --release -p tteview-compiler --example slowfast --").arg(&source))?;
    let mut compile = command(tteview, ["compile"]);
    compile.arg(&source).arg("--labels").arg(root().join("models/views.json"));
    run(compile.arg("-o").arg(folder.join("r50")))?;
    Ok(folder)
}
