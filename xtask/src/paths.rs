//! Absolute paths of the folders that the tasks use, and path normalisation.

use std::path::{Component, Path, PathBuf};

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask/ lies in the root of the repository")
}

/// Returns Cargo's target directory, which `CARGO_TARGET_DIR` can set.
pub(crate) fn target_dir() -> PathBuf {
    let variable = std::env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty());
    root().join(variable.unwrap_or_else(|| "target".into()))
}

/// Returns the folder in the target directory for the tasks' files.
pub(crate) fn work_dir() -> PathBuf {
    target_dir().join("tteview")
}

/// Resolves `.` and `..` in a path without accessing the file system.
pub(crate) fn normalise_path(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}
