//! The target platform of a build: this machine, or aarch64 with a cross toolchain.

use crate::paths::{target_dir, work_dir};
use crate::process::{Result, cargo, command, read_host_triple, read_output, run};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rust's name for aarch64 Linux with glibc, which a Jetson runs.
pub(crate) const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Prefix of the names of the cross tools for aarch64 on Debian and Ubuntu.
pub(crate) const CROSS_PREFIX: &str = "aarch64-linux-gnu-";

/// The language of a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cpp,
}

/// A cross toolchain for aarch64.
#[derive(Debug, Clone, Default)]
pub(crate) struct CrossToolchain {
    /// A Rust compiler that has a standard library for aarch64, if Cargo's own compiler has no such
    /// library.
    pub(crate) rustc: Option<PathBuf>,
    /// The root file system whose glibc is linked instead of the cross compiler's glibc.
    pub(crate) sysroot: Option<PathBuf>,
    /// The command that runs a program: the emulator and its options.
    pub(crate) emulator: Vec<String>,
}

/// The target platform of a build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platform {
    cross: Option<CrossToolchain>,
}

impl Platform {
    /// Returns the platform of this machine.
    pub(crate) fn native() -> Self {
        Self::default()
    }

    /// Returns the platform aarch64 with a cross toolchain.
    pub(crate) fn aarch64(toolchain: CrossToolchain) -> Self {
        Self { cross: Some(toolchain) }
    }

    /// Returns a Cargo command that builds for the platform. Spaces separate the words in
    /// `arguments`.
    pub(crate) fn cargo(&self, subcommand: &str, arguments: &str) -> Command {
        let Some(cross) = &self.cross else {
            return cargo(&format!("{subcommand} {arguments}"));
        };
        let mut command = cargo(&format!("{subcommand} --target {AARCH64} {arguments}"));
        let variable = |name: &str| format!("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_{name}");
        command.env(variable("LINKER"), self.compiler(Language::C));
        command.env(variable("RUNNER"), cross.emulator.join(" "));
        let flags: Vec<String> =
            self.link_flags().iter().map(|flag| format!("-Clink-arg={flag}")).collect();
        command.env(variable("RUSTFLAGS"), flags.join(" "));
        if let Some(rustc) = &cross.rustc {
            command.env("RUSTC", rustc);
        }
        command
    }

    /// Builds the program `tteview` in release mode and returns its path.
    pub(crate) fn build_command_line(&self) -> Result<PathBuf> {
        run(&mut self.cargo("build", "--release -p tteview-cli"))?;
        Ok(self.release_dir().join("tteview"))
    }

    /// Builds the benches in release mode with the Cargo options `options`, and returns the path of
    /// their program.
    pub(crate) fn build_bench(&self, options: &[&str]) -> Result<PathBuf> {
        let fixed = "--release -p tteview --features bench --bench tteview-bench \
                     --message-format json-render-diagnostics";
        let messages = read_output(self.cargo("build", fixed).args(options))?;
        parse_executable(&messages)
            .ok_or_else(|| "cargo must name the program of the benches, but does not".into())
    }

    /// Returns the name of the compiler. In a native build, `CC` or `CXX` can set it.
    pub(crate) fn compiler(&self, language: Language) -> OsString {
        let (gcc, variable, default) = match language {
            Language::C => ("gcc", "CC", "cc"),
            Language::Cpp => ("g++", "CXX", "c++"),
        };
        if self.cross.is_some() {
            return self.tool(gcc).into();
        }
        std::env::var_os(variable).unwrap_or_else(|| default.into())
    }

    /// Returns Rust's name for the platform.
    pub(crate) fn read_triple(&self) -> Result<String> {
        if self.cross.is_some() { Ok(AARCH64.into()) } else { read_host_triple() }
    }

    /// Returns the name of a binutils or GCC program for the platform.
    pub(crate) fn tool(&self, name: &str) -> String {
        if self.cross.is_some() { format!("{CROSS_PREFIX}{name}") } else { name.into() }
    }

    /// Returns the flags that make the linker use the sysroot's glibc.
    ///
    /// The flags include `-B` and `-L`, because Debian's cross compiler would otherwise search its
    /// own folders first. Undefined symbols in shared libraries are allowed, because the compiler's
    /// libstdc++ may need a newer glibc than the sysroot contains.
    pub(crate) fn link_flags(&self) -> Vec<String> {
        let Some(sysroot) = self.cross.as_ref().and_then(|cross| cross.sysroot.as_ref()) else {
            return Vec::new();
        };
        let libraries = sysroot.join("usr/lib/aarch64-linux-gnu");
        let libraries = libraries.display();
        vec![
            format!("--sysroot={}", sysroot.display()),
            format!("-B{libraries}"),
            format!("-L{libraries}"),
            format!("-L{}", sysroot.join("lib/aarch64-linux-gnu").display()),
            "-Wl,--allow-shlib-undefined".into(),
        ]
    }

    /// Returns the folder of Cargo's release builds.
    pub(crate) fn release_dir(&self) -> PathBuf {
        let target = target_dir();
        if self.cross.is_some() {
            target.join(AARCH64).join("release")
        } else {
            target.join("release")
        }
    }

    /// Returns the folder for the files that the tasks build for the platform.
    pub(crate) fn work_dir(&self) -> PathBuf {
        if self.cross.is_some() { work_dir().join("jetson") } else { work_dir() }
    }

    /// Returns a command that runs `program`, which is built for the platform, on this machine.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match self.cross.as_ref().and_then(|cross| cross.emulator.split_first()) {
            Some((emulator, options)) => {
                let mut command = command(emulator, options);
                command.arg(program);
                command
            }
            None => command(program, [""; 0]),
        }
    }
}

/// Returns the path of the program in the messages of `cargo build --message-format json`.
fn parse_executable(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_of_a_build_is_found_in_its_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/a/b\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(parse_executable(messages), Some("/a/b".into()));
        assert_eq!(parse_executable("{}"), None);
    }

    #[test]
    fn emulator_runs_programs_of_the_other_platform_only() {
        let program = Path::new("/a/host");
        assert_eq!(Platform::native().command(program).get_program(), "/a/host");
        let emulator = vec!["qemu".into(), "-cpu".into(), "x".into()];
        let cross = Platform::aarch64(CrossToolchain { emulator, ..CrossToolchain::default() });
        let command = cross.command(program);
        assert_eq!(command.get_program(), "qemu");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["-cpu", "x", "/a/host"]);
    }

    #[test]
    fn sysroot_precedes_the_folders_of_the_cross_compiler() {
        let toolchain =
            CrossToolchain { sysroot: Some("/board".into()), ..CrossToolchain::default() };
        let flags = Platform::aarch64(toolchain).link_flags();
        assert_eq!(flags[0], "--sysroot=/board");
        assert!(flags.contains(&"-L/board/usr/lib/aarch64-linux-gnu".into()), "{flags:?}");
        assert!(Platform::native().link_flags().is_empty());
    }

    #[test]
    fn cross_build_uses_the_cross_tools() {
        let cross = Platform::aarch64(CrossToolchain::default());
        assert_eq!(cross.tool("nm"), "aarch64-linux-gnu-nm");
        assert_eq!(cross.compiler(Language::Cpp), "aarch64-linux-gnu-g++");
        assert_eq!(Platform::native().tool("nm"), "nm");
    }
}
