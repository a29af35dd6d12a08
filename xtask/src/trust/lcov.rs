//! Line coverage in the format of lcov, without the lines of tests.

use super::record::SourceLine;
use crate::process::Result;
use std::collections::{BTreeMap, BTreeSet};

/// The lines of a source file that have code, and whether a test runs them.
pub(super) type Lines = BTreeMap<usize, bool>;

/// Parses a report. Returns the lines of each file whose path, relative to `root`, begins with
/// `folder`. A line that occurs several times is covered if any occurrence is.
pub(super) fn parse_report(
    report: &str,
    root: &str,
    folder: &str,
) -> Result<BTreeMap<String, Lines>> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let inner = path.strip_prefix(root).map(|path| path.trim_start_matches('/'));
            current = inner.filter(|path| path.starts_with(folder)).map(String::from);
        } else if let (Some(rest), Some(file)) = (line.strip_prefix("DA:"), &current) {
            let parsed = rest.split_once(',').and_then(|(number, count)| {
                let count = count.split(',').next()?;
                Some((number.parse().ok()?, count.parse::<u64>().ok()?))
            });
            let (number, count) =
                parsed.ok_or_else(|| format!("the coverage report has the line {line:?}"))?;
            *files.entry(file.clone()).or_default().entry(number).or_default() |= count > 0;
        }
    }
    Ok(files)
}

/// Returns whether a file contains only tests or helpers of tests.
pub(super) fn is_test_file(file: &str) -> bool {
    file.contains("/tests/")
        || ["/tests.rs", "/loom_tests.rs"].iter().any(|ending| file.ends_with(ending))
}

/// Returns the numbers of the lines that belong to an item which exists only in tests. Rustfmt
/// ends such an item with a brace, or with a semicolon, at the indentation of its attribute.
pub(super) fn find_test_lines(source: &str) -> BTreeSet<usize> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = BTreeSet::new();
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        let text = line.trim_start();
        let is_attribute = ["#[cfg(test)]", "#[cfg(all(test", "#[test]"]
            .iter()
            .any(|start| text.starts_with(start));
        if !is_attribute {
            index += 1;
            continue;
        }
        let indent = line.len() - text.len();
        let closing = format!("{}}}", " ".repeat(indent));
        let start = index;
        // Skip further attributes, then find the end of the item.
        while index + 1 < lines.len() && lines[index + 1].trim_start().starts_with("#[") {
            index += 1;
        }
        index += 1;
        while index < lines.len() {
            let end = lines[index];
            index += 1;
            let is_statement = end.ends_with(';') && end.len() - end.trim_start().len() == indent;
            if end == closing || is_statement || end.ends_with("{}") {
                break;
            }
        }
        found.extend(start + 1..=index);
    }
    found
}

/// Returns the lines of a file that have code, and those of them that no test runs, without the
/// lines of tests.
pub(super) fn select_lines(file: &str, source: &str, lines: &Lines) -> (u64, Vec<SourceLine>) {
    let tests = find_test_lines(source);
    let text: Vec<&str> = source.lines().collect();
    let mut count = 0;
    let mut uncovered = Vec::new();
    for (&number, &is_covered) in lines.iter().filter(|(number, _)| !tests.contains(number)) {
        let line = text.get(number - 1).map_or("", |line| line.trim());
        count += 1;
        if !is_covered {
            uncovered.push(SourceLine { file: file.into(), text: line.into() });
        }
    }
    (count, uncovered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_lines_of_the_folder_are_found() {
        let report = "SF:/r/src/a.rs\nDA:1,0\nDA:2,5\nDA:1,3\nend_of_record\nSF:/r/tools/b.rs\nDA:1,1\n\
                      end_of_record\nSF:/other/src/c.rs\nDA:1,1\n";
        let files = parse_report(report, "/r", "src/").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["src/a.rs"]);
        assert_eq!(files["src/a.rs"], Lines::from([(1, true), (2, true)]));
        assert!(parse_report("SF:/r/src/a.rs\nDA:x\n", "/r", "src/").is_err());
    }

    #[test]
    fn lines_of_tests_do_not_count() {
        let source = "fn a() {\n    b();\n}\n#[cfg(test)]\npub(super) use x::y;\nfn c() {}\n\
                      #[cfg(all(test, not(loom)))]\nmod tests {\n    #[test]\n    fn t() {\n    }\n}\n\
                      fn d() {}\n";
        let tests: Vec<usize> = find_test_lines(source).into_iter().collect();
        assert_eq!(tests, [4, 5, 7, 8, 9, 10, 11, 12]);
        let lines = Lines::from([(1, true), (2, false), (9, false), (13, true)]);
        let (count, uncovered) = select_lines("src/a.rs", source, &lines);
        assert_eq!((count, uncovered.len(), uncovered[0].text.as_str()), (3, 1, "b();"));
    }

    #[test]
    fn files_of_tests_are_recognized() {
        assert!(is_test_file("src/stream/tests/query.rs") && is_test_file("src/model/tests.rs"));
        assert!(!is_test_file("src/stream/ring.rs"));
    }
}
