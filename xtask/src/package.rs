//! The installable package: archive with only `ttv_*` exported, headers, pkg-config and CMake files.

use crate::components::table;
use crate::host::check_header;
use crate::platform::Platform;
use crate::process::{Result, command, read, root, run, target};
use crate::sbom;
use std::fs;
use std::path::{Path, PathBuf};

/// Native libraries that a host links after `libtteview.a` on Linux.
const NATIVE: &str = "-lpthread -ldl -lm";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `cargo xtask install --prefix P [--features F]`.
pub(crate) fn install(arguments: &[&str]) -> Result {
    let (prefix, features) = match arguments {
        ["--prefix", prefix] => (prefix, ""),
        ["--prefix", prefix, "--features", features] => (prefix, *features),
        _ => return Err("usage: cargo xtask install --prefix P [--features tensorrt-rtx]".into()),
    };
    let prefix = std::path::absolute(prefix).map_err(|error| format!("{prefix}: {error}"))?;
    let platform = Platform::here();
    install_with(features, &prefix, &platform)?;
    println!("installed tteview {VERSION} in {}\n\n{}", prefix.display(), table(&prefix, &platform)?);
    Ok(())
}

/// Installs the package where the tests, the examples and the demo use it.
pub(crate) fn own_prefix() -> Result<PathBuf> {
    let prefix = std::path::absolute(target().join("tteview/prefix")).map_err(|error| error.to_string())?;
    install_to(&prefix, &Platform::here())?;
    Ok(prefix)
}

/// Builds the library for a platform and lays the package down.
pub(crate) fn install_to(prefix: &Path, platform: &Platform) -> Result {
    install_with("", prefix, platform)
}

/// The same with more features of the library, by commas.
fn install_with(features: &str, prefix: &Path, platform: &Platform) -> Result {
    check_header()?;
    let mut cargo = platform.cargo("build", "--release -p tteview");
    if !features.is_empty() {
        cargo.args(["--features", features]);
    }
    run(&mut cargo)?;
    let archive = localise(&platform.release().join("libtteview.a"), platform)?;
    place(&archive, &prefix.join("lib/libtteview.a"))?;
    for header in ["tteview.h", "tteview.hpp"] {
        place(&root().join("include/tteview").join(header), &prefix.join("include/tteview").join(header))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        place(&root().join(licence), &prefix.join("share/doc/tteview").join(licence))?;
    }
    let (bill, licences) = sbom::bill(&platform.triple()?, &sbom::models()?)?;
    write(&prefix.join("share/doc/tteview/sbom.cdx.json"), &bill)?;
    write(&prefix.join("share/doc/tteview/THIRD-PARTY-LICENSES.txt"), &licences)?;
    write(&prefix.join("lib/pkgconfig/tteview.pc"), &pkg_config())?;
    let cmake = prefix.join("lib/cmake/tteview");
    write(&cmake.join("tteview-config.cmake"), CMAKE_CONFIG)?;
    write(&cmake.join("tteview-config-version.cmake"), &CMAKE_VERSION.replace("@VERSION@", VERSION))
}

/// One object of the whole archive in which only `ttv_*` is global, so that two Rust libraries fit into one host.
/// Sections stay apart, so the host's linker still leaves out what it does not use.
pub(crate) fn localise(archive: &Path, platform: &Platform) -> Result<PathBuf> {
    let folder = platform.folder().join("archive");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (object, exports, packed) =
        (folder.join("tteview.o"), folder.join("exports"), folder.join("libtteview.a"));
    let names = exported(archive, platform)?;
    write(
        &exports,
        &names.into_iter().filter(|name| name.starts_with("ttv_")).collect::<Vec<_>>().join("\n"),
    )?;
    run(command(platform.tool("ld"), ["-r", "--whole-archive"]).arg(archive).arg("-o").arg(&object))?;
    let mut objcopy = command(
        platform.tool("objcopy"),
        ["--strip-debug", "--remove-section=.llvmbc", "--remove-section=.llvmcmd"],
    );
    run(objcopy.arg(format!("--keep-global-symbols={}", exports.display())).arg(&object))?;
    // `ar` adds to an archive that is there.
    if packed.exists() {
        fs::remove_file(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
    }
    run(command(platform.tool("ar"), ["crsD"]).arg(&packed).arg(&object))?;
    let strangers: Vec<_> =
        exported(&packed, platform)?.into_iter().filter(|name| !name.starts_with("ttv_")).collect();
    if strangers.is_empty() {
        Ok(packed)
    } else {
        Err(format!("{} exports more than ttv_*: {}", packed.display(), strangers.join(", ")))
    }
}

/// Names of the global symbols that an archive defines.
pub(crate) fn exported(archive: &Path, platform: &Platform) -> Result<Vec<String>> {
    let mut nm =
        command(platform.tool("nm"), ["--quiet", "--defined-only", "--extern-only", "--format=posix"]);
    let listing = read(nm.arg(archive))?;
    let mut names: Vec<String> = listing
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The prefix is where the file lies, so that the package may be moved.
fn pkg_config() -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\nName: tteview\n\
         Description: Labels the view of a transthoracic echo cine while it is acquired\n\
         Version: {VERSION}\nCflags: -I${{includedir}}\nLibs: -L${{libdir}} -ltteview {NATIVE}\n"
    )
}

const CMAKE_CONFIG: &str = r#"# Imported target tteview::tteview.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
get_filename_component(_tteview_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET tteview::tteview)
  add_library(tteview::tteview STATIC IMPORTED)
  set_target_properties(tteview::tteview PROPERTIES
    IMPORTED_LOCATION "${_tteview_prefix}/lib/libtteview.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_tteview_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
unset(_tteview_prefix)
"#;

const CMAKE_VERSION: &str = r#"set(PACKAGE_VERSION "@VERSION@")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"#;

pub(crate) fn place(from: &Path, to: &Path) -> Result {
    make_folder(to)?;
    fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

pub(crate) fn write(to: &Path, text: &str) -> Result {
    make_folder(to)?;
    fs::write(to, text).map_err(|error| format!("{}: {error}", to.display()))
}

fn make_folder(file: &Path) -> Result {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
