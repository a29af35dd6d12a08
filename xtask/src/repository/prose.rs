//! The prose of a file: the comments of a source file, or the text of a document.

use std::path::Path;

/// A line of prose.
pub(super) struct Line {
    /// Number of the line, counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
    /// Whether the line begins a paragraph.
    pub(super) starts_paragraph: bool,
}

/// File name endings of the files that contain prose.
pub(super) const ENDINGS: &[&str] = &[
    ".rs",
    ".md",
    ".py",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".toml",
    ".sh",
    ".cmake",
    "CMakeLists.txt",
];

/// Returns the prose of a file. Code blocks, tables and headings of documents are left out.
pub(super) fn extract_prose(path: &Path, source: &str) -> Vec<Line> {
    let name = path.to_string_lossy();
    let mut lines = Vec::new();
    let mut is_code = false;
    let mut is_open = false;
    let mut in_comment = false;
    for (index, line) in source.lines().enumerate() {
        let text = if name.ends_with(".md") {
            Some(line.trim_start())
        } else {
            comment_of(&name, line, &mut in_comment)
        };
        let Some(text) = text else {
            is_open = false;
            continue;
        };
        if text.starts_with("```") || text.starts_with("~~~") {
            is_code = !is_code;
            is_open = false;
            continue;
        }
        let is_layout = text.is_empty()
            || text.starts_with(['|', '#', '<', '!', '@', '['])
            || text.starts_with("---")
            || text.starts_with("===");
        if is_code || is_layout {
            is_open = false;
            continue;
        }
        let item = ["- ", "* ", "1. ", "2. ", "3. ", "4. ", "5. ", "6. "];
        let item = item.iter().find_map(|mark| text.strip_prefix(mark));
        lines.push(Line {
            number: index + 1,
            text: item.unwrap_or(text).trim().to_owned(),
            starts_paragraph: item.is_some() || !is_open,
        });
        is_open = true;
    }
    lines
}

/// Returns the text of a line if the line is a comment. `in_comment` is true while a C comment or a
/// Python docstring is open.
fn comment_of<'a>(name: &str, line: &'a str, in_comment: &mut bool) -> Option<&'a str> {
    let line = line.trim();
    if name.ends_with(".py")
        || name.ends_with(".toml")
        || name.ends_with(".sh")
        || name.ends_with("CMakeLists.txt")
        || name.ends_with(".cmake")
    {
        if let Some(text) = line.strip_prefix("# ") {
            return Some(text.trim());
        }
        let quotes = line.matches("\"\"\"").count();
        let was_inside = *in_comment;
        if quotes == 1 {
            *in_comment = !was_inside;
        }
        let is_docstring = name.ends_with(".py") && (was_inside || line.starts_with("\"\"\""));
        return is_docstring.then(|| line.trim_matches('"').trim());
    }
    for mark in ["///", "//!", "//"] {
        if let Some(text) = line.strip_prefix(mark) {
            return Some(text.trim());
        }
    }
    if !name.ends_with(".rs") {
        let starts = line.starts_with("/*");
        if starts || *in_comment {
            *in_comment = !line.contains("*/");
            let text =
                line.trim_start_matches("/**").trim_start_matches("/*").trim_end_matches("*/");
            return Some(text.trim_start_matches("* ").trim_start_matches('*').trim());
        }
    }
    None
}

/// Joins lines into paragraphs, and returns each paragraph with the number of its first line.
pub(super) fn join_paragraphs(lines: &[Line]) -> Vec<(usize, String)> {
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    for line in lines {
        match paragraphs.last_mut() {
            Some((_, text)) if !line.starts_paragraph => *text += &format!(" {}", line.text),
            _ => paragraphs.push((line.number, line.text.clone())),
        }
    }
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraphs(name: &str, source: &str) -> Vec<String> {
        let lines = extract_prose(Path::new(name), source);
        join_paragraphs(&lines).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn comments_of_rust_are_paragraphs() {
        let source = "//! One\n//! two.\n\nfn f() {}\n/// Three.\n///\n/// ```\n/// code\n/// ```\n/// Four.\n";
        assert_eq!(paragraphs("a.rs", source), ["One two.", "Three.", "Four."]);
    }

    #[test]
    fn comments_of_c_and_docstrings_are_paragraphs() {
        let source = "/* One\n * two. */\nint a; \n/** Three. */\n";
        assert_eq!(paragraphs("a.h", source), ["One two.", "Three."]);
        let source = "\"\"\"One.\n\nTwo\nthree.\n\"\"\"\nx = 1\n# Four.\n";
        assert_eq!(paragraphs("a.py", source), ["One.", "Two three.", "Four."]);
    }

    #[test]
    fn tables_headings_and_code_of_documents_are_left_out() {
        let source =
            "# Title\n\nOne\ntwo.\n\n| a |\n\n```\ncode\n```\n\n- Three\n  four.\n- Five.\n";
        assert_eq!(paragraphs("a.md", source), ["One two.", "Three four.", "Five."]);
    }
}
