//! The package's shared library. It is linked from the object in the static library, so both
//! contain the same code.

use super::archive::{END_OF_WHOLE_ARCHIVE, WHOLE_ARCHIVE};
use super::archive::{EXPORT_PREFIX, SYSTEM_LIBRARIES, list_global_symbols};
use super::version::{MAJOR, VERSION};
use crate::files::{copy_file, file_bytes, remove_file, write_file};
use crate::platform::{Language, Platform};
use crate::process::{Result, command, read_output, run};
use std::path::{Path, PathBuf};

/// Returns the SONAME, which contains the major version of the ABI.
pub(crate) fn soname() -> String {
    format!("libtteview.so.{MAJOR}")
}

/// Returns the name of the file, which contains the whole version.
pub(crate) fn file_name() -> String {
    format!("libtteview.so.{VERSION}")
}

/// Returns the version of all exported symbols.
pub(crate) fn symbol_version() -> String {
    format!("TTEVIEW_{MAJOR}")
}

/// Options of the linker. `nodelete` keeps the library in memory after `dlclose`, because its
/// threads and thread-local destructors may still run. `-Bsymbolic` makes the library call its own
/// functions, even if the host defines functions with the same names. `text` forbids relocations of
/// code.
const LINK_OPTIONS: &[&str] = &[
    "-shared",
    "-Wl,-z,nodelete",
    "-Wl,-z,now",
    "-Wl,-z,relro",
    "-Wl,-z,text",
    "-Wl,-z,noexecstack",
    "-Wl,-z,defs",
    "-Wl,-Bsymbolic",
    "-Wl,--gc-sections",
    "-Wl,--build-id=sha1",
    "-Wl,--strip-all",
];

/// Links the shared library from a packed archive and returns its path.
pub(crate) fn link_shared(archive: &Path, platform: &Platform) -> Result<PathBuf> {
    let folder = platform.work_dir().join("archive");
    let script = folder.join("exports.map");
    let library = folder.join(file_name());
    let mut names = list_global_symbols(archive, platform)?;
    names.retain(|name| name.starts_with(EXPORT_PREFIX));
    write_file(&script, write_version_script(&names))?;
    let mut linker = command(platform.compiler(Language::C), LINK_OPTIONS);
    linker.args(platform.link_flags());
    linker.arg(format!("-Wl,-soname,{}", soname()));
    linker.arg(format!("-Wl,--version-script={}", script.display()));
    linker.arg(WHOLE_ARCHIVE).arg(archive).arg(END_OF_WHOLE_ARCHIVE);
    run(linker.arg("-o").arg(&library).args(SYSTEM_LIBRARIES))?;
    let exported = list_exports(&library, platform)?;
    if exported == names {
        Ok(library)
    } else {
        Err(format!(
            "{} must export the {} functions of the archive, got {}",
            library.display(),
            names.len(),
            exported.join(", ")
        ))
    }
}

/// Installs the shared library and its two symbolic links: the SONAME, which the dynamic loader
/// opens, and the name for the linker.
pub(super) fn install_shared(archive: &Path, platform: &Platform, prefix: &Path) -> Result {
    let library = link_shared(archive, platform)?;
    let folder = prefix.join("lib");
    let target = folder.join(file_name());
    // A process that has loaded an older file would crash if the file were overwritten.
    remove_file(&target)?;
    copy_file(&library, &target)?;
    create_link(&file_name(), &folder.join(soname()))?;
    create_link(&soname(), &folder.join("libtteview.so"))
}

fn create_link(target: &str, path: &Path) -> Result {
    remove_file(path)?;
    std::os::unix::fs::symlink(target, path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the size of the shared library that is linked from an archive, in bytes.
pub(super) fn measure_shared(archive: &Path, platform: &Platform) -> Result<u64> {
    file_bytes(&link_shared(archive, platform)?)
}

/// Returns a version script that exports only these functions.
fn write_version_script(names: &[String]) -> String {
    let global: String = names.iter().map(|name| format!("    {name};\n")).collect();
    format!("{} {{\n  global:\n{global}  local:\n    *;\n}};\n", symbol_version())
}

/// Returns the names of the functions that a shared library exports, sorted. Fails if a function
/// does not have the version [`symbol_version`].
pub(crate) fn list_exports(library: &Path, platform: &Platform) -> Result<Vec<String>> {
    let options = ["--dynamic", "--defined-only", "--with-symbol-versions", "--format=posix"];
    let listing = read_output(command(platform.tool("nm"), options).arg(library))?;
    parse_exports(&listing)
}

fn parse_exports(listing: &str) -> Result<Vec<String>> {
    let version = symbol_version();
    let mut names = Vec::new();
    for line in listing.lines() {
        let Some(symbol) = line.split_whitespace().next() else { continue };
        match symbol.split_once("@@") {
            // The version itself is an absolute symbol.
            _ if symbol == version || symbol.trim_end_matches('@').starts_with("TTEVIEW_") => {}
            Some((name, found)) if found == version => names.push(name.to_owned()),
            _ => return Err(format!("the symbol {symbol} must have the version {version}")),
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_exports_only_the_named_functions() {
        let script = write_version_script(&["ttv_a".into(), "ttv_b".into()]);
        let expected = "{\n  global:\n    ttv_a;\n    ttv_b;\n  local:\n    *;\n};\n";
        assert_eq!(script, format!("TTEVIEW_{MAJOR} {expected}"));
    }

    #[test]
    fn symbols_without_the_version_are_refused() {
        let version = symbol_version();
        let listing =
            format!("{version}@@{version} A 0\nttv_b@@{version} T 10\nttv_a@@{version} T 20\n");
        assert_eq!(parse_exports(&listing).unwrap(), ["ttv_a", "ttv_b"]);
        assert!(parse_exports("rust_eh_personality T 10\n").is_err());
        assert!(parse_exports("ttv_a@@OTHER_1 T 10\n").is_err());
    }
}
