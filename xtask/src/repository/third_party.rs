//! This test checks that each crate in `third_party/` is the published crate with the patch next to
//! it, so that no one changes a copy without its patch.

use crate::files::{copy_file, create_empty_folder, list_files, read_bytes, read_text};
use crate::package::patched::PATCHED_CRATES;
use crate::paths::{root, work_dir};
use crate::process::{command, run};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Returns a hash of the names and contents of all files in a folder.
fn hash_files(folder: &Path) -> String {
    let mut hash = Sha256::new();
    for file in list_files(folder).unwrap() {
        let content = read_bytes(&folder.join(&file)).unwrap();
        hash.update(format!("{}\n{}\n", file.display(), content.len()));
        hash.update(content);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn patched_crates_differ_from_the_published_ones_by_their_patch() {
    let work = work_dir().join("third-party");
    for patched in PATCHED_CRATES {
        let copy = work.join(patched.name);
        create_empty_folder(&copy).unwrap();
        for file in list_files(&patched.folder()).unwrap() {
            copy_file(&patched.folder().join(&file), &copy.join(&file)).unwrap();
        }
        // With this variable, git does not treat the copy as a part of this repository.
        let mut revert = command("git", ["apply", "--reverse", "-p2"]);
        revert.arg(patched.patch()).current_dir(&copy).env("GIT_CEILING_DIRECTORIES", &work);
        run(&mut revert).unwrap();
        assert_eq!(hash_files(&copy), patched.files, "{} {}", patched.name, patched.version);
    }
}

#[test]
fn patched_crates_are_those_of_the_lock_file() {
    let lock = read_text(&root().join("Cargo.lock")).unwrap();
    for patched in PATCHED_CRATES {
        let entry = format!("name = \"{}\"\nversion = \"{}\"\ndep", patched.name, patched.version);
        assert!(lock.contains(&entry), "{} has another version or no patch", patched.name);
    }
}
