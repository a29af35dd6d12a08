//! `cargo xtask jetson`: the package for aarch64, cross-built here, checked against what a Jetson has, proved under
//! emulation and packed.

mod cpu;
mod emulation;
mod floor;
mod sdk;
mod tools;

use crate::host::build_host_for;
use crate::package::install_to;
use crate::platform::Platform;
use crate::process::{Result, command, run as run_command};
use crate::sizes;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// glibc of Ubuntu 22.04, which a JetPack 6 has.
const GLIBC: &str = "2.35";

/// Hosts that go into the archive and run under emulation.
const EXAMPLES: &[&str] = &["c_minimal.c", "c_zero_copy.c", "cpp_host.cpp", "scanner_sim.c"];

/// A line of the closing table: what, where it ran, what came of it, how long it took.
struct Line(&'static str, &'static str, String, Duration);

/// What was done, for the closing table.
#[derive(Default)]
struct Record(Vec<Line>);

impl Record {
    /// Does one thing and writes it down; the text that it returns is the result.
    fn step(
        &mut self,
        what: &'static str,
        place: &'static str,
        act: impl FnOnce() -> Result<String>,
    ) -> Result {
        println!("\n== {what}");
        let start = Instant::now();
        let outcome = act();
        let text = outcome.clone().unwrap_or_else(|_| "FAILED".into());
        println!("== {what}: {text}");
        self.0.push(Line(what, place, text, start.elapsed()));
        outcome.map(drop).map_err(|message| format!("{what} failed: {message}"))
    }

    fn table(&self) -> String {
        let mut text = String::from("| what | where | result | seconds |\n| --- | --- | --- | --- |");
        for Line(what, place, result, time) in &self.0 {
            text += &format!("\n| {what} | {place} | {result} | {:.1} |", time.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|line| line.3).sum();
        text + &format!("\n| total | | | {:.1} |", total.as_secs_f64())
    }
}

/// `cargo xtask jetson [--glibc VERSION | --proof]`.
pub(crate) fn run(arguments: &[&str]) -> Result {
    let mut record = Record::default();
    let outcome = match arguments {
        [] => steps(&mut record, GLIBC),
        ["--glibc", version] => steps(&mut record, version),
        ["--proof"] => proof(&mut record),
        _ => return Err("usage: cargo xtask jetson [--glibc 2.35|2.31 | --proof]".into()),
    };
    println!("\n{}", record.table());
    outcome
}

/// What proves the library on aarch64 under emulation, without what belongs to a package alone.
fn proof(record: &mut Record) -> Result {
    let built = build(record, GLIBC)?;
    emulation::run(record, &built.platform, &built.prefix)
}

fn steps(record: &mut Record, glibc: &str) -> Result {
    let Built { platform, prefix, programs } = build(record, glibc)?;
    record.step("glibc and libstdc++", "read from the programs", || floor::check(&programs, glibc))?;
    record.step("processor", "disassembled", || cpu::check(&platform, &prefix))?;
    emulation::run(record, &platform, &prefix)?;
    record.step("archive", "packed", || sdk::pack(&platform, &prefix, &programs))?;
    // Last, for it builds the library anew with each runtime alone.
    record.step("size in a stripped host", "aarch64", || Ok(sizes::measure(&platform)?.0))
}

/// What was cross-built: the package in `prefix`, the command line and the examples.
struct Built {
    platform: Platform,
    prefix: PathBuf,
    programs: Vec<PathBuf>,
}

fn build(record: &mut Record, glibc: &str) -> Result<Built> {
    let mut found = None;
    record.step("tools", "here", || {
        let (platform, sentence) = tools::find(glibc)?;
        found = Some(platform);
        Ok(sentence)
    })?;
    let platform = found.ok_or("no toolchain")?;
    let prefix = std::path::absolute(platform.folder().join("sdk")).map_err(|error| error.to_string())?;
    let mut programs = Vec::new();
    record.step("library, command line and examples", "cross-built", || {
        if prefix.exists() {
            // What an earlier run left must not be packed.
            std::fs::remove_dir_all(&prefix).map_err(|error| format!("{}: {error}", prefix.display()))?;
        }
        install_to(&prefix, &platform)?;
        run_command(&mut platform.cargo("build", "--release -p tteview-cli"))?;
        programs = hosts(&platform, &prefix)?;
        programs.push(platform.release().join("tteview"));
        Ok(format!("{} programs", programs.len()))
    })?;
    Ok(Built { platform, prefix, programs })
}

/// The examples, linked against the package.
fn hosts(platform: &Platform, prefix: &std::path::Path) -> Result<Vec<PathBuf>> {
    let build = |source: &&str| build_host_for(platform, prefix, &format!("ffi-examples/{source}"), &[CORE]);
    EXAMPLES.iter().map(build).collect()
}

/// The Orin's core, as GCC knows it.
const CORE: &str = "-mcpu=cortex-a78ae";

/// The sysroot script on a made-up root file system.
pub(crate) fn sysroot_script() -> Result {
    run_command(&mut command("sh", ["jetson-sysroot/test-make-sysroot.sh"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_stands_in_the_table_and_is_named_in_the_error() {
        let mut record = Record::default();
        record.step("first", "here", || Ok("three".into())).unwrap();
        let error = record.step("second", "emulated", || Err("broken".into())).unwrap_err();
        assert_eq!(error, "second failed: broken");
        let table = record.table();
        assert!(table.contains("| first | here | three | 0.0 |"), "{table}");
        assert!(table.contains("| second | emulated | FAILED |"), "{table}");
    }
}
