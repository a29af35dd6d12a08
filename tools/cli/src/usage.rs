//! Help, and messages about wrong arguments.

use crate::failure::{Exit, Failure};
use crate::output::flush_output;
use crate::terminal::escape_controls;
use clap::error::ContextValue;
use std::io::{ErrorKind, Write};

/// Prints the help, the version or a message about wrong arguments, with escapes instead of control
/// characters in the arguments.
///
/// # Errors
/// Returns a failure without a message if the arguments are wrong, or a failure if the help cannot
/// be written.
pub fn print_usage(error: clap::Error) -> Result<(), Failure> {
    if !error.use_stderr() {
        let written = error.print();
        return match written {
            Ok(()) => flush_output(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                Err(Failure { exit: Exit::Files, message: String::new() })
            }
            Err(error) => Err(Failure::new(Exit::Files, format!("standard output: {error}"))),
        };
    }
    let text = escape_arguments(error).render().to_string();
    let mut stderr = std::io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(stderr, "{}", escape_controls(line));
    }
    Err(Failure { exit: Exit::Usage, message: String::new() })
}

/// Escapes the control characters, including line breaks, in the arguments that the message quotes.
fn escape_arguments(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, escape_controls(text).into_owned())),
            _ => None,
        })
        .collect();
    for (kind, text) in quoted {
        error.insert(kind, ContextValue::String(text));
    }
    error
}
