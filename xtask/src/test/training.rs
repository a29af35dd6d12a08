//! The checks and tests of the Python package in `training/`.

use crate::fetch::cache::{fill_once, name_by_content};
use crate::fetch::python::python;
use crate::files::read_text;
use crate::paths::root;
use crate::process::{Result, command, run};
use crate::skips::run_pytest;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the step `training`, which checks the style and the types of the model kit's Python code
/// and runs its tests.
pub(super) fn test_training() -> Result {
    let environment = create_environment()?;
    run(&mut module(&environment, "ruff", &["check", "."]))?;
    run(&mut module(&environment, "ruff", &["format", "--check", "."]))?;
    run(&mut module(&environment, "mypy", &["tteview_train"]))?;
    run_pytest(&mut module(&environment, "pytest", &["-q", "-rs"]))
}

/// Returns a command that runs a Python module in the folder of the package.
fn module(python: &Path, module: &str, arguments: &[&str]) -> Command {
    let mut command = command(python, ["-m", module]);
    command.args(arguments).current_dir(root().join("training"));
    command
}

/// Returns the path of a Python interpreter with the dependencies in `training/pyproject.toml`.
/// When that file changes, a new environment is created.
fn create_environment() -> Result<PathBuf> {
    let package = root().join("training");
    let project = read_text(&package.join("pyproject.toml"))?;
    let folder = fill_once(&name_by_content("python-training", &project), |folder| {
        run(python().args(["-m", "venv"]).arg(folder))?;
        let pip = |arguments: &[&str]| {
            let mut pip = command(folder.join("bin/python"), ["-m", "pip"]);
            pip.args(arguments).env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            pip
        };
        let requirement = format!("{}[test,video]", package.display());
        run(&mut pip(&["install", "--quiet", &requirement]))?;
        // The tests must use the sources, so the installed copy of the package is removed.
        run(&mut pip(&["uninstall", "--quiet", "--yes", "tteview-train"]))
    })?;
    Ok(folder.join("bin/python"))
}
