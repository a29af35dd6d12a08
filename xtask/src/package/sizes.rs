//! `cargo xtask sizes`: measures the number of bytes that the library adds to a stripped host.

use super::archive::{SYSTEM_LIBRARIES, build_archive};
use super::shared::measure_shared;
use crate::files::{create_folder, file_bytes};
use crate::paths::root;
use crate::platform::{Language, Platform};
use crate::process::{Result, command, expect_no_arguments, run};
use std::path::Path;

/// The features of each measurement, and the maximum number of bytes that the library with these
/// features may add to a host.
const LIMITS: &[(&str, u64)] = &[("capi,ort", 3_000_000), ("capi,rten", 9_000_000)];

/// Source of the host. The host creates an engine and a stream and therefore uses the whole
/// library.
const HOST: &str = "ffi-examples/c_minimal.c";

/// Runs `cargo xtask sizes`.
pub(crate) fn run_sizes(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    let sizes = measure_sizes(&Platform::native())?;
    if sizes.are_within_limits {
        Ok(())
    } else {
        Err(format!("the library must stay within its limits, got {}", sizes.summary))
    }
}

/// The sizes of the library with each set of features.
pub(crate) struct Sizes {
    /// Text that compares the added megabytes with the limit, for each set of features.
    pub(crate) summary: String,
    pub(crate) are_within_limits: bool,
}

/// Measures the sizes and prints them as a table.
pub(crate) fn measure_sizes(platform: &Platform) -> Result<Sizes> {
    println!("| features | archive | shared | host | host with library | library adds | limit |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut parts = Vec::new();
    let mut are_within_limits = true;
    for &(features, limit) in LIMITS {
        let archive = build_archive(platform, &["--no-default-features", "--features", features])?;
        let host = link_host(platform, None, Symbols::Stripped)?;
        let with_library = link_host(platform, Some(&archive), Symbols::Stripped)?;
        let added = with_library.saturating_sub(host);
        let packed = file_bytes(&archive)?;
        let shared = measure_shared(&archive, platform)?;
        println!(
            "| {features} | {packed} | {shared} | {host} | {with_library} | {added} | {limit} |"
        );
        are_within_limits &= added <= limit;
        let verdict = if added <= limit { "within the limit" } else { "over the limit" };
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        parts.push(format!(
            "{features} {:.2} of {} MB: {verdict}",
            megabytes(added),
            megabytes(limit)
        ));
    }
    Ok(Sizes { summary: parts.join("; "), are_within_limits })
}

/// Returns the number of bytes that an archive adds to the stripped host.
pub(super) fn measure_added_bytes(platform: &Platform, archive: &Path) -> Result<u64> {
    let host = link_host(platform, None, Symbols::Stripped)?;
    Ok(link_host(platform, Some(archive), Symbols::Stripped)?.saturating_sub(host))
}

/// Whether a host keeps its symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbols {
    Kept,
    Stripped,
}

/// Links the host, with or without the library, and returns the size of the program in bytes. The
/// program is `sizes/host` in the platform's work folder.
pub(super) fn link_host(
    platform: &Platform,
    archive: Option<&Path>,
    symbols: Symbols,
) -> Result<u64> {
    let folder = platform.work_dir().join("sizes");
    create_folder(&folder)?;
    let program = folder.join("host");
    let mut compiler =
        command(platform.compiler(Language::C), ["-std=c11", "-O2", "-Wl,--gc-sections"]);
    if symbols == Symbols::Stripped {
        compiler.arg("-s");
    }
    compiler.args(platform.link_flags()).arg("-I").arg(root().join("include")).arg(HOST);
    match archive {
        Some(archive) => compiler.arg(archive),
        // Without the archive, the library's functions are unresolved, so the linker must ignore
        // unresolved symbols.
        None => compiler.arg("-Wl,--unresolved-symbols=ignore-all"),
    };
    run(compiler.arg("-o").arg(&program).args(SYSTEM_LIBRARIES))?;
    file_bytes(&program)
}
