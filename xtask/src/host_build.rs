//! Compilation of C and C++ hosts against the installed package.

use crate::fetch::build_tools::fetch_pkg_config;
use crate::files::create_folder;
use crate::platform::{Language, Platform};
use crate::process::{Result, command, read_output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler flags for every host. Warnings are errors.
pub(crate) const FLAGS: &[&str] = &["-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The compiler flags that make a program detect invalid memory accesses and leaks.
pub(crate) const ADDRESS_SANITIZER: &[&str] = &["-fsanitize=address", "-fno-omit-frame-pointer"];

/// The sources of the examples in ffi-examples/. Each example takes a model, a cine and a frame
/// period, and prints a view.
pub(crate) const EXAMPLES: [&str; 4] =
    ["c_minimal.c", "c_zero_copy.c", "cpp_host.cpp", "scanner_sim.c"];

/// Returns a command that runs the compiler with the flags that all hosts share.
pub(crate) fn compiler(platform: &Platform, language: Language) -> Command {
    command(platform.compiler(language), FLAGS)
}

/// Returns the folder for the programs and libraries that the tests build.
pub(crate) fn hosts_dir(platform: &Platform) -> PathBuf {
    platform.work_dir().join("hosts")
}

/// Name of the library in pkg-config.
const LIBRARY: &str = "tteview";

/// Name of the checker for hosts in pkg-config.
pub(crate) const CHECKER: &str = "tteview-check";

/// Builds a host for this machine from one source file and returns the path of the program.
pub(crate) fn build_host(prefix: &Path, source: &str, flags: &[&str]) -> Result<PathBuf> {
    build_host_for(&Platform::native(), prefix, source, flags)
}

/// Builds a host program for a platform from one source file and returns its path. The
/// compiler gets `flags` and the flags in the installed package's pkg-config file.
pub(crate) fn build_host_for(
    platform: &Platform,
    prefix: &Path,
    source: &str,
    flags: &[&str],
) -> Result<PathBuf> {
    build_host_with(platform, prefix, source, flags, LIBRARY)
}

/// Builds a host program like [`build_host_for`], but with the pkg-config file of `library`.
pub(crate) fn build_host_with(
    platform: &Platform,
    prefix: &Path,
    source: &str,
    flags: &[&str],
    library: &str,
) -> Result<PathBuf> {
    let folder = hosts_dir(platform).join(library);
    create_folder(&folder)?;
    let source = Path::new(source);
    let program = folder.join(source.file_stem().unwrap_or_default());
    let (language, standard) = if source.extension().is_some_and(|end| end == "c") {
        (Language::C, "-std=c11")
    } else {
        (Language::Cpp, "-std=c++17")
    };
    let mut compiler = compiler(platform, language);
    compiler.arg(standard).args(flags).args(platform.link_flags());
    compiler.arg(source).arg("-o").arg(&program).args(read_package_flags(prefix, library)?);
    run(&mut compiler)?;
    Ok(program)
}

/// Returns the compiler and linker flags of the installed package.
fn read_package_flags(prefix: &Path, library: &str) -> Result<Vec<String>> {
    let mut query = fetch_pkg_config()?;
    query.args(["--cflags", "--libs", library]);
    let flags = read_output(query.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))?;
    Ok(flags.split_whitespace().map(String::from).collect())
}
