//! The table in the page `docs/develop/trust.md`.

use super::record::Records;
use super::table::format_table;
use crate::files::{read_text, write_file};
use crate::paths::root;
use crate::process::Result;
use std::path::PathBuf;

/// Heading of the section with the table.
const FIGURES: &str = "## Figures";

/// Returns the path of the page.
pub(super) fn page_path() -> PathBuf {
    root().join("docs/develop/trust.md")
}

/// Writes the table to the page.
pub(super) fn update_table(records: &Records) -> Result {
    let page = read_text(&page_path())?;
    write_file(&page_path(), replace_table(&page, &format_table(records))?)
}

/// Replaces the first table of the section with the figures.
fn replace_table(page: &str, table: &str) -> Result<String> {
    let missing =
        || format!("docs/develop/trust.md must have a table in the section \"{FIGURES}\"");
    let section = page.find(FIGURES).ok_or_else(missing)?;
    let start = section + page[section..].find("\n|").ok_or_else(missing)? + 1;
    let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length);
    Ok(format!("{}{table}{}", &page[..start], &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_the_page_agrees_with_the_records() {
        let page = read_text(&page_path()).unwrap();
        let records = Records::read().unwrap();
        let written = replace_table(&page, &format_table(&records)).unwrap();
        assert_eq!(page, written, "run `cargo xtask trust` and commit the page");
    }

    #[test]
    fn only_the_table_of_the_figures_is_replaced() {
        let page = "# T\n\n| a |\n\n## Figures\n\nText.\n\n| old |\n| row |\n\nAfter.\n";
        let expected = "# T\n\n| a |\n\n## Figures\n\nText.\n\n| new |\n\nAfter.\n";
        assert_eq!(replace_table(page, "| new |").unwrap(), expected);
        assert!(replace_table("# T\n", "| new |").is_err());
    }
}
