//! The programs that build hosts: CMake, Ninja and pkg-config.

use super::cache::fill_once;
use super::python::install_packages;
use crate::process::{Result, command};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The CMake version of Ubuntu 22.04, on which JetPack 6 is based.
const CMAKE: &str = "cmake==3.22.6";
const NINJA: &str = "ninja==1.13.2";
const PKGCONF: &str = "pkgconf==3.0.7.post0";

/// Returns a command that runs CMake.
pub(crate) fn fetch_cmake() -> Result<Command> {
    let folder = fetch_tool(CMAKE)?;
    let mut cmake = command(folder.join("bin/cmake"), [""; 0]);
    cmake.env("PYTHONPATH", &folder);
    Ok(cmake)
}

/// Returns the path of Ninja.
pub(crate) fn fetch_ninja() -> Result<PathBuf> {
    Ok(fetch_tool(NINJA)?.join("bin/ninja"))
}

/// Returns a command that runs this machine's pkg-config, or a fetched one if the machine has none.
pub(crate) fn fetch_pkg_config() -> Result<Command> {
    let mut version = command("pkg-config", ["--version"]);
    if version
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return Ok(command("pkg-config", [""; 0]));
    }
    let folder = fetch_tool(PKGCONF)?;
    let mut pkg_config = command(folder.join("bin/pkg-config"), [""; 0]);
    pkg_config.env("PYTHONPATH", &folder);
    Ok(pkg_config)
}

/// Returns the folder of the Python package `requirement`, which contains a build tool. The first
/// call installs the package.
fn fetch_tool(requirement: &str) -> Result<PathBuf> {
    let name = requirement.replace("==", "-");
    fill_once(&name, |folder| install_packages(folder, &[requirement]))
}
