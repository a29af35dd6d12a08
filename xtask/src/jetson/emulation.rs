//! Tests in the emulator. Some of them compare the answers of emulated programs with those of
//! native programs.

use super::answer::{
    Answer, compare_answers, describe_agreement, parse_example_output, parse_json_output,
};
use super::record::Record;
use super::toolchain::CORE_FLAG;
use crate::cargo_test::{Selection, count_passed};
use crate::fetch::cines::fetch_real_cine;
use crate::fetch::onnx_runtime::{fetch_for_aarch64, fetch_newest};
use crate::host_build::{EXAMPLES, build_host, build_host_for};
use crate::inputs::{PERIOD_NS, STANDIN_MODEL, write_phantom_cine};
use crate::package::install_for_tests;
use crate::platform::{Language, Platform};
use crate::process::{Result, command, read_output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pause after each frame, in milliseconds, in tests that can pause. An emulated step can take
/// longer than its chunk lasts. Without the pause, frames would pile up and the library would skip
/// chunks.
const PAUSE_MS: &str = "120";

/// Maximum number of attempts for a program that runs in real time.
const ATTEMPTS: u32 = 3;

const PLACE: &str = "qemu-aarch64";

/// Runs all tests, and compares the answers with those of native runs with the same sources and
/// models.
pub(super) fn test_emulated(record: &mut Record, platform: &Platform, prefix: &Path) -> Result {
    let runtime = fetch_for_aarch64()?;
    record.run_stage(
        "tests of the library (unit, stream, equality, ONNX Runtime)",
        PLACE,
        || test_library(platform, &runtime),
    )?;
    record.run_stage("test programs in C and C++", PLACE, || test_hosts(platform, prefix))?;
    record.run_stage("ONNX Runtime in a C host", PLACE, || {
        let program = build_host_for(platform, prefix, "tests/c/runtime.c", &[])?;
        retry(|| {
            run(platform.command(&program).arg(STANDIN_MODEL).arg(&runtime))?;
            Ok("passed".into())
        })
    })?;
    let native_prefix = install_for_tests()?;
    let cine = write_phantom_cine()?;
    record.run_stage("C and C++ examples, rten", PLACE, || {
        retry(|| compare_examples(platform, prefix, &native_prefix, &cine))
    })?;
    let native_tteview = Platform::native().build_command_line()?;
    let tteview = platform.release_dir().join("tteview");
    record.run_stage("tteview classify, real cine, rten", PLACE, || {
        let options = ["--provider", "embedded"].map(PathBuf::from);
        let expected = classify_real_cine(command(&native_tteview, [""; 0]), &options)?;
        retry(|| {
            describe_agreement(
                &expected,
                &classify_real_cine(platform.command(&tteview), &options)?,
            )
        })
    })?;
    record.run_stage("tteview classify, real cine, ONNX Runtime", PLACE, || {
        let options = |library| ["--provider".into(), "cpu".into(), "--runtime".into(), library];
        let expected =
            classify_real_cine(command(&native_tteview, [""; 0]), &options(fetch_newest()?))?;
        let options = options(runtime.clone());
        retry(|| {
            describe_agreement(
                &expected,
                &classify_real_cine(platform.command(&tteview), &options)?,
            )
        })
    })?;
    record.run_stage("tteview demo in real time, rten", PLACE, || {
        // The scores are not compared, because the library skips chunks if the emulator is slow,
        // and the scores then differ.
        let mut demo = platform.command(&tteview);
        let output = read_output(demo.args(["demo", "--cine"]).arg(fetch_real_cine()?))?;
        let view = output.lines().find_map(|line| line.strip_prefix("view "));
        view.map(|view| view.trim().into()).ok_or_else(|| "tteview demo printed no view".into())
    })
}

/// Calls `attempt` until it succeeds, at most three times. The attempts run in real time. If a step
/// takes longer under the emulator than its chunk lasts, the library skips chunks and the answer
/// differs. A real fault, however, makes every attempt fail.
fn retry(mut attempt: impl FnMut() -> Result<String>) -> Result<String> {
    for number in 1..ATTEMPTS {
        match attempt() {
            Ok(text) if number == 1 => return Ok(text),
            Ok(text) => return Ok(format!("{text} (attempt {number})")),
            Err(message) => {
                println!("the emulator may have been too slow, trying again: {message}")
            }
        }
    }
    attempt().map(|text| format!("{text} (attempt {ATTEMPTS})"))
}

/// Runs the library's tests with Cargo, which starts the test programs in the emulator.
fn test_library(platform: &Platform, runtime: &Path) -> Result<String> {
    let build_tests = |suites: &str| {
        let mut tests = platform.cargo("test", &format!("--release -p tteview {suites}"));
        tests.env("TTEVIEW_ORT_DYLIB", runtime).env("TTEVIEW_TEST_REST_MS", PAUSE_MS);
        // Some tests build a C library and load it, so they need the cross compiler.
        tests.env("CC", platform.compiler(Language::C));
        // The stress test of the ring is shortened here, because at full length it takes minutes in
        // the emulator.
        tests.env("TTEVIEW_STRESS_HANDOVERS", "20000");
        tests
    };
    let run_tests = |tests: &mut Command| {
        let output = read_output(tests)?;
        print!("{output}");
        Ok(format!("{} passed", count_passed(&output)?))
    };
    let suites = "--lib --test stream --test equality --test runtime_library";
    // The GPU tests are skipped, because ONNX Runtime has no GPU build for aarch64. The tests in
    // `killed` are skipped, because they start their own program again, which is not possible in
    // the emulator.
    let skip = &["ort::tests::gpu", "cache::tests::killed"];
    let selection = Selection { filter: "", skip, include_ignored: true };
    selection.check(&mut build_tests(suites))?;
    let unit_tests = run_tests(selection.apply(&mut build_tests(suites)))?;
    let runtime_tests = retry(|| {
        let selection = Selection { include_ignored: true, ..Selection::default() };
        run_tests(selection.apply(&mut build_tests("--test ort")).arg("--test-threads=1"))
    })?;
    Ok(format!("{unit_tests}, ONNX Runtime {runtime_tests}; left out: {}", skip.join(", ")))
}

/// Runs the test programs in C and C++.
fn test_hosts(platform: &Platform, prefix: &Path) -> Result<String> {
    // Each entry contains a source file, its compiler flags, and the arguments that the program
    // gets after the path of the model.
    let programs: [(&str, &[&str], &[&str]); 5] = [
        ("tests/c/engine.c", &[], &[]),
        ("tests/c/stream.c", &[], &[]),
        ("tests/c/pause.c", &[], &[]),
        ("tests/cpp/owners.cpp", &["-fno-exceptions"], &[]),
        ("tests/c/queries.c", &[], &[PAUSE_MS]),
    ];
    for (source, flags, arguments) in programs {
        let program = build_host_for(platform, prefix, source, flags)?;
        // The programs check that a step takes less time than its chunk lasts. This check can fail
        // in a slow emulator, so a program that fails is run again.
        retry(|| {
            run(platform.command(&program).arg(STANDIN_MODEL).args(arguments))
                .map(|()| String::new())
        })?;
    }
    Ok(format!("{} programs passed", programs.len()))
}

/// Runs every example on the same cine in the emulator and on this machine, and compares the
/// answers.
fn compare_examples(
    platform: &Platform,
    prefix: &Path,
    native_prefix: &Path,
    cine: &Path,
) -> Result<String> {
    let arguments = [Path::new(STANDIN_MODEL), cine, Path::new(PERIOD_NS)];
    let mut view = String::new();
    for source in EXAMPLES {
        let source = format!("ffi-examples/{source}");
        let native =
            read_output(&mut command(build_host(native_prefix, &source, &[])?, arguments))?;
        let program = build_host_for(platform, prefix, &source, &[CORE_FLAG])?;
        let emulated = read_output(platform.command(&program).args(arguments))?;
        print!("{emulated}");
        let (expected, emulated) =
            (parse_example_output(&native)?, parse_example_output(&emulated)?);
        compare_answers(&expected, &emulated).map_err(|message| format!("{source}: {message}"))?;
        view = emulated.view;
    }
    Ok(format!("{} programs, {view} as on x86-64", EXAMPLES.len()))
}

/// Classifies the real cine with the program `tteview`.
fn classify_real_cine(mut tteview: Command, options: &[PathBuf]) -> Result<Answer> {
    tteview.arg("classify").args(options).args(["--json", "--model", STANDIN_MODEL]);
    tteview.arg(fetch_real_cine()?).env("ORT_DISABLE_TELEMETRY", "1");
    parse_json_output(&read_output(&mut tteview)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_success_names_its_attempt() {
        let run_until = |success: u32| {
            let mut calls = 0;
            retry(|| {
                calls += 1;
                if calls < success { Err(format!("failure {calls}")) } else { Ok("same".into()) }
            })
        };
        assert_eq!(run_until(1).unwrap(), "same");
        assert_eq!(run_until(3).unwrap(), "same (attempt 3)");
        assert_eq!(run_until(9).unwrap_err(), "failure 3");
    }
}
