//! A check of the instructions in the library. The library must not use an instruction that the
//! Orin's Cortex-A78AE lacks, unless it has checked at run time that the processor supports the
//! instruction. The functions in which the library spends most of its time must use NEON.
//!
//! The check passes the distinct instructions of the disassembly to the assembler, which reports
//! those that the core does not support.

use crate::files::{create_folder, write_file};
use crate::package::archive::{END_OF_WHOLE_ARCHIVE, SYSTEM_LIBRARIES, WHOLE_ARCHIVE};
use crate::platform::{CROSS_PREFIX, Language, Platform};
use crate::process::{Result, command, read_output, run};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Assembler flag for the core. The flag does not enable the cryptography extension, because in the
/// assembler that extension includes SHA-512, which the core lacks.
const ASSEMBLER_CORE: &str = "-mcpu=cortex-a78ae";

/// Prefixes of the cryptography instructions that the Orin has.
const CRYPTOGRAPHY: &[&str] = &["aes", "pmull", "sha1", "sha256"];

/// Functions with instructions that the core lacks. An entry contains parts of the function's name
/// and describes the check that keeps the function from running on processors without these
/// instructions.
const DETECTED_AT_RUN_TIME: &[(&[&str], &str)] = &[
    (&["rten_gemm", "ArmInt8MMKernel"], "rten-gemm calls is_aarch64_feature_detected!(\"i8mm\")"),
    (&["sha512", "aarch64_sha3"], "sha2 calls cpufeatures for sha3"),
];

/// Functions that must use vector instructions, each given by parts of its name. They are the two
/// passes of the resizer and the network's matrix products.
const VECTORIZED: &[&[&str]] =
    &[&["resize", "add_rows"], &["resize", "add_along"], &["rten_gemm", "ArmNeonKernel"]];

/// The lane suffixes of vector registers.
const VECTOR_LANES: [&str; 4] = [".4s", ".16b", ".8h", ".2d"];

/// Checks the instructions in the installed library and returns a phrase with the number of
/// distinct instructions.
pub(super) fn check_instructions(platform: &Platform, prefix: &Path) -> Result<String> {
    let folder = platform.work_dir().join("cpu");
    let source = folder.join("instructions.s");
    let listing = disassemble(platform, prefix, &folder)?;
    let disassembly = Disassembly::parse(&listing);
    for parts in VECTORIZED {
        if !disassembly.vectorized.iter().any(|function| has_parts(function, parts)) {
            return Err(format!(
                "the function {} must use vector instructions, but has none",
                parts.join(" ")
            ));
        }
    }
    let instructions: Vec<&str> = disassembly.functions.keys().copied().collect();
    write_file(&source, instructions.join("\n") + "\n")?;
    let mut assembler = command(format!("{CROSS_PREFIX}as"), [ASSEMBLER_CORE, "-o", "/dev/null"]);
    let output = assembler.arg(&source).output();
    let output = output.map_err(|error| format!("cannot start {CROSS_PREFIX}as: {error}"))?;
    let mut detected = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (line, message) in parse_errors(&String::from_utf8_lossy(&output.stderr)) {
        let instruction = line.checked_sub(1).and_then(|index| instructions.get(index));
        let instruction =
            *instruction.ok_or_else(|| format!("the assembler names line {line}: {message}"))?;
        if CRYPTOGRAPHY.iter().any(|start| instruction.starts_with(start)) {
            continue;
        }
        for function in &disassembly.functions[instruction] {
            let known = DETECTED_AT_RUN_TIME.iter().find(|(parts, _)| has_parts(function, parts));
            let Some((_, reason)) = known else {
                return Err(format!("{function} has the instruction `{instruction}`: {message}"));
            };
            let mnemonic = instruction.split('\t').next().unwrap_or(instruction);
            detected.entry(reason).or_default().insert(mnemonic);
        }
    }
    for (reason, mnemonics) in &detected {
        println!("only after detection at run time ({reason}): {mnemonics:?}");
    }
    Ok(format!(
        "{} instructions of Cortex-A78AE, {} checks at run time, NEON",
        instructions.len(),
        detected.len()
    ))
}

/// Links the whole archive into a shared object and disassembles that object. Disassembling the
/// relocatable object in the archive would take a quarter of an hour.
fn disassemble(platform: &Platform, prefix: &Path, folder: &Path) -> Result<String> {
    let library = folder.join("whole.so");
    create_folder(folder)?;
    let flags = ["-shared", "-Wl,--no-undefined", WHOLE_ARCHIVE];
    let mut linker = command(platform.compiler(Language::C), flags);
    linker
        .args(platform.link_flags())
        .arg(prefix.join("lib/libtteview.a"))
        .arg(END_OF_WHOLE_ARCHIVE);
    run(linker.arg("-o").arg(&library).args(SYSTEM_LIBRARIES))?;
    read_output(
        command(format!("{CROSS_PREFIX}objdump"), ["-d", "--no-show-raw-insn"]).arg(&library),
    )
}

/// The distinct instructions of a disassembly.
#[derive(Default)]
struct Disassembly<'a> {
    /// The functions that contain each instruction.
    functions: HashMap<&'a str, BTreeSet<&'a str>>,
    /// The functions that contain a vector instruction.
    vectorized: BTreeSet<&'a str>,
}

impl<'a> Disassembly<'a> {
    /// Parses the output of objdump.
    fn parse(listing: &'a str) -> Self {
        let mut disassembly = Self::default();
        let mut function = "?";
        for line in listing.lines() {
            if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <"))
            {
                function = name;
            } else if let Some((_, text)) = line.split_once(":\t") {
                let text = text.split(" //").next().unwrap_or(text);
                let text = text.split(['<', ';']).next().unwrap_or(text).trim();
                if !is_relative(text) {
                    disassembly.functions.entry(text).or_default().insert(function);
                }
                if VECTOR_LANES.iter().any(|lanes| text.contains(lanes)) {
                    disassembly.vectorized.insert(function);
                }
            }
        }
        disassembly
    }
}

/// Returns whether an instruction uses an address relative to the program counter. The check leaves
/// out such instructions. Every core supports them, and objdump prints their targets as absolute
/// addresses, which may be out of range when the check assembles an instruction at another address.
fn is_relative(text: &str) -> bool {
    let mnemonic = text.split_whitespace().next().unwrap_or_default();
    let is_literal = ["ldr", "ldrsw", "prfm"].contains(&mnemonic) && !text.contains('[');
    is_literal
        || ["b", "bl", "cbz", "cbnz", "tbz", "tbnz", "adr", "adrp", ".word"].contains(&mnemonic)
        || mnemonic.starts_with("b.")
}

/// Returns the line numbers and messages of the assembler's errors.
fn parse_errors(output: &str) -> impl Iterator<Item = (usize, &str)> {
    output.lines().filter_map(|line| {
        let (place, message) = line.split_once(": Error: ")?;
        Some((place.rsplit_once(':')?.1.parse().ok()?, message))
    })
}

/// Returns whether a mangled name contains all of `parts`.
fn has_parts(function: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| function.contains(part))
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
    fn instructions_have_no_comments_and_no_relative_addresses() {
        let disassembly = Disassembly::parse(LISTING);
        let mut instructions: Vec<_> = disassembly.functions.keys().copied().collect();
        instructions.sort_unstable();
        assert_eq!(instructions, ["add\tv0.4s, v1.4s, v2.4s", "ldr\tx0, [x1, #8]"]);
        assert!(has_parts(disassembly.vectorized.first().unwrap(), &["tteview", "preprocess"]));
    }

    #[test]
    fn assembler_errors_have_a_line_and_a_message() {
        let output =
            "a.s: Assembler messages:\na.s:7: Error: selected processor does not support `smmla'\n";
        let errors: Vec<_> = parse_errors(output).collect();
        assert_eq!(errors, [(7, "selected processor does not support `smmla'")]);
    }
}
