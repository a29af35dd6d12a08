//! Collects the licence texts of all code in the static library and in the programs.

use super::crates::{LinkedCrate, STANDARD_LIBRARY_LICENCE, read_standard_library};
use crate::files::{list_folder, read_bytes};
use crate::process::Result;
use std::path::{Path, PathBuf};

/// Prefixes of the names of licence files.
const FILE_NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Folder of a crate with the sources of the program that it contains.
const UPSTREAM: &str = "upstream";

/// Returns the contents of the licence files of all crates and of the Rust standard library as one
/// string. `file` is the name of the library or program that contains them.
pub(super) fn collect_licences(file: &str, crates: &[LinkedCrate]) -> Result<String> {
    let mut text = format!(
        "Licences of the parts of {file}. Each heading gives the name, the version and the licence of a \
         part.\n",
    );
    for entry in crates {
        text += &format_part(&entry.name, &entry.version, &entry.licence, &entry.folder)?;
    }
    let library = read_standard_library()?;
    let licence = STANDARD_LIBRARY_LICENCE;
    text += &format_part("Rust standard library", &library.version, licence, &library.licences)?;
    Ok(text)
}

fn format_part(name: &str, version: &str, licence: &str, folder: &Path) -> Result<String> {
    let line = "=".repeat(100);
    let mut text = format!("\n{line}\n{name} {version}: {licence}\n{line}\n");
    let mut files = list_licence_files(folder)?;
    files.extend(list_licence_files(&folder.join(UPSTREAM))?);
    if files.is_empty() {
        text += &match licence.contains("MIT") || licence.contains("Apache-2.0") {
            true => "\nThis part has no licence file. The texts of MIT and Apache-2.0 are next to this file.\n".into(),
            false => format!(
                "\nThis part has no licence file. The text is at https://spdx.org/licenses/{licence}.\n"
            ),
        };
    }
    for file in files {
        let content = read_bytes(&file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text += &format!("\n-- {name}\n\n{}\n", String::from_utf8_lossy(&content).trim_end());
    }
    Ok(text)
}

/// Returns the licence files in a folder. The list is empty if the folder does not exist.
fn list_licence_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = list_folder(folder)?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        let is_licence = FILE_NAMES.iter().any(|start| name.starts_with(start));
        path.is_file() && is_licence && !name.ends_with(".HTML")
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::crates::list_linked_crates;
    use crate::process::read_host_triple;

    #[test]
    fn every_linked_crate_has_a_licence_text() {
        let crates = list_linked_crates(&read_host_triple().unwrap()).unwrap();
        let text = collect_licences("libtteview.a", &crates).unwrap();
        for entry in &crates {
            assert!(
                text.contains(&format!("\n{} {}: ", entry.name, entry.version)),
                "{}",
                entry.name
            );
        }
        assert!(text.contains("\nRust standard library "));
        assert!(text.contains("Apache License"));
    }

    #[test]
    fn folder_without_licence_files_refers_to_the_texts() {
        let part = format_part("a", "1.0.0", "MIT", Path::new("/nowhere")).unwrap();
        assert!(part.contains("has no licence file"), "{part}");
        let part = format_part("a", "1.0.0", "BSD-2-Clause", Path::new("/nowhere")).unwrap();
        assert!(part.contains("spdx.org/licenses/BSD-2-Clause"), "{part}");
    }
}
