//! Folders for the targets that read files.

use std::path::{Path, PathBuf};

/// Creates an empty folder of this process. The folder is in memory if the system has `/dev/shm`.
pub(crate) fn create_memory_folder(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("tteview-fuzz-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("the folder of a fuzz target can be created");
    folder
}
