//! `cargo xtask test`: every check and test of the repository.

use crate::process::{Result, cargo, run as run_command};
use crate::{fetch, host, instrumented, jetson, training};
use std::time::{Duration, Instant};

/// A step: its name in the closing table, and what it does.
type Step = (&'static str, fn() -> Result);

/// In this order: the quick checks first. A new step is one line here.
const STEPS: &[Step] = &[
    ("format", format),
    ("clippy", clippy),
    ("features", features),
    ("tests", tests),
    ("runtimes", runtimes),
    ("hosts", host::hosts),
    ("sysroot", jetson::sysroot_script),
    ("jetson", || jetson::run(&["--proof"])),
    ("loom", instrumented::loom),
    ("sanitizer", instrumented::sanitizer),
    ("training", training::tests),
];

/// Runs the steps named, or all, until one fails, then prints a table of them.
pub(crate) fn run(names: &[&str]) -> Result {
    let known = |name: &&&str| STEPS.iter().any(|step| step.0 == **name);
    if let Some(stranger) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = STEPS.iter().map(|step| step.0).collect();
        return Err(format!("no step is called {stranger}; there are {}", all.join(", ")));
    }
    let wanted = |step: &&Step| names.is_empty() || names.contains(&step.0);
    run_steps(&STEPS.iter().filter(wanted).copied().collect::<Vec<_>>())
}

fn format() -> Result {
    run_command(&mut cargo("fmt --all --check"))
}

fn clippy() -> Result {
    run_command(&mut cargo("clippy --workspace --all-targets --features tteview/bench -- -D warnings"))
}

/// The library with one backend alone, and both it and the command line with the provider that is no default.
fn features() -> Result {
    for feature in ["ort", "rten", "tensorrt-rtx"] {
        let arguments = "clippy -p tteview --all-targets --no-default-features --features";
        run_command(cargo(arguments).args([feature, "--", "-D", "warnings"]))?;
    }
    run_command(&mut cargo("clippy -p tteview-cli --all-targets --features tensorrt-rtx -- -D warnings"))
}

/// Unit, integration and documentation tests of every crate (plain `cargo test` covers all three).
fn tests() -> Result {
    let (library, cines) = (fetch::newest_onnx_runtime()?, fetch::cines()?);
    run_command(cargo("test --workspace").env("TTEVIEW_ORT_DYLIB", library).env("TTEVIEW_CINES", cines))
}

/// The library on every ONNX Runtime, each in a process of its own; and what the GPU build's providers and the plug-in for
/// RTX say on a machine without a GPU.
fn runtimes() -> Result {
    for library in fetch::onnx_runtimes()? {
        println!("ONNX Runtime: {}", library.display());
        run_command(
            cargo("test -p tteview --lib --test ort --test equality -- --include-ignored --skip gpu_tests")
                .env("TTEVIEW_ORT_DYLIB", library),
        )?;
    }
    let Some(library) = fetch::onnx_runtime_gpu()? else {
        println!(
            "left out: the GPU build of ONNX Runtime, which has no TensorRT provider for this processor"
        );
        return Ok(());
    };
    println!("ONNX Runtime: {}", library.display());
    run_command(
        cargo("test -p tteview --lib -- --include-ignored gpu_tests").env("TTEVIEW_ORT_GPU_DYLIB", library),
    )?;
    let Some(plugin) = fetch::tensorrt_rtx()? else {
        println!("left out: TensorRT for RTX, of which no wheel for this processor is known");
        return Ok(());
    };
    println!("TensorRT for RTX: {}", plugin.display());
    let tests =
        "test -p tteview --no-default-features --features tensorrt-rtx --lib -- --include-ignored plugin";
    run_command(
        cargo(tests)
            .env("TTEVIEW_RTX_DYLIB", plugin)
            .env("TTEVIEW_ORT_DYLIB", fetch::newest_onnx_runtime()?)
            .env("TTEVIEW_ORT_OLD_DYLIB", fetch::oldest_onnx_runtime()?),
    )
}

/// A line of the closing table: the time is absent for a step that was not reached.
type Line = (&'static str, Option<Duration>, &'static str);

fn run_steps(steps: &[Step]) -> Result {
    let mut lines: Vec<Line> = Vec::new();
    let mut outcome = Ok(());
    for &(name, step) in steps {
        if outcome.is_err() {
            lines.push((name, None, "not run"));
            continue;
        }
        println!("\n== {name}");
        let start = Instant::now();
        outcome = step().map_err(|message| format!("step {name} failed: {message}"));
        let time = start.elapsed();
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("== {name} {word} in {:.1} s", time.as_secs_f64());
        lines.push((name, Some(time), word));
    }
    println!("\n{}", table(&lines));
    outcome
}

fn table(lines: &[Line]) -> String {
    let total = lines.iter().filter_map(|line| line.1).sum();
    let mut text = format!("{:<12}{:>10}  result", "step", "time");
    for &(name, time, word) in lines.iter().chain(&[("total", Some(total), "")]) {
        let time = time.map_or_else(|| "-".into(), |time| format!("{:.1} s", time.as_secs_f64()));
        text += format!("\n{name:<12}{time:>10}  {word}").trim_end();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failing_step_is_named_and_no_later_step_runs() {
        fn later() -> Result {
            panic!("a step ran after one had failed")
        }
        let error = run_steps(&[("a", || Ok(())), ("b", || Err("broken".into())), ("c", later)]).unwrap_err();
        assert_eq!(error, "step b failed: broken");
    }

    #[test]
    fn the_table_shows_each_step_and_the_total() {
        let second = Some(Duration::from_secs(1));
        let text = table(&[("a", second, "passed"), ("b", second, "FAILED"), ("c", None, "not run")]);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            words,
            [
                vec!["step", "time", "result"],
                vec!["a", "1.0", "s", "passed"],
                vec!["b", "1.0", "s", "FAILED"],
                vec!["c", "-", "not", "run"],
                vec!["total", "2.0", "s"],
            ]
        );
    }
}
