//! Tests of the checker for hosts: every rule has a program in tests/c/checker/ that breaks it, and
//! the examples, which are right, break no rule.

use crate::files::{list_folder, read_text};
use crate::host_build::{CHECKER, EXAMPLES, build_host_with};
use crate::inputs::{PERIOD_NS, STANDIN_MODEL, write_phantom_cine};
use crate::package::install_checker;
use crate::paths::root;
use crate::platform::Platform;
use crate::process::{Result, command};
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder with the programs. The name of a program is the name of the rule that it breaks.
const FOLDER: &str = "tests/c/checker";

/// The page that describes the rules.
const PAGE: &str = "docs/host/checker.md";

/// Text at the beginning of each report. The name of the rule follows.
const REPORT: &str = "tteview check: ";

/// The signal that ends a process after `abort`.
const SIGABRT: i32 = 6;

/// Adds the checker to the package under `prefix`, and tests it.
pub(super) fn test_checker(prefix: &Path) -> Result {
    install_checker(prefix, &Platform::native())?;
    let mut rules = Vec::new();
    for program in list_folder(&root().join(FOLDER))? {
        let rule = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        check_rule(prefix, &program, &rule)?;
        rules.push(rule);
    }
    rules.sort();
    let described = list_described_rules(&read_text(&root().join(PAGE))?);
    if rules != described {
        return Err(format!(
            "{PAGE} must describe the rules {}, got {}",
            rules.join(", "),
            described.join(", ")
        ));
    }
    check_examples(prefix)
}

/// Builds the program and checks that it breaks this rule.
fn check_rule(prefix: &Path, source: &Path, rule: &str) -> Result {
    let source = source.strip_prefix(root()).unwrap_or(source).to_string_lossy();
    expect_rule(&build_host_with(&Platform::native(), prefix, &source, &[], CHECKER)?, rule)
}

/// Checks that the program is reported for this rule alone and that `abort` ends it.
pub(super) fn expect_rule(program: &Path, rule: &str) -> Result {
    let run =
        |mode: &str| run_program(command(program, [STANDIN_MODEL]).env("TTEVIEW_CHECK", mode));
    let (status, rules) = run("report")?;
    let name = program.display();
    println!("{name}: {}", rules.join(", "));
    if rules != [rule] || !status.success() {
        return Err(format!("{name} must break the rule {rule} only, got {rules:?} and {status}"));
    }
    let (status, _) = run("abort")?;
    if status.signal() == Some(SIGABRT) {
        Ok(())
    } else {
        Err(format!("TTEVIEW_CHECK=abort must end {name} with signal {SIGABRT}, got {status}"))
    }
}

/// Checks that the examples break no rule.
fn check_examples(prefix: &Path) -> Result {
    let cine = write_phantom_cine()?;
    for example in EXAMPLES {
        let source = format!("ffi-examples/{example}");
        let program = build_host_with(&Platform::native(), prefix, &source, &[], CHECKER)?;
        let arguments = [OsStr::new(STANDIN_MODEL), cine.as_os_str(), OsStr::new(PERIOD_NS)];
        let (status, rules) = run_program(&mut command(&program, arguments))?;
        if !rules.is_empty() || !status.success() {
            return Err(format!("{source} must break no rule, got {rules:?} and {status}"));
        }
    }
    Ok(())
}

/// Runs a program and returns its exit status and the rules that it broke, without repetitions.
fn run_program(command: &mut Command) -> Result<(std::process::ExitStatus, Vec<String>)> {
    let program = PathBuf::from(command.get_program());
    let output = command.output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    Ok((output.status, list_broken_rules(&String::from_utf8_lossy(&output.stderr))))
}

fn list_broken_rules(text: &str) -> Vec<String> {
    let reports = text.lines().filter_map(|line| line.strip_prefix(REPORT));
    let mut rules: Vec<String> =
        reports.filter_map(|report| Some(report.split_once(':')?.0.to_owned())).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Returns the names of the rules that have a section on the page, sorted.
fn list_described_rules(page: &str) -> Vec<String> {
    let mut rules: Vec<String> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(String::from).collect();
    rules.sort();
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_rule_is_listed_once() {
        let text = "tteview check: b: f: text\nother\ntteview check: a: f: x\n\
                    tteview check: b: g: y\n";
        assert_eq!(list_broken_rules(text), ["a", "b"]);
    }

    #[test]
    fn the_sections_of_the_third_level_are_rules() {
        assert_eq!(list_described_rules("# x\n### b\ntext\n## y\n### a\n"), ["a", "b"]);
    }
}
