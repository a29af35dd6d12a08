//! The installable package: archive with only `ttv_*` exported, headers, pkg-config and CMake files.

use crate::host::check_header;
use crate::process::{Result, cargo, command, read, root, run, target};
use std::fs;
use std::path::{Path, PathBuf};

/// Native libraries that a host links after `libtteview.a` on Linux.
const NATIVE: &str = "-lpthread -ldl -lm";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `cargo xtask install --prefix P`.
pub(crate) fn install(arguments: &[&str]) -> Result {
    let ["--prefix", prefix] = arguments else { return Err("usage: cargo xtask install --prefix P".into()) };
    let prefix = std::path::absolute(prefix).map_err(|error| format!("{prefix}: {error}"))?;
    install_to(&prefix)?;
    println!("installed tteview {VERSION} in {}", prefix.display());
    Ok(())
}

/// Installs the package where the tests, the examples and the demo use it.
pub(crate) fn own_prefix() -> Result<PathBuf> {
    let prefix = std::path::absolute(target().join("tteview/prefix")).map_err(|error| error.to_string())?;
    install_to(&prefix)?;
    Ok(prefix)
}

fn install_to(prefix: &Path) -> Result {
    check_header()?;
    run(&mut cargo("build --release -p tteview"))?;
    let archive = localise(&target().join("release/libtteview.a"))?;
    place(&archive, &prefix.join("lib/libtteview.a"))?;
    for header in ["tteview.h", "tteview.hpp"] {
        place(&root().join("include/tteview").join(header), &prefix.join("include/tteview").join(header))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        place(&root().join(licence), &prefix.join("share/doc/tteview").join(licence))?;
    }
    write(&prefix.join("lib/pkgconfig/tteview.pc"), &pkg_config(prefix))?;
    let cmake = prefix.join("lib/cmake/tteview");
    write(&cmake.join("tteview-config.cmake"), CMAKE_CONFIG)?;
    write(&cmake.join("tteview-config-version.cmake"), &CMAKE_VERSION.replace("@VERSION@", VERSION))
}

/// One object of the whole archive in which only `ttv_*` is global, so that two Rust libraries fit into one host.
/// Sections stay apart, so the host's linker still leaves out what it does not use.
fn localise(archive: &Path) -> Result<PathBuf> {
    let folder = target().join("tteview/archive");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (object, exports, packed) =
        (folder.join("tteview.o"), folder.join("exports"), folder.join("libtteview.a"));
    let names = exported(archive)?;
    write(
        &exports,
        &names.into_iter().filter(|name| name.starts_with("ttv_")).collect::<Vec<_>>().join("\n"),
    )?;
    run(command("ld", ["-r", "--whole-archive"]).arg(archive).arg("-o").arg(&object))?;
    let mut objcopy =
        command("objcopy", ["--strip-debug", "--remove-section=.llvmbc", "--remove-section=.llvmcmd"]);
    run(objcopy.arg(format!("--keep-global-symbols={}", exports.display())).arg(&object))?;
    // `ar` adds to an archive that is there.
    if packed.exists() {
        fs::remove_file(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
    }
    run(command("ar", ["crsD"]).arg(&packed).arg(&object))?;
    let strangers: Vec<_> = exported(&packed)?.into_iter().filter(|name| !name.starts_with("ttv_")).collect();
    if strangers.is_empty() {
        Ok(packed)
    } else {
        Err(format!("{} exports more than ttv_*: {}", packed.display(), strangers.join(", ")))
    }
}

/// Names of the global symbols that an archive defines.
pub(crate) fn exported(archive: &Path) -> Result<Vec<String>> {
    let mut nm = command("nm", ["--quiet", "--defined-only", "--extern-only", "--format=posix"]);
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

fn pkg_config(prefix: &Path) -> String {
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\nName: tteview\n\
         Description: Labels the view of a transthoracic echo cine while it is acquired\n\
         Version: {VERSION}\nCflags: -I${{includedir}}\nLibs: -L${{libdir}} -ltteview {NATIVE}\n",
        prefix.display()
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

fn place(from: &Path, to: &Path) -> Result {
    make_folder(to)?;
    fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(to: &Path, text: &str) -> Result {
    make_folder(to)?;
    fs::write(to, text).map_err(|error| format!("{}: {error}", to.display()))
}

fn make_folder(file: &Path) -> Result {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
