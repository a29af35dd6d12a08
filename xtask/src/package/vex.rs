//! The statements about known vulnerabilities (VEX), in the CycloneDX 1.5 format. They come from
//! the column "known anomalies" of `docs/develop/dependencies.md`, which is the only place where
//! advisories are assessed.

use super::crates::LinkedCrate;
use crate::process::Result;
use serde_json::{Value, json};

/// Prefix of the identifiers in the RustSec advisory database.
const PREFIX: &str = "RUSTSEC-";

/// Returns the statements as JSON. Each advisory in `document` about a linked crate becomes one
/// statement. `document` is the content of `docs/develop/dependencies.md`.
///
/// An advisory that is fixed in an earlier version is `resolved`; the text then says in which one.
/// Any other advisory is `in_triage`, so that a new row cannot pass as resolved by accident.
pub(super) fn write_vex(crates: &[LinkedCrate], document: &str) -> Result<String> {
    let library = crates.iter().find(|entry| entry.is_library());
    let library = library.ok_or("the linked crates do not include the library")?;
    let mut statements = Vec::new();
    for entry in crates {
        for (advisory, text) in find_advisories(document, &entry.name) {
            statements.push(describe_statement(entry, advisory, text));
        }
    }
    let vex = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "library",
            "bom-ref": library.reference(),
            "name": library.name,
            "version": library.version,
            "purl": library.reference(),
        } },
        "vulnerabilities": statements,
    });
    Ok(format!("{vex:#}\n"))
}

/// Returns each advisory that the row of a crate names, with the text about it.
fn find_advisories<'a>(document: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let start = format!("| `{name}` |");
    let rows = document.lines().filter(|line| line.starts_with(&start));
    let anomalies = rows.filter_map(|row| row.trim_end_matches(" |").rsplit('|').next());
    let parts = anomalies.flat_map(|cell| cell.split(';'));
    parts.flat_map(|text| find_identifiers(text).map(move |found| (found, text.trim()))).collect()
}

/// Returns the identifiers of advisories in a text.
fn find_identifiers(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', ',', ':', '(', ')']);
    words.filter(|word| word.starts_with(PREFIX))
}

fn describe_statement(entry: &LinkedCrate, advisory: &str, text: &str) -> Value {
    let state = if text.contains("fixed in") { "resolved" } else { "in_triage" };
    json!({
        "id": advisory,
        "source": {
            "name": "RustSec",
            "url": format!("https://rustsec.org/advisories/{advisory}.html"),
        },
        "affects": [{ "ref": entry.reference() }],
        "analysis": { "state": state, "detail": format!("{text}; linked: {}", entry.version) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::read_text;
    use crate::package::crates::list_linked_crates;
    use crate::paths::root;
    use crate::process::read_host_triple;

    #[test]
    fn every_advisory_of_a_linked_crate_has_a_statement() {
        let crates = list_linked_crates(&read_host_triple().unwrap()).unwrap();
        let document = read_text(&root().join("docs/develop/dependencies.md")).unwrap();
        let vex: Value = serde_json::from_str(&write_vex(&crates, &document).unwrap()).unwrap();
        let statements = vex["vulnerabilities"].as_array().unwrap();
        let section = document.split("\n## ").find(|part| part.starts_with("In the library"));
        let rows = section.unwrap().lines().filter(|line| line.starts_with("| `"));
        let listed: usize = rows.map(|row| row.matches(PREFIX).count()).sum();
        assert_eq!(statements.len(), listed);
        assert!(listed >= 3, "{listed}");
        for statement in statements {
            assert_eq!(statement["analysis"]["state"], "resolved", "{statement}");
            let reference = statement["affects"][0]["ref"].as_str().unwrap();
            assert!(crates.iter().any(|entry| entry.reference() == reference));
        }
    }

    #[test]
    fn an_advisory_without_a_fix_is_in_triage() {
        let row = "| `a` | 1 | MIT | b | c | RUSTSEC-2030-0001, fixed in 2.0; RUSTSEC-2030-0002 |";
        let found = find_advisories(row, "a");
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["RUSTSEC-2030-0001", "RUSTSEC-2030-0002"]);
        let crates = list_linked_crates(&read_host_triple().unwrap()).unwrap();
        let states = found.iter().map(|(name, text)| {
            describe_statement(&crates[0], name, text)["analysis"]["state"].clone()
        });
        assert_eq!(states.collect::<Vec<_>>(), ["resolved", "in_triage"]);
    }
}
