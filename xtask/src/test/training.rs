//! The checks and tests of the Python package in `training/`.

use crate::fetch::cache::{fill_once, name_by_content};
use crate::fetch::python::python;
use crate::files::read_text;
use crate::paths::{root, target_dir};
use crate::process::{Result, cargo, command, run};
use crate::skips::run_pytest;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the step `training`, which checks the style and the types of the model kit's Python code
/// and runs its tests.
pub(super) fn test_training() -> Result {
    let environment = create_environment("test,video")?;
    run(&mut module(&environment, "ruff", &["check", "."]))?;
    run(&mut module(&environment, "ruff", &["format", "--check", "."]))?;
    run(&mut module(&environment, "mypy", &["tteview_train"]))?;
    let program = build_program()?;
    let mut tests = module(&environment, "pytest", &["-q", "-rs"]);
    run_pytest(tests.env("TTEVIEW_TEST_PROGRAM", program))
}

/// Runs the step `recipes`, which exports networks of other packages as the documents say, compiles
/// them and compares the results.
pub(super) fn test_recipes() -> Result {
    let environment = create_environment("test,video,networks")?;
    let program = build_program()?;
    let files = ["-q", "-rs", "tests/test_recipes.py", "tests/test_resizing.py"];
    let mut tests = module(&environment, "pytest", &files);
    run_pytest(tests.env("TTEVIEW_TEST_PROGRAM", program))
}

/// Builds the program `tteview` and returns its path.
fn build_program() -> Result<PathBuf> {
    run(&mut cargo("build -p tteview-cli"))?;
    Ok(target_dir().join("debug/tteview"))
}

/// Returns a command that runs a Python module in the folder of the package.
fn module(python: &Path, module: &str, arguments: &[&str]) -> Command {
    let mut command = command(python, ["-m", module]);
    command.args(arguments).current_dir(root().join("training"));
    command
}

/// Returns the path of a Python interpreter with the dependencies in `training/pyproject.toml` and
/// those of its extras. When that file changes, a new environment is created.
fn create_environment(extras: &str) -> Result<PathBuf> {
    let package = root().join("training");
    let project = read_text(&package.join("pyproject.toml"))?;
    let content = format!("{project}\n{extras}");
    let folder = fill_once(&name_by_content("python-training", &content), |folder| {
        run(python().args(["-m", "venv"]).arg(folder))?;
        let pip = |arguments: &[&str]| {
            let mut pip = command(folder.join("bin/python"), ["-m", "pip"]);
            pip.args(arguments).env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            pip
        };
        let requirement = format!("{}[{extras}]", package.display());
        run(&mut pip(&["install", "--quiet", &requirement]))?;
        // The tests must use the sources, so the installed copy of the package is removed.
        run(&mut pip(&["uninstall", "--quiet", "--yes", "tteview-train"]))
    })?;
    Ok(folder.join("bin/python"))
}
