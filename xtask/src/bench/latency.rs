//! `cargo xtask bench latency`: measures the time from the end of an acquisition to its label.

use crate::fetch::onnx_runtime::fetch_newest;
use crate::files::copy_file;
use crate::paths::{root, work_dir};
use crate::platform::Platform;
use crate::process::{Result, cargo, command, run};
use std::path::{Path, PathBuf};

/// A latency measurement of one network.
struct Measurement {
    title: &'static str,
    /// Name of the JSON file and of the plot, without the extension.
    name: &'static str,
    /// Arguments of `tteview bench latency`.
    arguments: &'static str,
}

const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        title: "SlowFast R50 8x8 at 224x224, three channels, random weights, frame steps",
        name: "r50-cpu",
        arguments: "--model r50.stream.onnx --clip r50.clip.onnx --source r50.onnx --provider cpu \
                    --threads 2 --rate 30 --partial auto --load 0,1 --seconds 0.4 \
                    --acquisitions 100",
    },
    Measurement {
        title: "the same, ends at any time after the last frame",
        name: "r50-any-time-cpu",
        arguments: "--model r50.stream.onnx --source r50.onnx --provider cpu --threads 2 \
                    --rate 30 --partial auto --seconds 0.4 --acquisitions 100 --end any-time",
    },
    Measurement {
        title: "the same, beside a second stream",
        name: "r50-two-streams-cpu",
        arguments: "--model r50.stream.onnx --source r50.onnx --provider cpu --threads 2 \
                    --rate 30 --partial auto --seconds 0.4 --acquisitions 100 --streams 2",
    },
    Measurement {
        title: "the same network, chunk steps",
        name: "r50-chunk-cpu",
        arguments: "--model r50-chunk.stream.onnx --source r50.onnx --provider cpu --threads 2 \
                    --rate 30 --partial auto --seconds 0.4",
    },
    Measurement {
        title: "layers of demo model 3 at 112x112, random weights, frame steps, rten",
        name: "layers-embedded",
        arguments: "--model layers.stream.onnx --clip layers.clip.onnx --provider embedded \
                    --threads 2 --rate 30 --partial auto --seconds 0.4 --acquisitions 100",
    },
    Measurement {
        title: "the same, ends at any time after the last frame",
        name: "layers-any-time-embedded",
        arguments: "--model layers.stream.onnx --provider embedded --threads 2 --rate 30 \
                    --partial auto --seconds 0.4 --acquisitions 100 --end any-time",
    },
    Measurement {
        title: "the layers of demo model 3, ONNX Runtime",
        name: "layers-cpu",
        arguments: "--model layers.stream.onnx --clip layers.clip.onnx --provider cpu \
                    --threads 2 --rate 30 --partial auto --seconds 0.4 --acquisitions 100",
    },
    Measurement {
        title: "demo model, ONNX Runtime",
        name: "demo-cpu",
        arguments: "--model demo.stream.onnx --clip demo.clip.onnx --provider cpu \
                    --threads 2 --rate 30,60,120,max --load 0,2 --seconds 0.4 --acquisitions 24",
    },
    Measurement {
        title: "demo model, rten",
        name: "demo-embedded",
        arguments: "--model demo.stream.onnx --clip demo.clip.onnx --provider embedded \
                    --threads 2 --rate 30,60,120,max --load 0,2 --seconds 0.4 --acquisitions 24",
    },
];

/// Measures each network, or only those with the given names, and writes the results as JSON files
/// and plots.
pub(super) fn measure_latency(names: &[&str]) -> Result {
    check_names(names)?;
    let tteview = Platform::native().build_command_line()?;
    let folder = prepare_networks(&tteview)?;
    let library = fetch_newest()?;
    for Measurement { title, name, arguments } in MEASUREMENTS {
        if !names.is_empty() && !names.contains(name) {
            continue;
        }
        println!("\n{title}");
        let mut bench = command(&tteview, ["bench", "latency"]);
        bench
            .current_dir(&folder)
            .args(arguments.split_whitespace())
            .arg("--runtime")
            .arg(&library);
        run(bench.args(["--json", &format!("{name}.json"), "--plot", &format!("{name}.svg")]))?;
    }
    println!("\nJSON and plots: {}", folder.display());
    Ok(())
}

fn check_names(names: &[&str]) -> Result {
    let known: Vec<&str> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("the name must be one of {}, got {name}", known.join(", "))),
        None => Ok(()),
    }
}

/// Copies the demo model to a folder, compiles the networks with random weights into the same
/// folder, and returns the path of the folder. Each run compiles the networks again, because the
/// compiler may have changed.
fn prepare_networks(tteview: &Path) -> Result<PathBuf> {
    let folder = work_dir().join("latency");
    for name in ["demo.stream.onnx", "demo.clip.onnx"] {
        copy_file(&root().join("models").join(name), &folder.join(name))?;
    }
    for (network, source) in [("50", "r50.onnx"), ("demo", "layers.onnx")] {
        // The lateral connections read no later frame.
        let mut example = cargo("run --release -p tteview-compiler --example slowfast --");
        run(example.arg(folder.join(source)).args([network, "0"]))?;
    }
    for (source, steps, name) in [
        ("r50.onnx", "frame", "r50"),
        ("r50.onnx", "chunk", "r50-chunk"),
        ("layers.onnx", "frame", "layers"),
    ] {
        let mut compile = command(tteview, ["compile", "--steps", steps]);
        compile.arg(folder.join(source)).arg("--labels").arg(root().join("models/views.json"));
        run(compile.arg("-o").arg(folder.join(name)))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_measurement_is_refused() {
        assert!(check_names(&[]).is_ok());
        assert!(check_names(&["demo-cpu", "r50-cpu"]).is_ok());
        let error = check_names(&["demo-cpu", "r51"]).unwrap_err();
        assert!(error.contains("got r51") && error.contains("demo-embedded"), "{error}");
    }
}
