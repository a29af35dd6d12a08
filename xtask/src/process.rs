//! Functions that run other programs in the root of the repository.

use crate::paths::root;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

/// The result of a task or a step. The error is a message for the person at the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// Returns an error if `arguments` is not empty. Tasks that take no arguments call this function.
pub(crate) fn expect_no_arguments(arguments: &[&str]) -> Result {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(format!("the task takes no arguments, got {first}")),
    }
}

/// Returns a command that runs `program` in the root of the repository.
pub(crate) fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Returns a command for the same Cargo program that started this task. Spaces separate the words
/// in `arguments`.
///
/// Incremental compilation is off unless `CARGO_INCREMENTAL` is set, because its files take up disk
/// space and speed up only the next build of a changed crate.
pub(crate) fn cargo(arguments: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program, arguments.split_whitespace());
    if std::env::var_os("CARGO_INCREMENTAL").is_none() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Returns the name of the Rust compiler that Cargo uses.
pub(crate) fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Returns Rust's name for this machine, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn read_host_triple() -> Result<String> {
    Ok(read_output(&mut command(rustc(), ["--print", "host-tuple"]))?.trim().to_owned())
}

/// Runs `command` in this terminal. An exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| describe_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", describe(command))) }
}

/// Runs `command` and returns what it writes to standard output. Standard error goes to this
/// terminal.
pub(crate) fn read_output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| describe_start(command, &error))?;
    if !output.status.success() {
        // The output says what failed, such as the name of a test.
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return Err(format!("`{}` failed: {}", describe(command), output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("the output of `{}` is not valid UTF-8", describe(command)))
}

/// Returns the message for a command that cannot be started.
pub(crate) fn describe_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", describe(command))
}

/// Returns the command as it would be typed, with the environment variables that it sets.
fn describe(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}=\"{}\"", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into());
    variables.chain(words).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_program_is_named_with_variables_and_arguments() {
        let mut command = command("false", ["--flag", "x"]);
        let error = run(command.env("A", "b c")).unwrap_err();
        assert_eq!(error, "`A=\"b c\" false --flag x` failed: exit status: 1");
    }

    #[test]
    fn missing_program_is_named() {
        let error = run(&mut command("no-such-program", [""; 0])).unwrap_err();
        assert!(error.starts_with("cannot start `no-such-program`"), "{error}");
    }

    #[test]
    fn cargo_commands_do_not_build_incrementally() {
        let is_set = std::env::var_os("CARGO_INCREMENTAL").is_some();
        let adds = cargo("build").get_envs().any(|(name, _)| name == "CARGO_INCREMENTAL");
        assert_ne!(is_set, adds);
    }
}
