//! Functions that find shared libraries in the same way as the system's dynamic loader, and that
//! list the dependencies of a library.

use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::path::{Path, PathBuf};
use tteview::regular_file;

/// Folders that the dynamic loader always searches on Debian, Ubuntu and L4T.
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

/// The folders that the dynamic loader searches, in the order of the search.
pub(super) struct LibrarySearch {
    folders: Vec<PathBuf>,
}

impl LibrarySearch {
    /// Creates the list of folders: first those in `library_path`, the value of `LD_LIBRARY_PATH`,
    /// then those listed in the files of `etc/ld.so.conf.d` below `root`, then the default folders
    /// below `root`.
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
                    .map(|line| path_below(root, line)),
            );
        }
        folders.extend(DEFAULT_FOLDERS.iter().map(|folder| path_below(root, folder)));
        Self { folders }
    }

    /// Returns the file that the dynamic loader would open for this name, or `None` if no folder
    /// contains it.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }
}

/// Prefixes an absolute path with `root`.
fn path_below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Reads the names of the libraries that a shared library needs, in the order in which its dynamic
/// section lists them.
///
/// # Errors
/// Returns an error if the file cannot be read or is not a 64-bit ELF library.
pub(super) fn read_needed_libraries(path: &Path) -> Result<Vec<String>, String> {
    let file = regular_file::open(path).map_err(|error| error.to_string())?;
    // An ONNX Runtime provider library can have a size of hundreds of megabytes, so only the
    // necessary parts are read.
    let cache = ReadCache::new(file);
    parse_needed(&cache)
        .ok_or_else(|| "the file is truncated or is not a 64-bit shared library".to_owned())
}

fn parse_needed<'a, R: ReadRef<'a>>(data: R) -> Option<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let Some((entries, index)) = sections.dynamic(endian, data).ok()? else {
        return Some(Vec::new());
    };
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
    fn a_library_is_found_in_the_order_of_the_loader() -> std::io::Result<()> {
        let root = std::env::temp_dir().join(format!("tteview-search-{}", std::process::id()));
        let first = root.join("first");
        for folder in ["first", "opt/cuda/lib", "usr/lib", "etc/ld.so.conf.d"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        std::fs::write(root.join("etc/ld.so.conf.d/cuda.conf"), "# CUDA\n/opt/cuda/lib\n")?;
        std::fs::write(root.join("usr/lib/liba.so"), "")?;
        std::fs::write(root.join("opt/cuda/lib/liba.so"), "")?;
        let without_path = LibrarySearch::new(&root, None);
        assert_eq!(without_path.find("liba.so"), Some(root.join("opt/cuda/lib/liba.so")));
        assert_eq!(without_path.find("libb.so"), None);
        std::fs::write(first.join("liba.so"), "")?;
        let with_path = LibrarySearch::new(&root, first.to_str());
        assert_eq!(with_path.find("liba.so"), Some(first.join("liba.so")));
        std::fs::remove_dir_all(&root)
    }

    #[test]
    fn a_program_needs_the_c_library_and_a_text_is_refused() -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let names = read_needed_libraries(&program)?;
        assert!(names.iter().any(|name| name.starts_with("libc.so")), "{names:?}");
        assert!(read_needed_libraries(Path::new("/nowhere/liba.so")).is_err());
        assert!(
            read_needed_libraries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
                .is_err()
        );
        Ok(())
    }
}
