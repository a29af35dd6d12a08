//! `cargo xtask trust mutants`: the changes to the program that the tests notice.

use super::exceptions::read_listed_survivors;
use super::record::{Mutants, Origin, put_entry, read_record, write_record};
use crate::files::{create_empty_folder, read_text};
use crate::paths::{target_dir, work_dir};
use crate::process::{Result, cargo};
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// A module whose mutation score is a row of the table.
pub(super) struct Module {
    pub(super) name: &'static str,
    /// Files of the module. A pattern with `*` stands for all files that match.
    files: &'static [&'static str],
    /// Parts of the paths of the tests that run for each mutant.
    tests: &'static [&'static str],
    /// Parts of the paths of slow tests, which run only for the mutants that the others miss.
    slow_tests: &'static [&'static str],
    /// 1 to run all mutants, or N to run every Nth of them, for a module whose mutants take hours.
    every: u64,
}

/// All modules.
pub(super) const MODULES: &[Module] = &[
    Module {
        name: "ring",
        files: &["src/stream/ring.rs"],
        tests: &["stream::ring"],
        slow_tests: &[],
        every: 1,
    },
    Module {
        name: "mailbox",
        files: &["src/stream/mailbox.rs", "src/stream/mailbox/*.rs"],
        tests: &["stream::mailbox", "stream::tests::rules"],
        slow_tests: &[],
        every: 1,
    },
    Module {
        name: "sampling",
        files: &["src/sampling.rs", "src/sampling/*.rs"],
        tests: &["sampling", "stream::tests::contract", "stream::tests::timestamps"],
        slow_tests: &[],
        every: 1,
    },
    Module {
        name: "classifier",
        files: &["src/classifier.rs", "src/classifier/*.rs"],
        tests: &[
            "classifier",
            "stream::tests::ending",
            "stream::tests::failing_head",
            "stream::tests::failures",
            "stream::tests::lanes",
            "stream::tests::overload",
            "stream::tests::query",
            "stream::tests::rules",
        ],
        slow_tests: &["stream::tests"],
        every: 4,
    },
    Module {
        name: "overload",
        files: &["src/stream/overload.rs"],
        tests: &["stream::overload", "stream::tests::overload"],
        slow_tests: &[],
        every: 1,
    },
    Module {
        name: "history",
        files: &["src/stream/history.rs", "src/stream/history/*.rs"],
        tests: &["stream::history", "stream::tests::query", "stream::tests::ending"],
        slow_tests: &[],
        every: 1,
    },
    Module {
        name: "ABI conversions",
        files: &[
            "src/ffi/engine_config.rs",
            "src/ffi/frame.rs",
            "src/ffi/label.rs",
            "src/ffi/pointers.rs",
            "src/ffi/result.rs",
            "src/ffi/stream_config.rs",
        ],
        tests: &["ffi::"],
        slow_tests: &[],
        every: 1,
    },
];

/// Name of the record.
const RECORD: &str = "mutants";

/// Measures the named modules, or all modules, and adds them to the record. A survivor that the
/// page does not list is an error.
pub(super) fn measure_mutants(names: &[&str]) -> Result {
    if let Some(name) = names.iter().find(|name| MODULES.iter().all(|m| m.name != **name)) {
        let known: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
        return Err(format!("MODULE must be one of {}, got {name}", known.join(", ")));
    }
    for module in MODULES.iter().filter(|m| names.is_empty() || names.contains(&m.name)) {
        let entry = measure_module(module)?;
        let mut entries: Vec<Mutants> = read_record(RECORD)?;
        put_entry(&mut entries, entry, |entry| entry.module == module.name);
        write_record(RECORD, &entries)?;
    }
    let listed = read_listed_survivors()?;
    let entries: Vec<Mutants> = read_record(RECORD)?;
    let unlisted: Vec<String> = entries
        .into_iter()
        .flat_map(|entry| {
            let module = entry.module;
            entry.survivors.into_iter().map(move |mutant| [module.clone(), mutant])
        })
        .filter(|mutant| !listed.contains(mutant))
        .map(|[module, mutant]| format!("{module}: {mutant}"))
        .collect();
    if unlisted.is_empty() {
        Ok(())
    } else {
        Err(format!("docs/develop/trust.md must list with reasons:\n{}", unlisted.join("\n")))
    }
}

fn measure_module(module: &Module) -> Result<Mutants> {
    let start = Instant::now();
    let output = work_dir().join("mutants");
    create_empty_folder(&output)?;
    let mut outcomes = run_mutants(module, module.tests, &output, &[])?;
    if !module.slow_tests.is_empty() && !outcomes.survivors.is_empty() {
        let later = run_mutants(module, module.slow_tests, &output, &outcomes.survivors)?;
        outcomes.caught += later.caught;
        outcomes.survivors = later.survivors;
    }
    if outcomes.caught == 0 {
        return Err(format!("no test noticed any mutant of {}", module.name));
    }
    let repeat = format!("cargo xtask trust mutants \"{}\"", module.name);
    Ok(Mutants {
        module: module.name.into(),
        caught: outcomes.caught,
        every: module.every,
        unviable: outcomes.unviable,
        origin: Origin::new(repeat, start)?,
        survivors: outcomes.survivors.iter().map(|name| remove_position(name)).collect(),
    })
}

/// What became of the mutants of a module.
struct Outcomes {
    caught: u64,
    unviable: u64,
    /// Names with lines and columns.
    survivors: Vec<String>,
}

/// Runs `tests` for each mutant of a module, or only for those with the names in `only` if there
/// are any.
fn run_mutants(
    module: &Module,
    tests: &[&str],
    output: &Path,
    only: &[String],
) -> Result<Outcomes> {
    // The library without ONNX Runtime builds faster and has all modules in the list.
    let mut mutants = cargo("mutants -p tteview --no-default-features --features capi,rten");
    // A mutant whose tests take longer than this limit keeps them from ending. On a busy machine,
    // the tests took up to 16 s, and the slow ones 58 s.
    let timeout = if only.is_empty() { "40" } else { "90" };
    mutants.args(["--colors", "never", "--no-shuffle", "--profile", "mutants"]);
    mutants.args(["--timeout", timeout]);
    if only.is_empty() {
        mutants.arg(format!("--shard=0/{}", module.every)).arg("--sharding=round-robin");
    }
    for name in only {
        mutants.arg(format!("--re=^{}$", regex_escape(name)));
    }
    for file in module.files {
        mutants.args(["--file", file]);
    }
    for tests in ["**/tests.rs", "**/*_tests.rs", "**/tests/**"] {
        mutants.args(["--exclude", tests]);
    }
    // The copies of the workspace share one target directory, so the other crates are built once.
    mutants.env("CARGO_TARGET_DIR", target_dir().join("mutants")).env("CARGO_INCREMENTAL", "1");
    mutants.arg("--output").arg(output).args(["--", "--lib", "--"]).args(tests);
    // cargo-mutants fails if mutants survive, which is a result and not an error.
    let status = mutants.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    let outcomes = output.join("mutants.out/outcomes.json");
    if !outcomes.exists() {
        return Err(format!(
            "cargo-mutants failed ({status}); see CONTRIBUTING.md#measure for what it needs"
        ));
    }
    read_outcomes(&outcomes)
}

fn read_outcomes(path: &Path) -> Result<Outcomes> {
    let report: Value =
        serde_json::from_str(&read_text(path)?).map_err(|error| error.to_string())?;
    let count = |key: &str| report[key].as_u64().unwrap_or(0);
    let outcomes = report["outcomes"].as_array().map_or(&[][..], Vec::as_slice);
    let missed = outcomes.iter().filter(|outcome| outcome["summary"] == "MissedMutant");
    let mut survivors: Vec<String> = missed
        .filter_map(|outcome| outcome["scenario"]["Mutant"]["name"].as_str())
        .map(str::to_owned)
        .collect();
    survivors.sort();
    let (caught, unviable) = (count("caught") + count("timeout"), count("unviable"));
    Ok(Outcomes { caught, unviable, survivors })
}

/// Returns a regular expression that matches only this text.
fn regex_escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        // A backslash would give `<` and `>` a meaning.
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

/// Removes the line and the column from the name of a mutant, because they change often:
/// `src/a.rs:3:5: replace x` becomes `src/a.rs: replace x`.
fn remove_position(name: &str) -> String {
    match name.split_once(':') {
        Some((file, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
            format!("{file}: {}", rest.trim_start())
        }
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_are_named_without_their_position() {
        let name = "src/stream/ring.rs:41:9: replace > with >= in Shared<T>::readable";
        let expected = "src/stream/ring.rs: replace > with >= in Shared<T>::readable";
        assert_eq!(remove_position(name), expected);
    }

    #[test]
    fn names_are_matched_as_they_are() {
        assert_eq!(regex_escape("a.rs:1: <T> + ()"), r"a\.rs:1: <T> \+ \(\)");
    }

    #[test]
    fn files_of_every_module_exist() {
        for file in MODULES.iter().flat_map(|module| module.files) {
            assert!(file.contains('*') || crate::paths::root().join(file).is_file(), "{file}");
        }
    }
}
