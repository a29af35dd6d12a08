//! The pages about the C and C++ interface, built by Doxygen.

use crate::files::{create_folder, read_text, write_file};
use crate::paths::{root, work_dir};
use crate::process::{Result, command};
use std::collections::BTreeSet;
use std::path::Path;

const HEADERS: [&str; 2] = ["tteview.h", "tteview.hpp"];

/// Settings that differ from Doxygen's defaults. Warnings are errors.
const SETTINGS: &str = r#"
PROJECT_NAME           = "tteview"
PROJECT_BRIEF          = "C and C++ interface"
INPUT                  = FOLDER
RECURSIVE              = YES
FILE_PATTERNS          = *.h *.hpp *.dox
STRIP_FROM_PATH        = FOLDER
INCLUDE_PATH           = FOLDER
LAYOUT_FILE            = FOLDER/layout.xml
GENERATE_LATEX         = NO
OPTIMIZE_OUTPUT_FOR_C  = YES
JAVADOC_AUTOBRIEF      = YES
TYPEDEF_HIDES_STRUCT   = YES
SORT_MEMBER_DOCS       = NO
SORT_BRIEF_DOCS        = NO
MAX_INITIALIZER_LINES  = 0
GENERATE_TREEVIEW      = NO
SEARCHENGINE           = YES
SERVER_BASED_SEARCH    = NO
HAVE_DOT               = NO
QUIET                  = YES
WARN_IF_UNDOCUMENTED   = NO
WARN_AS_ERROR          = FAIL_ON_WARNINGS
MACRO_EXPANSION        = YES
EXPAND_ONLY_PREDEF     = YES
PREDEFINED             = "TTV_MUST_USE=" "__cplusplus"
HTML_COLORSTYLE_HUE    = 200
HTML_COLORSTYLE_SAT    = 60
"#;

/// The navigation menu of the Doxygen pages.
const LAYOUT: &str = r#"<doxygenlayout version="1.0">
  <navindex>
    <tab type="user" url="../index.html" title="Guide"/>
    <tab type="mainpage" visible="yes" title="Conventions"/>
    <tab type="modules" visible="yes" title="C interface"/>
    <tab type="classlist" visible="yes" title="Structs and classes"/>
    <tab type="filelist" visible="yes" title="Files"/>
  </navindex>
</doxygenlayout>
"#;

/// Builds the pages into `output`.
pub(super) fn build(output: &Path) -> Result {
    let folder = work_dir().join("doxygen");
    let include = folder.join("tteview");
    create_folder(&include)?;
    let c_header = read_text(&root().join("include/tteview/tteview.h"))?;
    let functions = find_functions(&c_header);
    for name in HEADERS {
        let text = read_text(&root().join("include/tteview").join(name))?;
        write_file(&include.join(name), link_functions(&text, &functions))?;
    }
    write_file(
        &folder.join("mainpage.dox"),
        link_functions(&write_main_page(&c_header), &functions),
    )?;
    write_file(&folder.join("layout.xml"), LAYOUT)?;
    let parent = output.parent().unwrap_or(output).display();
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let settings = SETTINGS.replace("FOLDER", &folder.to_string_lossy());
    let settings = format!("{settings}OUTPUT_DIRECTORY = {parent}\nHTML_OUTPUT = {name}\n");
    let file = folder.join("doxygen.conf");
    write_file(&file, &settings)?;
    let mut doxygen = command("doxygen", [&file]);
    match doxygen.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("doxygen failed: {status}")),
        Err(error) => {
            Err(format!("doxygen cannot be started: {error}; install the package doxygen"))
        }
    }
}

/// Returns the names of the functions that a header declares.
fn find_functions(header: &str) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for line in header.lines().filter(|line| !is_comment(line)) {
        let Some((declaration, _)) = line.split_once('(') else { continue };
        let name = declaration.rsplit([' ', '*']).next().unwrap_or_default();
        if name.starts_with("ttv_") && !line.starts_with(' ') && !line.starts_with('#') {
            functions.insert(name.to_owned());
        }
    }
    functions
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['/', '*'])
}

/// Adds `()` to the names of functions in comments, so that Doxygen turns the names into links.
fn link_functions(text: &str, functions: &BTreeSet<String>) -> String {
    let mut is_code = false;
    let mut linked = String::new();
    for line in text.lines() {
        is_code ^= line.contains("~~~");
        if is_code || !is_comment(line) {
            linked += line;
        } else {
            let mut rest = line;
            while let Some(start) = rest.find("ttv_") {
                let end = rest[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let end = end.map_or(rest.len(), |end| start + end);
                let (before, after) = rest.split_at(end);
                linked += before;
                if functions.contains(&before[start..]) && !after.starts_with('(') {
                    linked += "()";
                }
                rest = after;
            }
            linked += rest;
        }
        linked.push('\n');
    }
    linked
}

/// Returns the main page, which is the comment at the top of the header.
fn write_main_page(header: &str) -> String {
    let comment = header.lines().take_while(|line| is_comment(line));
    let is_text = |line: &&str| !line.contains("@file") && !line.contains("generated by");
    let lines: Vec<String> = comment
        .filter(is_text)
        .map(|line| line.replace("@brief", "@mainpage Conventions\n *"))
        .collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "/** See ttv_f, ttv_f() and ttv_type. */\nTTV_MUST_USE\nint ttv_f(int a,\n          \
                          int b);\nconst char *ttv_text(void);\n#define TTV_X (::ttv_init<a>())\n";

    #[test]
    fn functions_are_found_by_their_declarations() {
        let functions: Vec<String> = find_functions(HEADER).into_iter().collect();
        assert_eq!(functions, ["ttv_f", "ttv_text"]);
    }

    #[test]
    fn functions_in_comments_become_links() {
        let linked = link_functions(HEADER, &find_functions(HEADER));
        assert!(linked.starts_with("/** See ttv_f(), ttv_f() and ttv_type. */\n"), "{linked}");
        assert!(linked.ends_with("#define TTV_X (::ttv_init<a>())\n"));
    }
}
