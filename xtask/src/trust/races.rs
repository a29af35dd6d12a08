//! `cargo xtask trust races`: the tests of the modules with `unsafe` code or atomics, under tools
//! that look for data races and invalid accesses.

use super::record::{Origin, Race, put_entry, read_record, write_record};
use crate::cargo_test::count_passed;
use crate::paths::target_dir;
use crate::process::{Result, cargo, command, read_host_triple, read_output};
use std::process::Command;
use std::time::Instant;

/// A check of the table.
pub(super) struct Check {
    pub(super) name: &'static str,
    tool: Tool,
    /// Parts of the paths of the tests. All other tests are left out.
    tests: &'static [&'static str],
    /// Parts of the paths of tests that the tool cannot run.
    skip: &'static [&'static str],
}

/// A tool that runs the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// No tool: the tests run as they are.
    None,
    Loom,
    ThreadSanitizer,
    Miri,
}

/// All checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "loom: ring and records in every interleaving",
        tool: Tool::Loom,
        tests: &["loom_tests"],
        skip: &[],
    },
    Check {
        name: "ThreadSanitizer: ring, mailbox and samples with real threads",
        tool: Tool::ThreadSanitizer,
        tests: &["stream::ring", "stream::mailbox", "stream::sample_store", "stream::history"],
        skip: &[],
    },
    Check {
        name: "Miri: ring, mailbox, samples, slots and pointers of the ABI",
        tool: Tool::Miri,
        tests: &[
            "stream::ring",
            "stream::mailbox",
            "stream::sample_store",
            "stream::slot",
            "ffi::pointers",
            "ffi::tests",
        ],
        // Miri has no `mlock` and no `/proc`, and would take an hour for the second test, whose
        // interleavings loom explores.
        skip: &[
            "locked_buffers_are_unlocked_when_they_are_dropped",
            "readers_never_see_a_torn_result",
        ],
    },
    Check {
        name: "ring: every state of up to eight slots",
        tool: Tool::None,
        tests: &["stream::ring::exhaustive_tests"],
        skip: &[],
    },
];

/// Name of the record.
const RECORD: &str = "races";

/// Runs every check and writes the record after each.
pub(super) fn measure_races() -> Result {
    for check in CHECKS {
        println!("\n== {}", check.name);
        let start = Instant::now();
        let tests = u64::from(count_passed(&read_output(&mut create_command(check)?)?)?);
        let origin = Origin::new("cargo xtask trust races", start)?;
        let mut entries: Vec<Race> = read_record(RECORD)?;
        let entry = Race { check: check.name.into(), tests, origin };
        println!("{tests} tests passed in {} s", entry.origin.seconds);
        put_entry(&mut entries, entry, |entry| entry.check == check.name);
        write_record(RECORD, &entries)?;
    }
    Ok(())
}

/// Returns the command that runs the tests of a check. The library is built without backends,
/// because none of the tests needs one.
fn create_command(check: &Check) -> Result<Command> {
    const LIBRARY: &str = "-p tteview --no-default-features --features capi --lib";
    let target = format!("--target {}", read_host_triple()?);
    let (mut tests, folder) = match check.tool {
        Tool::None => (cargo(&format!("test --release {LIBRARY}")), None),
        Tool::Loom => {
            let mut tests = cargo(&format!("test --release {LIBRARY}"));
            tests.env("RUSTFLAGS", "--cfg loom");
            (tests, Some("loom"))
        }
        Tool::ThreadSanitizer => {
            // The standard library is built with the sanitizer too. Otherwise, the sanitizer does
            // not see how its locks and channels order the accesses, and reports false races.
            let mut tests =
                nightly_cargo(&format!("test -Zbuild-std --release {target} {LIBRARY}"));
            tests.env("RUSTFLAGS", "-Zsanitizer=thread");
            tests.env("TSAN_OPTIONS", "halt_on_error=1");
            tests.env("TTEVIEW_STRESS_HANDOVERS", "200000");
            (tests, Some("thread-sanitizer"))
        }
        Tool::Miri => {
            let mut tests = nightly_cargo(&format!("miri test {LIBRARY}"));
            tests.env("MIRIFLAGS", "-Zmiri-disable-isolation");
            tests.env("TTEVIEW_STRESS_HANDOVERS", "300");
            (tests, Some("miri"))
        }
    };
    if let Some(folder) = folder {
        tests.env("CARGO_TARGET_DIR", target_dir().join(folder));
        tests.env_remove("CARGO_ENCODED_RUSTFLAGS");
    }
    tests.arg("--").args(check.tests);
    for test in check.skip {
        tests.args(["--skip", test]);
    }
    Ok(tests)
}

/// Returns a command for Cargo of the nightly toolchain.
fn nightly_cargo(arguments: &str) -> Command {
    let mut cargo = command("rustup", ["run", "nightly", "cargo"]);
    cargo.args(arguments.split_whitespace()).env_remove("CARGO").env_remove("RUSTC");
    cargo.env("CARGO_INCREMENTAL", "0");
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chosen_tests_run_under_each_tool() {
        for check in CHECKS {
            let command = create_command(check).unwrap();
            let words: Vec<&str> = command.get_args().filter_map(|word| word.to_str()).collect();
            let end = words.iter().position(|word| *word == "--").unwrap();
            assert!(words[end + 1..].starts_with(check.tests), "{words:?}");
            assert_eq!(words.contains(&"-Zbuild-std"), check.tool == Tool::ThreadSanitizer);
        }
    }
}
