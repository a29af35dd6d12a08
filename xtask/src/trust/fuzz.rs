//! `cargo xtask trust fuzz`: runs the fuzz targets with libFuzzer.

use super::record::{Fuzzing, Origin, put_entry, read_record, write_record};
use crate::files::create_folder;
use crate::paths::{root, work_dir};
use crate::process::{Result, command};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A fuzz target.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// Number of executions that the table asks for.
    pub(super) executions: u64,
    /// Maximum length of an input in bytes.
    max_len: u32,
}

/// All fuzz targets, as in `tools/fuzz/src/lib.rs`.
pub(super) const TARGETS: &[Target] = &[
    Target { name: "package", executions: 10_000_000, max_len: 16_384 },
    Target { name: "compile", executions: 1_000_000, max_len: 8192 },
    Target { name: "dicom", executions: 10_000_000, max_len: 8192 },
    Target { name: "avi", executions: 10_000_000, max_len: 8192 },
    Target { name: "gif", executions: 10_000_000, max_len: 4096 },
    Target { name: "video", executions: 10_000_000, max_len: 8192 },
    Target { name: "animation", executions: 10_000_000, max_len: 8192 },
    Target { name: "image", executions: 10_000_000, max_len: 8192 },
    Target { name: "folder", executions: 10_000_000, max_len: 8192 },
    Target { name: "engine_file", executions: 10_000_000, max_len: 4096 },
    Target { name: "abi", executions: 1_000_000, max_len: 2048 },
    Target { name: "eval_files", executions: 10_000_000, max_len: 4096 },
];

/// Options of libFuzzer: 2 GiB of memory and 10 s per input.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];

/// Name of the record.
const RECORD: &str = "fuzz";

/// Runs one target or all targets, and adds their executions to the record. `minimise` as the
/// first argument instead replaces the corpus of a target with its smallest equivalent.
pub(super) fn measure_fuzzing(arguments: &[&str]) -> Result {
    let (names, executions) = match arguments {
        ["minimise", name] => return minimise_corpus(find_target(name)?),
        [names @ .., "--executions", count] => {
            let count = count
                .replace('_', "")
                .parse::<u64>()
                .map_err(|_| format!("--executions must be a number of executions, got {count}"))?;
            (names, Some(count))
        }
        names => (names, None),
    };
    let targets = match names {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| find_target(name)).collect::<Result<Vec<_>>>()?,
    };
    for target in targets {
        let mut entries: Vec<Fuzzing> = read_record(RECORD)?;
        let before = entries.iter().find(|entry| entry.target == target.name).cloned();
        let entry = run_target(target, executions.unwrap_or(target.executions), before)?;
        let findings = entry.findings;
        put_entry(&mut entries, entry, |entry| entry.target == target.name);
        write_record(RECORD, &entries)?;
        if findings > 0 {
            return Err(format!(
                "the target {} stopped at an input that breaks a rule; fix the fault, add the input \
                 in fuzz/artifacts/{} to the corpus and remove the entry from the record",
                target.name, target.name
            ));
        }
    }
    Ok(())
}

fn find_target(name: &str) -> Result<&'static Target> {
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("TARGET must be one of {}, got {name}", known.join(", "))
    })
}

/// Returns a `cargo fuzz` command with the nightly toolchain. The code under test has no `unsafe`
/// code except in the C ABI and the ring, so only the target `abi` runs under AddressSanitizer.
fn cargo_fuzz(action: &str, target: &Target) -> Command {
    let mut fuzz = command("rustup", ["run", "nightly", "cargo", "fuzz", action]);
    let sanitizer = if target.name == "abi" { "address" } else { "none" };
    fuzz.args(["--sanitizer", sanitizer, target.name]).env_remove("CARGO").env_remove("RUSTC");
    fuzz
}

/// Runs a target. New inputs are kept in the target directory, so that they do not grow the corpus
/// of the repository.
fn run_target(target: &Target, executions: u64, before: Option<Fuzzing>) -> Result<Fuzzing> {
    let grown = work_dir().join("fuzz").join(target.name);
    create_folder(&grown)?;
    let start = Instant::now();
    let mut fuzz = cargo_fuzz("run", target);
    fuzz.arg(&grown).arg(root().join("fuzz/corpus").join(target.name)).arg("--");
    fuzz.args(LIMITS).args(["-print_final_stats=1", &format!("-max_len={}", target.max_len)]);
    fuzz.arg(format!("-runs={executions}")).stderr(Stdio::piped());
    let mut child = fuzz.spawn().map_err(|error| {
        format!("cannot start rustup: {error}; see CONTRIBUTING.md#measure for what fuzzing needs")
    })?;
    let mut statistics = Vec::new();
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
        let line = line.map_err(|error| error.to_string())?;
        eprintln!("{line}");
        if line.starts_with("stat::") || line.starts_with("INFO: seed corpus") {
            statistics.push(line);
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let count = find_statistic(&statistics, "number_of_executed_units");
    if count.is_none() && !status.success() {
        return Err(format!("the target {} did not run: {status}", target.name));
    }
    let mut origin = Origin::new(format!("cargo xtask trust fuzz {}", target.name), start)?;
    let before = before.unwrap_or_else(|| Fuzzing {
        target: target.name.into(),
        executions: 0,
        findings: 0,
        origin: Origin::default(),
    });
    origin.seconds += before.origin.seconds;
    Ok(Fuzzing {
        target: target.name.into(),
        executions: before.executions + count.unwrap_or(0),
        findings: u64::from(!status.success()),
        origin,
    })
}

/// Returns a number that libFuzzer prints at the end of a run.
fn find_statistic(lines: &[String], name: &str) -> Option<u64> {
    let line = lines.iter().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    line.trim_start_matches(':').trim().parse().ok()
}

/// Merges the inputs that earlier runs kept into the corpus of the repository, as far as they reach
/// new code.
fn minimise_corpus(target: &Target) -> Result {
    let corpus = root().join("fuzz/corpus").join(target.name);
    let minimal = work_dir().join("fuzz").join(format!("{}-minimal", target.name));
    crate::files::create_empty_folder(&minimal)?;
    let mut fuzz = cargo_fuzz("run", target);
    fuzz.arg(&minimal).arg(&corpus).arg(work_dir().join("fuzz").join(target.name)).arg("--");
    fuzz.args(LIMITS).args(["-merge=1", "-set_cover_merge=1"]);
    fuzz.arg(format!("-max_len={}", target.max_len));
    crate::process::run(&mut fuzz)?;
    crate::files::create_empty_folder(&corpus)?;
    let entries = std::fs::read_dir(&minimal).map_err(|error| error.to_string())?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default();
        crate::files::copy_file(&path, &corpus.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        for target in TARGETS {
            let program = root().join("fuzz/fuzz_targets").join(target.name).with_extension("rs");
            assert!(program.is_file(), "{}", program.display());
            assert!(root().join("fuzz/corpus").join(target.name).is_dir(), "{}", target.name);
        }
        assert!(find_target("nothing").is_err());
    }

    #[test]
    fn executions_are_read_from_the_statistics() {
        let lines = ["stat::number_of_executed_units: 1200".to_owned(), "stat::x: 1".into()];
        assert_eq!(find_statistic(&lines, "number_of_executed_units"), Some(1200));
        assert_eq!(find_statistic(&lines, "peak_rss_mb"), None);
    }
}
