//! `cargo xtask trust`: prints one table of the figures that show how far the library is tested,
//! and takes the measurements behind it.
//!
//! Each measurement writes a record to `docs/develop/trust/` with its date, its commit and its
//! command. `docs/develop/trust.md` shows the table and lists the exceptions with their reasons.

mod coverage;
mod exceptions;
mod fuzz;
mod lcov;
mod mutants;
mod page;
mod races;
mod record;
mod soak;
mod table;

use crate::process::Result;
use record::Records;

const USAGE: &str = "\
usage: cargo xtask trust [MEASUREMENT]

Prints the table of all recorded figures and writes it to docs/develop/trust.md. The measurements
are:

  coverage                             lines that the tests of the library run
  mutants [MODULE]                     changed programs that the tests notice
  fuzz [TARGET] [--executions N]       inputs that libFuzzer tried, added to the earlier ones
  races                                loom, ThreadSanitizer, Miri and the exhaustive ring test
  soak [--minutes N]                   three streams at 60 Hz with faults, an hour by the clock";

/// Runs `cargo xtask trust`.
pub(crate) fn run_trust(arguments: &[&str]) -> Result {
    match arguments {
        [] => {}
        ["coverage"] => coverage::measure_coverage()?,
        ["mutants", modules @ ..] => mutants::measure_mutants(modules)?,
        ["fuzz", rest @ ..] => fuzz::measure_fuzzing(rest)?,
        ["races"] => races::measure_races()?,
        ["soak", rest @ ..] => soak::measure_soak(rest)?,
        _ => return Err(USAGE.into()),
    }
    let records = Records::read()?;
    page::update_table(&records)?;
    println!("{}", table::format_table(&records));
    Ok(())
}
