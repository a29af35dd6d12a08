//! Creates folders in the target directory, each of which is filled only once.

use crate::files::{create_empty_folder, rename};
use crate::paths::work_dir;
use crate::process::Result;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Returns the folder with this name. If the folder does not exist, `fill` fills it first.
pub(crate) fn fill_once(name: &str, fill: impl FnOnce(&Path) -> Result) -> Result<PathBuf> {
    let folder = work_dir().join(name);
    if folder.exists() {
        return Ok(folder);
    }
    // The folder gets its final name only when it is complete, because an interrupted run must not
    // leave a folder that looks complete.
    let partial = folder.with_file_name(format!("{name}.partial"));
    create_empty_folder(&partial)?;
    fill(&partial)?;
    rename(&partial, &folder)?;
    Ok(folder)
}

/// Returns a folder name that changes whenever `content` changes.
pub(crate) fn name_by_content(name: &str, content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{name}-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{read_text, remove_folder, write_file};

    #[test]
    fn folder_is_filled_once_and_not_after_a_failure() {
        let name = format!("test-cache-{}", std::process::id());
        let error = fill_once(&name, |folder| {
            write_file(&folder.join("half"), "1")?;
            Err("no network".into())
        });
        assert_eq!(error.unwrap_err(), "no network");
        let folder = fill_once(&name, |folder| write_file(&folder.join("whole"), "2")).unwrap();
        assert_eq!(read_text(&folder.join("whole")).unwrap(), "2");
        assert!(!folder.join("half").exists());
        assert_eq!(fill_once(&name, |_| panic!("filled twice")).unwrap(), folder);
        remove_folder(&folder).unwrap();
    }

    #[test]
    fn name_changes_with_the_content() {
        assert_eq!(name_by_content("a", "x"), name_by_content("a", "x"));
        assert_ne!(name_by_content("a", "x"), name_by_content("a", "y"));
    }
}
