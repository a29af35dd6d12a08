//! The sizes of the installed package, and of the parts that it adds to a host.

use super::shared;
use super::sizes::{Symbols, link_host, measure_added_bytes};
use crate::files::{file_bytes, list_files};
use crate::platform::Platform;
use crate::process::{Result, command, read_output};
use std::collections::BTreeMap;
use std::path::Path;

/// Size in bytes below which parts share one row of the table.
const SMALL_BYTES: u64 = 20_000;

/// The crates of the Rust standard library, including the crates that are built into it.
const STANDARD_LIBRARY: &[&str] = &[
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

/// Returns a table with the sizes in bytes of the package's folders and of the parts that the
/// library adds to a stripped host.
pub(super) fn measure_components(prefix: &Path, platform: &Platform) -> Result<String> {
    let archive = prefix.join("lib/libtteview.a");
    let build_files =
        folder_bytes(&prefix.join("lib/pkgconfig"))? + folder_bytes(&prefix.join("lib/cmake"))?;
    let mut rows = vec![
        ("archive".to_owned(), file_bytes(&archive)?),
        ("shared library".to_owned(), file_bytes(&prefix.join("lib").join(shared::file_name()))?),
        ("headers".to_owned(), folder_bytes(&prefix.join("include"))?),
        ("pkg-config and CMake files".to_owned(), build_files),
        ("licences and bill of materials".to_owned(), folder_bytes(&prefix.join("share/doc"))?),
        ("added to a stripped host".to_owned(), measure_added_bytes(platform, &archive)?),
    ];
    link_host(platform, Some(&archive), Symbols::Kept)?;
    let options = ["--defined-only", "--print-size", "--format=posix"];
    let mut nm = command(platform.tool("nm"), options);
    let symbols = read_output(nm.arg(platform.work_dir().join("sizes/host")))?;
    for (part, bytes) in sum_by_part(&symbols) {
        rows.push((format!("of that, symbols of {part}"), bytes));
    }
    let rows: Vec<String> =
        rows.iter().map(|(part, bytes)| format!("| {part} | {bytes} |")).collect();
    Ok(format!("| component | bytes |\n| --- | --- |\n{}", rows.join("\n")))
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    list_files(folder)?.iter().map(|file| file_bytes(&folder.join(file))).sum()
}

/// Returns each part with the total size of its symbols in bytes, the largest part first. Tables
/// without a symbol, such as those for unwinding, do not count.
fn sum_by_part(symbols: &str) -> Vec<(String, u64)> {
    let mut parts = BTreeMap::<&str, u64>::new();
    for line in symbols.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, _, size] = words[..] else { continue };
        // Symbols of the kind `b` are zeroed memory, which takes up no space in the file.
        if kind.eq_ignore_ascii_case("b") {
            continue;
        }
        *parts.entry(find_part(name)).or_default() += u64::from_str_radix(size, 16).unwrap_or(0);
    }
    let (mut large, small): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| part.1 >= SMALL_BYTES);
    large.sort_by_key(|part| std::cmp::Reverse(part.1));
    large.push(("all others", small.iter().map(|part| part.1).sum()));
    large.into_iter().map(|(part, bytes)| (part.to_owned(), bytes)).collect()
}

/// Returns the part that a symbol belongs to.
fn find_part(symbol: &str) -> &str {
    match find_crate(symbol) {
        Some(name) if STANDARD_LIBRARY.contains(&name) => "the Rust standard library",
        Some(name) if name.starts_with("rten") => "rten",
        // A name that begins with an upper-case letter is a type parameter, not a crate.
        Some(name) if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            "generic code"
        }
        Some(name) => name,
        None if symbol.starts_with("ttv_") => "tteview",
        None => "the host and C",
    }
}

/// Returns the crate of the function or type at the start of a mangled name.
fn find_crate(symbol: &str) -> Option<&str> {
    if let Some(rest) = symbol.strip_prefix("_ZN") {
        let name = read_counted_name(rest)?;
        // In the name of an implementation, `<type as trait>`, the type begins with its crate.
        let name = name
            .trim_start_matches("_$LT$")
            .trim_start_matches("$RF$")
            .trim_start_matches("dyn$u20$");
        return name
            .split("..")
            .next()
            .and_then(|name| name.split('$').next())
            .filter(|name| !name.is_empty());
    }
    // The v0 mangling scheme encodes a crate as `Cs`, followed by a hash that ends with an
    // underscore, the length of the name, and the name.
    let root = symbol.strip_prefix("_R")?.split_once("Cs")?.1;
    read_counted_name(root.split_once('_')?.1)
}

/// Returns the name at the start of a string that begins with the length of the name, as in
/// `7tteview10preprocess`.
fn read_counted_name(text: &str) -> Option<&str> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (length, rest) = text.split_at(digits);
    rest.get(..length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbol_belongs_to_the_crate_at_its_beginning() {
        let find = find_crate;
        assert_eq!(find("_ZN7tteview10preprocess3run17h0123456789abcdefE"), Some("tteview"));
        let implementation =
            "_ZN62_$LT$serde_json..read..Read$u20$as$u20$core..fmt..Debug$GT$3fmt17h0E";
        assert_eq!(find(implementation), Some("serde_json"));
        assert_eq!(find("_RNvNtCs1x3hv_4core3fmt5write"), Some("core"));
        assert_eq!(find("ttv_stream_push"), None);
    }

    #[test]
    fn symbols_without_bytes_in_the_file_do_not_count() {
        let symbols = "_ZN4rten3runE t 10 10000\n_ZN9rten_gemm3runE t 20 8000\nttv_version T 30 6000\n\
                       buffer b 40 ffffff\nmain T 50 10\nundefined U\n";
        let parts = sum_by_part(symbols);
        let parts: Vec<(&str, u64)> =
            parts.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        assert_eq!(parts, [("rten", 0x18000), ("tteview", 0x6000), ("all others", 0x10)]);
    }
}
