//! What the library adds to a stripped host, with each runtime alone.

use crate::package::localise;
use crate::platform::Platform;
use crate::process::{Result, command, no_arguments, root, run as run_command};
use std::fs;
use std::path::Path;

/// Features, and the most bytes that each alone may add.
const BARS: &[(&str, u64)] = &[("ort", 3_000_000), ("rten", 9_000_000)];

/// The host: it uses an engine and a stream, so all of the library is reached.
const HOST: &str = "ffi-examples/c_minimal.c";

/// `cargo xtask sizes`.
pub(crate) fn run(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
    let (sentence, met) = measure(&Platform::here())?;
    if met { Ok(()) } else { Err(format!("over a bar: {sentence}")) }
}

/// Measures and prints a table: the additions in megabytes as a sentence, and whether every bar is met.
pub(crate) fn measure(platform: &Platform) -> Result<(String, bool)> {
    println!(
        "| features | archive | host | stripped host | library adds | bar |\n| --- | --- | --- | --- | --- | --- |"
    );
    let (mut parts, mut met) = (Vec::new(), true);
    for (features, bar) in BARS {
        let build = "--release -p tteview --no-default-features --features";
        run_command(platform.cargo("build", build).arg(features))?;
        let archive = localise(&platform.release().join("libtteview.a"), platform)?;
        let [bare, host] = hosts(platform, &archive)?;
        let added = host.saturating_sub(bare);
        let packed = length(&archive)?;
        println!("| {features} | {packed} | {bare} | {host} | {added} | {bar} |");
        let verdict = if added > *bar { "missed" } else { "met" };
        met &= added <= *bar;
        parts.push(format!("{features} {:.2} of {} MB: {verdict}", added as f64 / 1e6, bar / 1_000_000));
    }
    Ok((parts.join("; "), met))
}

/// Bytes that an archive adds to the stripped host.
pub(crate) fn added(platform: &Platform, archive: &Path) -> Result<u64> {
    let [bare, host] = hosts(platform, archive)?;
    Ok(host.saturating_sub(bare))
}

/// Bytes of the stripped host, without the library and with it.
fn hosts(platform: &Platform, archive: &Path) -> Result<[u64; 2]> {
    let folder = platform.folder().join("sizes");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // What it calls stays unresolved: the host alone.
    let bare = linked(platform, &folder.join("bare"), None, true)?;
    Ok([bare, linked(platform, &folder.join("host"), Some(archive), true)?])
}

/// Bytes of the host, with or without its symbols.
pub(crate) fn linked(
    platform: &Platform,
    program: &Path,
    archive: Option<&Path>,
    stripped: bool,
) -> Result<u64> {
    let mut compiler = command(platform.compiler("CC"), ["-std=c11", "-O2", "-Wl,--gc-sections"]);
    compiler.args(stripped.then_some("-s"));
    compiler.args(platform.link_flags()).arg("-I").arg(root().join("include")).arg(HOST);
    match archive {
        Some(archive) => compiler.arg(archive),
        None => compiler.arg("-Wl,--unresolved-symbols=ignore-all"),
    };
    run_command(compiler.arg("-o").arg(program).args(["-lpthread", "-ldl", "-lm"]))?;
    length(program)
}

fn length(file: &Path) -> Result<u64> {
    fs::metadata(file).map(|facts| facts.len()).map_err(|error| format!("{}: {error}", file.display()))
}
