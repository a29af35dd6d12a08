//! `cargo xtask bench graphs`: a source network and its packages in ONNX Runtime, OpenVINO, PyTorch, rten and tract.

use crate::process::{Result, cargo, command, root, run as run_command, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The network of the table, by its name in `real_sources.py`.
const NETWORK: &str = "slowfast_r50";

/// What the export and the runtimes need from the package index.
const PYTHON_PACKAGES: &[&str] = &[
    "torch==2.15.0",
    "torchvision==0.29.2",
    "pytorchvideo==0.1.5",
    "fvcore==0.1.5.post20221221",
    "iopath==0.1.10",
    "onnx==1.23.2",
    "onnxscript==0.7.2",
    "onnxruntime==1.32.0",
    "openvino==2026.4.1",
    "numpy==2.4.6",
];

/// Exports the network, compiles it in colour and in grey, and prints the tables. Arguments go to
/// `tools/compiler/bench_graphs.py`, as `--rounds 21`.
///
/// What it makes stays in `tteview/graphs` of the target directory; 7 GB of it is PyTorch.
pub(crate) fn run(arguments: &[&str]) -> Result {
    let folder = target().join("tteview").join("graphs");
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let packages = python_packages(&folder)?;
    let python = |script: &str| {
        let mut python = command("python3", [root().join("tools/compiler").join(script)]);
        // Deprecations in the packages, at pinned versions, tell nobody anything.
        python.env("PYTHONPATH", &packages).env("PYTHONWARNINGS", "ignore");
        python
    };
    let source = folder.join(format!("{NETWORK}.causal.torchscript.onnx"));
    if !source.exists() {
        run_command(python("real_sources.py").args([NETWORK, "--causal", "--out"]).arg(&folder))?;
    }
    // Compiled each time: the compiler is what the table is about.
    for (name, flags) in [("colour", &[][..]), ("grey", &["grey"])] {
        let mut compile = cargo("run --release --quiet -p tteview-compiler --example compile_graph --");
        run_command(compile.arg(&source).arg(folder.join(name)).args(flags).stdout(Stdio::null()))?;
    }
    let build = folder.join("build");
    let mut rust =
        cargo("build --release --quiet --manifest-path tools/compiler/bench/Cargo.toml --target-dir");
    run_command(rust.arg(&build))?;
    let program = build.join("release/tteview-compiler-bench");
    let mut table = python("bench_graphs.py");
    table.arg(NETWORK).arg(&source).arg(&folder).arg("--rust").arg(program);
    run_command(table.args(arguments))
}

/// The folder that holds [`PYTHON_PACKAGES`], filled on the first call.
fn python_packages(folder: &Path) -> Result<PathBuf> {
    let (kept, list) = (folder.join("python"), folder.join("python.txt"));
    let wanted = PYTHON_PACKAGES.join("\n");
    if fs::read_to_string(&list).is_ok_and(|have| have == wanted) {
        return Ok(kept);
    }
    if kept.exists() {
        fs::remove_dir_all(&kept).map_err(|e| format!("cannot remove {}: {e}", kept.display()))?;
    }
    let options = ["-m", "pip", "install", "--quiet", "--target"];
    run_command(command("python3", options).arg(&kept).args(PYTHON_PACKAGES))?;
    // Written last, so that an interrupted run leaves nothing that looks complete.
    fs::write(&list, wanted).map_err(|e| format!("cannot write {}: {e}", list.display()))?;
    Ok(kept)
}
