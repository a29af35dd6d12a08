//! The model kit under `training/`: a Python of its own, its checks and its tests.

use crate::fetch::kept;
use crate::process::{Result, command, root, run};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Style, types and tests of the model kit.
pub(crate) fn tests() -> Result {
    let python = python()?;
    run(&mut tool(&python, "ruff", &["check", "."]))?;
    run(&mut tool(&python, "ruff", &["format", "--check", "."]))?;
    run(&mut tool(&python, "mypy", &["tteview_train"]))?;
    run(&mut tool(&python, "pytest", &["-q"]))
}

/// A Python module run in the folder of the model kit.
fn tool(python: &Path, module: &str, arguments: &[&str]) -> Command {
    let mut tool = command(python, ["-m", module]);
    tool.args(arguments).current_dir(root().join("training"));
    tool
}

/// A Python with what `training/pyproject.toml` asks for, made anew when that file changes.
fn python() -> Result<PathBuf> {
    let kit = root().join("training");
    let project = kit.join("pyproject.toml");
    let text = std::fs::read_to_string(&project).map_err(|e| format!("{}: {e}", project.display()))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let folder = kept(&format!("python-training-{:016x}", hasher.finish()), |folder| {
        run(command("python3", ["-m", "venv"]).arg(folder))?;
        let python = folder.join("bin/python");
        let package = format!("{}[test,video]", kit.display());
        run(command(&python, ["-m", "pip", "install", "--quiet"]).arg(package))?;
        // Only what it depends on: the tests run the sources.
        run(&mut command(&python, ["-m", "pip", "uninstall", "--quiet", "--yes", "tteview-train"]))
    })?;
    // Not resolved: the link in the environment tells Python which packages are its own.
    std::path::absolute(folder.join("bin/python")).map_err(|e| e.to_string())
}
