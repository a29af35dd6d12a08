//! `cargo xtask trust coverage`: the lines of `src/` that the tests of the library run.

use super::exceptions::{compare, read_listed_lines};
use super::lcov::{is_test_file, parse_report, select_lines};
use super::record::{Coverage, Origin, SourceLine, write_record};
use crate::fetch::cines::fetch_cines;
use crate::fetch::onnx_runtime::{explain_no_gpu_build, fetch_gpu_build, fetch_newest};
use crate::files::read_text;
use crate::hosts::{PACKAGES_TEST, SCORES_TEST};
use crate::paths::{root, target_dir, work_dir};
use crate::process::{Result, cargo, command, read_output, run, rustc};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A part of the library whose coverage is a row of the table.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Whether every line must be covered or listed with a reason.
    pub(super) must_be_full: bool,
    /// Beginnings of the paths of its files.
    paths: &'static [&'static str],
}

/// All parts.
pub(super) const PARTS: &[Part] = &[
    Part { name: "`src/`", must_be_full: false, paths: &["src/"] },
    Part { name: "`src/ffi/`", must_be_full: true, paths: &["src/ffi.rs", "src/ffi/"] },
    Part { name: "ring", must_be_full: true, paths: &["src/stream/ring"] },
    Part { name: "mailbox", must_be_full: true, paths: &["src/stream/mailbox"] },
];

/// Files that are not part of the library that hosts link.
const LEFT_OUT: [&str; 1] = ["src/bench_api.rs"];

/// Tests of the library. The targets that replay corpora call the C ABI, so they count, too.
const TESTS: &str = "llvm-cov test --no-report -p tteview -p tteview-fuzz-targets";

/// Tests that need the GPU build of ONNX Runtime and therefore run in a process of their own.
const GPU_TESTS: &str = "ort::tests::gpu";

/// Measures the coverage and writes the record. An uncovered line of a part that must be full, and
/// that the page does not list, is an error.
pub(super) fn measure_coverage() -> Result {
    let start = Instant::now();
    run(&mut cargo("llvm-cov clean --workspace")).map_err(|error| {
        format!("{error}; cargo-llvm-cov is needed, see CONTRIBUTING.md#measure")
    })?;
    let mut tests = cargo(TESTS);
    tests.args(["--lib", "--tests", "--", "--include-ignored", "--skip", GPU_TESTS]);
    tests.args(["--skip", "ort::tests::plugin"]);
    tests.args(["--skip", SCORES_TEST, "--skip", PACKAGES_TEST]);
    tests.env("TTEVIEW_ORT_DYLIB", fetch_newest()?).env("TTEVIEW_CINES", fetch_cines()?);
    run(&mut tests)?;
    match explain_no_gpu_build() {
        Some(reason) => println!("the tests of the GPU build do not run: {reason}"),
        None => {
            // The same packages as above are built, so that nothing is built twice.
            let mut tests = cargo(TESTS);
            tests.args(["--lib", "--", "--include-ignored", GPU_TESTS]);
            tests.env("TTEVIEW_ORT_GPU_DYLIB", fetch_gpu_build()?);
            run(&mut tests)?;
        }
    }
    record_report(&export_report()?, start)
}

/// Returns the coverage of every test program as one report. The programs are exported one by one,
/// because a report about several programs counts a function of the C ABI, which has the same name
/// in all of them, only once.
fn export_report() -> Result<String> {
    let folder = target_dir().join("llvm-cov-target");
    let profile = work_dir().join("coverage.profdata");
    let merge = ["merge", "--sparse", "--output"];
    let mut merge = command(find_llvm_tool("llvm-profdata")?, merge);
    run(merge.arg(&profile).args(list_files(&folder, |name| name.ends_with(".profraw"))?))?;
    let mut report = String::new();
    for program in list_files(&folder.join("debug/deps"), |name| !name.contains('.'))? {
        let mut export = command(find_llvm_tool("llvm-cov")?, ["export", "--format=lcov"]);
        export.arg("--instr-profile").arg(&profile).arg(program);
        report += &read_output(&mut export)?;
    }
    Ok(report)
}

/// Returns the path of a program of the component `llvm-tools`.
fn find_llvm_tool(name: &str) -> Result<PathBuf> {
    let libraries = read_output(&mut command(rustc(), ["--print", "target-libdir"]))?;
    Ok(Path::new(libraries.trim()).with_file_name("bin").join(name))
}

/// Returns the paths of the files in a folder whose names fulfil a condition.
fn list_files(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let describe = |error| format!("cannot list {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(describe)? {
        let path = entry.map_err(describe)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if path.is_file() && name.is_some_and(|name| is_wanted(&name)) {
            files.push(path);
        }
    }
    Ok(files)
}

fn record_report(report: &str, start: Instant) -> Result {
    let folder = root().display().to_string();
    let files = parse_report(report, &folder, "src/")?;
    let origin = Origin::new("cargo xtask trust coverage", start)?;
    let mut entries: Vec<Coverage> = PARTS
        .iter()
        .map(|part| Coverage {
            part: part.name.into(),
            lines: 0,
            covered: 0,
            origin: origin.clone(),
            uncovered: Vec::new(),
        })
        .collect();
    let mut found: BTreeSet<SourceLine> = BTreeSet::new();
    let mut shares: Vec<(u64, u64, String)> = Vec::new();
    for (file, lines) in &files {
        if is_test_file(file) || LEFT_OUT.contains(&file.as_str()) {
            continue;
        }
        let (count, uncovered) = select_lines(file, &read_text(&root().join(file))?, lines);
        shares.push((uncovered.len() as u64, count, file.clone()));
        for (part, entry) in PARTS.iter().zip(&mut entries) {
            if part.paths.iter().any(|path| file.starts_with(path)) {
                entry.lines += count;
                entry.covered += count - uncovered.len() as u64;
                if part.must_be_full {
                    entry.uncovered.extend(uncovered.iter().cloned());
                    found.extend(uncovered.iter().cloned());
                }
            }
        }
    }
    shares.sort_by(|a, b| b.cmp(a));
    for (missing, count, file) in shares.iter().filter(|(missing, ..)| *missing > 0) {
        println!("{missing:>5} of {count:>5} lines are not covered in {file}");
    }
    write_record("coverage", &entries)?;
    let problems = compare(&found, &read_listed_lines()?);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("docs/develop/trust.md, uncovered lines:\n{}", problems.join("\n")))
    }
}
