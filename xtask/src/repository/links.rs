//! These tests check that links in documents and comments lead to files and sections that exist.

use super::files::{list_files, read_file};
use crate::paths::{normalise_path, root};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the anchors of the headings in a document, as GitHub and mdBook compute them.
fn find_anchors(document: &str) -> Vec<String> {
    let mut is_code = false;
    let mut anchors = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !is_code && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            anchors.push(kept.collect::<String>().replace(' ', "-"));
        }
    }
    anchors
}

/// Returns the targets of the links and images in a document, except those in code.
fn find_links(document: &str) -> Vec<String> {
    let mut is_code = false;
    let mut links = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !is_code {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            links.extend(targets.map(str::to_owned));
        }
    }
    links
}

/// Returns the strings of the form `docs/NAME.md` and `docs/NAME.md#SECTION` in a source file.
fn find_mentions(source: &str) -> Vec<String> {
    let mut mentions = Vec::new();
    for (start, _) in source.match_indices("docs/") {
        let rest = &source[start..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/-_.#".contains(c);
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let mention = rest[..end].trim_end_matches(['.', '#', '-']);
        if mention.contains(".md") {
            mentions.push(mention.to_owned());
        }
    }
    mentions
}

/// The documents of the repository with their anchors.
struct Documents(BTreeMap<PathBuf, Vec<String>>);

impl Documents {
    fn read() -> Self {
        let read = |file: PathBuf| {
            let anchors = find_anchors(&read_file(&file).unwrap());
            (file, anchors)
        };
        Self(list_files(&[".md"]).unwrap().into_iter().map(read).collect())
    }

    /// Checks a link in the document `from`. Returns an error if the target does not exist.
    fn check(&self, from: &Path, link: &str) -> Result<(), String> {
        if link.contains("://") || link.starts_with("mailto:") {
            return Ok(());
        }
        let (path, anchor) = link.split_once('#').map_or((link, None), |(path, a)| (path, Some(a)));
        let target = if path.is_empty() {
            from.to_owned()
        } else {
            normalise_path(&from.parent().unwrap_or(Path::new("")).join(path))
        };
        if !root().join(&target).exists() {
            return Err(format!("{}: {} does not exist", from.display(), target.display()));
        }
        match anchor {
            Some(anchor)
                if !self.0.get(&target).is_some_and(|all| all.iter().any(|a| a == anchor)) =>
            {
                Err(format!("{}: {} has no section #{anchor}", from.display(), target.display()))
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn links_of_documents_lead_somewhere() {
    let documents = Documents::read();
    let mut problems = Vec::new();
    for file in documents.0.keys() {
        for link in find_links(&read_file(file).unwrap()) {
            problems.extend(documents.check(file, &link).err());
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn documents_that_code_mentions_exist_with_their_sections() {
    let documents = Documents::read();
    let mut problems = Vec::new();
    let endings = [".rs", ".py", ".c", ".h", ".cpp", ".hpp", ".toml", ".sh"];
    for file in list_files(&endings).unwrap() {
        if file == Path::new(file!()) {
            continue;
        }
        for mention in find_mentions(&read_file(&file).unwrap()) {
            let problem = documents.check(Path::new("root"), &mention).err();
            problems.extend(problem.map(|problem| format!("{}: {problem}", file.display())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Returns whether `text` mentions the stream contract without a link.
fn mentions_without_link(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("stream contract") && !text.contains("stream-contract.md")
}

#[test]
fn mentions_of_the_stream_contract_are_links() {
    let mut problems = Vec::new();
    for file in list_files(&[".rs", ".py", ".c", ".md"]).unwrap() {
        let is_itself = file.ends_with("stream-contract.md") || file == Path::new(file!());
        let source = if is_itself { String::new() } else { read_file(&file).unwrap() };
        let lines: Vec<&str> = source.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            // The link may begin on the previous line or end on the next line.
            let near = &lines[index.saturating_sub(1)..(index + 2).min(lines.len())];
            if line.to_lowercase().contains("stream contract")
                && mentions_without_link(&near.join(" "))
            {
                problems.push(format!("{}:{}", file.display(), index + 1));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn anchors_and_mentions_are_found() {
    assert_eq!(find_anchors("# A title\n```\n# code\n```\n## `b`, c_d\n"), ["a-title", "b-c_d"]);
    assert_eq!(find_links("[a](b.md#c) and ![d](e.png)\n```\n[f](g)\n```\n"), ["b.md#c", "e.png"]);
    assert_eq!(find_mentions("see docs/a.md#b-c, docs/d.md."), ["docs/a.md#b-c", "docs/d.md"]);
    assert!(mentions_without_link("The stream contract says"));
    assert!(!mentions_without_link("The [stream contract](../stream-contract.md) says"));
}

#[test]
fn a_missing_file_or_section_is_a_problem() {
    let documents = Documents::read();
    let from = Path::new("docs/abi.md");
    assert!(documents.check(from, "develop/style.md#language").is_ok());
    assert!(documents.check(from, "https://example.org/x#y").is_ok());
    assert!(documents.check(from, "develop/missing.md").unwrap_err().contains("does not exist"));
    assert!(documents.check(from, "develop/style.md#missing").unwrap_err().contains("no section"));
}
