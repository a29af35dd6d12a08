//! `docs/dependencies.md` lists what is linked: it must be what `Cargo.lock` says.

#[cfg(test)]
mod tests {
    use crate::process::root;
    use crate::sbom;
    use std::collections::BTreeSet;

    /// Name, version and licence in each row of the first table.
    fn listed(document: &str) -> BTreeSet<[String; 3]> {
        let section = document.split("\n## ").find(|section| section.starts_with("In the library"));
        let rows = section.into_iter().flat_map(str::lines).filter(|line| line.starts_with("| `"));
        rows.filter_map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
            Some([cells.next()?, cells.next()?, cells.next()?])
        })
        .collect()
    }

    #[test]
    fn the_list_is_what_is_linked_by_name_version_and_licence() {
        let document = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
        let listed = listed(&document);
        let mut linked = BTreeSet::new();
        for triple in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
            linked.extend(sbom::linked(triple).unwrap());
        }
        let missing: Vec<_> = linked.difference(&listed).collect();
        let stale: Vec<_> = listed.difference(&linked).collect();
        assert!(missing.is_empty() && stale.is_empty(), "not listed: {missing:?}; listed wrongly: {stale:?}");
        assert!(linked.len() > 30);
    }

    #[test]
    fn a_pre_release_is_said_to_be_one() {
        let document = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
        let rows = document.lines().filter(|line| line.starts_with("| `"));
        for row in rows.filter(|row| row.split('|').nth(2).is_some_and(|version| version.contains("-rc"))) {
            assert!(row.contains("pre-release"), "{row}");
        }
    }
}
