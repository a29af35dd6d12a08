//! The records of the measurements, which are JSON files in `docs/develop/trust/`.

use crate::files::{read_text, write_file};
use crate::paths::root;
use crate::process::{Result, command, read_output};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// Origin of a figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Day of the measurement, such as `2026-11-30`.
    pub(super) date: String,
    /// First characters of the commit that was measured.
    pub(super) commit: String,
    /// Command that repeats the measurement.
    pub(super) command: String,
    /// Duration of the measurement.
    pub(super) seconds: u64,
}

impl Origin {
    /// Creates the origin of a measurement that began at `start` and ends now. `repeat` is the
    /// command that repeats it.
    pub(super) fn new(repeat: impl Into<String>, start: Instant) -> Result<Self> {
        let date = read_output(&mut command("date", ["-u", "+%Y-%m-%d"]))?;
        let commit = read_output(&mut command("git", ["rev-parse", "--short=9", "HEAD"]))?;
        Ok(Self {
            date: date.trim().into(),
            commit: commit.trim().into(),
            command: repeat.into(),
            seconds: start.elapsed().as_secs(),
        })
    }
}

/// Line coverage of a part of the library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Coverage {
    pub(super) part: String,
    pub(super) lines: u64,
    pub(super) covered: u64,
    #[serde(flatten)]
    pub(super) origin: Origin,
    /// Lines that no test runs, if every line of the part must be covered or listed with a reason.
    pub(super) uncovered: Vec<SourceLine>,
}

/// A line of the sources. The text identifies the line, because line numbers change often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SourceLine {
    pub(super) file: String,
    pub(super) text: String,
}

/// Mutation score of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mutants {
    pub(super) module: String,
    /// Number of mutants that a test noticed, by failing or by running too long.
    pub(super) caught: u64,
    /// 1 if all mutants ran, or N if every Nth of them ran.
    #[serde(default = "every_mutant")]
    pub(super) every: u64,
    /// Number of mutants that do not compile, which do not count.
    pub(super) unviable: u64,
    #[serde(flatten)]
    pub(super) origin: Origin,
    /// The mutants that no test noticed.
    pub(super) survivors: Vec<String>,
}

fn every_mutant() -> u64 {
    1
}

/// Executions of a fuzz target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fuzzing {
    pub(super) target: String,
    /// Number of executions in all runs.
    pub(super) executions: u64,
    /// Number of inputs that broke a rule. The fuzzer stops at such an input.
    pub(super) findings: u64,
    #[serde(flatten)]
    pub(super) origin: Origin,
}

/// Outcome of a check with real or simulated threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Race {
    pub(super) check: String,
    /// Number of tests that passed.
    pub(super) tests: u64,
    #[serde(flatten)]
    pub(super) origin: Origin,
}

/// A soak by the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Soak {
    pub(super) minutes: u64,
    pub(super) frames: u64,
    pub(super) dropped: u64,
    pub(super) acquisitions: u64,
    /// Growth of the resident memory from the first sixth of the time to the last.
    pub(super) growth_bytes: i64,
    #[serde(flatten)]
    pub(super) origin: Origin,
}

/// All records. A measurement that was not taken has no entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) coverage: Vec<Coverage>,
    pub(super) mutants: Vec<Mutants>,
    pub(super) fuzzing: Vec<Fuzzing>,
    pub(super) races: Vec<Race>,
    pub(super) soak: Vec<Soak>,
}

impl Records {
    pub(super) fn read() -> Result<Self> {
        Ok(Self {
            coverage: read_record("coverage")?,
            mutants: read_record("mutants")?,
            fuzzing: read_record("fuzz")?,
            races: read_record("races")?,
            soak: read_record("soak")?,
        })
    }
}

fn record_path(name: &str) -> PathBuf {
    root().join("docs/develop/trust").join(name).with_extension("json")
}

/// Reads the entries of a record. A record that does not exist has no entries.
pub(super) fn read_record<T: DeserializeOwned>(name: &str) -> Result<Vec<T>> {
    let path = record_path(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&read_text(&path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes the entries of a record.
pub(super) fn write_record<T: Serialize>(name: &str, entries: &[T]) -> Result {
    let text = serde_json::to_string_pretty(entries).map_err(|error| error.to_string())?;
    write_file(&record_path(name), text + "\n")
}

/// Replaces the entry for which `is_same` returns true, or appends the entry.
pub(super) fn put_entry<T>(entries: &mut Vec<T>, entry: T, is_same: impl Fn(&T) -> bool) {
    match entries.iter_mut().find(|entry| is_same(entry)) {
        Some(place) => *place = entry,
        None => entries.push(entry),
    }
}
