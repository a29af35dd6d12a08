//! What cross-building and emulation need: found, or installed with apt.

use crate::platform::{AARCH64, CROSS, Platform};
use crate::process::{Result, command, read, root, run, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Cross compilers and binutils, and the libraries that aarch64 programs load here.
const PACKAGES: [&str; 3] = ["gcc-aarch64-linux-gnu", "g++-aarch64-linux-gnu", "libstdc++6:arm64"];

/// A Rust compiler with an arm64 standard library, where rustup has none.
const DEBIAN_RUST: [&str; 2] = ["rustc-web", "libstd-rust-web-dev:arm64"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

const EMULATOR: &str = "qemu-aarch64-static";

/// Version 7.2 crashes in ONNX Runtime's library; 10.0 runs it.
const EMULATOR_SINCE: u32 = 10;

/// The core that is emulated: like the Cortex-A78AE an Armv8.2 with dot products and half precision, without SVE and
/// int8 matrix products. What the Orin could not run is an illegal instruction on it.
const EMULATED_CORE: &str = "cortex-a76";

/// Where Debian 12 gets the emulator from.
const BACKPORTS: &str = "/etc/apt/sources.list.d/bookworm-backports.list";

/// The cross platform with its emulator, and a sentence that names the versions.
pub(super) fn find(glibc: &str) -> Result<(Platform, String)> {
    let has_libraries = Path::new("/usr/lib/aarch64-linux-gnu/libstdc++.so.6").exists();
    if !has_libraries || !starts(&format!("{CROSS}gcc")) || !starts(&format!("{CROSS}g++")) {
        install(&PACKAGES, None)?;
    }
    let rustc = rustc()?;
    if emulator_version().is_none_or(|version| version < EMULATOR_SINCE) {
        install_emulator()?;
    }
    let emulator = read(command(EMULATOR, ["--version"]).stderr(Stdio::inherit()))?;
    let named =
        rustc.clone().unwrap_or_else(|| std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()).into());
    let compiler = read(&mut command(&named, ["--version"]))?;
    let sysroot = if glibc == super::GLIBC { None } else { Some(sysroot(glibc)?) };
    let first = |text: &str| text.lines().next().unwrap_or_default().replace('|', "/");
    let sentence = format!("{}; {}", first(&compiler), first(&emulator));
    let words = [EMULATOR, "-cpu", EMULATED_CORE].map(String::from);
    Ok((Platform::cross(rustc, sysroot, words.into()), sentence))
}

/// The compiler to use instead of Cargo's own, if that has no standard library for aarch64 and rustup cannot add it.
fn rustc() -> Result<Option<PathBuf>> {
    let own = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if has_standard_library(Path::new(&own)) {
        return Ok(None);
    }
    println!("no standard library for {AARCH64}: trying rustup");
    // A failure is no error here, for Debian's compiler is left.
    if let Err(message) = run(&mut command("rustup", ["target", "add", AARCH64])) {
        println!("{message}");
    }
    if has_standard_library(Path::new(&own)) {
        return Ok(None);
    }
    let debian = Path::new(DEBIAN_RUSTC);
    if !has_standard_library(debian) {
        install(&DEBIAN_RUST, None)?;
    }
    if has_standard_library(debian) {
        Ok(Some(debian.into()))
    } else {
        Err(format!("neither rustup nor {DEBIAN_RUSTC} has a standard library for {AARCH64}"))
    }
}

fn has_standard_library(rustc: &Path) -> bool {
    let mut query = command(rustc, ["--print", "target-libdir", "--target", AARCH64]);
    let Ok(folder) = read(query.stderr(Stdio::null())) else { return false };
    let Ok(mut entries) = fs::read_dir(folder.trim()) else { return false };
    entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

fn starts(program: &str) -> bool {
    let mut version = command(program, ["--version"]);
    version.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn emulator_version() -> Option<u32> {
    let output = command(EMULATOR, ["--version"]).output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// `10` of `qemu-aarch64 version 10.0.2 (...)`.
fn major(text: &str) -> Option<u32> {
    text.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

fn install_emulator() -> Result {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let backports = release.contains("bookworm");
    if backports && !Path::new(BACKPORTS).exists() {
        may_install(&["qemu-user-static"])?;
        println!("writing {BACKPORTS}");
        let line = "deb http://deb.debian.org/debian bookworm-backports main\n";
        fs::write(BACKPORTS, line).map_err(|error| format!("{BACKPORTS}: {error}"))?;
    }
    install(&["qemu-user-static"], backports.then_some("bookworm-backports"))?;
    match emulator_version() {
        Some(version) if version >= EMULATOR_SINCE => Ok(()),
        version => Err(format!("{EMULATOR} {EMULATOR_SINCE} or newer is needed; there is {version:?}")),
    }
}

/// Installs packages, each command printed first.
fn install(packages: &[&str], release: Option<&str>) -> Result {
    may_install(packages)?;
    let shown = |words: &[&str]| -> Result {
        println!("$ {}", words.join(" "));
        run(command(words[0], &words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    shown(&["dpkg", "--add-architecture", "arm64"])?;
    shown(&["apt-get", "update", "-q"])?;
    let mut words = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends"];
    words.extend(release.iter().flat_map(|release| ["-t", release]));
    words.extend(packages);
    shown(&words)
}

fn may_install(packages: &[&str]) -> Result {
    let root = read(&mut command("id", ["-u"]))?.trim() == "0";
    if root && starts("apt-get") {
        return Ok(());
    }
    Err(format!(
        "{} missing or too old, and only root on Debian or Ubuntu can have it installed here; \
         docs/jetson.md names every package",
        packages.join(", ")
    ))
}

/// A root file system with this glibc, made from the packages of the Debian release that has it.
fn sysroot(glibc: &str) -> Result<PathBuf> {
    let release = match glibc {
        "2.31" => "bullseye",
        "2.36" => "bookworm",
        _ => {
            return Err(format!("no Debian release has glibc {glibc}: there are 2.31, 2.36 and the default"));
        }
    };
    let folder = std::path::absolute(target().join(format!("tteview/jetson/sysroot-{release}")));
    let folder = folder.map_err(|error| error.to_string())?;
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
    fn the_emulators_version_is_read_and_other_text_is_none() {
        assert_eq!(major("qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds)\nCopyright"), Some(10));
        assert_eq!(major("no such program"), None);
    }

    #[test]
    fn a_glibc_that_no_release_has_is_refused_by_number() {
        assert!(sysroot("2.17").unwrap_err().contains("2.17"));
    }
}
