//! Printing to standard output and standard error.

use crate::failure::{Exit, Failure};
use crate::terminal::{escape_controls, format_json};
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// Prints a line to standard output, with escapes instead of control characters and line breaks.
///
/// # Errors
/// Returns a failure if the line cannot be written. If the program that reads the output has closed
/// the pipe, as `head` does, the failure has no message.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    print_raw(&escape_controls(text))
}

/// Prints several lines to standard output like [`print_line`].
pub(crate) fn print_lines<T: AsRef<str>>(
    lines: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    lines.into_iter().try_for_each(|line| print_line(line.as_ref()))
}

/// Prints a text of the program itself, such as a script, as it is.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(output_failure)
}

/// Prints a JSON value as one line.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print_raw(&format_json(value))
}

fn print_raw(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
    written.map_err(output_failure)
}

/// Flushes standard output. The program calls this function before it exits.
///
/// # Errors
/// Returns a failure if a part of the output cannot be written.
pub fn flush_output() -> Result<(), Failure> {
    std::io::stdout().lock().flush().map_err(output_failure)
}

fn output_failure(error: std::io::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::BrokenPipe => String::new(),
        _ => format!("standard output: {error}"),
    };
    Failure::new(Exit::Files, message)
}

/// Prints an error message to standard error, with escapes instead of control characters. An error
/// of standard error is ignored, because there is no other place to report it.
pub fn print_error(message: &str) {
    let line = format!("tteview: {}\n", escape_controls(message));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
