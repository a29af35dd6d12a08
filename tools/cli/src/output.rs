//! Printing to standard output.

use crate::failure::{Exit, Failure};
use std::io::{ErrorKind, Write};

/// Prints a line to standard output. If the program that reads the output has closed the pipe, as
/// `head` does, the failure has no message.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(|error| {
        let message = match error.kind() {
            ErrorKind::BrokenPipe => String::new(),
            _ => format!("standard output: {error}"),
        };
        Failure::new(Exit::Files, message)
    })
}
