//! What lies in a folder of engines, for a person to see.

use super::{checked, is_hash};
use std::io;
use std::path::{Path, PathBuf};

/// An engine in a cache folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedEngine {
    /// Its folder.
    pub path: PathBuf,
    /// Of all its files.
    pub bytes: u64,
    /// What it was built for: names and values. Empty where nothing tells.
    pub built_for: Vec<(String, String)>,
    /// Why it will not be loaded, whatever asks for it; `None` for a whole one.
    pub problem: Option<String>,
}

/// Every engine in the folder, read and checked as before it is loaded, in the order of their paths. What a build has not
/// finished is left out, and what is no engine's.
///
/// # Errors
/// The system's, where the folder cannot be read; none for one that is not there.
pub fn cached_engines(folder: &Path) -> io::Result<Vec<CachedEngine>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut engines = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_hash(&name) {
            engines.push(looked_at(folder.join(&name), &name));
        }
    }
    engines.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(engines)
}

fn looked_at(path: PathBuf, name: &str) -> CachedEngine {
    match checked(&path) {
        Ok(manifest) => {
            let key = manifest.key();
            let misnamed = (key.folder() != name).then(|| "its name is that of another engine".to_owned());
            CachedEngine {
                bytes: manifest.files.iter().map(|file| file.size).sum(),
                built_for: key.0.into_iter().collect(),
                problem: misnamed,
                path,
            }
        }
        Err(why) => CachedEngine { path, bytes: 0, built_for: Vec::new(), problem: Some(why) },
    }
}
