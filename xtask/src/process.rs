//! Running other programs from the repository root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a step or task returns: the error is a sentence for the person at the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// For tasks that take no arguments.
pub(crate) fn no_arguments(arguments: &[&str]) -> Result {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(format!("{first}: this task takes no arguments")),
    }
}

/// The repository root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the repository root")
}

/// Cargo's target directory, which `CARGO_TARGET_DIR` may move.
pub(crate) fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty());
    root().join(set.unwrap_or_else(|| "target".into()))
}

/// `program` with `arguments`, to be run in the repository root.
pub(crate) fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The Cargo that runs this task, with `arguments` separated by blanks.
pub(crate) fn cargo(arguments: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(program, arguments.split_whitespace())
}

/// Runs `command` on this terminal; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|e| format!("cannot start `{}`: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", shown(command))) }
}

/// Runs `command` and returns what it wrote to standard output; its errors go to this terminal.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start `{}`: {e}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` wrote no UTF-8", shown(command)))
}

/// The command as one would type it, with the variables it adds.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}=\"{}\"", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy().into());
    variables.chain(words).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_exits_with_an_error_is_named_with_its_arguments() {
        let error = run(cargo("no-such-task --flag").stderr(Stdio::null()).env("A", "b c")).unwrap_err();
        assert!(error.starts_with("`A=\"b c\" cargo"), "{error}");
        assert!(error.contains("no-such-task --flag` failed"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_that_names_it() {
        let error = run(&mut command("no-such-program", [""; 0])).unwrap_err();
        assert!(error.starts_with("cannot start `no-such-program`"), "{error}");
    }
}
