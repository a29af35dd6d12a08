//! What commands print.

use crate::{Exit, Failure};
use std::io::{ErrorKind, Write};

/// Prints a line to standard output. A reader that has gone away, as `head` does, ends the program silently.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(|error| Failure {
        exit: Exit::Files,
        message: match error.kind() {
            ErrorKind::BrokenPipe => String::new(),
            _ => format!("standard output: {error}"),
        },
    })
}
