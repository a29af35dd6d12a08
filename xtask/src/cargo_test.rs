//! `cargo test` with filters. A filter that matches no test is an error, because otherwise tests
//! would silently stop running when someone renames a module.

use crate::process::{Result, read_output};
use std::process::Command;

/// The tests to run, selected by parts of their paths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Selection<'a> {
    /// String that the path of a test must contain. An empty string selects all tests.
    pub(crate) filter: &'a str,
    /// Strings that the path of a test must not contain.
    pub(crate) skip: &'a [&'a str],
    /// Whether tests that are marked `#[ignore]` run too.
    pub(crate) include_ignored: bool,
}

impl Selection<'_> {
    /// Adds the selection to a `cargo test` command, after `--`.
    pub(crate) fn apply<'c>(&self, tests: &'c mut Command) -> &'c mut Command {
        tests.arg("--");
        if self.include_ignored {
            tests.arg("--include-ignored");
        }
        if !self.filter.is_empty() {
            tests.arg(self.filter);
        }
        for text in self.skip {
            tests.args(["--skip", text]);
        }
        tests
    }

    /// Returns an error if the filter or one of the skipped strings matches no test, or if no test
    /// is left to run. `tests` is a `cargo test` command without arguments after `--`.
    pub(crate) fn check(&self, tests: &mut Command) -> Result {
        let listing = read_output(tests.args(["--", "--list"]))?;
        self.check_paths(&parse_test_paths(&listing))
    }

    fn check_paths(&self, paths: &[&str]) -> Result {
        for text in self.skip.iter().chain([&self.filter]) {
            if !paths.iter().any(|path| path.contains(text)) {
                return Err(format!(
                    "the filter {text:?} must match a test, but matches none; correct it in xtask"
                ));
            }
        }
        let is_selected = |path: &&str| {
            path.contains(self.filter) && !self.skip.iter().any(|text| path.contains(text))
        };
        if paths.iter().any(is_selected) {
            Ok(())
        } else {
            Err("the filters leave no test to run".into())
        }
    }
}

/// Returns the paths of the tests in the output of `cargo test -- --list`.
fn parse_test_paths(listing: &str) -> Vec<&str> {
    listing.lines().filter_map(|line| line.strip_suffix(": test")).collect()
}

/// Returns the number of passed tests in the output of `cargo test`, or an error if no test passed.
pub(crate) fn count_passed(output: &str) -> Result<u32> {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let numbers = results.filter_map(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    match numbers.sum() {
        0 => Err("no test ran".into()),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str =
        "ring::tests::a: test\ngpu::tests::b: test\nring::bench: benchmark\n\n2 tests\n";

    #[test]
    fn filter_that_matches_no_test_is_an_error() {
        let paths = parse_test_paths(LISTING);
        assert_eq!(paths, ["ring::tests::a", "gpu::tests::b"]);
        let select = |filter, skip| Selection { filter, skip, include_ignored: false };
        select("", &[]).check_paths(&paths).unwrap();
        select("gpu::tests", &[]).check_paths(&paths).unwrap();
        select("", &["gpu::tests"]).check_paths(&paths).unwrap();
        assert!(select("loom", &[]).check_paths(&paths).unwrap_err().contains("\"loom\""));
        assert!(select("ring", &["loom"]).check_paths(&paths).unwrap_err().contains("\"loom\""));
        assert!(select("ring", &["tests"]).check_paths(&paths).unwrap_err().contains("no test"));
        assert!(Selection::default().check_paths(&[]).is_err());
    }

    #[test]
    fn selection_becomes_arguments_of_the_test_program() {
        let mut command = Command::new("cargo");
        Selection { filter: "a", skip: &["b", "c"], include_ignored: true }.apply(&mut command);
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["--", "--include-ignored", "a", "--skip", "b", "--skip", "c"]);
    }

    #[test]
    fn passed_tests_are_summed_and_none_is_an_error() {
        let output = "test result: ok. 3 passed; 0\nx\ntest result: ok. 4 passed";
        assert_eq!(count_passed(output), Ok(7));
        assert!(count_passed("running 0 tests").is_err());
    }
}
