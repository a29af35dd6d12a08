//! This test checks that source files have at most 400 lines or explain at the top why they are
//! longer.

use super::files::{list_files, read_file};

const LINES: usize = 400;

/// Text that introduces the reason, in the first 20 lines of a longer file.
const REASON: &str = "longer than 400 lines because";

/// Generated files, which may be longer.
const GENERATED: &[&str] = &["include/tteview/tteview.h"];

#[test]
fn source_files_are_short_or_say_why_not() {
    let mut problems = Vec::new();
    for file in list_files(&[".rs", ".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".sh"]).unwrap() {
        if GENERATED.iter().any(|generated| file.ends_with(generated)) {
            continue;
        }
        let source = read_file(&file).unwrap();
        let count = source.lines().count();
        let opening: Vec<&str> = source.lines().take(20).collect();
        if count > LINES && !opening.join(" ").contains(REASON) {
            problems.push(format!("{}: {count} lines", file.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
