//! Fetches what the tests need and the repository does not hold.

use crate::process::{Result, command, run, target};
use std::fs;
use std::path::{Path, PathBuf};

/// Versions of ONNX Runtime that the library is tested with: old, in between, new. The compiler compares with the last.
pub(crate) const ONNX_RUNTIMES: &[&str] = &["1.20.1", "1.23.2", "1.31.1"];

/// The ONNX Runtime shared libraries: the one that `TTEVIEW_ORT_DYLIB` names, else one for each of
/// [`ONNX_RUNTIMES`].
pub(crate) fn onnx_runtimes() -> Result<Vec<PathBuf>> {
    let Some(named) = std::env::var_os("TTEVIEW_ORT_DYLIB").filter(|path| !path.is_empty()) else {
        return ONNX_RUNTIMES.iter().map(|version| onnx_runtime(version)).collect();
    };
    let named = PathBuf::from(named);
    // Test processes run in the folder of their crate, so a relative path would miss there.
    match fs::canonicalize(&named) {
        Ok(path) => Ok(vec![path]),
        Err(e) => Err(format!("TTEVIEW_ORT_DYLIB names {}: {e}", named.display())),
    }
}

/// The library in the Python wheel of this version, kept under the target directory. The wheel is fetched with pip
/// because it is the one build of ONNX Runtime that package mirrors carry.
fn onnx_runtime(version: &str) -> Result<PathBuf> {
    let kept = target().join("tteview").join(format!("onnxruntime-{version}"));
    if let Ok(library) = library_in(&kept) {
        return Ok(library);
    }
    // Unpacked beside and renamed, so that an interrupted run leaves nothing that looks complete.
    let partial = kept.with_extension("partial");
    for stale in [&partial, &kept].into_iter().filter(|path| path.exists()) {
        fs::remove_dir_all(stale).map_err(|e| format!("cannot remove {}: {e}", stale.display()))?;
    }
    unpack_wheel(version, &partial)?;
    library_in(&partial)?;
    fs::rename(&partial, &kept).map_err(|e| format!("cannot create {}: {e}", kept.display()))?;
    library_in(&kept)
}

/// Downloads the wheel and unpacks it into `folder`.
fn unpack_wheel(version: &str, folder: &Path) -> Result {
    let requirement = format!("onnxruntime=={version}");
    // A fixed Python version: the library is the same in every wheel, and the host's Python may have none.
    let options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--dest"];
    let mut pip = command("python3", ["-m", "pip", "download"]);
    run(pip.args(options).arg(folder).arg(&requirement))?;
    let wheel = files(folder)?
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or_else(|| format!("pip left no wheel in {}", folder.display()))?;
    run(command("python3", ["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    fs::remove_file(&wheel).map_err(|e| format!("cannot remove {}: {e}", wheel.display()))
}

/// The library in an unpacked wheel: `libonnxruntime.so.X`, `libonnxruntime.X.dylib` or `onnxruntime.dll`.
fn library_in(wheel: &Path) -> Result<PathBuf> {
    let folder = wheel.join("onnxruntime").join("capi");
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    };
    let library = files(&folder)?.into_iter().find(is_library);
    library.ok_or_else(|| format!("no ONNX Runtime library in {}", folder.display()))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}
