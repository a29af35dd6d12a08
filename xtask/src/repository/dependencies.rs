//! These tests check that `docs/develop/dependencies.md` lists the crates that are linked into the
//! library and marks pre-releases.

use crate::files::read_text;
use crate::package::crates::list_linked_crates;
use crate::paths::root;
use std::collections::BTreeSet;

const TRIPLES: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

fn read_document() -> String {
    read_text(&root().join("docs/develop/dependencies.md")).unwrap()
}

/// Returns the cells of each row about a crate.
fn parse_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`')).collect())
}

/// Returns the name, version and licence of each crate in the section about the library.
fn parse_listed_crates(document: &str) -> BTreeSet<[String; 3]> {
    let section = document.split("\n## ").find(|section| section.starts_with("In the library"));
    parse_rows(section.unwrap_or_default())
        .filter_map(|cells| {
            Some([cells.first()?, cells.get(1)?, cells.get(2)?].map(|cell| (*cell).into()))
        })
        .collect()
}

#[test]
fn document_lists_the_linked_crates() {
    let listed = parse_listed_crates(&read_document());
    let mut linked = BTreeSet::new();
    for triple in TRIPLES {
        let crates =
            list_linked_crates(triple).unwrap().into_iter().filter(|entry| !entry.is_library());
        linked.extend(crates.map(|entry| [entry.name, entry.version, entry.licence]));
    }
    let missing: Vec<_> = linked.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&linked).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:?}; not linked: {stale:?}");
    assert!(linked.len() > 30);
}

#[test]
fn document_marks_pre_releases() {
    let document = read_document();
    for cells in
        parse_rows(&document).filter(|cells| cells.get(1).is_some_and(|cell| cell.contains("-rc")))
    {
        assert!(cells.iter().any(|cell| cell.contains("pre-release")), "{cells:?}");
    }
}
