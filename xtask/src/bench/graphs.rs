//! `cargo xtask bench graphs`: measures how long a source network and the graphs compiled from it
//! take in ONNX Runtime, OpenVINO, PyTorch, rten and tract.

use crate::fetch::cache::{fill_once, name_by_content};
use crate::fetch::python::{install_packages, python};
use crate::files::create_folder;
use crate::paths::{root, work_dir};
use crate::process::{Result, cargo, run};
use std::process::Stdio;

/// Name of the network in `tools/compiler/real_sources.py`.
const NETWORK: &str = "slowfast_r50";

/// The Python packages that the export and the runtimes need.
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

/// Exports the network, compiles a colour and a grey version of it, and prints the tables.
/// `arguments` contains options of `tools/compiler/bench_graphs.py`, such as `--rounds 21`.
///
/// The files stay in the target directory, where PyTorch takes up 7 GB.
pub(super) fn measure_graphs(arguments: &[&str]) -> Result {
    let folder = work_dir().join("graphs");
    create_folder(&folder)?;
    let name = name_by_content("python-graphs", &PYTHON_PACKAGES.join("\n"));
    let packages = fill_once(&name, |folder| install_packages(folder, PYTHON_PACKAGES))?;
    let script = |name: &str| {
        let mut script = python();
        script.arg(root().join("tools/compiler").join(name));
        // The versions are pinned, so deprecation warnings do not matter.
        script.env("PYTHONPATH", &packages).env("PYTHONWARNINGS", "ignore");
        script
    };
    let source = folder.join(format!("{NETWORK}.causal.torchscript.onnx"));
    if !source.exists() {
        run(script("real_sources.py").args([NETWORK, "--causal", "--out"]).arg(&folder))?;
    }
    // Each run compiles the network again, because the compiler may have changed.
    for (name, flags) in [("colour", &[][..]), ("grey", &["grey"])] {
        let mut compile =
            cargo("run --release --quiet -p tteview-compiler --example compile_graph --");
        run(compile.arg(&source).arg(folder.join(name)).args(flags).stdout(Stdio::null()))?;
    }
    let build = folder.join("build");
    let manifest = "tools/compiler/bench/Cargo.toml";
    let options = format!("build --release --quiet --manifest-path {manifest} --target-dir");
    run(cargo(&options).arg(&build))?;
    let program = build.join("release/tteview-compiler-bench");
    let mut table = script("bench_graphs.py");
    table.arg(NETWORK).arg(&source).arg(&folder).arg("--rust").arg(program);
    run(table.args(arguments))
}
