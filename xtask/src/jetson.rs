//! `cargo xtask jetson`: cross-builds the package for aarch64, tests it under emulation, checks
//! that it can run on the software and the processor of a Jetson, and packs an archive for the
//! board.

mod answer;
mod board_archive;
mod emulation;
mod instructions;
mod record;
mod symbol_versions;
mod toolchain;

use crate::files::remove_folder;
use crate::host_build::{EXAMPLES, build_host_for};
use crate::package::install_package;
use crate::package::programs::install_bench;
use crate::package::sizes::measure_sizes;
use crate::platform::Platform;
use crate::process::{Result, command, run};
use record::Record;
use std::path::{Path, PathBuf};
use toolchain::{BOARD_GLIBC, CORE_FLAG};

/// Runs `cargo xtask jetson [--glibc VERSION | --test]`.
pub(crate) fn run_jetson(arguments: &[&str]) -> Result {
    let mut record = Record::default();
    let outcome = match arguments {
        [] => build_board_archive(&mut record, BOARD_GLIBC),
        ["--glibc", version] => build_board_archive(&mut record, version),
        ["--test"] => test_emulated(&mut record),
        _ => return Err("usage: cargo xtask jetson [--glibc 2.31|2.35|2.36 | --test]".into()),
    };
    println!("\n{}", record.format_table());
    outcome
}

/// Runs the step `jetson`, which tests the library and the hosts on emulated aarch64. The step
/// leaves out the checks of the package.
pub(crate) fn test_jetson() -> Result {
    run_jetson(&["--test"])
}

/// Returns the reason why the step `jetson` cannot run on this machine, or `None` if it can.
pub(crate) fn explain_no_cross_build() -> Option<String> {
    if cfg!(target_arch = "x86_64") {
        return None;
    }
    Some(format!("the cross build needs x86-64, but this machine is {}", std::env::consts::ARCH))
}

/// Runs the step `sysroot`, which tests the sysroot script on a mock root file system.
pub(crate) fn test_sysroot_script() -> Result {
    run(&mut command("sh", ["jetson-sysroot/test-make-sysroot.sh"]))
}

fn test_emulated(record: &mut Record) -> Result {
    let build = cross_build(record, BOARD_GLIBC)?;
    emulation::test_emulated(record, &build.platform, &build.prefix)
}

fn build_board_archive(record: &mut Record, glibc: &str) -> Result {
    let CrossBuild { platform, prefix, programs } = cross_build(record, glibc)?;
    record.run_stage("glibc and libstdc++", "read from the programs", || {
        symbol_versions::check_programs(&programs, glibc)
    })?;
    record.run_stage("processor", "disassembled", || {
        instructions::check_instructions(&platform, &prefix)
    })?;
    emulation::test_emulated(record, &platform, &prefix)?;
    record.run_stage("archive", "packed", || board_archive::pack(&platform, &prefix, &programs))?;
    // This stage comes last, because it replaces the library in the target directory with builds
    // that have other features.
    record.run_stage("size in a stripped host", "aarch64", || Ok(measure_sizes(&platform)?.summary))
}

/// The result of the cross build.
struct CrossBuild {
    platform: Platform,
    /// The prefix of the installed package.
    prefix: PathBuf,
    /// The paths of the command-line program, of the examples and of the benches.
    programs: Vec<PathBuf>,
}

fn cross_build(record: &mut Record, glibc: &str) -> Result<CrossBuild> {
    let mut found = None;
    record.run_stage("toolchain", "this machine", || {
        let (platform, versions) = toolchain::find_toolchain(glibc)?;
        found = Some(platform);
        Ok(versions)
    })?;
    let platform = found.ok_or("there is no cross toolchain")?;
    let prefix = platform.work_dir().join("sdk");
    let mut programs = Vec::new();
    record.run_stage("library, command line, examples and benches", "cross-built", || {
        // The archive must not contain files from an earlier run.
        remove_folder(&prefix)?;
        install_package(&prefix, &platform, &[])?;
        programs = build_examples(&platform, &prefix)?;
        programs.push(platform.build_command_line()?);
        programs.push(install_bench(&prefix, &platform, &[])?);
        Ok(format!("{} programs", programs.len()))
    })?;
    Ok(CrossBuild { platform, prefix, programs })
}

fn build_examples(platform: &Platform, prefix: &Path) -> Result<Vec<PathBuf>> {
    let build =
        |source| build_host_for(platform, prefix, &format!("ffi-examples/{source}"), &[CORE_FLAG]);
    EXAMPLES.iter().map(build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_option_prints_the_usage() {
        assert!(run_jetson(&["--proof"]).unwrap_err().starts_with("usage: "));
    }
}
