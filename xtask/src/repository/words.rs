//! These tests check that prose contains no phrase that docs/develop/style.md forbids and no line
//! that is too long.

use super::files::{list_files, read_file};
use super::prose::{ENDINGS, extract_prose};
use std::path::Path;

/// Maximum length of a line of prose outside tables, links and code.
const WIDTH: usize = 100;

/// Forbidden phrases in lower case, and what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("of ours", "name the owner"),
    ("of yours", "your"),
    ("of its own accord", "by itself"),
    ("so many", "that many, or the number"),
    ("is none", "does not exist, or is not one"),
    ("there is none", "does not exist"),
    ("stands in", "is in, or replaces"),
    ("stands beside", "is next to"),
    ("stands twice", "appears twice"),
    ("stand in for", "replace"),
    ("goes before", "precedes"),
    ("beside", "next to, or in addition to"),
    ("besides", "in addition"),
    ("hence", "therefore"),
    ("whence", "from where"),
    ("nobody", "no one, or name the actor"),
    ("lays down", "installs"),
    ("says so", "reports it"),
    ("by heart", "name it"),
    ("for ever", "without limit"),
    ("in silence", "silently"),
];

/// Files that may contain the phrases.
const EXCEPTIONS: &[&str] =
    &["docs/develop/style.md", "xtask/src/repository/words.rs", "LICENSE-APACHE"];

/// Returns the forbidden phrases in `text`.
fn find_phrases(text: &str) -> Vec<(&'static str, &'static str)> {
    // The parts with even indices are outside code spans.
    let text: Vec<&str> = text.split('`').step_by(2).collect();
    let text = text.join(" code ");
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .collect();
    let text = format!(" {} ", words.join(" "));
    let found = PHRASES.iter().filter(|(phrase, _)| text.contains(&format!(" {phrase} ")));
    found.copied().collect()
}

fn is_exception(file: &Path) -> bool {
    EXCEPTIONS.iter().any(|exception| file == Path::new(exception))
}

#[test]
fn prose_uses_the_usual_words() {
    let mut problems = Vec::new();
    for file in list_files(ENDINGS).unwrap() {
        if is_exception(&file) {
            continue;
        }
        for line in extract_prose(&file, &read_file(&file).unwrap()) {
            for (phrase, instead) in find_phrases(&line.text) {
                let place = format!("{}:{}", file.display(), line.number);
                problems.push(format!("{place}: \"{phrase}\"; write {instead}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn prose_is_wrapped_at_100_columns() {
    let mut problems = Vec::new();
    for file in list_files(ENDINGS).unwrap() {
        let source = read_file(&file).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        for line in extract_prose(&file, &source) {
            let length = lines[line.number - 1].chars().count();
            let has_link = line.text.contains("](") || line.text.contains("://");
            if length > WIDTH && !has_link {
                problems.push(format!("{}:{}: {length} columns", file.display(), line.number));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn phrases_are_found_as_whole_words() {
    assert_eq!(find_phrases("It is built anew, they say.")[0].0, "anew");
    assert!(find_phrases("A new beginning, renewed. It is `None`.").is_empty());
}
