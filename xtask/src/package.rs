//! `cargo xtask install`: installs the package that a host links. The package contains the static
//! library, the shared library, the headers, files for pkg-config and CMake, the examples, the
//! benches, the licences and a bill of materials.

pub(crate) mod archive;
mod checker;
mod components;
pub(crate) mod crates;
mod licences;
pub(crate) mod patched;
pub(crate) mod programs;
mod sbom;
pub(crate) mod shared;
pub(crate) mod sizes;
pub(crate) mod source;
mod version;
mod vex;

use crate::files::{copy_file, list_folder, read_text, write_file};
use crate::header;
use crate::host_build::EXAMPLES;
use crate::paths::{root, work_dir};
use crate::platform::Platform;
use crate::process::Result;
use archive::{SYSTEM_LIBRARIES, build_archive};
use checker::build_checker;
use programs::install_bench;
use std::path::{Path, PathBuf};
pub(crate) use version::{MAJOR, MINOR, VERSION};

const PKG_CONFIG: &str = include_str!("package/templates/tteview.pc.in");
const PKG_CONFIG_SHARED: &str = include_str!("package/templates/tteview-shared.pc.in");
const CHECKER_PKG_CONFIG: &str = include_str!("package/templates/tteview-check.pc.in");
const CMAKE_CONFIG: &str = include_str!("package/templates/tteview-config.cmake");
const CMAKE_VERSION: &str = include_str!("package/templates/tteview-config-version.cmake.in");

/// Runs `cargo xtask install --prefix P [--features F] [--check]`.
pub(crate) fn run_install(arguments: &[&str]) -> Result {
    let (arguments, has_checker) = match arguments {
        [rest @ .., "--check"] => (rest, true),
        all => (all, false),
    };
    let (prefix, options) = match arguments {
        ["--prefix", prefix] => (prefix, vec![]),
        ["--prefix", prefix, "--features", features] => (prefix, vec!["--features", *features]),
        _ => {
            let usage = "usage: cargo xtask install --prefix P [--features tensorrt-rtx] [--check]";
            return Err(usage.into());
        }
    };
    let prefix =
        std::path::absolute(prefix).map_err(|error| format!("prefix {prefix}: {error}"))?;
    let platform = Platform::native();
    install_package(&prefix, &platform, &options)?;
    install_bench(&prefix, &platform, &options)?;
    if has_checker {
        install_checker(&prefix, &platform)?;
    }
    let table = components::measure_components(&prefix, &platform)?;
    println!("installed tteview {VERSION} in {}\n\n{table}", prefix.display());
    Ok(())
}

/// Files in ffi-examples/ that the examples need.
const EXAMPLE_FILES: [&str; 2] = ["CMakeLists.txt", "cine.h"];

/// Installs the package for the tests, the examples and the demo, and returns its prefix.
pub(crate) fn install_for_tests() -> Result<PathBuf> {
    let prefix = work_dir().join("prefix");
    install_package(&prefix, &Platform::native(), &[])?;
    Ok(prefix)
}

/// Builds the library with the Cargo options `options` and installs the package under `prefix`,
/// without the programs.
pub(crate) fn install_package(prefix: &Path, platform: &Platform, options: &[&str]) -> Result {
    header::check()?;
    let archive = build_archive(platform, options)?;
    copy_file(&archive, &prefix.join("lib/libtteview.a"))?;
    shared::install_shared(&archive, platform, prefix)?;
    for header in ["tteview.h", "tteview.hpp"] {
        copy_file(
            &root().join("include/tteview").join(header),
            &prefix.join("include/tteview").join(header),
        )?;
    }
    let documents = prefix.join("share/doc/tteview");
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy_file(&root().join(licence), &documents.join(licence))?;
    }
    for file in EXAMPLE_FILES.iter().chain(&EXAMPLES) {
        let source = root().join("ffi-examples").join(file);
        copy_file(&source, &prefix.join("share/tteview/examples").join(file))?;
    }
    let crates = crates::list_linked_crates(&platform.read_triple()?)?;
    write_file(&documents.join("sbom.cdx.json"), sbom::write_sbom(&crates, &list_models()?)?)?;
    let dependencies = read_text(&root().join("docs/develop/dependencies.md"))?;
    write_file(&documents.join("vex.cdx.json"), vex::write_vex(&crates, &dependencies)?)?;
    write_file(
        &documents.join("THIRD-PARTY-LICENSES.txt"),
        licences::collect_licences("libtteview.a", &crates)?,
    )?;
    for (name, template) in [("tteview", PKG_CONFIG), ("tteview-shared", PKG_CONFIG_SHARED)] {
        let path = prefix.join("lib/pkgconfig").join(name).with_extension("pc");
        write_file(&path, fill_template(template))?;
    }
    let cmake = prefix.join("lib/cmake/tteview");
    write_file(&cmake.join("tteview-config.cmake"), fill_template(CMAKE_CONFIG))?;
    write_file(&cmake.join("tteview-config-version.cmake"), fill_template(CMAKE_VERSION))
}

/// Adds the checker for hosts to the package that is installed under `prefix`.
pub(crate) fn install_checker(prefix: &Path, platform: &Platform) -> Result {
    let checker = build_checker(&prefix.join("lib/libtteview.a"), platform)?;
    copy_file(&checker, &prefix.join("lib/check/libtteview.a"))?;
    let file = prefix.join("lib/pkgconfig/tteview-check.pc");
    write_file(&file, fill_template(CHECKER_PKG_CONFIG))
}

fn fill_template(template: &str) -> String {
    template
        .replace("@VERSION@", VERSION)
        .replace("@MAJOR@", MAJOR)
        .replace("@MINOR@", MINOR)
        .replace("@FILE_NAME@", &shared::file_name())
        .replace("@SONAME@", &shared::soname())
        .replace("@LIBRARIES@", &SYSTEM_LIBRARIES.join(" "))
}

/// Returns the paths of the model packages in the repository.
fn list_models() -> Result<Vec<PathBuf>> {
    let mut files = list_folder(&root().join("models"))?;
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_placeholder_left() {
        for template in
            [PKG_CONFIG, CHECKER_PKG_CONFIG, PKG_CONFIG_SHARED, CMAKE_VERSION, CMAKE_CONFIG]
        {
            let text = fill_template(template);
            assert!(text.contains(VERSION) && !text.contains('@'), "{text}");
        }
    }

    #[test]
    fn install_without_a_prefix_prints_its_usage() {
        assert!(run_install(&["--features", "x"]).unwrap_err().starts_with("usage: "));
    }
}
