//! `cargo xtask test`: runs every check and test of the repository, in steps.

mod benches;
mod features;
mod instrumented;
mod report;
mod runtimes;
mod step;
mod training;
mod workspace;

use crate::files::disk_usage_bytes;
use crate::paths::target_dir;
use crate::process::Result;
use crate::skips::take_skipped_parts;
use crate::{hosts, jetson};
use report::{Outcome, Report, format_time};
use std::time::Instant;
use step::{Plan, Step};

/// All steps, in the order in which they run. The quick steps come first.
const STEPS: &[Step] = &[
    Step::quick("format", "rustfmt", workspace::check_format),
    Step::quick("clippy", "clippy on all targets", workspace::run_clippy),
    Step::quick("style", "documents and rules of the repository", workspace::check_style),
    Step::quick("tests", "tests of every crate, on one ONNX Runtime", workspace::run_tests),
    Step::quick("hosts", "hosts in C and C++ on the installed package", hosts::test_hosts),
    Step::quick("priorities", "a host with real-time priorities", hosts::test_priorities)
        .skip_if(hosts::explain_no_priorities),
    Step::full(
        "features",
        "the library with fewer and with more features",
        features::check_features,
    ),
    Step::full("benches", "the installed benches, each once", benches::test_benches),
    Step::full("runtimes", "the library on older versions of ONNX Runtime", runtimes::test_older)
        .skip_if(runtimes::explain_no_older),
    Step::full("gpu", "the GPU build of ONNX Runtime without a GPU", runtimes::test_gpu_build)
        .skip_if(runtimes::explain_no_gpu_build),
    Step::full("rtx", "the plug-in for TensorRT for RTX without a GPU", runtimes::test_rtx_plugin)
        .skip_if(runtimes::explain_no_rtx_plugin),
    Step::full("soak", "an hour of stream time, and memory over long use", workspace::run_soak),
    Step::full("sysroot", "the script that makes a sysroot", jetson::test_sysroot_script),
    Step::full("jetson", "library and hosts on emulated aarch64", jetson::test_jetson)
        .skip_if(jetson::explain_no_cross_build),
    Step::full("loom", "ring, results and samples in every interleaving", instrumented::run_loom),
    Step::full("sanitizer", "the library with AddressSanitizer", instrumented::run_sanitizer),
    Step::full("training", "the Python package in training/", training::test_training),
    Step::full("recipes", "exports of other packages, as documented", training::test_recipes),
];

/// Runs `cargo xtask test [--all | STEP...]` up to the first step that fails.
pub(crate) fn run_test(arguments: &[&str]) -> Result {
    let plan = Plan::select(STEPS, arguments)?;
    let (rows, outcome) = run_steps(&plan.steps);
    let target_bytes = disk_usage_bytes(&target_dir());
    println!("\n{}", Report { rows, left_out: plan.left_out, target_bytes }.format());
    outcome
}

fn run_steps(steps: &[Step]) -> (Vec<(&'static str, Outcome)>, Result) {
    let mut rows = Vec::new();
    let mut result = Ok(());
    for step in steps {
        let outcome = if result.is_ok() { run_step(step, &mut result) } else { Outcome::NotRun };
        rows.push((step.name, outcome));
    }
    (rows, result)
}

fn run_step(step: &Step, result: &mut Result) -> Outcome {
    let name = step.name;
    if let Some(reason) = (step.explain_skip)() {
        println!("\n== {name} skipped: {reason}");
        return Outcome::Skipped(reason);
    }
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = (step.run)();
    let time = start.elapsed();
    let skipped_parts = take_skipped_parts();
    match outcome {
        Ok(()) => {
            println!("== {name} passed in {}", format_time(time));
            Outcome::Passed { time, skipped_parts }
        }
        Err(message) => {
            println!("== {name} FAILED in {}", format_time(time));
            *result = Err(format!("step {name} failed: {message}"));
            Outcome::Failed(time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skips::skip_part;

    #[test]
    fn no_step_runs_after_the_first_failure() {
        fn never() -> Result {
            panic!("a step ran after another had failed")
        }
        let steps = [
            Step::quick("a", "", || Ok(())),
            Step::quick("b", "", || Err("broken".into())),
            Step::quick("c", "", never),
        ];
        let (rows, result) = run_steps(&steps);
        assert_eq!(result.unwrap_err(), "step b failed: broken");
        assert!(matches!(rows[0], ("a", Outcome::Passed { .. })));
        assert!(matches!(rows[1], ("b", Outcome::Failed(_))));
        assert_eq!(rows[2], ("c", Outcome::NotRun));
    }

    #[test]
    fn skipped_parts_belong_to_the_step_that_skips_them() {
        fn skip() -> Result {
            skip_part("clang".into());
            Ok(())
        }
        let (rows, _) = run_steps(&[Step::quick("a", "", skip), Step::quick("b", "", || Ok(()))]);
        let parts: Vec<_> = rows
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Passed { skipped_parts, .. } => skipped_parts.join(","),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(parts, ["clang", ""]);
    }

    #[test]
    fn skipped_step_does_not_run_and_keeps_its_reason() {
        fn never() -> Result {
            panic!("a skipped step ran")
        }
        let step = Step::full("gpu", "", never).skip_if(|| Some("no wheel".into()));
        let (rows, result) = run_steps(&[step]);
        assert_eq!(result, Ok(()));
        assert_eq!(rows, [("gpu", Outcome::Skipped("no wheel".into()))]);
    }

    #[test]
    fn names_of_steps_are_unique_and_fit_the_table() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(step.name.len() < 12, "{}", step.name);
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
