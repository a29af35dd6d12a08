//! The checker for hosts: a build of the static library that verifies how the host uses it.
//!
//! The checker is the library that ships, with renamed functions, together with the functions in
//! src/ffi/check/, which have the original names. A host therefore links it without being compiled
//! again, and the library itself contains no code of the checker.

use super::archive::{EXPORT_PREFIX, list_global_symbols};
use crate::files::{create_empty_folder, remove_file, write_file};
use crate::host_build::compiler;
use crate::paths::root;
use crate::platform::{Language, Platform};
use crate::process::{Result, command, run};
use std::path::{Path, PathBuf};

/// Folder with the sources of the checker.
const FOLDER: &str = "src/ffi/check";

/// The sources. The first two define the functions of the C ABI that are checked.
const SOURCES: [&str; 4] = ["acquisition", "calls", "check", "interpose"];

/// Prefix of the renamed functions of the library.
const UNCHECKED_PREFIX: &str = "ttv_unchecked_";

/// Builds the checker from the archive of the library, and returns the path of its archive.
pub(crate) fn build_checker(archive: &Path, platform: &Platform) -> Result<PathBuf> {
    let folder = platform.work_dir().join("checker");
    create_empty_folder(&folder)?;
    let object = |name: &str| folder.join(name).with_extension("o");
    for source in SOURCES {
        let mut compiler = compiler(platform, Language::C);
        // Without -fno-builtin, the compiler could turn the replacement of calloc into a call of
        // itself.
        compiler.args(["-std=c11", "-fPIC", "-fno-builtin", "-c", "-I"]);
        compiler.arg(root().join("include")).args(platform.link_flags());
        let source_file = root().join(FOLDER).join(source).with_extension("c");
        run(compiler.arg(source_file).arg("-o").arg(object(source)))?;
    }
    let renames = folder.join("renames");
    let mut names = list_global_symbols(&object("acquisition"), platform)?;
    names.extend(list_global_symbols(&object("calls"), platform)?);
    write_file(&renames, list_renames(&names))?;
    let (library, checked) = (object("library"), object("checked"));
    run(command(platform.tool("ld"), ["-r", "--whole-archive"])
        .arg(archive)
        .arg("-o")
        .arg(&library))?;
    let mut rename = command(platform.tool("objcopy"), [""; 0]);
    run(rename.arg(format!("--redefine-syms={}", renames.display())).arg(&library))?;
    let mut link = command(platform.tool("ld"), ["-r"]);
    link.arg(&library).args(SOURCES.map(object)).arg("-o").arg(&checked);
    run(&mut link)?;
    let mut exports = list_global_symbols(archive, platform)?;
    exports.extend(list_global_symbols(&object("interpose"), platform)?);
    let keep = folder.join("exports");
    write_file(&keep, exports.join("\n"))?;
    let mut hide = command(platform.tool("objcopy"), [""; 0]);
    run(hide.arg(format!("--keep-global-symbols={}", keep.display())).arg(&checked))?;
    let packed = folder.join("libtteview.a");
    remove_file(&packed)?;
    run(command(platform.tool("ar"), ["crsD"]).arg(&packed).arg(&checked))?;
    check_exports(&packed, &exports, platform)?;
    Ok(packed)
}

/// Returns the input for `objcopy` that renames each function of the C ABI in `names`.
fn list_renames(names: &[String]) -> String {
    let rename = |name: &String| {
        let rest = name.strip_prefix(EXPORT_PREFIX)?;
        Some(format!("{name} {UNCHECKED_PREFIX}{rest}\n"))
    };
    names.iter().filter_map(rename).collect()
}

/// Checks that the checker has exactly the symbols of the library and the replacements.
fn check_exports(packed: &Path, expected: &[String], platform: &Platform) -> Result {
    let mut expected = expected.to_vec();
    expected.sort();
    let found = list_global_symbols(packed, platform)?;
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{} must export {}, got {}",
        packed.display(),
        expected.join(", "),
        found.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_of_the_c_abi_are_renamed() {
        let names = ["malloc", "ttv_stream_push"].map(String::from);
        assert_eq!(list_renames(&names), "ttv_stream_push ttv_unchecked_stream_push\n");
    }
}
