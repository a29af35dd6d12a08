//! A check for dead links between the pages of the site.

use crate::files::{list_files, read_text};
use crate::paths::normalise_path;
use crate::process::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The link targets and the anchors of a page.
struct Page {
    links: BTreeSet<String>,
    anchors: BTreeSet<String>,
}

impl Page {
    fn parse(html: &str) -> Self {
        let values = |attributes: &[&str]| {
            let mut found = BTreeSet::new();
            for attribute in attributes {
                for quote in ['"', '\''] {
                    let mark = format!(" {attribute}={quote}");
                    let rests =
                        html.split(&mark).skip(1).filter_map(|rest| rest.split(quote).next());
                    found.extend(rests.map(|value| value.replace("&amp;", "&")));
                }
            }
            found
        };
        Self { links: values(&["href", "src"]), anchors: values(&["id", "name"]) }
    }
}

/// Checks all pages below `site`. Returns the number of pages, or an error that lists the dead
/// links.
pub(super) fn check(site: &Path) -> Result<usize> {
    let mut pages = BTreeMap::new();
    for file in list_pages(site)? {
        let page = Page::parse(&read_text(&file)?);
        pages.insert(file, page);
    }
    let mut dead = Vec::new();
    for (file, page) in &pages {
        for link in &page.links {
            if !leads_somewhere(file, link, &pages) {
                let file = file.strip_prefix(site).unwrap_or(file);
                dead.push(format!("{}: {link}", file.display()));
            }
        }
    }
    if dead.is_empty() {
        return Ok(pages.len());
    }
    Err(format!("{} dead links:\n{}", dead.len(), dead.join("\n")))
}

fn leads_somewhere(from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> bool {
    let is_elsewhere =
        ["://", "mailto:", "javascript:", "data:"].iter().any(|mark| link.contains(mark));
    if link.is_empty() || is_elsewhere {
        return true;
    }
    let link = link.split('?').next().unwrap_or(link);
    let (path, anchor) = link.split_once('#').map_or((link, ""), |(path, anchor)| (path, anchor));
    let target = if path.is_empty() {
        from.to_owned()
    } else {
        normalise_path(&from.parent().unwrap_or(from).join(path))
    };
    let target = if target.is_dir() { target.join("index.html") } else { target };
    if !target.exists() {
        return false;
    }
    // Scripts create the line anchors of source pages, so the files do not contain these anchors.
    let is_line = anchor.chars().all(|c| c.is_ascii_digit() || c == '-');
    anchor.is_empty()
        || is_line
        || pages.get(&target).is_none_or(|page| page.anchors.contains(anchor))
}

fn list_pages(folder: &Path) -> Result<Vec<PathBuf>> {
    // The server shows 404.html for any missing address, so the links in that file are absolute and
    // cannot be checked here.
    let is_page = |file: &PathBuf| {
        file.extension().is_some_and(|end| end == "html") && !file.ends_with("404.html")
    };
    Ok(list_files(folder)?.into_iter().filter(is_page).map(|file| folder.join(file)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn dead_files_and_anchors_are_found() {
        let folder = std::env::temp_dir().join(format!("tteview-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, html: &str| fs::write(folder.join(name), html).unwrap();
        write(
            "a.html",
            "<a href=\"b.html#x\"></a><a href='#here'></a><p id=\"here\"><img src=\"c.png\">",
        );
        write("b.html", "<h1 id='x'>");
        write("c.png", "");
        assert_eq!(check(&folder), Ok(2));
        write("a.html", "<a href=\"b.html#y\"></a><a href=\"d.html\"></a>");
        let error = check(&folder).unwrap_err();
        assert!(error.contains("2 dead links") && error.contains("b.html#y"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
