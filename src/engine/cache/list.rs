//! A list of the engines in a cache, for display to users.

use super::entry::{check_entry, is_hash};
use std::io;
use std::path::{Path, PathBuf};

/// An engine in a cache folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedEngine {
    /// Folder of the engine.
    pub path: PathBuf,
    /// Total size of the engine's files in bytes.
    pub bytes: u64,
    /// Names and values that describe what the engine was built for; empty if this is unknown.
    pub built_for: Vec<(String, String)>,
    /// Reason why the engine will not be loaded; `None` if the engine is complete.
    pub problem: Option<String>,
}

/// Lists the engines in a cache folder, sorted by path. Each engine is checked in the same way as
/// when it is loaded. Unfinished builds and other files are omitted. The list is empty if the
/// folder does not exist.
///
/// # Errors
/// Returns the system's error if the folder cannot be read.
pub fn list_cached_engines(folder: &Path) -> io::Result<Vec<CachedEngine>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut engines = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_hash(&name) {
            engines.push(describe_engine(folder.join(&name), &name));
        }
    }
    engines.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(engines)
}

fn describe_engine(path: PathBuf, name: &str) -> CachedEngine {
    match check_entry(&path) {
        Ok(manifest) => {
            let key = manifest.key();
            let is_misnamed = key.folder() != name;
            let problem =
                is_misnamed.then(|| "the folder has the name of another engine".to_owned());
            CachedEngine {
                bytes: manifest.files.iter().map(|file| file.size).sum(),
                built_for: key.0.into_iter().collect(),
                problem,
                path,
            }
        }
        Err(problem) => {
            CachedEngine { path, bytes: 0, built_for: Vec::new(), problem: Some(problem) }
        }
    }
}
