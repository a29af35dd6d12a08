//! The programs in `bin/` of the installed package and of the archive for the board.

use super::crates::list_crates_of;
use super::licences::collect_licences;
use crate::files::{copy_file, write_file};
use crate::platform::Platform;
use crate::process::{Result, command, run};
use std::path::{Path, PathBuf};

/// The program that runs the benches.
const BENCH: &str = "tteview-bench";

/// The options of `cargo tree` that list the crates in [`BENCH`]. The list also contains the crates
/// that only the tests use.
const BENCH_CRATES: &str = "-p tteview -e normal,dev --features bench";

/// The options of `cargo tree` that list the crates in the program `tteview`.
const COMMAND_LINE_CRATES: &str = "-p tteview-cli -e normal";

/// Builds the benches with the Cargo options `options` and installs them as `bin/tteview-bench`,
/// with the licences of their parts. Returns the path of the installed program.
pub(crate) fn install_bench(
    prefix: &Path,
    platform: &Platform,
    options: &[&str],
) -> Result<PathBuf> {
    let program = install_program(&platform.build_bench(options)?, BENCH, prefix, platform)?;
    install_licences(BENCH, BENCH_CRATES, prefix, platform)?;
    Ok(program)
}

/// Installs the licences of the parts of the program `tteview`.
pub(crate) fn install_command_line_licences(prefix: &Path, platform: &Platform) -> Result {
    install_licences("tteview", COMMAND_LINE_CRATES, prefix, platform)
}

/// Copies a program to `bin/NAME` without its debug information, and returns the path of the copy.
pub(crate) fn install_program(
    program: &Path,
    name: &str,
    prefix: &Path,
    platform: &Platform,
) -> Result<PathBuf> {
    let copy = prefix.join("bin").join(name);
    copy_file(program, &copy)?;
    run(command(platform.tool("strip"), ["--strip-unneeded"]).arg(&copy))?;
    Ok(copy)
}

fn install_licences(program: &str, crates: &str, prefix: &Path, platform: &Platform) -> Result {
    let crates = list_crates_of(crates, &platform.read_triple()?)?;
    let file = format!("share/doc/tteview/{program}.THIRD-PARTY-LICENSES.txt");
    write_file(&prefix.join(file), collect_licences(program, &crates)?)
}
