//! These tests check that the tests and files named in `docs/develop/requirements.md` and in
//! `docs/regulatory/` exist.

use crate::files::{list_folder, read_text};
use crate::paths::root;

/// Returns the code spans in a line, in order.
fn find_code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Returns the files and tests that the last column of a table names but that do not exist. A test
/// belongs to the file that is named before it. Functions of the C interface are no tests.
fn find_missing(table: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let evidence = line.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut text = String::new();
        for word in find_code(evidence).filter(|word| !word.starts_with("ttv_")) {
            if word.contains('/') {
                text = read_text(&root().join(word)).unwrap_or_default();
                if text.is_empty() {
                    missing.push(word.to_owned());
                }
            } else if word.contains('_') && !text.contains(&format!("fn {word}(")) {
                missing.push(word.to_owned());
            }
        }
    }
    missing
}

#[test]
fn every_test_in_the_requirements_exists() {
    let table = read_text(&root().join("docs/develop/requirements.md")).unwrap();
    assert_eq!(find_missing(&table), Vec::<String>::new());
    assert!(table.lines().filter(|line| line.starts_with("| ")).count() > 25);
}

#[test]
fn every_test_in_the_regulatory_documents_exists() {
    let pages = list_folder(&root().join("docs/regulatory")).unwrap();
    assert!(pages.len() >= 6, "{pages:?}");
    for page in pages {
        assert_eq!(find_missing(&read_text(&page).unwrap()), Vec::<String>::new(), "{page:?}");
    }
}

#[test]
fn missing_tests_and_files_are_found() {
    assert_eq!(find_missing("| a | `tests/soak.rs` `no_such_test` |"), ["no_such_test"]);
    assert_eq!(find_missing("| a | `tests/gone.rs` |"), ["tests/gone.rs"]);
}
