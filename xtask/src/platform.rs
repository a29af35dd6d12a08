//! What is built for: this machine, or aarch64 with a cross toolchain.

use crate::process::{Result, cargo, command, read, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Triple of the Jetson and of every other aarch64 Linux with glibc.
pub(crate) const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Prefix of Debian's and Ubuntu's cross tools for it.
pub(crate) const CROSS: &str = "aarch64-linux-gnu-";

/// A platform that the package is built for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platform {
    /// Whether it is [`AARCH64`] by cross-building.
    cross: bool,
    /// The Rust compiler that has its standard library, where that is not the one of this Cargo.
    rustc: Option<PathBuf>,
    /// Root file system whose glibc is linked against, where that is not the cross compiler's.
    sysroot: Option<PathBuf>,
    /// Command before a program of it, where this machine cannot run one itself.
    pub(crate) emulator: Vec<String>,
}

impl Platform {
    /// This machine.
    pub(crate) fn here() -> Self {
        Self::default()
    }

    /// aarch64, cross-built here and run by `emulator`.
    pub(crate) fn cross(rustc: Option<PathBuf>, sysroot: Option<PathBuf>, emulator: Vec<String>) -> Self {
        Self { cross: true, rustc, sysroot, emulator }
    }

    /// Cargo's `subcommand` for it.
    pub(crate) fn cargo(&self, subcommand: &str, arguments: &str) -> Command {
        if !self.cross {
            return cargo(&format!("{subcommand} {arguments}"));
        }
        let mut command = cargo(&format!("{subcommand} --target {AARCH64} {arguments}"));
        let variable = |name: &str| format!("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_{name}");
        command.env(variable("LINKER"), self.compiler("CC"));
        command.env(variable("RUNNER"), self.emulator.join(" "));
        let flags: Vec<String> = self.link_flags().iter().map(|flag| format!("-Clink-arg={flag}")).collect();
        command.env(variable("RUSTFLAGS"), flags.join(" "));
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        command
    }

    /// Name of the C (`CC`) or C++ (`CXX`) compiler.
    pub(crate) fn compiler(&self, variable: &str) -> std::ffi::OsString {
        let name = if variable == "CC" { "gcc" } else { "g++" };
        match (self.cross, std::env::var_os(variable)) {
            (true, _) => self.tool(name).into(),
            (false, Some(named)) => named,
            (false, None) => if variable == "CC" { "cc" } else { "c++" }.into(),
        }
    }

    /// Rust's name for it.
    pub(crate) fn triple(&self) -> Result<String> {
        if self.cross {
            return Ok(AARCH64.into());
        }
        let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Ok(read(&mut command(program, ["--print", "host-tuple"]))?.trim().to_owned())
    }

    /// Name of a program of the binutils or of GCC.
    pub(crate) fn tool(&self, name: &str) -> String {
        if self.cross { format!("{CROSS}{name}") } else { name.into() }
    }

    /// What the linker needs to use the sysroot's glibc. Debian's cross compiler looks into its own folders first, hence
    /// `-L` and `-B`; its libstdc++ may need a newer glibc than the sysroot's, which the program then does not.
    pub(crate) fn link_flags(&self) -> Vec<String> {
        let Some(sysroot) = &self.sysroot else { return Vec::new() };
        let library = sysroot.join("usr/lib/aarch64-linux-gnu");
        let library = library.display();
        vec![
            format!("--sysroot={}", sysroot.display()),
            format!("-B{library}"),
            format!("-L{library}"),
            format!("-L{}", sysroot.join("lib/aarch64-linux-gnu").display()),
            "-Wl,--allow-shlib-undefined".into(),
        ]
    }

    /// Cargo's folder of release builds.
    pub(crate) fn release(&self) -> PathBuf {
        if self.cross { target().join(AARCH64).join("release") } else { target().join("release") }
    }

    /// Folder of what the tasks make for it.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = target().join("tteview");
        if self.cross { folder.join("jetson") } else { folder }
    }

    /// `program` of this platform, run here.
    pub(crate) fn run(&self, program: &Path) -> Command {
        let mut words = self.emulator.iter().map(std::ffi::OsString::from).collect::<Vec<_>>();
        words.push(program.into());
        crate::process::command(&words[0], &words[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_runs_its_programs_itself_and_the_other_behind_the_emulator() {
        let program = Path::new("/a/host");
        assert_eq!(Platform::here().run(program).get_program(), "/a/host");
        let cross = Platform::cross(None, None, vec!["qemu".into(), "-cpu".into(), "x".into()]);
        let command = cross.run(program);
        assert_eq!(command.get_program(), "qemu");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["-cpu", "x", "/a/host"]);
    }

    #[test]
    fn a_sysroot_comes_before_the_folders_of_the_cross_compiler() {
        let flags = Platform::cross(None, Some("/board".into()), Vec::new()).link_flags();
        assert_eq!(flags[0], "--sysroot=/board");
        assert!(flags.contains(&"-L/board/usr/lib/aarch64-linux-gnu".into()), "{flags:?}");
        assert!(Platform::here().link_flags().is_empty());
    }
}
