//! Which instructions the library holds: none that the Orin's Cortex-A78AE lacks, and NEON where the time goes.
//!
//! The judge is the assembler: every instruction of the disassembly is assembled again for that core, and what it does
//! not support is refused by name.

use crate::package::write;
use crate::platform::{CROSS, Platform};
use crate::process::{Result, command, read, run};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The core without the cryptography extension: the assembler takes that to have SHA-512 too, which the core lacks.
const CORE: &str = "-mcpu=cortex-a78ae";

/// What mnemonics of the cryptography extension start with; Orin's cores have it.
const CRYPTOGRAPHY: &[&str] = &["aes", "pmull", "sha1", "sha256"];

/// Functions, by parts of their names, that hold more than the core has and are entered only where the running
/// processor says that it has it; and who asks.
const DETECTED: &[(&[&str], &str)] = &[
    (&["rten_gemm", "ArmInt8MMKernel"], "rten-gemm asks is_aarch64_feature_detected!(\"i8mm\")"),
    (&["sha512", "aarch64_sha3"], "sha2 asks cpufeatures for sha3"),
];

/// Where vector instructions must be: both passes of the resizer, the network.
const VECTORISED: &[&[&str]] =
    &[&["resize", "add_rows"], &["resize", "add_along"], &["rten_gemm", "ArmNeonKernel"]];

/// Links all of the archive into a shared object, since a relocatable one takes a quarter of an hour to disassemble.
pub(super) fn check(platform: &Platform, prefix: &Path) -> Result<String> {
    let folder = platform.folder().join("cpu");
    let (library, source) = (folder.join("whole.so"), folder.join("instructions.s"));
    write(&source, "")?;
    let mut link = command(platform.compiler("CC"), ["-shared", "-Wl,--no-undefined", "-Wl,--whole-archive"]);
    link.args(platform.link_flags()).arg(prefix.join("lib/libtteview.a")).arg("-Wl,--no-whole-archive");
    run(link.arg("-o").arg(&library).args(["-lpthread", "-ldl", "-lm"]))?;
    let listing = read(command(format!("{CROSS}objdump"), ["-d", "--no-show-raw-insn"]).arg(&library))?;
    let found = Instructions::of(&listing);
    for room in VECTORISED {
        if !found.vectorised.iter().any(|symbol| has(symbol, room)) {
            return Err(format!("no vector instruction in {}", room.join(" ")));
        }
    }
    let texts: Vec<&str> = found.symbols.keys().copied().collect();
    write(&source, &(texts.join("\n") + "\n"))?;
    let mut assembler = command(format!("{CROSS}as"), [CORE, "-o", "/dev/null"]);
    let output = assembler.arg(&source).output().map_err(|error| error.to_string())?;
    let mut detected = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (line, problem) in problems(&String::from_utf8_lossy(&output.stderr)) {
        let text =
            line.checked_sub(1).and_then(|at| texts.get(at)).ok_or("the assembler names no line of ours")?;
        if CRYPTOGRAPHY.iter().any(|start| text.starts_with(start)) {
            continue;
        }
        for symbol in &found.symbols[text] {
            match DETECTED.iter().find(|(parts, _)| has(symbol, parts)) {
                Some((_, reason)) => {
                    detected.entry(reason).or_default().insert(text.split('\t').next().unwrap_or(text));
                }
                None => return Err(format!("{symbol} holds `{text}`: {problem}")),
            }
        }
    }
    for (reason, mnemonics) in &detected {
        println!("behind run-time detection ({reason}): {mnemonics:?}");
    }
    let count = texts.len();
    Ok(format!(
        "{count} instructions within Cortex-A78AE but {} functions behind detection; NEON",
        detected.len()
    ))
}

/// Distinct instructions and the functions they stand in.
#[derive(Default)]
struct Instructions<'a> {
    symbols: HashMap<&'a str, BTreeSet<&'a str>>,
    vectorised: BTreeSet<&'a str>,
}

impl<'a> Instructions<'a> {
    fn of(listing: &'a str) -> Self {
        let mut found = Self::default();
        let mut symbol = "?";
        for line in listing.lines() {
            if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
                symbol = name.1;
            } else if let Some((_, text)) = line.split_once(":\t") {
                let text = text.split(" //").next().unwrap_or(text);
                let text = text.split(['<', ';']).next().unwrap_or(text).trim();
                if !relative(text) {
                    found.symbols.entry(text).or_default().insert(symbol);
                }
                if [".4s", ".16b", ".8h", ".2d"].iter().any(|lanes| text.contains(lanes)) {
                    found.vectorised.insert(symbol);
                }
            }
        }
        found
    }
}

/// Branches and addresses relative to the program counter: of the base instruction set, and written as an absolute
/// address that assembles nowhere else.
fn relative(text: &str) -> bool {
    let mnemonic = text.split_whitespace().next().unwrap_or_default();
    let literal = ["ldr", "ldrsw", "prfm"].contains(&mnemonic) && !text.contains('[');
    literal
        || ["b", "bl", "cbz", "cbnz", "tbz", "tbnz", "adr", "adrp", ".word"].contains(&mnemonic)
        || mnemonic.starts_with("b.")
}

/// Line numbers and messages of the assembler's errors.
fn problems(output: &str) -> impl Iterator<Item = (usize, &str)> {
    output.lines().filter_map(|line| {
        let (place, message) = line.split_once(": Error: ")?;
        Some((place.rsplit_once(':')?.1.parse().ok()?, message))
    })
}

/// Whether a mangled name, of whichever scheme, has all of these parts.
fn has(symbol: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| symbol.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "
0000000000001000 <_ZN7tteview10preprocess3run17habcE>:
    1000:\tadd\tv0.4s, v1.4s, v2.4s
    1004:\tb.ne\t1000 <_ZN7tteview>  // b.any
    1008:\tldr\tx0, [x1, #8]  // comment
    100c:\tldr\tx0, 2000 <somewhere>";

    #[test]
    fn instructions_are_kept_without_comments_and_relative_addresses() {
        let found = Instructions::of(LISTING);
        let mut texts: Vec<_> = found.symbols.keys().copied().collect();
        texts.sort_unstable();
        assert_eq!(texts, ["add\tv0.4s, v1.4s, v2.4s", "ldr\tx0, [x1, #8]"]);
        assert!(has(found.vectorised.first().unwrap(), &["tteview", "preprocess"]));
    }

    #[test]
    fn errors_of_the_assembler_are_read_with_their_lines() {
        let output = "a.s: Assembler messages:\na.s:7: Error: selected processor does not support `smmla'\n";
        assert_eq!(
            problems(output).collect::<Vec<_>>(),
            [(7, "selected processor does not support `smmla'")]
        );
    }
}
