//! Shared libraries: where the system's loader would find them, and what they need in turn.

use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Folders that the loader knows without being told, on Debian, Ubuntu and L4T.
const DEFAULT_FOLDERS: &[&str] = &[
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// The folders that the loader looks into, in its order.
pub(super) struct Search {
    folders: Vec<PathBuf>,
}

impl Search {
    /// `LD_LIBRARY_PATH`, what `/etc/ld.so.conf.d` names, then the folders that it knows; all of them below `root`.
    pub(super) fn new(root: &Path, library_path: Option<&str>) -> Self {
        let mut folders: Vec<PathBuf> = library_path
            .unwrap_or_default()
            .split(':')
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .collect();
        let mut configurations: Vec<PathBuf> = std::fs::read_dir(root.join("etc/ld.so.conf.d"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        configurations.sort();
        for file in configurations {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            folders.extend(
                text.lines()
                    .map(str::trim)
                    .filter(|line| line.starts_with('/'))
                    .map(|line| below(root, line)),
            );
        }
        folders.extend(DEFAULT_FOLDERS.iter().map(|folder| below(root, folder)));
        Self { folders }
    }

    /// The file that the loader takes for this name, if there is one.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }
}

/// An absolute path of the system that lies at `root`.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Libraries that a shared library names as needed, in order.
///
/// # Errors
/// A sentence where the file is not a 64-bit ELF library that can be read.
pub(super) fn needed(path: &Path) -> Result<Vec<String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // A provider of ONNX Runtime has hundreds of megabytes, of which this reads a few pages.
    let cache = ReadCache::new(file);
    names(&cache).ok_or_else(|| "not a shared library of 64 bits, or cut off".to_owned())
}

fn names<'a, R: ReadRef<'a>>(data: R) -> Option<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let Some((entries, index)) = sections.dynamic(endian, data).ok()? else { return Some(Vec::new()) };
    let strings = sections.strings(endian, data, index).ok()?;
    let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED));
    needed
        .map(|entry| {
            let name = strings.get(u32::try_from(entry.d_val(endian)).ok()?).ok()?;
            Some(String::from_utf8_lossy(name).into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_where_the_loader_looks_first() -> std::io::Result<()> {
        let root = std::env::temp_dir().join(format!("tteview-search-{}", std::process::id()));
        let first = root.join("mine");
        for folder in ["mine", "opt/cuda/lib", "usr/lib", "etc/ld.so.conf.d"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        std::fs::write(root.join("etc/ld.so.conf.d/cuda.conf"), "# CUDA\n/opt/cuda/lib\n")?;
        std::fs::write(root.join("usr/lib/liba.so"), "")?;
        std::fs::write(root.join("opt/cuda/lib/liba.so"), "")?;
        let plain = Search::new(&root, None);
        assert_eq!(plain.find("liba.so"), Some(root.join("opt/cuda/lib/liba.so")));
        assert_eq!(plain.find("libb.so"), None);
        std::fs::write(first.join("liba.so"), "")?;
        let told = Search::new(&root, first.to_str());
        assert_eq!(told.find("liba.so"), Some(first.join("liba.so")));
        std::fs::remove_dir_all(&root)
    }

    #[test]
    fn a_program_names_the_c_library_and_a_text_names_nothing() -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let names = needed(&program)?;
        assert!(names.iter().any(|name| name.starts_with("libc.so")), "{names:?}");
        assert!(needed(Path::new("/nowhere/liba.so")).is_err());
        assert!(needed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).is_err());
        Ok(())
    }
}
