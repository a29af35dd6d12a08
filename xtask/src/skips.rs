//! Parts of a step that this machine cannot run. A part is a test program, or a test inside one.
//! The closing table of `cargo xtask test` names them, so that they do not look like a pass.

use crate::process::{Result, describe_start};
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The exit status of a test program of which this machine cannot run anything.
const SKIPPED: i32 = 77;

/// Beginning of the line in which a test program gives the reason why it skips a test.
const REASON: &str = "skipped: ";

thread_local! {
    /// The parts that the current step has skipped so far.
    static PARTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Records that the current step skips a part, and prints the part.
pub(crate) fn skip_part(part: String) {
    println!("SKIPPED: {part}");
    PARTS.with_borrow_mut(|parts| {
        if !parts.contains(&part) {
            parts.push(part);
        }
    });
}

/// Returns the parts that were skipped since the last call.
pub(crate) fn take_skipped_parts() -> Vec<String> {
    PARTS.take()
}

/// Runs a test program in this terminal. Each line that begins with "skipped: " gives the reason
/// why the program skips a part. An exit status other than 0 is an error, except [`SKIPPED`] after
/// such a line.
pub(crate) fn run_test_program(name: &str, command: &mut Command) -> Result {
    let mut has_reason = false;
    let status = for_each_line(command, |line| {
        if let Some(reason) = line.strip_prefix(REASON) {
            has_reason = true;
            skip_part(format!("{name} ({reason})"));
        }
    })?;
    match status.code() {
        Some(0) => Ok(()),
        Some(SKIPPED) if has_reason => Ok(()),
        _ => Err(format!("{name} failed: {status}")),
    }
}

/// Runs pytest with the option `-rs`, which lists skipped tests.
pub(crate) fn run_pytest(command: &mut Command) -> Result {
    let status = for_each_line(command, |line| {
        if let Some((_, test)) =
            line.strip_prefix("SKIPPED [").and_then(|rest| rest.split_once("] "))
        {
            skip_part(test.to_owned());
        }
    })?;
    if status.success() { Ok(()) } else { Err(format!("pytest failed: {status}")) }
}

/// Runs a command, prints its standard output and calls `handle` with each line of it.
fn for_each_line(
    command: &mut Command,
    mut handle: impl FnMut(&str),
) -> Result<std::process::ExitStatus> {
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| describe_start(command, &error))?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            handle(text.trim_end());
            line.clear();
        }
    }
    child.wait().map_err(|error| describe_start(command, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_script(script: &str) -> (Result, Vec<String>) {
        let outcome = run_test_program("a.c", Command::new("sh").args(["-c", script]));
        (outcome, take_skipped_parts())
    }

    #[test]
    fn each_reason_of_a_test_program_is_recorded_once() {
        let script = "echo x; echo skipped: no group; echo skipped: no group; echo skipped: no b";
        let parts = ["a.c (no group)", "a.c (no b)"].map(String::from).to_vec();
        assert_eq!(run_script(script), (Ok(()), parts));
        assert_eq!(run_script("echo 3 checks passed"), (Ok(()), vec![]));
    }

    #[test]
    fn a_skipped_program_needs_a_reason() {
        let (outcome, parts) = run_script("echo 'skipped: no priority'; exit 77");
        assert_eq!((outcome, parts.len()), (Ok(()), 1));
        let (outcome, parts) = run_script("exit 77");
        assert_eq!(outcome.unwrap_err(), "a.c failed: exit status: 77");
        assert!(parts.is_empty());
    }

    #[test]
    fn a_failed_program_is_an_error_despite_a_reason() {
        let (outcome, _) = run_script("echo skipped: a; exit 1");
        assert_eq!(outcome.unwrap_err(), "a.c failed: exit status: 1");
    }

    #[test]
    fn tests_that_pytest_skips_are_recorded() {
        let script = "echo '....s'; echo 'SKIPPED [1] tests/test_a.py:67: av is missing'";
        assert_eq!(run_pytest(Command::new("sh").args(["-c", script])), Ok(()));
        assert_eq!(take_skipped_parts(), ["tests/test_a.py:67: av is missing"]);
        assert!(run_pytest(Command::new("sh").args(["-c", "exit 1"])).is_err());
    }
}
