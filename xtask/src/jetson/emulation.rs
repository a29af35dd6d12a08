//! What runs under the emulator, and whether it answers as the same code on this machine does.

use super::{EXAMPLES, Record};
use crate::demo::{PERIOD_NS, STAND_IN, phantom_cine};
use crate::fetch;
use crate::host::{build_host, build_host_for};
use crate::package::own_prefix;
use crate::platform::Platform;
use crate::process::{Result, cargo, command, read, run as run_command, target};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far scores may differ between the two: other vector widths sum in another order.
const TOLERANCE: f64 = 1e-3;

/// Milliseconds of rest after each frame, where a test can be told so: an emulated step may outlast its
/// chunk, and the library skips chunks of frames that wait.
const REST_MS: &str = "120";

/// How often something that runs in real time may try.
const ATTEMPTS: u32 = 3;

const PLACE: &str = "qemu-aarch64";

/// Runs everything, and compares with native runs of the same sources and models.
pub(super) fn run(record: &mut Record, platform: &Platform, prefix: &Path) -> Result {
    let runtime = fetch::onnx_runtime_aarch64()?;
    record.step("tests of the library (unit, stream, equality, ONNX Runtime)", PLACE, || {
        library_tests(platform, &runtime)
    })?;
    record.step("tests of the C ABI and C++ owners", PLACE, || abi_tests(platform, prefix))?;
    record.step("C tests of ONNX Runtime", PLACE, || {
        let program = build_host_for(platform, prefix, "tests/c/runtime.c", &[])?;
        in_time(|| {
            run_command(platform.run(&program).arg(STAND_IN).arg(&runtime))?;
            Ok("passed".into())
        })
    })?;
    let (native, cine) = (own_prefix()?, phantom_cine()?);
    record
        .step("C and C++ examples, rten", PLACE, || in_time(|| examples(platform, prefix, &native, &cine)))?;
    run_command(&mut cargo("build --release -p tteview-cli"))?;
    let here = target().join("release/tteview");
    let there = platform.release().join("tteview");
    record.step("tteview classify, real cine, rten", PLACE, || {
        let options = ["--provider", "embedded"].map(PathBuf::from);
        let expected = label(command(&here, [""; 0]), &options)?;
        in_time(|| same(&expected, &label(platform.run(&there), &options)?))
    })?;
    record.step("tteview classify, real cine, ONNX Runtime", PLACE, || {
        let options = |library| ["--provider".into(), "cpu".into(), "--runtime".into(), library];
        let expected = label(command(&here, [""; 0]), &options(fetch::newest_onnx_runtime()?))?;
        in_time(|| same(&expected, &label(platform.run(&there), &options(runtime.clone()))?))
    })?;
    record.step("tteview demo in real time, rten", PLACE, || {
        // A slow emulator skips chunks, so its scores are compared with nothing; a label must come.
        let cine = fetch::pydicom()?.join("examples_ybr_color.dcm");
        let printed = read(platform.run(&there).args(["demo", "--cine"]).arg(cine))?;
        let view = printed.lines().find(|line| line.starts_with("view "));
        view.map(|line| line.replace("view ", "").trim().into()).ok_or_else(|| "it named no view".into())
    })
}

/// What runs in real time, up to three times: where a step takes the emulator longer than a chunk lasts, the library skips
/// chunks, as it should, and the answer is another. A wrong answer is wrong every time.
fn in_time(mut attempt: impl FnMut() -> Result<String>) -> Result<String> {
    for number in 1..ATTEMPTS {
        match attempt() {
            Ok(text) if number == 1 => return Ok(text),
            Ok(text) => return Ok(format!("{text} (attempt {number})")),
            Err(message) => println!("once more, for the emulator may have been too slow: {message}"),
        }
    }
    attempt().map(|text| format!("{text} (attempt {ATTEMPTS})"))
}

/// Cargo runs the test programs behind the emulator.
fn library_tests(platform: &Platform, runtime: &Path) -> Result<String> {
    let tests = |arguments: &str| {
        let mut cargo = platform.cargo("test", &format!("--release -p tteview {arguments}"));
        cargo.env("TTEVIEW_ORT_DYLIB", runtime).env("TTEVIEW_TEST_REST_MS", REST_MS);
        // For the tests that build a C library to load.
        cargo.env("CC", platform.compiler("CC"));
        // The stress of the ring is for real cores: emulated, it takes minutes and shows nothing more.
        let printed = read(cargo.env("TTEVIEW_STRESS_HANDOVERS", "20000"))?;
        print!("{printed}");
        passed(&printed)
    };
    // Not those of ONNX Runtime's GPU build, which is there for x86-64 alone, nor those that start themselves again to be
    // killed, which an emulated program cannot.
    let left_out = "--skip gpu_tests --skip killed";
    let suites = "--lib --test stream --test equality --test runtime_library";
    let paced = tests(&format!("{suites} -- --include-ignored {left_out}"))?;
    let onnx_runtime = in_time(|| tests("--test ort -- --include-ignored --test-threads=1"))?;
    Ok(format!("{paced}, ONNX Runtime {onnx_runtime}, without gpu_tests and killed"))
}

/// Sum of the tests in the summaries of test programs.
fn passed(printed: &str) -> Result<String> {
    let counts = printed.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let numbers = counts.filter_map(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    match numbers.sum() {
        0 => Err("no test ran".into()),
        count => Ok(format!("{count} passed")),
    }
}

/// Layouts, statuses and behaviour of every exported function.
fn abi_tests(platform: &Platform, prefix: &Path) -> Result<String> {
    // The second argument of the last is the rest after each frame.
    let programs: [(&str, &[&str], &[&str]); 3] = [
        ("tests/c/abi.c", &[], &[]),
        ("tests/cpp/owners.cpp", &["-fno-exceptions"], &[]),
        ("tests/c/queries.c", &[], &[REST_MS]),
    ];
    for (source, flags, arguments) in programs {
        let program = build_host_for(platform, prefix, source, flags)?;
        // They ask whether a step is faster than a chunk lasts.
        in_time(|| {
            run_command(platform.run(&program).arg(STAND_IN).args(arguments)).map(|()| String::new())
        })?;
    }
    Ok(format!("{} programs passed", programs.len()))
}

/// Every example on the same cine, here and there.
fn examples(platform: &Platform, prefix: &Path, native: &Path, cine: &Path) -> Result<String> {
    let arguments = [Path::new(STAND_IN), cine, Path::new(PERIOD_NS)];
    let mut view = String::new();
    for source in EXAMPLES {
        let source = format!("ffi-examples/{source}");
        let here = read(command(build_host(native, &source, &[])?, arguments).env("TZ", "UTC"))?;
        let program = build_host_for(platform, prefix, &source, &[super::CORE])?;
        let there = read(platform.run(&program).args(arguments))?;
        print!("{there}");
        let (expected, found) = (answer(&here)?, answer(&there)?);
        agree(&expected, &found).map_err(|problem| format!("{source}: {problem}"))?;
        view = found.view;
    }
    Ok(format!("{} programs, {view} as on x86-64", EXAMPLES.len()))
}

/// A label with its scores.
#[derive(Debug)]
struct Answer {
    view: String,
    scores: Vec<f64>,
}

/// The line `view X, confidence C, margin M` of an example.
fn answer(printed: &str) -> Result<Answer> {
    let line = printed.lines().find(|line| line.starts_with("view "));
    let words = line.into_iter().flat_map(|line| line.split([' ', ','])).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.skip(1).collect();
    let view = words.first().ok_or_else(|| format!("it named no view:\n{printed}"))?;
    Ok(Answer { view: (*view).into(), scores: words.iter().filter_map(|word| word.parse().ok()).collect() })
}

/// The real cine through the command line.
fn label(mut tteview: Command, options: &[PathBuf]) -> Result<Answer> {
    let cine = fetch::pydicom()?.join("examples_ybr_color.dcm");
    tteview.arg("classify").args(options).args(["--json", "--model", STAND_IN]);
    let printed = read(tteview.arg(cine).env("ORT_DISABLE_TELEMETRY", "1"))?;
    let object: Value = serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))?;
    let scores = object["scores"].as_object().ok_or_else(|| format!("no scores: {printed}"))?;
    Ok(Answer {
        view: object["view"].as_str().unwrap_or("withheld").into(),
        scores: scores.values().filter_map(Value::as_f64).collect(),
    })
}

/// A sentence on how well they agree.
fn same(expected: &Answer, found: &Answer) -> Result<String> {
    let far = agree(expected, found)?;
    Ok(format!("{} as on x86-64, {} scores within {far:.0e}", found.view, found.scores.len()))
}

/// The largest difference of scores, if the labels are the same and none is beyond the tolerance.
fn agree(expected: &Answer, found: &Answer) -> Result<f64> {
    let pairs = expected.scores.iter().zip(&found.scores);
    let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let alike = expected.view == found.view && expected.scores.len() == found.scores.len();
    // The examples print three decimals, so one of the last place is rounding.
    if alike && !found.scores.is_empty() && far <= TOLERANCE + 1e-9 {
        Ok(far)
    } else {
        Err(format!("emulated {found:?}, x86-64 {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_examples_answer_is_read_with_its_scores() {
        let found = answer("frames 3\nview      A4C, confidence 0.512, margin 0.020\n").unwrap();
        assert_eq!((found.view.as_str(), &found.scores[..]), ("A4C", &[0.512, 0.02][..]));
        assert!(answer("no line").is_err());
    }

    #[test]
    fn another_label_or_a_far_score_is_a_disagreement() {
        let one = |view: &str, score| Answer { view: view.into(), scores: vec![score] };
        assert!(agree(&one("A4C", 0.5), &one("A4C", 0.501)).is_ok());
        assert!(agree(&one("A4C", 0.5), &one("A4C", 0.503)).is_err());
        assert!(agree(&one("A4C", 0.5), &one("PLAX", 0.5)).is_err());
        assert!(agree(&one("A4C", 0.5), &Answer { view: "A4C".into(), scores: Vec::new() }).is_err());
    }

    #[test]
    fn what_fails_three_times_fails_and_a_later_success_says_so() {
        let mut calls = 0;
        let mut until = |last: u32| {
            calls = 0;
            in_time(|| {
                calls += 1;
                if calls < last { Err(format!("failure {calls}")) } else { Ok("same".into()) }
            })
        };
        assert_eq!(until(1).unwrap(), "same");
        assert_eq!(until(3).unwrap(), "same (attempt 3)");
        assert_eq!(until(9).unwrap_err(), "failure 3");
    }

    #[test]
    fn test_summaries_are_summed_and_none_is_an_error() {
        assert_eq!(passed("test result: ok. 3 passed; 0\nx\ntest result: ok. 4 passed").unwrap(), "7 passed");
        assert!(passed("running 0 tests").is_err());
    }
}
