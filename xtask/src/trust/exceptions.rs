//! The lists of exceptions in `docs/develop/trust.md`, which are tables. The first two cells of a
//! row identify an exception, and the third cell gives the reason.

use super::record::SourceLine;
use crate::files::read_text;
use crate::paths::root;
use crate::process::Result;
use std::collections::BTreeSet;

/// Heading of the list of lines that no test runs.
const UNCOVERED: &str = "## Uncovered lines";

/// Heading of the list of mutants that no test notices.
const SURVIVORS: &str = "## Surviving mutants";

/// Minimum length of a reason in characters.
const MIN_REASON: usize = 20;

fn read_page() -> Result<String> {
    read_text(&root().join("docs/develop/trust.md"))
}

/// The lines that the page lists as uncovered for a reason.
pub(super) fn read_listed_lines() -> Result<BTreeSet<SourceLine>> {
    let rows = parse_rows(&read_page()?, UNCOVERED)?;
    Ok(rows.into_iter().map(|[file, text]| SourceLine { file, text }).collect())
}

/// The mutants, with their modules, that the page lists as survivors for a reason.
pub(super) fn read_listed_survivors() -> Result<BTreeSet<[String; 2]>> {
    Ok(parse_rows(&read_page()?, SURVIVORS)?.into_iter().collect())
}

/// Returns the entries of `found` that are not in `listed`, and the entries of `listed` that are
/// not in `found`, as messages.
pub(super) fn compare<T: Ord + std::fmt::Debug>(
    found: &BTreeSet<T>,
    listed: &BTreeSet<T>,
) -> Vec<String> {
    let unlisted = found.difference(listed).map(|entry| format!("list with a reason: {entry:?}"));
    let stale = listed.difference(found).map(|entry| format!("remove from the list: {entry:?}"));
    unlisted.chain(stale).collect()
}

/// Returns the first two cells, without code fences, of every row of the table in the section with
/// this heading. A section without a table has no rows.
fn parse_rows(page: &str, heading: &str) -> Result<Vec<[String; 2]>> {
    let section = page
        .split_once(heading)
        .ok_or_else(|| format!("the page must have a section \"{heading}\""))?
        .1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells = split_row(line);
        let [first, second, reason] = &cells[..] else {
            return Err(format!("a row of \"{heading}\" must have three cells, got {line}"));
        };
        if reason.len() < MIN_REASON {
            return Err(format!("the last cell must give the reason, got {line}"));
        }
        rows.push([first, second].map(|cell| cell.trim_matches('`').trim().to_owned()));
    }
    Ok(rows)
}

/// Returns the cells of a row. A bar after a backslash belongs to the cell.
fn split_row(line: &str) -> Vec<String> {
    let marked = line.trim().trim_matches('|').replace("\\|", "\0");
    marked.split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::{Mutants, Records};
    use super::*;

    const PAGE: &str = "## Other\n\n| x | y | z |\n\n## List\n\nText.\n\n| file | line | reason |\n\
                        | --- | --- | --- |\n| `a.rs` | `return 1;` | The kernel never returns 1. |\n\
                        \n## Next\n\n| p | q | r |\n";

    #[test]
    fn rows_of_the_section_are_read_without_fences() {
        assert_eq!(parse_rows(PAGE, "## List").unwrap(), [["a.rs", "return 1;"]]);
        assert!(parse_rows(PAGE, "## Missing").is_err());
    }

    #[test]
    fn row_without_a_reason_is_refused() {
        let page = PAGE.replace("The kernel never returns 1.", "yes");
        assert!(parse_rows(&page, "## List").unwrap_err().contains("reason"));
    }

    #[test]
    fn every_uncovered_line_is_listed_with_a_reason() {
        let records = Records::read().unwrap();
        let found = records.coverage.into_iter().flat_map(|part| part.uncovered).collect();
        let problems = compare(&found, &read_listed_lines().unwrap());
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn every_surviving_mutant_is_listed_with_a_reason() {
        let records = Records::read().unwrap();
        let of_module = |entry: Mutants| {
            let module = entry.module;
            entry.survivors.into_iter().map(move |mutant| [module.clone(), mutant])
        };
        let found = records.mutants.into_iter().flat_map(of_module).collect();
        let problems = compare(&found, &read_listed_survivors().unwrap());
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn missing_and_stale_entries_are_reported() {
        let set = |entries: &[&'static str]| entries.iter().copied().collect::<BTreeSet<_>>();
        let problems = compare(&set(&["a", "b"]), &set(&["b", "c"]));
        assert_eq!(problems, ["list with a reason: \"a\"", "remove from the list: \"c\""]);
    }

    #[test]
    fn escaped_bars_do_not_separate_cells() {
        assert_eq!(split_row(r"| `a \| b` | c |"), ["`a | b`", "c"]);
    }
}
