//! The library's unit tests under loom and under AddressSanitizer. Each has a target directory of its own, because the
//! changed compiler flags would otherwise rebuild everything twice per run.

use crate::process::{Result, cargo, read, run, target};
use std::process::Command;

/// `cargo test` of the library alone, without backends, with more compiler flags.
fn library(folder: &str, flags: &str, arguments: &str) -> Command {
    let all_flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " " + flags;
    let start = "test --release -p tteview --no-default-features --lib";
    let mut command = cargo(&format!("{start} {arguments}"));
    // CARGO_ENCODED_RUSTFLAGS would take precedence and drop the flags.
    command.env("RUSTFLAGS", all_flags.trim()).env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", target().join(folder));
    command
}

/// Ring and mailbox under every thread interleaving loom can reach.
pub(crate) fn loom() -> Result {
    let tests = |more: &str| library("loom", "--cfg loom", &format!("loom_tests {more}"));
    // A filter that matches nothing passes, so a renamed module would end these tests unnoticed.
    let listed = read(&mut tests("-- --list"))?;
    if !listed.lines().any(|line| line.ends_with(": test")) {
        return Err("no test exists under --cfg loom".into());
    }
    run(&mut tests(""))
}

/// Every unit test under AddressSanitizer with leak detection. (ThreadSanitizer is of no use without an instrumented
/// standard library: it takes what the test harness and thread scopes free for races.)
pub(crate) fn sanitizer() -> Result {
    let flags = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer";
    // With a target named, build scripts and procedural macros stay as they are.
    let mut command = library("sanitizer", flags, &format!("--target {}", host()?));
    // The flag is unstable; the toolchain that builds everything else has the sanitizer's runtime all the same.
    run(command.env("RUSTC_BOOTSTRAP", "1").env("ASAN_OPTIONS", "detect_leaks=1"))
}

/// The triple of this machine.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = read(crate::process::command(rustc, ["-vV"]).env_remove("RUSTFLAGS"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).ok_or_else(|| "rustc -vV names no host".into())
}
