//! The cross toolchain and the emulator. Missing packages are installed with apt.

use crate::files::write_file;
use crate::paths::{root, work_dir};
use crate::platform::{AARCH64, CROSS_PREFIX, CrossToolchain, Platform};
use crate::process::{Result, command, read_output, run, rustc};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The glibc version of Ubuntu 22.04, on which JetPack 6 is based.
pub(super) const BOARD_GLIBC: &str = "2.35";

/// The compiler flag for the Orin's processor core.
pub(super) const CORE_FLAG: &str = "-mcpu=cortex-a78ae";

/// The packages that contain the cross compilers, their binutils, and the libraries that emulated
/// programs load.
const COMPILER_PACKAGES: [&str; 3] =
    ["gcc-aarch64-linux-gnu", "g++-aarch64-linux-gnu", "libstdc++6:arm64"];

/// The packages that contain a Rust compiler and the standard library for arm64. They are used if
/// rustup cannot add that library.
const RUST_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev:arm64"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

const EMULATOR: &str = "qemu-aarch64-static";

const EMULATOR_PACKAGE: &str = "qemu-user-static";

/// Oldest accepted major version of the emulator. Version 7.2 crashes when it runs ONNX Runtime.
const OLDEST_EMULATOR: u32 = 10;

/// The emulated core. Like the Cortex-A78AE, it is an Armv8.2 core with dot products and half
/// precision but without SVE or int8 matrix products. An instruction that the Orin lacks is
/// therefore illegal on the emulated core.
const EMULATED_CORE: &str = "cortex-a76";

/// Path of the file that adds Debian 12's backports, which contain the emulator, to the sources of
/// apt.
const BACKPORTS: &str = "/etc/apt/sources.list.d/bookworm-backports.list";

/// Returns the cross platform with its emulator, and a string with the versions of the compiler and
/// the emulator.
pub(super) fn find_toolchain(glibc: &str) -> Result<(Platform, String)> {
    let has_libraries = Path::new("/usr/lib/aarch64-linux-gnu/libstdc++.so.6").exists();
    let has_compilers =
        ["gcc", "g++"].iter().all(|tool| can_start(&format!("{CROSS_PREFIX}{tool}")));
    if !has_libraries || !has_compilers {
        install_packages(&COMPILER_PACKAGES, None)?;
    }
    let cross_rustc = find_rustc()?;
    if read_emulator_version().is_none_or(|version| version < OLDEST_EMULATOR) {
        install_emulator()?;
    }
    let compiler = cross_rustc.clone().map_or_else(rustc, PathBuf::into_os_string);
    let compiler_version = read_output(&mut command(compiler, ["--version"]))?;
    let emulator_version = read_output(&mut command(EMULATOR, ["--version"]))?;
    let first_line = |text: &str| text.lines().next().unwrap_or_default().replace('|', "/");
    let versions = format!("{}; {}", first_line(&compiler_version), first_line(&emulator_version));
    let toolchain = CrossToolchain {
        rustc: cross_rustc,
        sysroot: if glibc == BOARD_GLIBC { None } else { Some(make_sysroot(glibc)?) },
        emulator: [EMULATOR, "-cpu", EMULATED_CORE].map(String::from).into(),
    };
    Ok((Platform::aarch64(toolchain), versions))
}

/// Returns the path of Debian's Rust compiler if Cargo's own compiler has no standard library for
/// aarch64 and rustup cannot add one. Returns `None` if Cargo's own compiler can be used.
fn find_rustc() -> Result<Option<PathBuf>> {
    let own = rustc();
    if has_standard_library(Path::new(&own)) {
        return Ok(None);
    }
    println!("rustc has no standard library for {AARCH64}; trying rustup");
    // If rustup fails, Debian's compiler is used.
    if let Err(message) = run(&mut command("rustup", ["target", "add", AARCH64])) {
        println!("{message}");
    }
    if has_standard_library(Path::new(&own)) {
        return Ok(None);
    }
    let debian = Path::new(DEBIAN_RUSTC);
    if !has_standard_library(debian) {
        install_packages(&RUST_PACKAGES, None)?;
    }
    if has_standard_library(debian) {
        Ok(Some(debian.into()))
    } else {
        Err(format!(
            "neither rustup nor {DEBIAN_RUSTC} has a standard library for {AARCH64}; install one"
        ))
    }
}

fn has_standard_library(rustc: &Path) -> bool {
    let mut query = command(rustc, ["--print", "target-libdir", "--target", AARCH64]);
    let Ok(output) = query.output() else { return false };
    let Ok(mut entries) = fs::read_dir(String::from_utf8_lossy(&output.stdout).trim()) else {
        return false;
    };
    entries.any(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

fn can_start(program: &str) -> bool {
    let mut version = command(program, ["--version"]);
    version
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn read_emulator_version() -> Option<u32> {
    let output = command(EMULATOR, ["--version"]).output().ok()?;
    parse_major_version(&String::from_utf8_lossy(&output.stdout))
}

/// Returns the major version in the emulator's output, for example 10 in `qemu-aarch64 version
/// 10.0.2 (...)`.
fn parse_major_version(text: &str) -> Option<u32> {
    text.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

fn install_emulator() -> Result {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let needs_backports = release.contains("bookworm");
    if needs_backports && !Path::new(BACKPORTS).exists() {
        check_can_install(&[EMULATOR_PACKAGE])?;
        println!("writing {BACKPORTS}");
        let source = "deb http://deb.debian.org/debian bookworm-backports main\n";
        write_file(Path::new(BACKPORTS), source)?;
    }
    install_packages(&[EMULATOR_PACKAGE], needs_backports.then_some("bookworm-backports"))?;
    match read_emulator_version() {
        Some(version) if version >= OLDEST_EMULATOR => Ok(()),
        Some(version) => {
            Err(format!("{EMULATOR} must be {OLDEST_EMULATOR} or newer, got {version}"))
        }
        None => Err(format!("{EMULATOR} must be {OLDEST_EMULATOR} or newer, got none")),
    }
}

/// Installs packages with apt. Each command is printed before it runs.
fn install_packages(packages: &[&str], release: Option<&str>) -> Result {
    check_can_install(packages)?;
    let run_printed = |words: &[&str]| -> Result {
        println!("$ {}", words.join(" "));
        run(command(words[0], &words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    run_printed(&["dpkg", "--add-architecture", "arm64"])?;
    run_printed(&["apt-get", "update", "-q"])?;
    let mut words = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends"];
    words.extend(release.iter().flat_map(|release| ["-t", release]));
    words.extend(packages);
    run_printed(&words)
}

fn check_can_install(packages: &[&str]) -> Result {
    let is_root = read_output(&mut command("id", ["-u"]))?.trim() == "0";
    if is_root && can_start("apt-get") {
        return Ok(());
    }
    Err(format!(
        "{} must be installed; run this task as root on Debian or Ubuntu, or see docs/device/jetson.md",
        packages.join(", ")
    ))
}

/// Creates a root file system with this glibc version from the packages of the Debian release that
/// contains this version.
fn make_sysroot(glibc: &str) -> Result<PathBuf> {
    let release = match glibc {
        "2.31" => "bullseye",
        "2.36" => "bookworm",
        _ => return Err(format!("--glibc must be 2.31, {BOARD_GLIBC} or 2.36, got {glibc}")),
    };
    let folder = work_dir().join(format!("jetson/sysroot-{release}"));
    if !folder.join("SHA256SUMS").exists() {
        let script = root().join("jetson-sysroot/make-sysroot.sh");
        run(command("sh", [script.as_os_str()]).args(["--debian", release]).arg(&folder))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulator_version_is_read_from_its_output() {
        let output = "qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds)\nCopyright";
        assert_eq!(parse_major_version(output), Some(10));
        assert_eq!(parse_major_version("no such program"), None);
    }

    #[test]
    fn glibc_without_a_debian_release_is_refused() {
        assert!(make_sysroot("2.17").unwrap_err().contains("2.17"));
    }
}
