//! The step `benches`: the installed program `tteview-bench`, without Cargo.

use crate::fetch::onnx_runtime::fetch_newest;
use crate::files::{create_empty_folder, list_files};
use crate::package::programs::install_bench;
use crate::paths::{root, work_dir};
use crate::platform::Platform;
use crate::process::{Result, command, read_output};
use std::path::Path;
use std::process::Command;

/// The groups of the benches.
const GROUPS: [&str; 10] = [
    "push",
    "ring",
    "preprocess",
    "sampling",
    "network",
    "head",
    "acquisition",
    "label latency",
    "query",
    "prepare",
];

/// Runs each bench once, for a package in chunk steps and one in frame steps, and checks that a
/// baseline can be saved and compared with.
pub(super) fn test_benches() -> Result {
    let folder = work_dir().join("benches");
    create_empty_folder(&folder)?;
    let program = install_bench(&folder.join("prefix"), &Platform::native(), &[])?;
    let runtime = fetch_newest()?;
    let start = || {
        let mut bench = command(&program, [""; 0]);
        // Cargo sets the first variable for the programs that it runs, and a developer may have set
        // the second.
        bench
            .env_remove("CARGO")
            .env_remove("CRITERION_HOME")
            .env("ORT_DISABLE_TELEMETRY", "1")
            .current_dir(&folder);
        bench.arg("--runtime").arg(&runtime);
        bench
    };
    for model in ["demo.stream.onnx", "standin.frames.onnx"] {
        let mut bench = start();
        bench.arg("--model").arg(root().join("models").join(model));
        test_once(model, bench.args(["--provider", "embedded,cpu", "--test"]))?;
    }
    test_baseline(&folder, start)
}

/// Checks that each group has a bench that runs.
fn test_once(model: &str, bench: &mut Command) -> Result {
    let output = read_output(bench)?;
    for group in GROUPS {
        let start = format!("Testing {group}/");
        if !output.lines().any(|line| line.starts_with(&start)) {
            return Err(format!("{model}: the group {group} must have a bench:\n{output}"));
        }
    }
    println!("{model}: {} benches passed", output.matches("Success").count());
    Ok(())
}

/// Checks that criterion saves a baseline, compares with it, and writes a report.
fn test_baseline(folder: &Path, start: impl Fn() -> Command) -> Result {
    let filter = "head/";
    read_output(start().args([filter, "--save-baseline", "before"]))?;
    let output = read_output(start().args([filter, "--baseline", "before"]))?;
    if !output.contains("change:") {
        return Err(format!("criterion must compare with the baseline:\n{output}"));
    }
    let report = folder.join("tteview-bench-report");
    if !list_files(&report)?.iter().any(|file| file.ends_with("report/index.html")) {
        return Err(format!("criterion must write a report to {}", report.display()));
    }
    Ok(())
}
