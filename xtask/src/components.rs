//! What the installed package weighs, and what of it a host gets.

use crate::platform::Platform;
use crate::process::{Result, command, read};
use crate::sizes::{added, linked};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Parts smaller than this are summed up.
const SMALL: u64 = 20_000;

/// Crates of the Rust standard library, and those inside it.
const STANDARD: &[&str] = &[
    "core",
    "alloc",
    "std",
    "std_detect",
    "compiler_builtins",
    "panic_unwind",
    "hashbrown",
    "gimli",
    "addr2line",
    "rustc_demangle",
    "miniz_oxide",
    "object",
    "__rustc",
];

/// A table of the package's folders in bytes, then of what the library adds to a stripped host, by part.
pub(crate) fn table(prefix: &Path, platform: &Platform) -> Result<String> {
    let mut text = String::from("| component | bytes |\n| --- | --- |");
    let folders = [
        ("archive", "lib/libtteview.a"),
        ("headers", "include"),
        ("pkg-config and CMake files", "lib/pkgconfig"),
        ("licences and bill of materials", "share/doc"),
    ];
    for (what, folder) in folders {
        let mut bytes = weight(&prefix.join(folder))?;
        if folder == "lib/pkgconfig" {
            bytes += weight(&prefix.join("lib/cmake"))?;
        }
        text += &format!("\n| {what} | {bytes} |");
    }
    let archive = prefix.join("lib/libtteview.a");
    text += &format!("\n| added to a stripped host | {} |", added(platform, &archive)?);
    let host = platform.folder().join("sizes/host-with-symbols");
    linked(platform, &host, Some(&archive), false)?;
    let symbols =
        read(command(platform.tool("nm"), ["--defined-only", "--print-size", "--format=posix"]).arg(&host))?;
    for (part, bytes) in by_part(&symbols) {
        text += &format!("\n| of that, symbols of {part} | {bytes} |");
    }
    Ok(text)
}

/// Bytes of a file, or of all files of a folder.
fn weight(path: &Path) -> Result<u64> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.is_file() {
        return Ok(fs::metadata(path).map_err(failed)?.len());
    }
    let entries = fs::read_dir(path).map_err(failed)?;
    entries.map(|entry| weight(&entry.map_err(failed)?.path())).sum()
}

/// Bytes of the symbols of each part, the largest first. Tables without a symbol of their own, as those for unwinding, are
/// in no part.
fn by_part(symbols: &str) -> Vec<(String, u64)> {
    let mut parts = BTreeMap::<String, u64>::new();
    for line in symbols.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, _, size] = words[..] else { continue };
        // What is only promised room takes none in the file.
        if kind.eq_ignore_ascii_case("b") {
            continue;
        }
        let part = match crate_of(name) {
            Some(name) if STANDARD.contains(&name) => "the Rust standard library",
            Some(name) if name.starts_with("rten") => "rten",
            // A type parameter: an implementation for whatever type.
            Some(name) if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => "generic code",
            Some(name) => name,
            None if name.starts_with("ttv_") => "tteview",
            None => "the host and C",
        };
        *parts.entry(part.into()).or_default() += u64::from_str_radix(size, 16).unwrap_or(0);
    }
    let (large, small): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.1 >= SMALL);
    let mut parts = large;
    parts.sort_by_key(|part| std::cmp::Reverse(part.1));
    parts.push(("all others".into(), small.iter().map(|part| part.1).sum()));
    parts
}

/// The crate whose function or type a mangled name begins with.
fn crate_of(symbol: &str) -> Option<&str> {
    if let Some(rest) = symbol.strip_prefix("_ZN") {
        let name = counted(rest)?;
        // An implementation: `<type as trait>`, the crate of the type first.
        let name = name.trim_start_matches("_$LT$").trim_start_matches("$RF$").trim_start_matches("dyn$u20$");
        return name
            .split("..")
            .next()
            .and_then(|name| name.split('$').next())
            .filter(|name| !name.is_empty());
    }
    // The newer scheme writes a crate as `C`, its hash up to an underscore, and its name.
    let root = symbol.strip_prefix("_R")?.split_once("Cs")?.1;
    counted(root.split_once('_')?.1)
}

/// `5tteview...` as in a mangled name: the length, then the name.
fn counted(text: &str) -> Option<&str> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (length, rest) = text.split_at(digits);
    rest.get(..length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_belongs_to_the_crate_that_its_name_begins_with() {
        assert_eq!(crate_of("_ZN7tteview10preprocess3run17h0123456789abcdefE"), Some("tteview"));
        let implementation = "_ZN62_$LT$serde_json..read..Read$u20$as$u20$core..fmt..Debug$GT$3fmt17h0E";
        assert_eq!(crate_of(implementation), Some("serde_json"));
        assert_eq!(crate_of("_RNvNtCs1x3hv_4core3fmt5write"), Some("core"));
        assert_eq!(crate_of("ttv_stream_push"), None);
    }

    #[test]
    fn symbols_are_summed_by_part_and_those_without_bytes_are_left_out() {
        let symbols = "_ZN4rten3runE t 10 10000\n_ZN9rten_gemm3runE t 20 8000\nttv_version T 30 6000\n\
                       buffer b 40 ffffff\nmain T 50 10\nundefined U\n";
        let parts = by_part(symbols);
        let named: Vec<(&str, u64)> = parts.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        assert_eq!(named, [("rten", 0x18000), ("tteview", 0x6000), ("all others", 0x10)]);
    }
}
