//! The program `tteview`.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

mod closed_output;

use clap::Parser;
use closed_output::is_output_closed;
use std::process::ExitCode;
use tteview_cli::{Arguments, Exit, Failure, flush_output, print_error, print_usage, run};

fn main() -> ExitCode {
    let outcome = run_program();
    let flushed = flush_output();
    match outcome.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                print_error(&failure.message);
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run_program() -> Result<(), Failure> {
    if is_output_closed() {
        let message = "standard output is closed; redirect it to a file or to /dev/null";
        return Err(Failure { exit: Exit::Files, message: message.into() });
    }
    match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(error) => print_usage(error),
    }
}
