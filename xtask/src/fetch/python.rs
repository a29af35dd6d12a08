//! Fetches Python packages from the package index.

use crate::files::{list_folder, remove_file};
use crate::process::{Result, command, run};
use std::path::Path;
use std::process::Command;

/// Returns a command that runs this machine's Python.
pub(crate) fn python() -> Command {
    let mut python = command("python3", [""; 0]);
    python.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore");
    python
}

/// Installs Python packages into a folder that can be added to `PYTHONPATH`.
pub(crate) fn install_packages(folder: &Path, requirements: &[&str]) -> Result {
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--prefer-binary", "--target"]);
    run(pip.arg(folder).args(requirements))
}

/// Downloads a wheel and unpacks it into a folder. The wheel is for this machine unless `platforms`
/// contains pip options that select another platform.
pub(crate) fn unpack_wheel(requirement: &str, folder: &Path, platforms: &[String]) -> Result {
    // The Python version is fixed, because there may be no wheel for this machine's version yet.
    // The files that the tests use are the same in the wheels for every Python version.
    let options =
        ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--dest"];
    let mut pip = python();
    pip.args(["-m", "pip", "download"]).args(options).arg(folder);
    run(pip.args(platforms).arg(requirement))?;
    let is_wheel = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "whl");
    let wheel = list_folder(folder)?.into_iter().find(is_wheel);
    let wheel = wheel
        .ok_or_else(|| format!("pip wrote no wheel of {requirement} to {}", folder.display()))?;
    run(python().args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    remove_file(&wheel)
}
